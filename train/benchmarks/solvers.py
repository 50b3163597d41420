"""What the allocators reach and what a decision takes them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from baselines.allocation.bound import upper_bound_bps
from baselines.allocation.problem import AllocationProblem
from baselines.allocation.solvers import NEEDS_IDLE, SOLVERS
from qfl_envs.envs.instances import SPLITS, instance_generator
from qfl_envs.scenario import Scenario
from qfl_envs.system.federation import FederatedSystem
from train.progress import progress_bar

REFERENCE = "hungarian"
SETTLED = 1e-3
"""Share of the last sum-rate that an iterate may be away from it and count as there."""


@dataclass(frozen=True)
class Case:
    """Instances of a preset, and whether devices may idle; the literal mode of the article is that they may not."""

    preset: str
    instances: int
    may_idle: bool = True

    def problem(self, index: int) -> AllocationProblem:
        """The first round of an episode of the validation split."""
        scenario = Scenario.preset(self.preset).replace({"learning": {"model": "none"}})
        system = FederatedSystem(scenario)
        system.reset([instance_generator(SPLITS["val"].start + index)])
        return AllocationProblem.from_system(system, self.may_idle)


CASES = (Case("small", 20), Case("paper", 20), Case("paper", 20, may_idle=False), Case("city", 2))


def measure(cases: Sequence[Case] = CASES, names: Sequence[str] = tuple(SOLVERS)) -> list[dict[str, Any]]:
    """Sum-rate and time of every solver, one instance at a time.

    On each instance all solvers take turns, so that a machine that is busy for a while slows all of them. A time holds
    all of a decision: the QUBO of those that use one, the matching of those that begin at one, and the sum-rates of the
    iterates, which a competitor computes as well.

    Args:
        cases: What to solve.
        names: Solvers; ``hungarian``, against which times are given, is always among them.

    Returns:
        One row per case and solver: ``preset``, ``may_idle``, ``instances``, ``solver``; ``sum_rate_mbps`` (mean),
        ``share_of_bound`` (mean over instances of the share of what no allocation exceeds), ``seconds`` per decision
        (median), ``ratio_hungarian`` (how many times that is the Hungarian allocator's), ``iterations`` (mean) and
        ``settled_after`` (mean number of iterations after which the sum-rate stays within 0.1 % of its last value).
    """
    names = [REFERENCE, *(name for name in names if name != REFERENCE)]
    rows = []
    with progress_bar(sum(case.instances for case in cases), "instance") as bar:
        for case in cases:
            rows += _measure(case, [name for name in names if case.may_idle or name not in NEEDS_IDLE], bar)
    return rows


def _measure(case: Case, names: Sequence[str], bar: Any) -> list[dict[str, Any]]:
    """Rows of one case."""
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in names}
    for index in range(case.instances):
        problem = case.problem(index)
        bound_bps = float(upper_bound_bps(problem)[0])
        for name in names:
            # a copy, as a problem remembers what it once computed of its gains
            rate_bps, taken_s, iterations, settled = _solve(name, replace(problem), index)
            found[name].append((rate_bps, rate_bps / bound_bps, taken_s, iterations, settled))
        bar.update()
    seconds = {name: statistics.median(one[2] for one in found[name]) for name in names}
    return [
        {
            "preset": case.preset,
            "may_idle": case.may_idle,
            "instances": case.instances,
            "solver": name,
            "sum_rate_mbps": statistics.fmean(one[0] for one in found[name]) / 1e6,
            "share_of_bound": statistics.fmean(one[1] for one in found[name]),
            "seconds": seconds[name],
            "ratio_hungarian": seconds[name] / seconds[REFERENCE],
            "iterations": statistics.fmean(one[3] for one in found[name]),
            "settled_after": statistics.fmean(one[4] for one in found[name]),
        }
        for name in names
    ]


def _solve(name: str, problem: AllocationProblem, index: int) -> tuple[float, float, int, int]:
    """Sum-rate, time, iterations, and after how many of them the sum-rate stays where it ends."""
    begin = time.perf_counter()
    solution = SOLVERS[name](problem, np.random.default_rng(index))
    taken_s = time.perf_counter() - begin
    objective_bps = solution.objective_bps[0]
    away = np.flatnonzero(np.abs(objective_bps - objective_bps[-1]) > SETTLED * objective_bps[-1])
    settled = int(away[-1]) + 1 if len(away) else 0
    return float(objective_bps[-1]), taken_s, len(objective_bps) - 1, settled
