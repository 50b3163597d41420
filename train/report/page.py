"""The page of a competition as one HTML file, with everything inside."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from train import report
from train.report import svg
from train.report.board import Board, Standings, read_board
from train.report.columns import COLUMNS, columns_of
from train.report.plots import plots_of
from train.report.replay import replay_of, summary
from train.runs import write_atomically

PAGE_FILE = "leaderboard.html"
LARGEST_BYTES = 5_000_000
"""A page that can be sent by mail."""


def write_page(folder: Path, say: Callable[[str], None], replays: bool = True) -> Path:
    """Write ``leaderboard.html`` into the folder of a run.

    Args:
        folder: Of ``qfl leaderboard``.
        say: Called with a line on each stage that takes long.
        replays: Whether an episode of each environment is shown, which has to be played once.

    Returns:
        The file.

    Raises:
        RunFolderError: If the folder holds no results.
    """
    board = read_board(folder)
    shown = {one.env_id: replay_of(board, one, say) for one in board.standings} if replays else {}
    path = folder / PAGE_FILE
    write_atomically(path, render(board, shown))
    return path


def render(board: Board, replays: dict[str, dict[str, Any]]) -> str:
    """The page.

    Args:
        board: What it shows.
        replays: An episode of each environment, as :func:`train.report.replay.record` gives it.
    """
    environment = Environment(
        loader=PackageLoader("train.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"key": svg.key, "columns_of": columns_of, "summary": summary}
    return environment.get_template("page.html.j2").render(
        board=board,
        scenario=board.scenario,
        code_version=version("qfl-envs"),
        columns=COLUMNS,
        plots={one.env_id: list(plots_of(board, one)) for one in board.standings},
        replays=replays,
        environments={one.env_id: _of_environment(one) for one in board.standings},
        style=_asset("page.css"),
        script=_asset("page.js"),
    )


def _of_environment(standings: Standings) -> dict[str, Any]:
    best = standings.entries[0]
    return {
        "best": best,
        "level": [entry for entry in standings.entries[1:] if standings.level_with_best(entry)],
        "kinds": sorted({entry.row.kind for entry in standings.entries}),
    }


def _asset(name: str) -> Markup:
    """A file of this package, which goes into the page as it is."""
    return Markup((files(report) / name).read_text(encoding="utf-8"))
