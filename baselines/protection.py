"""Rules for how a round is protected; who takes part is the environment's own rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from qfl_envs.competitor import Rule
from qfl_envs.system.decision import Decision
from qfl_envs.system.security.choices import Choices
from qfl_envs.view import NetworkView, SecurityView


class Unprotected(Rule):
    """No protection at all."""

    name = "no-protection"
    environments = ("qfl/Security-v0",)
    choices: ClassVar[Mapping[str, str]] = {}
    """What is chosen in every round, by kind; what is left out is none, or the mean."""

    def decide(self, view: NetworkView) -> Decision:
        """A round that is protected so."""
        return Decision(np.ones((1, len(view.loss)), dtype=bool), protection=Choices.named(1, **self.chosen(view)))

    def chosen(self, view: NetworkView) -> Mapping[str, str]:
        """The choices of this round."""
        return self.choices


class AllOn(Unprotected):
    """The strongest signature and exchange, a robust rule and screening, always."""

    name = "all-on"
    choices: ClassVar[Mapping[str, str]] = {
        "signature": "ml-dsa-65",
        "key_exchange": "ml-kem-768",
        "aggregation": "trimmed-mean",
        "screening": "norm",
    }


class ClassicalOnly(Unprotected):
    """ECDSA and X25519, and screening by length; open from Q-day on."""

    name = "classical-only"
    choices: ClassVar[Mapping[str, str]] = {"signature": "ecdsa-p256", "key_exchange": "x25519", "screening": "norm"}


class PostQuantumOnly(Unprotected):
    """ML-DSA-44 and ML-KEM-768, and screening by length."""

    name = "post-quantum-only"
    choices: ClassVar[Mapping[str, str]] = {"signature": "ml-dsa-44", "key_exchange": "ml-kem-768", "screening": "norm"}


class QuantumKeysOnly(Unprotected):
    """Keys of quantum channels, and screening by length."""

    name = "quantum-keys-only"
    choices: ClassVar[Mapping[str, str]] = {"key_exchange": "qkd", "screening": "norm"}


class MaskedOnly(Unprotected):
    """Secure aggregation of signed updates, which nobody can screen."""

    name = "masked-only"
    choices: ClassVar[Mapping[str, str]] = {"signature": "ecdsa-p256", "aggregation": "secure"}


class ThreatThreshold(Unprotected):
    """Screens always, encrypts for some rounds after quantum channels were tapped, and signs after updates were forged.

    Quantum channels serve as its alarm: their error rate is above a threshold while somebody listens. That somebody
    forges updates it sees by those that fail their check or, unsigned, are screened. Before Q-day it signs by ECDSA.
    """

    name = "threat-threshold"

    def __init__(
        self, error_rate: float = 0.08, suspicious: float = 0.15, signs_for: int = 4, encrypts_for: int = 1
    ) -> None:
        """Set the thresholds.

        Args:
            error_rate: Of quantum channels, above which somebody listens.
            suspicious: Share of refused and screened updates above which somebody forges.
            signs_for: Rounds for which it signs from then on.
            encrypts_for: Rounds for which it encrypts.
        """
        super().__init__()
        self.error_rate, self.suspicious = error_rate, suspicious
        self.signs_for, self.encrypts_for = signs_for, encrypts_for

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Begin without any alarm."""
        super().reset(env, seed)
        self._signs, self._encrypts = 0, 0

    def chosen(self, view: NetworkView) -> Mapping[str, str]:
        """The choices of this round."""
        noticed: SecurityView | None = view.security
        assert noticed is not None  # the environment that this plays in shows it
        forged = noticed.refused + noticed.screened > self.suspicious
        self._signs = self.signs_for if forged else max(self._signs - 1, 0)
        # no better than a coin: nothing came through, and nothing is known
        listened = self.error_rate < noticed.qber < 0.5
        self._encrypts = self.encrypts_for if listened else max(self._encrypts - 1, 0)
        signature = "ml-dsa-44" if noticed.classical_broken else "ecdsa-p256"
        return {
            "signature": signature if self._signs else "none",
            "key_exchange": "ml-kem-768" if self._encrypts else "none",
            "screening": "norm",
        }


class ProtectionPhases(ThreatThreshold):
    """One protection for some rounds, then by the threshold; what the oracle tries out."""

    name = "protection-phases"

    def __init__(self, first: Mapping[str, str], rounds: int, signs_for: int) -> None:
        """Say how to begin.

        Args:
            first: Choices of the first rounds.
            rounds: How many.
            signs_for: As of the threshold.
        """
        super().__init__(signs_for=signs_for)
        self.first, self.rounds = first, rounds

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Begin with the first phase."""
        super().reset(env, seed)
        self._left = self.rounds

    def chosen(self, view: NetworkView) -> Mapping[str, str]:
        """As the phase says."""
        self._left -= 1
        later = super().chosen(view)
        return later if self._left < 0 else self.first
