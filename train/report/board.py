"""What the page of a competition shows, read from the folder of its run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from train import competitors, table
from train.curves import Curve
from train.curves import find as find_curves
from train.evaluation import Episode, episode_from_row
from train.plans import MODEL_FILE, PLAN_FILE
from train.runs import RunFolderError
from train.scores import Scale, find_scale
from train.statistics import Estimate, estimate

CONFIG_FILE, RESULTS_FILE = "config.json", "results.jsonl"
MOST_EMPHASISED = 6
"""Competitors that plots show in colour from the start; as many as there are colours."""


@dataclass(frozen=True)
class Entry:
    """One competitor in one environment.

    Attributes:
        row: Its line of the table.
        episodes: What it played.
        jain: Fairness at the end of an episode, Jain's index of the devices' accuracies.
        command: What plays this row again, its training included.
        settings: Of its training, None if it needs none.
        style: Number of its colour, marker and dashes.
        emphasised: Whether plots show it in colour from the start.
    """

    row: table.Row
    episodes: Sequence[Episode]
    jain: Estimate
    command: str
    settings: Mapping[str, Any] | None
    style: int
    emphasised: bool

    @property
    def name(self) -> str:
        """Of the competitor."""
        return self.row.competitor

    @property
    def trained(self) -> bool:
        """Whether it was trained."""
        return self.settings is not None

    @property
    def result(self) -> Estimate:
        """The score, or the return where there is no scale."""
        return self.row.score or self.row.episode_return


@dataclass(frozen=True)
class Standings:
    """One environment.

    Attributes:
        env_id: Its id.
        entries: Best first.
        scale: What makes scores of returns; None where it was not measured.
        meaning: What a score is here, or why there is none.
        curves: Of the trainings.
    """

    env_id: str
    entries: Sequence[Entry]
    scale: Scale | None
    meaning: str
    curves: Sequence[Curve]

    @property
    def slug(self) -> str:
        """The id as part of ids of the page."""
        return self.env_id.split("/")[-1].removesuffix("-v0").lower()

    @property
    def quantity(self) -> str:
        """What competitors are ranked by."""
        return "score" if self.scale is not None else "return"

    def results(self, entry: Entry) -> np.ndarray:
        """(S) the score of every episode, or its return where there is no scale."""
        returns = np.array([episode.episode_return for episode in entry.episodes])
        return returns if self.scale is None else self.scale.score(returns)

    def level_with_best(self, entry: Entry) -> bool:
        """Whether the interval of an entry meets that of the best one."""
        return entry.result.overlaps(self.entries[0].result)


@dataclass(frozen=True)
class Board:
    """A competition.

    Attributes:
        folder: Of the run.
        config: All that its results depend on.
        scenario: What was simulated.
        standings: One per environment.
        missing: Episodes that have not been played yet.
        unreadable: Numbers of lines of the results that are no episodes.
    """

    folder: Path
    config: Mapping[str, Any]
    scenario: Scenario
    standings: Sequence[Standings]
    missing: int
    unreadable: Sequence[int]

    @property
    def preset(self) -> str:
        """Of the scenario."""
        return str(self.config["preset"])

    @property
    def names(self) -> list[str]:
        """All competitors, those first who do well."""
        ranked: dict[str, None] = {}
        longest = max(len(one.entries) for one in self.standings)
        for rank in range(longest):
            ranked |= {one.entries[rank].name: None for one in self.standings if rank < len(one.entries)}
        return list(ranked)


def read_board(folder: Path) -> Board:
    """Read a run of ``qfl leaderboard``, finished or not.

    Raises:
        RunFolderError: If the folder holds none, or nothing was played yet.
    """
    try:
        config = json.loads((folder / CONFIG_FILE).read_text())
        environments, preset, arguments = (config[name] for name in ("environments", "preset", "arguments"))
    except (OSError, ValueError, KeyError) as error:
        raise RunFolderError(f"{folder} holds no run of qfl leaderboard ({error!r}); make one first") from error
    episodes, unreadable = _read_episodes(folder / RESULTS_FILE)
    played = [env_id for env_id in environments if any(episode.env_id == env_id for episode in episodes)]
    if not played:
        raise RunFolderError(f"{folder} has no finished episode yet; go on with: qfl leaderboard")
    curves = _curves(folder)
    scales = {env_id: find_scale(env_id, preset, "test", arguments) for env_id in played}
    by_environment = {env_id: [episode for episode in episodes if episode.env_id == env_id] for env_id in played}
    tables = {env_id: table.rows(by_environment[env_id], scales[env_id][0]) for env_id in played}
    emphasised = {env_id: _emphasised(rows) for env_id, rows in tables.items()}
    styles = _styles(tables, emphasised)
    standings = [
        Standings(
            env_id,
            [_entry(row, by_environment[env_id], config, styles, emphasised[env_id]) for row in tables[env_id]],
            *scales[env_id],
            [curve for curve in curves if curve.plan.env_id == env_id],
        )
        for env_id in played
    ]
    wanted = sum(
        config["seeds"]
        for env_id in environments
        for name in config["competitors"]
        if competitors.supports(name, env_id)
    )
    return Board(folder, config, Scenario.from_dict(config["scenario"]), standings, wanted - len(episodes), unreadable)


def model_folder(folder: Path, env_id: str, name: str) -> Path:
    """Where a run keeps what it trained."""
    return folder / "models" / f"{env_id.split('/')[-1]}-{name}"


def command_of(config: Mapping[str, Any], env_id: str, name: str) -> str:
    """What plays one row again, beside random play, which it is compared with."""
    words = ["qfl", "leaderboard", "--env", env_id]
    for competitor in dict.fromkeys((table.REFERENCE, name)):
        words += ["--competitor", competitor]
    words += ["--preset", config["preset"], "--seeds", str(config["seeds"])]
    if competitors.is_trained(name):
        words += ["--quick"] if config["quick"] else []
        words += ["--steps", str(config["steps"])] if config["steps"] is not None else []
        words += ["--training-seed", str(config["training_seed"])]
    if config["arguments"]:
        words += ["--set", json.dumps(config["arguments"])]
    return shlex.join([*words, "--name", f"again-{env_id.split('/')[-1]}-{name}"])


def _entry(
    row: table.Row,
    episodes: Sequence[Episode],
    config: Mapping[str, Any],
    styles: Mapping[str, int],
    emphasised: set[str],
) -> Entry:
    mine = [episode for episode in episodes if episode.competitor == row.competitor]
    env_id = mine[0].env_id
    plans = [plan for plan in config["training"] if (plan["env_id"], plan["agent"]) == (env_id, row.competitor)]
    return Entry(
        row=row,
        episodes=mine,
        jain=estimate([episode.jain for episode in mine]),
        command=command_of(config, env_id, row.competitor),
        settings=plans[0] if plans else None,
        style=styles[row.competitor],
        emphasised=row.competitor in emphasised,
    )


def _emphasised(rows: Sequence[table.Row]) -> set[str]:
    """The best of every kind, those who follow, and random play."""
    chosen = [rows[0].competitor, table.REFERENCE]
    for of_kind in (
        [row for row in rows if row.kind == "quantum"],
        [row for row in rows if competitors.is_trained(row.competitor)],
        rows[1:],
    ):
        chosen += [row.competitor for row in of_kind[:1]]
    chosen += [row.competitor for row in rows]
    present = {row.competitor for row in rows}
    return set([name for name in dict.fromkeys(chosen) if name in present][:MOST_EMPHASISED])


def _styles(tables: Mapping[str, Sequence[table.Row]], emphasised: Mapping[str, set[str]]) -> dict[str, int]:
    """A number for each competitor, the same in all environments; those that are emphasised come first."""
    first: dict[str, None] = {}
    others: dict[str, None] = {}
    for env_id, rows in tables.items():
        for row in rows:
            (first if row.competitor in emphasised[env_id] else others)[row.competitor] = None
    return {name: number for number, name in enumerate({**first, **others})}


def _read_episodes(results: Path) -> tuple[list[Episode], list[int]]:
    """Finished episodes, and the numbers of lines that are none; a line that is being written is not counted."""
    complete, _, _ = results.read_text().rpartition("\n") if results.exists() else ("", "", "")
    episodes, unreadable = [], []
    for number, line in enumerate(complete.splitlines(), start=1):
        try:
            episodes.append(episode_from_row(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            unreadable.append(number)
    return episodes, unreadable


def _curves(folder: Path) -> list[Curve]:
    """Of the trainings that are finished."""
    models = folder / "models"
    finished = [plan.parent for plan in models.glob(f"*/{PLAN_FILE}") if (plan.parent / MODEL_FILE).exists()]
    try:
        return find_curves([models]) if finished else []
    except InvalidValueError:  # none of them has events, e.g. as their folders were copied without
        return []
