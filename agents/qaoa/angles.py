"""Angles of a QAOA circuit: a ramp that needs no tuning, and a table tuned once on small instances.

Everywhere the cost is divided by its standard deviation, so that angles mean the same on every instance.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from qfl_envs.errors import InvalidValueError

TABLE = Path(__file__).with_name("angles.json")
"""Where ``qfl qaoa-angles --write`` puts what it found."""


@dataclass(frozen=True)
class Angles:
    """Angles of every layer.

    Attributes:
        gamma: (p) or (B, p) angle of each phase layer, exp(-i gamma C / scale).
        beta: The same shape, angle of each mixer, exp(-i beta (J - I)) on every variable. The uniform state is the
            highest of J - I, so that minimisation wants gamma and beta of opposite signs.
    """

    gamma: np.ndarray
    beta: np.ndarray

    def __post_init__(self) -> None:
        """Convert to float arrays, and refuse shapes that do not fit.

        Raises:
            InvalidValueError: For angles that are not finite, or of another shape than documented.
        """
        for name in ("gamma", "beta"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        if self.gamma.shape != self.beta.shape or self.gamma.ndim not in (1, 2) or self.gamma.shape[-1] < 1:
            raise InvalidValueError(
                "shapes of gamma and beta", (self.gamma.shape, self.beta.shape), "both (p) or both (B, p), p at least 1"
            )
        if not (np.isfinite(self.gamma).all() and np.isfinite(self.beta).all()):
            raise InvalidValueError("gamma, beta", (self.gamma.tolist(), self.beta.tolist()), "finite angles in rad")

    @property
    def depth(self) -> int:
        """Layers p."""
        return self.gamma.shape[-1]


def linear_ramp(depth: int, options: int, slope: float = 2.0) -> Angles:
    """The cost fades in and the mixer out, linearly in the middle of each layer (Montanez-Barrera & Michielsen 2024).

    Args:
        depth: Layers p, at least 1.
        options: A, options per variable; the mixer turns by beta A between the uniform state and all others.
        slope: Angle D that gamma would end at and beta A begin at; about 2 on a cost of standard deviation 1.

    Raises:
        InvalidValueError: For a depth below 1.
    """
    if depth < 1:
        raise InvalidValueError("depth", depth, "at least 1")
    middle = (np.arange(depth) + 0.5) / depth
    return Angles(slope * middle, -slope * (1 - middle) / options)


@lru_cache(maxsize=1)
def table() -> dict[str, Any]:
    """The shipped table: for each use its tuned angles per depth, and the settings of the tuning."""
    document: dict[str, Any] = json.loads(TABLE.read_text())
    return document


def transferred(use: str, depth: int, options: int) -> Angles:
    """Angles tuned once on other, smaller instances, for a circuit that is not tuned at all.

    Args:
        use: What was tuned, a key of the table: ``"block"`` or ``"one-shot"``.
        depth: Layers p.
        options: A, options per variable. The table has beta A, which means the same for any A.

    Raises:
        InvalidValueError: For a use or a depth that the table does not have.
    """
    uses = table()["angles"]
    if use not in uses:
        raise InvalidValueError("use of the angles", use, list(uses))
    depths = uses[use]
    if str(depth) not in depths:
        raise InvalidValueError("depth of transferred angles", depth, [int(known) for known in depths])
    found = depths[str(depth)]
    return Angles(np.array(found["gamma"]), np.array(found["beta_times_options"]) / options)
