"""Scores that can be compared across environments: 0 for random play, 1 for the reference of the environment.

The two returns that make the scale were measured by ``qfl reference`` and are shipped. They hold for one environment,
preset, split and learning tier; where one of them was not measured there is no score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from qfl_envs.errors import InvalidValueError, QflError
from train import reference
from train.statistics import Estimate


class MissingScaleError(QflError, LookupError):
    """Returns for which no scale was measured."""

    def __init__(self, wanted: Sequence[str], exist: Sequence[Sequence[str]]) -> None:
        """Say which scales exist.

        Args:
            wanted: Environment, preset, split and tier.
            exist: Those that were measured.
        """
        measured = "; ".join(" ".join(key) for key in exist) or "none"
        super().__init__(
            f"no scores for {' '.join(wanted)}, since random and the reference were not both measured there; "
            f"measured: {measured}; qfl reference --write adds rows",
            wanted,
            exist,
        )


@dataclass(frozen=True)
class Scale:
    """What makes scores of returns.

    Attributes:
        random: Mean return of random play, score 0.
        reference: Mean return of the reference, score 1. It is strong but no bound: scores above 1 are possible.
        name: Who the reference is.
    """

    random: float
    reference: float
    name: str

    def __post_init__(self) -> None:
        """Refuse a scale that would not grow with the return.

        Raises:
            InvalidValueError: If the reference is not above random.
        """
        if not self.reference > self.random:
            raise InvalidValueError(
                f"return of {self.name}", self.reference, f"more than that of random, {self.random}"
            )

    def score(self, returns: ArrayLike) -> np.ndarray:
        """Scores of returns, of any shape."""
        return (np.asarray(returns, dtype=float) - self.random) / (self.reference - self.random)

    def estimate(self, found: Estimate) -> Estimate:
        """The score of a mean or interquartile mean of returns; its interval takes the scale as exact."""
        return Estimate(*(float(self.score(value)) for value in (found.value, found.low, found.high)))

    def __str__(self) -> str:
        """What 0 and 1 mean."""
        return f"score 0 is random ({self.random:.2f}), 1 is {self.name} ({self.reference:.2f})"


def scale_of(env_id: str, preset: str, split: str, tier: str, rows: Sequence[Mapping[str, Any]] | None = None) -> Scale:
    """The scale of an environment.

    Args:
        env_id: Environment.
        preset: Scenario, unchanged.
        split: Whose instances.
        tier: ``"real"`` or ``"surrogate"``.
        rows: Where to look; None for the shipped ones.

    Raises:
        MissingScaleError: If it was not measured, naming those that were.
        InvalidValueError: If random is as good as the reference there.
    """
    wanted = (env_id, preset, split, tier)
    found: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for row in reference.shipped() if rows is None else rows:
        if {reference.RANDOM, row["reference"]} <= row["returns"].keys():
            found[tuple(row[name] for name in reference.KEY)] = row
    if wanted not in found:
        raise MissingScaleError(wanted, list(found))
    row = found[wanted]
    random, best = (float(row["returns"][name]["mean"]) for name in (reference.RANDOM, row["reference"]))
    return Scale(random, best, row["reference"])


def normalise(
    returns: ArrayLike,
    env_id: str,
    preset: str,
    split: str,
    tier: str,
    rows: Sequence[Mapping[str, Any]] | None = None,
) -> np.ndarray:
    """Scores of returns: (return - random) / (reference - random); arguments and errors are those of scale_of."""
    return scale_of(env_id, preset, split, tier, rows).score(returns)


def tier_of(arguments: Mapping[str, Any]) -> str:
    """The tier on which an environment learns.

    Args:
        arguments: What it takes beside the preset.

    Raises:
        InvalidValueError: If they change more than the tier, so that returns are not those of the preset.
    """
    for tier, of_tier in reference.TIERS.items():
        if dict(arguments) == of_tier:
            return tier
    allowed = " or ".join(repr(of_tier) for of_tier in reference.TIERS.values())
    raise InvalidValueError("arguments of a scored environment", dict(arguments), allowed)


def find_scale(env_id: str, preset: str, split: str, arguments: Mapping[str, Any]) -> tuple[Scale | None, str]:
    """The scale, or None, and a sentence for people: what it means, or why there is none."""
    try:
        scale = scale_of(env_id, preset, split, tier_of(arguments))
    except (MissingScaleError, InvalidValueError) as error:
        return None, f"no score: {error}"
    return scale, f"{scale}; a reference is no bound, scores can exceed 1"
