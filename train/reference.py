"""What to expect of an environment: returns of random play, of the best rule and of a solver, and its speed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import baselines
from train.benchmarks.environments import real_speed
from train.evaluation import make_env, play
from train.runs import write_atomically

SPLIT = "test"
SHIPPED = Path(__file__).with_name("reference.json")
SOLVERS = {"qfl/Allocation-v0": "hungarian", "qfl/Power-v0": "convex"}
"""Baselines that solve a program of the round; what they solve is not the return, see their docstrings."""
RANDOM = "random"


def names(env_id: str) -> list[str]:
    """Baselines that are played in an environment: those that compete where nobody is named."""
    made = {name: baselines.make(name) for name in baselines.names()}
    return [name for name, baseline in made.items() if baseline.by_default and baseline.supports(env_id)]


def measure(
    environments: Sequence[str], presets: Sequence[str], seeds: int, progress: Callable[[], object] | None = None
) -> list[dict[str, Any]]:
    """Play the default baselines with the real learner.

    Args:
        environments: Ids.
        presets: Scenarios.
        seeds: Episodes of each baseline, on the first instances of the split test.
        progress: Called after every episode.

    Returns:
        One row per environment and preset: ``env_id``, ``preset``, ``seeds``, ``returns`` (mean of each baseline),
        ``steps_per_second`` and ``steps_per_second_vector`` (federated rounds, of one environment and of 16 rows).
    """
    rows = []
    for env_id in environments:
        for preset in presets:
            returns = {name: _mean_return(env_id, preset, name, seeds, progress) for name in names(env_id)}
            speed = real_speed(env_id, preset)
            rows.append({"env_id": env_id, "preset": preset, "seeds": seeds, "returns": returns, **speed})
    return rows


def best_rule(row: dict[str, Any]) -> str:
    """The best baseline that is neither random nor a solver."""
    rules = {name: value for name, value in row["returns"].items() if name not in (RANDOM, SOLVERS.get(row["env_id"]))}
    return max(rules, key=lambda name: rules[name])


def table(rows: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """The rows as the documentation shows them."""
    shown = []
    for row in rows:
        returns, rule, solver = row["returns"], best_rule(row), SOLVERS.get(row["env_id"])
        shown.append(
            {
                "preset": row["preset"],
                "random": f"{returns[RANDOM]:.2f}",
                "best rule": f"{returns[rule]:.2f} ({rule})",
                "reference solver": "" if solver is None else f"{returns[solver]:.2f} ({solver})",
                "rounds/s": f"{row['steps_per_second']:.0f}",
                "rounds/s, 16 rows": f"{row['steps_per_second_vector']:.0f}",
            }
        )
    return shown


def shipped() -> list[dict[str, Any]]:
    """The rows that ``qfl reference --write`` wrote."""
    rows: list[dict[str, Any]] = json.loads(SHIPPED.read_text())
    return rows


def write(rows: Sequence[dict[str, Any]], path: Path = SHIPPED) -> None:
    """Ship rows."""
    write_atomically(path, json.dumps(list(rows), indent=1) + "\n")


def _mean_return(env_id: str, preset: str, name: str, seeds: int, progress: Callable[[], object] | None) -> float:
    env, competitor, returns = make_env(env_id, SPLIT, {"scenario": preset}), baselines.make(name), []
    for seed in range(seeds):
        returns.append(play(env, competitor, seed).episode_return)
        if progress is not None:
            progress()
    env.close()
    return float(np.mean(returns))
