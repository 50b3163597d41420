"""What to expect of an environment: returns of random play, of a strong reference and of others, and its speed.

Episodes are appended to a run folder as they end, so that a killed measurement goes on where it was; the shipped file
is made of whole rows and replaced at once.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import baselines
from train import competitors as known
from train.evaluation import make_env_of, play
from train.runs import RunFolder, write_atomically
from train.statistics import estimate

SHIPPED = Path(__file__).with_name("reference.json")
REFERENCES: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_name("reference.toml").read_text())
"""For each environment the name of its ``reference``, and ``why``."""
RANDOM = "random"
TIERS: dict[str, dict[str, Any]] = {"real": {}, "surrogate": {"learning": {"model": "surrogate"}}}
"""Arguments that make an environment learn on each tier; returns of different tiers are never in one row."""
KEY = ("env_id", "preset", "split", "tier")
"""What tells rows apart."""
VERSIONED = ("qfl-envs", "numpy")
"""Packages that returns depend on; a work folder is not continued with other versions."""


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        environments: Ids.
        presets: Scenarios.
        split: Whose instances.
        tier: One of :data:`TIERS`.
        seeds: Episodes of each competitor, on seeds 0, 1, ... of the split.
        competitors: Who plays beside random and the reference; None for the default baselines.
        command: The words that asked for it; every episode keeps them.
        speed: Whether to measure the speed of the environments too, which takes the real learner.
    """

    environments: Sequence[str]
    presets: Sequence[str]
    split: str = "test"
    tier: str = "real"
    seeds: int = 10
    competitors: Sequence[str] | None = None
    command: str = ""
    speed: bool = False

    def keys(self) -> list[dict[str, str]]:
        """The rows."""
        return [
            dict(zip(KEY, (env_id, preset, self.split, self.tier), strict=True))
            for env_id in self.environments
            for preset in self.presets
        ]

    def names(self, env_id: str) -> list[str]:
        """Who plays in an environment: random, its reference, and the others that support it."""
        others = names(env_id) if self.competitors is None else self.competitors
        wanted = [RANDOM, REFERENCES[env_id]["reference"], *others]
        return [name for name in dict.fromkeys(wanted) if known.supports(name, env_id)]

    def episodes(self) -> int:
        """How many are played, if none is kept from before."""
        return len(self.presets) * self.seeds * sum(len(self.names(env_id)) for env_id in self.environments)


def names(env_id: str) -> list[str]:
    """Baselines that are played in an environment: those that compete where nobody is named."""
    made = {name: baselines.make(name) for name in baselines.names()}
    return [name for name, baseline in made.items() if baseline.by_default and baseline.supports(env_id)]


def work_folder(path: Path) -> RunFolder:
    """Where episodes are kept; another measurement of the same versions goes on in it.

    Raises:
        RunFolderError: If it cannot be written, or holds episodes of other versions.
    """
    return RunFolder(path, {"versions": {package: version(package) for package in VERSIONED}})


def measure(plan: Plan, folder: RunFolder, progress: Callable[[], object] | None = None) -> list[dict[str, Any]]:
    """Play what is missing, seed by seed, so that competitors have met about the same instances at any moment.

    Args:
        plan: What is measured.
        folder: Where finished episodes are kept.
        progress: Called for every episode, played or kept.

    Returns:
        The rows of the plan, from all episodes in the folder, see :func:`summarise`.
    """
    with folder.lock():
        kept = folder.read()
        done = {_episode_key(line) for line in kept}
        for key in plan.keys():
            arguments = {"scenario": key["preset"], **TIERS[plan.tier]}
            players = {name: known.make(name) for name in plan.names(key["env_id"])}
            envs = {name: make_env_of(player, key["env_id"], plan.split, arguments) for name, player in players.items()}
            for seed in range(plan.seeds):
                for name, player in players.items():
                    line = {**key, "competitor": name, "seed": seed}
                    if _episode_key(line) not in done:
                        played = play(envs[name], player, seed).episode_return
                        line |= {"return": played, "version": version("qfl-envs"), "command": plan.command}
                        folder.append(line)
                        kept.append(line)
                    if progress is not None:
                        progress()
            for env in envs.values():
                env.close()
    rows = summarise([line for line in kept if {name: line[name] for name in KEY} in plan.keys()])
    if not plan.speed:
        return rows
    from train.benchmarks.environments import real_speed  # loads Stable-Baselines3, which who reads scores needs not

    return [{**row, "speed": real_speed(row["env_id"], row["preset"])} for row in rows]


def summarise(episodes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of finished episodes.

    Args:
        episodes: Lines of a work folder.

    Returns:
        One row per environment, preset, split and tier, with ``seeds`` (the fewest of any competitor), ``reference``
        (who has score 1), ``returns`` (``mean``, ``low`` and ``high`` of the 95 % bootstrap interval and ``seeds`` of
        each competitor), ``version`` of the package and ``commands`` (all that played any of its episodes).
    """
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for line in episodes:
        groups.setdefault(tuple(line[name] for name in KEY), []).append(line)
    rows = []
    for values, lines in groups.items():
        by_name: dict[str, list[float]] = {}
        for line in lines:
            by_name.setdefault(line["competitor"], []).append(line["return"])
        rows.append(
            {
                **dict(zip(KEY, values, strict=True)),
                "seeds": min(map(len, by_name.values())),
                "reference": REFERENCES[values[0]]["reference"],
                "returns": {name: _returns(played) for name, played in by_name.items()},
                "version": ", ".join(sorted({line["version"] for line in lines})),
                "commands": sorted({line["command"] for line in lines}),
            }
        )
    return rows


def best_other(row: Mapping[str, Any]) -> str | None:
    """The best competitor beside random and the reference; None if nobody else was measured."""
    others = [name for name in row["returns"] if name not in (RANDOM, row["reference"])]
    return max(others, key=lambda name: row["returns"][name]["mean"], default=None)


def table(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The rows as the documentation shows them."""
    shown = []
    for row in rows:
        other, speed = best_other(row), row.get("speed", {})
        shown.append(
            {
                "preset": row["preset"],
                "split": row["split"],
                "tier": row["tier"],
                "random": _shown(row, RANDOM),
                "reference": _shown(row, row["reference"]),
                "best other": "" if other is None else _shown(row, other),
                "rounds/s": f"{speed['steps_per_second']:.0f}" if speed else "",
                "rounds/s, 16 rows": f"{speed['steps_per_second_vector']:.0f}" if speed else "",
            }
        )
    return shown


def shipped(path: Path | None = None) -> list[dict[str, Any]]:
    """The rows that ``qfl reference --write`` wrote, to the shipped file if no other is given."""
    rows: list[dict[str, Any]] = json.loads((path or SHIPPED).read_text())
    return rows


def write(rows: Sequence[Mapping[str, Any]], path: Path | None = None) -> None:
    """Ship rows, in place of those of the same key; the others stay, and so does a speed that was not measured anew."""
    path = path or SHIPPED
    merged = {_row_key(row): row for row in shipped(path)} if path.exists() else {}
    for row in rows:
        before = merged.get(_row_key(row), {})
        merged[_row_key(row)] = {**({"speed": before["speed"]} if "speed" in before else {}), **row}
    write_atomically(path, json.dumps(list(merged.values()), indent=1) + "\n")


def _returns(played: Sequence[float]) -> dict[str, float]:
    found = estimate(played)
    return {"mean": found.value, "low": found.low, "high": found.high, "seeds": len(played)}


def _shown(row: Mapping[str, Any], name: str) -> str:
    of = row["returns"][name]
    who = "" if name == RANDOM else f" ({name})"
    return f"{of['mean']:.2f} [{of['low']:.2f}, {of['high']:.2f}], {of['seeds']} seeds{who}"


def _row_key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in KEY)


def _episode_key(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*_row_key(line), line["competitor"], line["seed"])
