"""Angles of QAOA circuits tuned once, on instances of the train split, and not when the circuits decide."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from scipy.optimize import minimize

from agents.qaoa.allocators import Recursive
from agents.qaoa.angles import TABLE, Angles, linear_ramp
from agents.qaoa.blocks import block_cost, deal, greedy_start
from agents.qaoa.marginals import marginals
from agents.qaoa.one_hot import OneHotQAOA
from agents.qaoa.one_shot import draw, recursive
from agents.qaoa.power import switched, values_bps
from agents.qaoa.projection import switched_qubo
from agents.qaoa.scheduling import Scheduling, best_of, probabilities
from agents.qaoa.tuning import optimise
from baselines.allocation.problem import AllocationProblem
from baselines.selection.age_and_speed import most_per_second
from train.evaluation import make_env
from train.selections import selections

ENV_ID = "qfl/Allocation-v0"


def train_instances(preset: str, count: int) -> Iterator[AllocationProblem]:
    """First states of episodes of the train split, as their observations show them."""
    env: Any = make_env(ENV_ID, "train", {"scenario": preset, "learning": {"model": "none"}})
    for seed in range(count):
        observation, _ = env.reset(seed=seed)
        yield AllocationProblem.from_view(env.unwrapped.view(observation), env.unwrapped.task.allow_idle)


def tune(
    preset: str = "small", instances: int = 40, depths: tuple[int, ...] = (1, 2, 3, 4), block_size: int = 3
) -> dict[str, Any]:
    """Angles of blocks, of the one-shot and of the recursive allocator, and of scheduling.

    Angles of blocks minimise the mean cost of the blocks of a first sweep, in units of their standard deviation, from a
    linear ramp. The others maximise a mean sum-rate, relative to the best device alone on every sub-channel: of all
    shots after power control, and of what recursion ends with when it fixes one device at a time. Those of scheduling
    maximise the value per second of the best of the shots of its first circuit, relative to that of the best set.

    Args:
        preset: Where the instances come from.
        instances: How many.
        depths: Depths of the circuits of blocks.
        block_size: Devices of a block.

    Returns:
        ``angles`` by use and depth, with beta times the number of options, and the ``settings``.
    """
    problems = list(train_instances(preset, instances))
    circuits = []
    for seed, problem in enumerate(problems):
        start = greedy_start(problem)
        blocks = deal(problem, np.random.default_rng(seed), block_size)
        circuits += [OneHotQAOA(block_cost(problem, start, one.tolist())) for one in blocks]
    options = problems[0].num_subchannels + problems[0].may_idle
    of_blocks = {depth: optimise(circuits, linear_ramp(depth, circuits[0].options[0])) for depth in sorted(depths)}
    return {
        "angles": {
            "block": {str(depth): _row(angles, options) for depth, angles in of_blocks.items()},
            "one-shot": {"1": _row(_tuned(problems, _mean_of_shots), problems[0].num_subchannels)},
            "recursive": {"1": _row(_tuned(problems, _recursive_value), problems[0].num_subchannels)},
            "scheduling": {"1": scheduling_angles(preset, instances)},
        },
        "settings": {"preset": preset, "split": "train", "instances": instances, "block_size": block_size},
    }


def scheduling_angles(preset: str, instances: int) -> dict[str, list[float]]:
    """Angles of the scheduling circuit, on rounds that age-and-speed came by in episodes of the surrogate."""
    problems = list(islice(selections(preset, "train"), instances))
    best = [float(one.ratio(most_per_second(one.value, one.seconds, one.most)[None])[0]) for one in problems]

    def shortfall(point: np.ndarray) -> float:
        shares = []
        for seed, (one, most) in enumerate(zip(problems, best, strict=True)):
            working = probabilities(one, one.guessed_price(), Angles(point[:1], -point[1:] / 2))
            found = best_of(one, working, Scheduling.shots, np.random.default_rng(seed))
            shares.append(float(one.ratio(found[None])[0]) / most)
        return 1 - float(np.mean(shares))

    grid = [np.array([gamma, mixing]) for gamma in (1.0, 2.0, 4.0) for mixing in (1.0, 1.5, 2.0)]
    found = minimize(shortfall, min(grid, key=shortfall), method="Nelder-Mead", options={"maxfev": 50, "xatol": 0.01})
    return _row(Angles(found.x[:1], -found.x[1:] / 2), 2)


def _mean_of_shots(problem: AllocationProblem, angles: Angles, rng: np.random.Generator) -> float:
    """Sum-rate of the mean shot of the one-shot allocator."""
    probabilities = marginals(switched_qubo(problem), angles)[0]
    return float(values_bps(problem, switched(problem, draw(probabilities, 64, rng))).mean())


def _recursive_value(problem: AllocationProblem, angles: Angles, rng: np.random.Generator) -> float:
    """Sum-rate of recursive QAOA that fixes one device at a time."""
    return float(values_bps(problem, recursive(problem, angles, Recursive.shots, rng, chunk=1)[0])[0])


def _tuned(
    problems: list[AllocationProblem], value: Callable[[AllocationProblem, Angles, np.random.Generator], float]
) -> Angles:
    """Angles of depth one of the largest mean value, on the same random numbers at all angles."""
    options = problems[0].num_subchannels
    best_bps = [max(float(problem.alone_rate_bps()[0].max(0).sum()), 1e-9) for problem in problems]

    def angles_of(point: np.ndarray) -> Angles:
        return Angles(point[:1], -point[1:] / options)

    def shortfall(point: np.ndarray) -> float:
        shares = [
            value(problem, angles_of(point), np.random.default_rng(seed)) / best
            for seed, (problem, best) in enumerate(zip(problems, best_bps, strict=True))
        ]
        return 1 - float(np.mean(shares))

    grid = [np.array([gamma, mixing]) for gamma in (0.5, 1.0, 2.0, 4.0) for mixing in (1.0, 2.0, 2.5)]
    found = minimize(shortfall, min(grid, key=shortfall), method="Nelder-Mead", options={"maxfev": 50, "xatol": 0.01})
    return angles_of(found.x)


def _row(angles: Angles, options: int) -> dict[str, list[float]]:
    return {
        "gamma": [round(float(gamma), 4) for gamma in angles.gamma],
        "beta_times_options": [round(float(beta) * options, 4) for beta in angles.beta],
    }


def write(found: dict[str, Any]) -> None:
    """Replace the shipped table."""
    TABLE.write_text(json.dumps(found, indent=2) + "\n")


def table(found: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per use and depth."""
    return [
        {"use": use, "depth": int(depth), **row}
        for use, depths in found["angles"].items()
        for depth, row in depths.items()
    ]
