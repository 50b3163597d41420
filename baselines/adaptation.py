"""Rules for a model whose data drift.

Which devices take part is the environment's own rule, those with the largest losses; a rule here says how many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from qfl_envs.competitor import Rule
from qfl_envs.errors import MissingExtraError
from qfl_envs.system.decision import Decision
from qfl_envs.system.learning.adaptation import Adaptation
from qfl_envs.view import NetworkView


class Keep(Rule):
    """Never adapts the model."""

    name = "keep"
    environments = ("qfl/Drift-v0",)
    adaptation: ClassVar[Adaptation] = Adaptation.FINE_TUNE
    share: ClassVar[float] = 1.0
    """Share of the devices that take part where the model is adapted."""

    def decide(self, view: NetworkView) -> Decision:
        """A round of the rule's own kind, or none."""
        return round_of(view, self.adaptation, self.share if self.adapts(view) else 0.0)

    def adapts(self, view: NetworkView) -> bool:
        """Whether this round adapts."""
        return False


class FineTune(Keep):
    """Adapts in every round, with everybody."""

    name = "fine-tune"

    def adapts(self, view: NetworkView) -> bool:
        """Always."""
        return True


class Recalibrate(FineTune):
    """Recalibrates the last layer in every round, with the quarter of the devices that lost most."""

    name = "recalibrate"
    adaptation = Adaptation.HEAD
    share = 0.25


class SolvedHead(Recalibrate):
    """Recalibrates the last layer by a quadratic loss, solved and rounded, in every round, with a quarter.

    Control of ``annealed-head``. It plays where the environment offers ``"solved_head"`` among its ``adaptations``.
    """

    name = "solved-head"
    by_default = False  # not in the default environment
    arguments: ClassVar[Mapping[str, Any]] = {"adaptations": ("solved_head",)}
    adaptation = Adaptation.SOLVE_HEAD


class Periodic(Keep):
    """Recalibrates the last layer in every second round, with a quarter of the devices."""

    name = "periodic"
    adaptation = Adaptation.HEAD
    share = 0.25
    period: ClassVar[int] = 2

    def adapts(self, view: NetworkView) -> bool:
        """When so many rounds have passed."""
        return view.round_index % self.period == 0


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


class AdwinTriggered(Keep):
    """Recalibrates the last layer for some rounds after ADWIN has found that the reported losses rose.

    ADWIN (Bifet & Gavalda 2007, SIAM Int. Conf. on Data Mining) keeps the longest window of the stream whose halves do
    not differ by more than chance, at a confidence of 1 - delta. The stream here are the reported losses of all
    devices, round after round.
    """

    name = "adwin"
    by_default = False
    adaptation = Adaptation.HEAD
    share = 0.25
    delta: ClassVar[float] = 0.002
    rounds: ClassVar[int] = 80
    """For how long it adapts after a change; on the split val, to go on was better than to stop after 20."""

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Begin with an empty window.

        Raises:
            MissingExtraError: Where river is not installed.
        """
        super().reset(env, seed)
        try:
            from river.drift import ADWIN
        except ImportError as error:
            raise MissingExtraError(self.name, "river", "drift") from error
        self._detector, self._left = ADWIN(delta=self.delta), 0

    def adapts(self, view: NetworkView) -> bool:
        """For some rounds after the last rise."""
        for loss in view.loss:
            before = self._detector.estimation
            self._detector.update(float(loss))
            if self._detector.drift_detected and self._detector.estimation > before:
                self._left = self.rounds
        self._left -= 1
        return self._left >= 0


class Phases(Recalibrate):
    """One way to adapt for some rounds, then as recalibrate; what the oracle tries out."""

    name = "phases"

    def __init__(self, kind: Adaptation, share: float, rounds: int) -> None:
        """Say how to begin.

        Args:
            kind: Of the first rounds.
            share: Of the devices that take part in them, 0 to keep the model.
            rounds: How many.
        """
        super().__init__()
        self.first, self.first_share, self.rounds = kind, share, rounds

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Begin with the first phase."""
        super().reset(env, seed)
        self._left = self.rounds

    def decide(self, view: NetworkView) -> Decision:
        """As the phase says."""
        self._left -= 1
        return super().decide(view) if self._left < 0 else round_of(view, self.first, self.first_share)


def round_of(view: NetworkView, adaptation: Adaptation, share: float, setting: int | None = None) -> Decision:
    """A round of some kind with a share of the devices, the model kept if it is 0, under another setting if given."""
    count = int(np.ceil(share * len(view.loss)))
    return Decision(
        (np.arange(len(view.loss)) < count)[None],
        adaptation=np.array([adaptation]),
        setting=None if setting is None else np.array([setting]),
    )
