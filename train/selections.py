"""Choices of participants as they come up in episodes: what circuits and annealers are tuned and measured on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from agents.qaoa.scheduling import SelectionProblem
from baselines.selection.age_and_speed import AgeAndSpeed
from train.evaluation import make_env


class Remembering(AgeAndSpeed):
    """The rule, which keeps the problems that it has solved."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.seen: list[SelectionProblem] = []

    def best_set(self, value: np.ndarray, seconds: np.ndarray, most: int) -> np.ndarray:
        """As ever."""
        self.seen.append(SelectionProblem(value, seconds, most))
        return super().best_set(value, seconds, most)


def selections(preset: str, split: str) -> Iterator[SelectionProblem]:
    """Every fifth choice of age-and-speed between several devices, in one episode of the surrogate after the other."""
    env: Any = make_env("qfl/Scheduling-v0", split, {"scenario": preset, "learning": {"model": "surrogate"}})
    seed = 0
    while True:
        rule, ended = Remembering(), False
        observation, _ = env.reset(seed=seed)
        rule.reset(env, seed)
        while not ended:
            observation, _, terminated, truncated, _ = env.step(rule.act(observation))
            ended = terminated or truncated
        yield from (one for one in rule.seen[4::5] if len(one.value) > 1)
        seed += 1
