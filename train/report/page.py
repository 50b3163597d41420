"""The page of a competition as one HTML file, with everything inside."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from train import report
from train.report import svg
from train.report.columns import COLUMNS, columns_of, interval_text, number_text
from train.report.content import Content, Place, interval, read_content
from train.report.plots import plots_of
from train.report.replay import replay_of, summary
from train.runs import RunFolderError, as_object, write_atomically

PAGE_FILE = "leaderboard.html"
CLAIMS_FOLDERS, CLAIMS_FILE = ("claims", "claims-quick"), "claims.json"
CLAIMS_KEYS = {"article", "claims", "rule"}
"""What the page shows of them."""


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
    content = read_content(folder)
    shown = {}
    for place in content.places if replays else ():
        try:
            shown[place.env_id] = replay_of(folder, content, place, say)
        except Exception as error:  # anything may go wrong in a competitor from outside, or its model may not be there
            say(f"no replay in {place.env_id}: {error}")
    path = folder / PAGE_FILE
    write_atomically(path, render(content, shown, read_claims(folder.parent)))
    return path


def render(content: Content, replays: Mapping[str, Mapping[str, Any]], claims: Mapping[str, Any] | None = None) -> str:
    """The page.

    Args:
        content: What it shows.
        replays: An episode of each environment, as :func:`train.report.replay.record` gives it.
        claims: What ``claims.json`` has, if there is one.
    """
    environment = Environment(
        loader=PackageLoader("train.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"key": svg.key, "columns_of": columns_of, "summary": summary}
    environment.filters |= {"interval": interval_text, "number": number_text, "code": code, "from_json": interval}
    return environment.get_template("page.html.j2").render(
        content=content,
        about=content.about,
        columns=COLUMNS,
        plots={place.env_id: list(plots_of(place)) for place in content.places},
        replays=replays,
        claims=claims,
        level={place.env_id: _level(place) for place in content.places},
        style=_asset("page.css"),
        script=_asset("page.js"),
    )


def read_claims(runs: Path) -> dict[str, Any] | None:
    """What ``qfl claims`` found, as it is kept beside other runs; that of full size, if there is one.

    Raises:
        RunFolderError: If the file is damaged.
    """
    for name in CLAIMS_FOLDERS:
        file = runs / name / CLAIMS_FILE
        if file.exists():
            try:
                found = as_object(json.loads(file.read_text()))
                if not CLAIMS_KEYS <= found.keys():
                    raise ValueError(f"it lacks {', '.join(sorted(CLAIMS_KEYS - found.keys()))}")
            except (OSError, TypeError, ValueError) as error:
                raise RunFolderError(
                    f"{file} cannot be read ({error}); qfl claims writes it; without the file the page has no claims"
                ) from error
            return found
    return None


def code(text: str) -> Markup:
    """A sentence in which backquotes mark code."""
    parts = text.split("`")
    return Markup().join(
        Markup("<code>{}</code>").format(part) if index % 2 else part for index, part in enumerate(parts)
    )


def _level(place: Place) -> list[str]:
    """Who is not separated from the best."""
    return [entry.name for entry in place.entries[1:] if place.level_with_best(entry)]


def _asset(name: str) -> Markup:
    """A file of this package, which goes into the page as it is."""
    return Markup((files(report) / name).read_text(encoding="utf-8"))
