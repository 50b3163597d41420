"""Whether competitors rank alike with the surrogate as with the real learner."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau

import baselines
from train import reference
from train.evaluation import make_env, play
from train.runs import write_atomically

SPLIT = "val"
TIERS = ("qnn", "surrogate")
SHIPPED = Path(__file__).with_name("agreement.json")


def measure(
    environments: Sequence[str], preset: str, seeds: int, progress: Callable[[], object] | None = None
) -> dict[str, Any]:
    """Play the default baselines on both tiers and compare how they rank.

    Args:
        environments: Ids.
        preset: Scenario.
        seeds: Episodes of each baseline on each tier, on the same instances of the split val.
        progress: Called after every episode.

    Returns:
        One entry per environment: ``returns`` (mean return of each baseline on each tier), ``kendall_tau`` (rank
        agreement of the two, 1 for equal, -1 for opposite ranks), ``seeds`` and ``preset``.
    """
    found = {}
    for env_id in environments:
        names = reference.names(env_id)
        returns = {
            name: {tier: _mean_return(env_id, preset, tier, name, seeds, progress) for tier in TIERS} for name in names
        }
        found[env_id] = {"preset": preset, "seeds": seeds, "returns": returns, "kendall_tau": agreement(returns)}
    return found


def num_plays(environments: Sequence[str]) -> int:
    """Episodes that :func:`measure` plays per seed."""
    return len(TIERS) * sum(len(reference.names(env_id)) for env_id in environments)


def write(found: dict[str, Any], path: Path = SHIPPED) -> None:
    """Ship what :func:`measure` found."""
    write_atomically(path, json.dumps(found, indent=1) + "\n")


def agreement(returns: dict[str, dict[str, float]]) -> float:
    """Kendall's tau-b between the mean returns on the tiers."""
    first, second = ([of[tier] for of in returns.values()] for tier in TIERS)
    return float(kendalltau(first, second).statistic)


def _mean_return(
    env_id: str, preset: str, tier: str, name: str, seeds: int, progress: Callable[[], object] | None
) -> float:
    env = make_env(env_id, SPLIT, {"scenario": preset, "learning": {"model": tier}})
    competitor, total = baselines.make(name), []
    for seed in range(seeds):
        total.append(play(env, competitor, seed).episode_return)
        if progress is not None:
            progress()
    env.close()
    return float(np.mean(total))
