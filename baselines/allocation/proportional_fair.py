"""Proportional fairness: a rate counts by how it compares with what the device had in the past."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from baselines.allocation.matching import match
from baselines.allocation.problem import Allocation, AllocationProblem
from baselines.estimates import alone_rate_bps
from qfl_envs.competitor import Rule
from qfl_envs.system.decision import Decision
from qfl_envs.view import NetworkView

MEMORY_ROUNDS = 20.0
"""Rounds over which a past rate fades to 1/e."""


class ProportionalFairMatching(Rule):
    """One device to each sub-channel of a cell, at full power, by rate over the device's averaged past rate.

    The average is exponential. It begins as if a mean rate had come once in 20 rounds, and follows the rates foreseen
    for its own decisions. Several cells are solved one by one, blind to each other. Where devices may not idle, the
    others send with the least power on the sub-channel where that costs least.
    """

    name = "proportional-fair-matching"
    environments = ("qfl/Allocation-v0",)

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Forget the past."""
        super().reset(env, seed)
        self._mean_bps: np.ndarray | None = None

    def decide(self, view: NetworkView) -> Decision:
        """The matching of this round."""
        if self._mean_bps is None:
            self._mean_bps = alone_rate_bps(view).mean(-1) / MEMORY_ROUNDS
        problem = AllocationProblem.from_view(view, self.env.task.allow_idle)
        allocation = share_fairly(problem, 1 / np.maximum(self._mean_bps, 1.0)[None])
        self._mean_bps += (problem.rate_bps(allocation)[0] - self._mean_bps) / MEMORY_ROUNDS
        return allocation.decision(problem.radio)


def share_fairly(problem: AllocationProblem, weight: np.ndarray) -> Allocation:
    """The heaviest matching of weighted alone rates in every cell, at full power; weight (B, N) per bit/s."""
    value = weight[..., None] * problem.alone_rate_bps()
    matched = match(problem, value)
    power_w = np.where(matched >= 0, problem.max_power_w, problem.min_power_w)
    if problem.may_idle:
        return Allocation(matched >= 0, np.maximum(matched, 0), power_w)
    best, best_value = None, -np.inf
    for shared in range(problem.num_subchannels) if ((matched < 0) & problem.available).any() else ():
        matched = match(problem, value, closed=shared)
        power_w = np.where(matched >= 0, problem.max_power_w, problem.min_power_w)
        trial = Allocation(problem.available, np.where(matched >= 0, matched, shared), power_w)
        total = float((weight * problem.rate_bps(trial)).sum())
        if total > best_value:
            best, best_value = trial, total
    return best or Allocation(problem.available, np.maximum(matched, 0), power_w)
