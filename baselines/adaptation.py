"""Rules for a model whose data drift."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from qfl_envs.competitor import Rule
from qfl_envs.system.decision import Decision
from qfl_envs.system.learning.adaptation import Adaptation
from qfl_envs.view import NetworkView


class Keep(Rule):
    """Never adapts the model."""

    name = "keep"
    environments = ("qfl/Drift-v0",)
    adaptation: ClassVar[Adaptation] = Adaptation.FINE_TUNE

    def decide(self, view: NetworkView) -> Decision:
        """The same kind of round for all devices, or for none."""
        taking_part = np.full(len(view.loss), self.adapts(view))
        return Decision(taking_part[None], adaptation=np.array([self.adaptation]))

    def adapts(self, view: NetworkView) -> bool:
        """Whether this round adapts."""
        return False


class FineTune(Keep):
    """Adapts in every round, with everybody."""

    name = "fine-tune"

    def adapts(self, view: NetworkView) -> bool:
        """Always."""
        return True


class LossTriggered(Keep):
    """Adapts, with everybody, while the mean of the reported losses is well above the least that it ever was."""

    name = "loss-triggered"
    factor: ClassVar[float] = 1.5

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Forget the losses of other episodes."""
        super().reset(env, seed)
        self._least = np.inf

    def adapts(self, view: NetworkView) -> bool:
        """While the loss is above the threshold."""
        mean = float(view.loss.mean())
        self._least = min(self._least, mean)
        return mean > self.factor * self._least


class LossTriggeredHead(LossTriggered):
    """As loss-triggered, but recalibrates the last layer alone."""

    name = "loss-triggered-head"
    adaptation = Adaptation.HEAD
