"""What the page of a competition shows, of what :mod:`train.competition.board` wrote, and how plots show whom."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.competition.board import SCHEMA
from train.competition.summaries import REFERENCE
from train.runs import RunFolderError
from train.statistics import Estimate

BOARD_FILE = "leaderboard.json"
MOST_EMPHASISED = 6
"""Competitors that plots show in colour from the start; as many as there are colours."""


@dataclass(frozen=True)
class Entry:
    """One competitor in one environment.

    Attributes:
        row: Of the file.
        style: Number of its colour, marker and dashes.
        emphasised: Whether plots show it in colour from the start.
    """

    row: Mapping[str, Any]
    style: int
    emphasised: bool

    @property
    def name(self) -> str:
        """Of the competitor."""
        return str(self.row["competitor"])

    @property
    def kind(self) -> str:
        """``classical``, ``quantum`` or ``privileged``."""
        return str(self.row["kind"])

    @property
    def result(self) -> Estimate:
        """The score, or the return where there are no scores."""
        return self.interval("score") or self.interval("return") or Estimate(math.nan, math.nan, math.nan)

    def interval(self, name: str) -> Estimate | None:
        """An interval of the row."""
        return interval(self.row[name])

    def mean(self, name: str) -> Estimate:
        """One of the means of the row."""
        found = interval(self.row["means"][name])
        assert found is not None
        return found

    def results(self) -> list[float]:
        """The score of every episode, or its return where there are no scores."""
        return [one["return"] if one["score"] is None else one["score"] for one in self.row["per_seed"]]


@dataclass(frozen=True)
class Place:
    """One environment.

    Attributes:
        about: Of the file: everything but the rows.
        entries: Best first.
    """

    about: Mapping[str, Any]
    entries: Sequence[Entry]

    @property
    def env_id(self) -> str:
        """Id of the environment."""
        return str(self.about["env_id"])

    @property
    def slug(self) -> str:
        """The id as part of ids of the page."""
        return self.env_id.split("/")[-1].removesuffix("-v0").lower()

    @property
    def quantity(self) -> str:
        """What competitors are ranked by."""
        return "score" if self.about["scale"] is not None else "return"

    def level_with_best(self, entry: Entry) -> bool:
        """Whether the interval of an entry meets that of the best one."""
        return entry.result.overlaps(self.entries[0].result)


@dataclass(frozen=True)
class Content:
    """A competition.

    Attributes:
        about: Of the file: everything but the environments.
        places: One per environment in which somebody finished.
        barren: What the file says of the others.
    """

    about: Mapping[str, Any]
    places: Sequence[Place]
    barren: Sequence[Mapping[str, Any]]

    @property
    def names(self) -> list[str]:
        """All competitors, those first who do well."""
        return _ranked([[entry.name for entry in place.entries] for place in self.places])


def read_board(folder: Path) -> dict[str, Any]:
    """The file that ``qfl leaderboard`` wrote, as it stands.

    Raises:
        RunFolderError: If the folder holds no leaderboard, or one of another version.
    """
    file = folder / BOARD_FILE
    try:
        about = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{file} cannot be read ({error}); qfl leaderboard writes it") from error
    if not isinstance(about, dict) or about.get("schema") != SCHEMA or not {"title", "environments"} <= about.keys():
        raise RunFolderError(f"{file} is none of version {SCHEMA}; run qfl leaderboard again with the same settings")
    return about


def read_content(folder: Path) -> Content:
    """What it says.

    Raises:
        RunFolderError: As :func:`read_board`, and for one that nobody finished.
    """
    return content_of(read_board(folder))


def content_of(about: Mapping[str, Any]) -> Content:
    """The content of a file.

    Raises:
        RunFolderError: If nobody has finished.
    """
    finished = [one for one in about["environments"] if one["rows"]]
    if not finished:
        raise RunFolderError("no entry of the leaderboard has finished, so that there is nothing to show")
    emphasised = {one["env_id"]: _emphasised(one["rows"]) for one in finished}
    names = {one["env_id"]: [row["competitor"] for row in one["rows"]] for one in finished}
    coloured = _ranked([[name for name in names[env_id] if name in chosen] for env_id, chosen in emphasised.items()])
    order = dict.fromkeys([*coloured, *_ranked(names.values())])
    styles = {name: number for number, name in enumerate(order)}
    return Content(
        {name: value for name, value in about.items() if name != "environments"},
        [
            Place(
                {name: value for name, value in one.items() if name != "rows"},
                [
                    Entry(row, styles[row["competitor"]], row["competitor"] in emphasised[one["env_id"]])
                    for row in one["rows"]
                ],
            )
            for one in finished
        ],
        [one for one in about["environments"] if not one["rows"]],
    )


def interval(found: Mapping[str, float | None] | None) -> Estimate | None:
    """An interval of the file; ends that are open, and values out of reach, are infinite."""
    if found is None:
        return None
    value, low, high = (found[name] for name in ("value", "low", "high"))
    return Estimate(
        math.inf if value is None else value, -math.inf if low is None else low, math.inf if high is None else high
    )


def _emphasised(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """The best, random play, the best with circuits and the best that was trained; then the next ones."""
    names = [row["competitor"] for row in rows]
    chosen = [names[0], *(name for name in names if name == REFERENCE)]
    for some in (
        [row["competitor"] for row in rows if row["kind"] == "quantum"],
        [row["competitor"] for row in rows if row["training"] is not None],
    ):
        chosen += some[:1]
    return set(list(dict.fromkeys([*chosen, *names]))[:MOST_EMPHASISED])


def _ranked(lists: Iterable[Sequence[str]]) -> list[str]:
    """All names of some lists: the first of each, the second of each, and so on."""
    lists = list(lists)
    longest = max(map(len, lists), default=0)
    return list(dict.fromkeys(names[rank] for rank in range(longest) for names in lists if rank < len(names)))
