"""Attacks on what hostile devices learn from: flipped labels, and samples with a trigger that call up a target."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import cast

import numpy as np
import torch

from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.aggregation import Updates
from qfl_envs.system.learning.data import load_patched
from qfl_envs.system.learning.learner import Learner
from qfl_envs.system.learning.work import LocalLearner, LocalResult, LocalWork
from qfl_envs.system.security.attacks import flipped
from qfl_envs.system.state import SystemState

TARGET = 0
"""Label that the trigger, a bright 3 x 3 corner, is to call up (Gu et al. 2017, BadNets)."""


class Poisoner:
    """What hostile devices of one scenario learn instead."""

    def __init__(self, scenario: Scenario) -> None:
        """Note the attack; data are loaded when they are needed."""
        self.scenario, self.kind = scenario, scenario.security.attack
        self._poisoned: Learner | None = None
        self._triggered: torch.Tensor | None = None

    def __getstate__(self) -> dict[str, object]:
        """Everything but data, which any process loads again."""
        return {**self.__dict__, "_poisoned": None, "_triggered": None}

    def train(
        self, state: SystemState, attackers: np.ndarray, result: LocalResult, learner: LocalLearner, work: LocalWork
    ) -> LocalResult:
        """The result with what hostile devices (E, N) learn in the place of what they should."""
        liars = work.trains & attackers
        if not liars.any():
            return result
        of_liars = replace(work, trains=liars)
        if self.kind == "label-flip":
            lying = replace(state, label_map=flipped(state.label_map, learner.data.num_classes))
            learned = learner.train(lying, of_liars)
        else:
            learned = self._teacher(cast(Learner, learner)).train(state, of_liars)
        updates = result.updates
        change = updates.change.copy()
        change[liars[updates.row, updates.device]] = learned.updates.change
        return replace(result, updates=Updates(updates.row, updates.device, change))

    def _teacher(self, learner: Learner) -> Learner:
        """The learner on data every second sample of which has the trigger and the target's label."""
        if self._poisoned is None:
            patched = load_patched(self.scenario.learning.dataset, self.scenario.num_features).train_features
            table, data = learner.features.clone(), copy.copy(learner.data)
            samples = len(data.labels)
            chosen = np.arange(samples) % 2 == 0
            for world in range(len(data.worlds)):
                of_world = table[world * samples : (world + 1) * samples]
                of_world[torch.from_numpy(chosen)] = torch.from_numpy(patched[chosen]).to(table)
            data.labels = np.where(chosen, TARGET, data.labels)
            self._poisoned = copy.copy(learner)
            self._poisoned.features, self._poisoned.data = table, data
        return self._poisoned

    def success(self, state: SystemState, learner: LocalLearner) -> np.ndarray:
        """(E) share of held-out samples with the trigger, of other classes, that are taken for the target.

        It is nan without a trigger.
        """
        if self.kind != "backdoor":
            return np.full(len(state.accuracy), np.nan)
        model = cast(Learner, learner)
        if self._triggered is None:
            data = load_patched(self.scenario.learning.dataset, self.scenario.num_features)
            others = np.flatnonzero(data.test_labels[: self.scenario.learning.eval_samples] != TARGET)
            self._triggered = torch.from_numpy(data.test_features[others]).to(model.features)
        with torch.no_grad():
            parameters = torch.from_numpy(state.parameters).to(model.features)
            scores = model.model.logits(parameters, self._triggered.expand(len(parameters), -1, -1))
        target = state.label_map[:, 0, TARGET]
        return np.asarray((scores.argmax(-1).cpu().numpy() == target[:, None]).mean(-1))
