"""Rounds of learning alone: everybody trains and is heard, and what the server merges is the caller's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qfl_envs.scenario import Scenario
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.learning.aggregation import Updates, server_step
from qfl_envs.system.learning.work import LocalWork
from qfl_envs.system.random import RowRandom
from qfl_envs.system.security.attacks import (
    UPDATE_ATTACKS,
    USUAL_STRENGTH,
    attacker_mask,
    flipped,
    tamper,
)

ATTACKS = (*UPDATE_ATTACKS[1:], "label-flip")


@dataclass(frozen=True)
class Learned:
    """What all devices learned in a round, one after the other in every system.

    Attributes:
        honest: From their own labels.
        flipped: From the labels of a label flip.
        normal: (M, P) standard normal numbers, for updates that are noise.
    """

    honest: Updates
    flipped: Updates
    normal: np.ndarray


class Rounds:
    """Systems in which a model is learned without a network.

    Attributes:
        scenario: What the devices learn.
        hostile: (E, N) bool, devices that lie.
    """

    def __init__(self, preset: str, changes: dict[str, object], seeds: Sequence[int], share: float) -> None:
        """Deal the data.

        Args:
            preset: Scenario to start from.
            changes: Of the scenario.
            seeds: One per system.
            share: Of the devices that are hostile, rounded down.
        """
        self.scenario = Scenario.preset(preset).replace(changes)
        self._generators = [np.random.default_rng(seed) for seed in seeds]
        system = FederatedSystem(self.scenario, len(self._generators))
        system.reset(self._generators)
        assert system.learner is not None
        self._state, self._learner = system.state, system.learner
        drawn = RowRandom(self._generators).uniform(hostile=(self.scenario.num_devices,))["hostile"]
        self.hostile = attacker_mask(drawn, share)

    def train(self) -> Learned:
        """All devices' updates of the present model."""
        learning, shape = self.scenario.learning, self.hostile.shape
        random = RowRandom(self._generators)
        uniform = random.uniform(**self._learner.uniform_shapes(learning.local_steps, False))
        size = self._state.parameters.shape[1]
        normal = random.normal(noise=(shape[1], size))["noise"]
        everybody = np.ones(shape, dtype=bool)
        steps = np.full(shape, learning.local_steps)
        work = LocalWork(everybody, steps, np.zeros(shape[0], dtype=np.int64), np.zeros(shape), uniform, {})
        lying = replace(self._state, label_map=flipped(self._state.label_map, self._learner.data.num_classes))
        honest, liars = (self._learner.train(state, work).updates for state in (self._state, lying))
        return Learned(honest, liars, normal.reshape(-1, size))

    def sent(self, learned: Learned, attack: str) -> np.ndarray:
        """(E, N, P) what the server gets if hostile devices make an attack of :data:`ATTACKS`, or ``"none"``."""
        hostile, updates = self.hostile.ravel(), learned.honest
        if attack == "label-flip":
            change = np.where(hostile[:, None], learned.flipped.change, updates.change)
        else:
            change = tamper(attack, updates, hostile, len(self.hostile), USUAL_STRENGTH[attack], learned.normal).change
        return change.reshape(*self.hostile.shape, -1).astype(float)

    def merge(self, update: np.ndarray) -> None:
        """Give every system's server a merged update (E, P) to make its step with."""
        state = self._state
        parameters, state.first_moment, state.second_moment = server_step(
            self.scenario.learning,
            state.parameters,
            update,
            state.first_moment,
            state.second_moment,
            state.adam_steps,
        )
        state.parameters = parameters.astype(np.float32)
        state.adam_steps = state.adam_steps + 1

    def accuracy(self) -> np.ndarray:
        """(E) held-out accuracy of the present model."""
        systems = np.arange(len(self.hostile))
        return self._learner.evaluate(self._state, systems, np.zeros(self.hostile.shape)).accuracy
