"""The tables of a leaderboard inside a page that people write, such as the README."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from qfl_envs.errors import QflError
from train.report.content import read_board
from train.runs import write_atomically

BEGIN, END = "<!-- results: written by qfl report --into -->", "<!-- end of results -->"


class ExcerptError(QflError):
    """A page that has no place for results."""


def write_into(folder: Path, page: Path) -> Path:
    """Put the tables of a run between the two marks of a Markdown page, in place of what is there.

    Args:
        folder: A run with its ``leaderboard.json``.
        page: The page.

    Raises:
        ExcerptError: For a page without the marks, or with one of them alone.
    """
    text = page.read_text() if page.is_file() else ""
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise ExcerptError(f"{page} has no place for results; write the lines {BEGIN} and {END} where they shall stand")
    write_atomically(page, f"{before}{BEGIN}\n\n{tables(read_board(folder))}\n\n{END}{after}")
    return page


def tables(board: Mapping[str, Any]) -> str:
    """A heading and a table for each environment, with what tells entries apart."""
    parts = [board["title"]]
    for environment in board["environments"]:
        rows = [_row(row) for row in environment["rows"]]
        parts += [
            f"### {environment['env_id']}",
            tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True),
            f"{environment['meaning'][0].upper()}{environment['meaning'][1:]}.",
        ]
        parts += [f"`{one['competitor']}` failed: {one['reason']}" for one in environment["failures"]]
    return "\n\n".join(parts)


def _row(row: Mapping[str, Any]) -> dict[str, str]:
    means = row["means"]
    return {
        "competitor": row["competitor"].replace("|", "\\|"),
        "kind": row["kind"],
        "return (IQM) [95 %]": _interval(row["return"]),
        "score [95 %]": _interval(row["score"]),
        "minus random [95 %]": _interval(row["over_random"], "+"),
        "reached": f"{row['reached']}/{row['episodes']}",
        "seconds": f"{means['simulated_s']['value']:.1f}",
        "joules": f"{means['energy_j']['value']:.0f}",
        "accuracy": f"{means['accuracy']['value']:.3f}",
        "parameters": f"{row['parameters']:,}",
    }


def _interval(found: Mapping[str, float] | None, sign: str = "") -> str:
    if found is None:
        return ""
    return f"{found['value']:{sign}.2f} [{found['low']:{sign}.2f}, {found['high']:{sign}.2f}]"
