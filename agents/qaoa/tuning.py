"""Finding angles: per instance to the end, or a few steps at a time from where the last round left off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from agents.qaoa.angles import Angles
from agents.qaoa.one_hot import OneHotQAOA
from qfl_envs.errors import InvalidValueError


def optimise(circuits: Sequence[OneHotQAOA], start: Angles, iterations: int = 100) -> Angles:
    """Angles shared by all systems of all circuits, of least mean cost in units of each system's scale.

    Args:
        circuits: Of any sizes; one circuit of one system gives per-instance angles.
        start: Shared angles to begin with.
        iterations: Most steps of L-BFGS.

    Raises:
        InvalidValueError: For angles of each system, or no circuits.
    """
    if start.gamma.ndim != 1 or not circuits:
        raise InvalidValueError("angles and circuits", (start.gamma.shape, len(circuits)), "shared angles (p), >= 1")

    def mean_cost(flat: np.ndarray) -> tuple[float, np.ndarray]:
        angles = Angles(*np.split(flat, 2))
        values, slopes = zip(*(circuit.gradient(angles) for circuit in circuits), strict=True)
        counts = np.array([len(value) for value in values], dtype=float)
        slope = np.stack([np.concatenate([part.gamma, part.beta]) for part in slopes])
        return float(np.concatenate(values).mean()), counts @ slope / counts.sum()

    begin = np.concatenate([start.gamma, start.beta])
    found = minimize(mean_cost, begin, jac=True, method="L-BFGS-B", options={"maxiter": iterations})
    return Angles(*np.split(found.x, 2))


class OnlineAngles:
    """Angles that follow the instances that come by, one gradient step at a time.

    This is how the article's tuning in real time reads: a round begins with the angles at which the last one ended. The
    step is Adam's (Kingma & Ba 2015), so that gamma and beta, whose slopes differ by the number of options, move alike.
    """

    def __init__(self, start: Angles, rate: float = 0.05, memory: float = 0.8) -> None:
        """Begin.

        Args:
            start: Shared angles (p).
            rate: Largest relative change of an angle in a step.
            memory: How much of a slope lasts to the next step.
        """
        self.angles = start
        self._rate, self._memory, self._steps = rate, memory, 0
        self._size = np.maximum(np.abs(np.stack([start.gamma, start.beta])), 1e-3)
        self._mean, self._square = np.zeros_like(self._size), np.zeros_like(self._size)

    def step(self, slope: Angles) -> None:
        """Follow one slope (p)."""
        # by relative angles, which are of order 1
        relative = np.stack([slope.gamma, slope.beta]) * self._size
        self._steps += 1
        slow = 1 - (1 - self._memory) / 10
        self._mean += (1 - self._memory) * (relative - self._mean)
        self._square += (1 - slow) * (relative**2 - self._square)
        mean = self._mean / (1 - self._memory**self._steps)
        square = self._square / (1 - slow**self._steps)
        moved = self._rate * self._size * mean / (np.sqrt(square) + 1e-8)
        self.angles = Angles(self.angles.gamma - moved[0], self.angles.beta - moved[1])
