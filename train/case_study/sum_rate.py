"""Figure 4a: how the sum-rate of every allocator grows from iteration to iteration."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import agents
from agents.qaoa.allocators import Block
from agents.qaoa.blocks import greedy_start
from baselines.allocation.alternating import alternating_sca
from baselines.allocation.bound import upper_bound_bps
from baselines.allocation.competitors import UNCHANGED
from baselines.allocation.hungarian import at_rest
from baselines.allocation.problem import AllocationProblem, Solution, Trace
from baselines.allocation.solvers import NEEDS_IDLE, SOLVERS
from train.case_study.settings import ALLOCATORS, ENV_ID, MODES, CaseStudy
from train.evaluation import make_env

Unit = tuple[str, str, int]
"""Mode, allocator and instance."""


def units(study: CaseStudy) -> Iterator[Unit]:
    """Everything that is to be computed, one instance after the other."""
    names = ALLOCATORS if study.allocators is None else study.allocators
    for instance in range(study.instances):
        for mode, may_idle in MODES.items():
            for name in names:
                if may_idle or name not in NEEDS_IDLE:
                    yield mode, name, instance


class SumRates:
    """Computes units; keeps the instance of the last one."""

    def __init__(self, study: CaseStudy) -> None:
        """Prepare the environment."""
        scenario = study.scenario().replace({"learning": {"model": "none"}})
        self._envs = {
            mode: make_env(ENV_ID, "test", {"scenario": scenario.to_dict(), "allow_idle": may_idle})
            for mode, may_idle in MODES.items()
        }
        self._last: tuple[str, int] | None = None

    def problem(self, mode: str, instance: int) -> AllocationProblem:
        """The first round of an episode."""
        env: Any = self._envs[mode]
        if self._last != (mode, instance):
            env.reset(seed=instance)
            self._last = (mode, instance)
        return AllocationProblem.from_system(env.unwrapped.system, MODES[mode])

    def compute(self, unit: Unit) -> dict[str, Any]:
        """One line of results: sum-rate of the start and after every iteration, and the time that they took."""
        mode, name, instance = unit
        problem = self.problem(mode, instance)
        bound_bps = float(upper_bound_bps(problem)[0])
        # a copy, as a problem remembers what it once computed of its gains
        begin = time.perf_counter()
        solution, circuits, shots = self._solve(mode, name, instance, replace(problem))
        taken_s = time.perf_counter() - begin
        return {
            "figure": "4a",
            "mode": mode,
            "allocator": name,
            "instance": instance,
            "sum_rate_bps": [round(value, 1) for value in solution.objective_bps[0].tolist()],
            "iteration_s": [float(f"{value:.4g}") for value in solution.iteration_s.tolist()],
            "decision_s": taken_s,
            "bound_bps": bound_bps,
            "transmitting": int(solution.allocation.participate.sum()),
            "circuits": circuits,
            "shots": shots,
        }

    def _solve(self, mode: str, name: str, instance: int, problem: AllocationProblem) -> tuple[Solution, float, float]:
        """Solution, circuits and shots."""
        if name == "sca-alternating":
            return alternating_sca(problem, "marginal", tolerance=UNCHANGED), 0, 0
        if name in SOLVERS:
            return SOLVERS[name](problem, np.random.default_rng(instance)), 0, 0
        competitor: Any = agents.make(name)
        competitor.reset(self._envs[mode], instance)
        if isinstance(competitor, Block):
            trace = Trace(problem, greedy_start(problem))
            competitor.descend(problem, trace.add)
        else:
            trace = Trace(problem, at_rest(problem))
            trace.add(competitor.allocate(problem))
        # no decision was counted, so that these are of this one
        cost = competitor.cost()
        return trace.solution(), cost.circuit_evaluations, cost.shots


def warm_up(study: CaseStudy, names: set[str]) -> None:
    """Let every allocator solve a small instance, so that compiling and loading is in no time."""
    small = replace(study, preset="tiny", arguments={"radio": {"sinr_cap_db": None}})
    rates = SumRates(small)
    for mode, may_idle in MODES.items():
        for name in sorted(names):
            if may_idle or name not in NEEDS_IDLE:
                rates.compute((mode, name, 0))


def held(row: dict[str, Any], length: int) -> np.ndarray:
    """(length) sum-rate of the start and after each iteration in bit/s; who has ended keeps what it has."""
    values = row["sum_rate_bps"]
    return np.array([values[min(index, len(values) - 1)] for index in range(length)])
