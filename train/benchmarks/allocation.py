"""What allocators reach: the sum-rate of one decision on instances of the test split."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import agents
from agents.qaoa.allocators import Allocator
from agents.qaoa.blocks import greedy_start
from baselines.allocation.problem import Allocation, AllocationProblem
from baselines.allocation.solvers import SOLVERS
from qfl_envs.competitor import Cost
from qfl_envs.system.network.radio import dbm_to_w
from train.evaluation import make_env
from train.progress import progress_bar
from train.statistics import estimate

ENV_ID = "qfl/Allocation-v0"
REFERENCE = "hungarian"
CONTROLS = {
    "qaoa-one-shot": "uniform-shots",
    "qaoa-recursive": "recursive-uniform",
    "qaoa-block": "block-uniform",
}
"""Who has as many shots, but uniform ones."""
OPPONENTS = ("hungarian", "best-response", "icm", "one-hot-annealing", "sca-matching", "greedy")


def measure(presets: Sequence[str] = ("small", "paper"), instances: int = 20, **arguments: Any) -> list[dict[str, Any]]:
    """Sum-rate of the quantum allocators, their controls and classical solvers, on the same first states of episodes.

    Args:
        presets: Scenarios.
        instances: Of the test split, each preset.
        arguments: Of the environment.

    Returns:
        One row per preset and allocator: ``of_hungarian``, the mean ratio to the sum-rate of the Hungarian method, with
        a 95 % interval ``low`` and ``high``, the ``worst`` ratio, the mean difference of that ratio on the same
        instances, with its interval, to the greedy start (``over_start``), to the exact best choice of every block
        (``over_exact``) and, where there is one, to the control of equal budget (``over_control``), ``circuits``,
        ``shots`` and ``quantum_s`` per decision, and the median ``decision_s`` on this machine.
    """
    with progress_bar(len(presets) * instances, "instance") as bar:
        return [row for preset in presets for row in _preset(preset, instances, bar.update, arguments)]


def names() -> list[str]:
    """All that are compared."""
    circuits = [name for name in agents.names() if isinstance(agents.make(name), Allocator)]
    return [*circuits, "greedy-start", *OPPONENTS]


def _preset(
    preset: str, instances: int, progress: Callable[[], Any], arguments: dict[str, Any]
) -> list[dict[str, Any]]:
    env: Any = make_env(ENV_ID, "test", {"scenario": preset, "learning": {"model": "none"}, **arguments})
    rates: dict[str, list[float]] = {name: [] for name in names()}
    seconds: dict[str, list[float]] = {name: [] for name in names()}
    costs: dict[str, list[Cost]] = {name: [] for name in names()}
    for seed in range(instances):
        observation, _ = env.reset(seed=seed)
        problem = AllocationProblem.from_view(env.unwrapped.view(observation), env.unwrapped.task.allow_idle)
        for name in names():
            begin = time.perf_counter()
            allocation, cost = _decide(name, env, observation, problem, seed)
            seconds[name].append(time.perf_counter() - begin)
            rates[name].append(float(problem.sum_rate_bps(allocation)[0]))
            costs[name].append(cost)
        progress()
    shares = {name: np.array(rates[name]) / np.array(rates[REFERENCE]) for name in names()}
    return [_row(preset, name, shares, costs[name], seconds[name]) for name in names()]


def _decide(
    name: str, env: Any, observation: dict[str, np.ndarray], problem: AllocationProblem, seed: int
) -> tuple[Allocation, Cost]:
    """What an allocator answers, with powers as exact as it has them, and its cost."""
    if name in SOLVERS:
        return SOLVERS[name](problem, np.random.default_rng(seed)).allocation, Cost()
    if name == "greedy-start":
        return greedy_start(problem), Cost()
    competitor = agents.make(name)
    competitor.reset(env, seed)
    action = competitor.act(observation)
    decision = env.unwrapped.task.decide(env.unwrapped.system, action[None])
    power_w = dbm_to_w(decision.power_dbm)
    return Allocation(decision.participate, decision.subchannel, power_w), competitor.cost()


def _row(
    preset: str, name: str, all_shares: dict[str, np.ndarray], costs: Sequence[Cost], seconds: Sequence[float]
) -> dict[str, Any]:
    shares = all_shares[name]
    mean = estimate(shares.tolist())
    return {
        "preset": preset,
        "instances": len(shares),
        "allocator": name,
        "of_hungarian": mean.value,
        "low": mean.low,
        "high": mean.high,
        "worst": float(shares.min()),
        "over_start": _difference(shares, all_shares["greedy-start"]),
        "over_exact": _difference(shares, all_shares["block-exact"]),
        "over_control": _difference(shares, all_shares[CONTROLS[name]]) if name in CONTROLS else None,
        "circuits": float(np.mean([cost.circuit_evaluations for cost in costs])),
        "shots": float(np.mean([cost.shots for cost in costs])),
        "quantum_s": float(np.mean([cost.quantum_s for cost in costs])),
        "decision_s": float(np.median(seconds)),
    }


def _difference(shares: np.ndarray, reference: np.ndarray) -> str:
    """Mean with its interval."""
    mean = estimate((shares - reference).tolist())
    return f"{mean.value:+.4f} [{mean.low:+.4f}, {mean.high:+.4f}]"
