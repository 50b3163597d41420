"""Recalibration of the last layer from statistics of the devices: one quadratic problem, solved over low-bit weights.

Near its present weights W the loss of the last layer is, to second order and class by class,

    loss(W + D) - loss(W) = sum_k  g_k . D_k + D_k . A D_k / 2,   A = curvature (G + ridge I),

with the gradient g (features x classes) and the Gram matrix G of what the layer sees, a constant 1 for the bias among
it, both means over samples. The curvature of a softmax in one class is p (1 - p); here it is that of a guess among K
classes, (1 - 1/K) / K, which needs no matrix per class and keeps a step moderate where the old layer is sure of what
has become wrong. Both statistics are sums over samples, so that devices can send theirs instead of a trained layer.

The change D is a whole number of steps, of so many bits per weight, which makes the problem a quadratic one of bits
(QUBO), one for each class. Nothing forces that: without the bits the answer is a linear system of equations, and to
round that is what an annealer has to be compared with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from qfl_envs.system.annealing import Schedule, path_integral

BITS = 3
"""Of each weight's change: -4 to 3 steps."""
RIDGE = 0.1
"""Beside a Gram matrix whose entry for the bias is 1; keeps directions that few samples show from large changes."""
SCHEDULE = Schedule(slices=8, sweeps=60, temperature=1.0, exchanges=False)


@dataclass(frozen=True)
class QuadraticLoss:
    """How the loss of one last layer changes with its weights.

    Attributes:
        gradient: (Q, K) of Q weights, the bias among them, in each of K classes.
        curvature: (Q, Q) the same in every class, positive definite.
    """

    gradient: np.ndarray
    curvature: np.ndarray

    @classmethod
    def of(cls, gram: np.ndarray, gradient: np.ndarray) -> QuadraticLoss:
        """The loss from means (Q, Q) and (Q, K) over samples."""
        guess = 1 / gradient.shape[1]
        return cls(gradient, guess * (1 - guess) * (gram + RIDGE * np.eye(len(gram))))

    def value(self, change: np.ndarray) -> float:
        """Change of the loss in nats, for changes (Q, K) of the weights."""
        return float((self.gradient * change + 0.5 * change * (self.curvature @ change)).sum())

    @property
    def step(self) -> float:
        """Step of the grid: the largest change that a weight would want alone is at its end."""
        alone = np.abs(self.gradient) / np.diag(self.curvature)[:, None]
        return max(float(alone.max()), 1e-12) / 2 ** (BITS - 1)

    def solved(self) -> np.ndarray:
        """The changes (Q, K) of least loss, without a grid."""
        return -np.linalg.solve(self.curvature, self.gradient)

    def rounded(self) -> np.ndarray:
        """The same, each rounded to the grid."""
        half = 2 ** (BITS - 1)
        return self.step * np.clip(np.round(self.solved() / self.step), -half, half - 1)

    def qubo(self, label: int) -> tuple[np.ndarray, np.ndarray]:
        """The problem of one class in bits, n = Q BITS of them, weight by weight and the lowest bit first.

        Returns:
            Linear (n) and symmetric quadratic (n, n) terms, 0 on the diagonal; the energy is the change of the loss
            against no bit set, the lowest end of the grid everywhere.
        """
        value = self.step * 2.0 ** np.arange(BITS)
        lowest = np.full(len(self.curvature), -self.step * 2 ** (BITS - 1))
        slope = self.gradient[:, label] + self.curvature @ lowest
        quadratic = np.kron(self.curvature, np.outer(value, value))
        own = np.diag(quadratic).copy()
        np.fill_diagonal(quadratic, 0.0)
        return np.outer(slope, value).ravel() + 0.5 * own, quadratic

    def decoded(self, bits: np.ndarray) -> np.ndarray:
        """Changes (..., Q) of the weights of one class that bits (..., n) say."""
        number = bits.reshape(*bits.shape[:-1], -1, BITS) @ 2.0 ** np.arange(BITS)
        changes: np.ndarray = self.step * (number - 2 ** (BITS - 1))
        return changes

    def annealed(self, rng: np.random.Generator, schedule: Schedule = SCHEDULE) -> np.ndarray:
        """Changes (Q, K) on the grid by simulated quantum annealing, one run per class."""
        changes = []
        for label in range(self.gradient.shape[1]):
            linear, quadratic = self.qubo(label)
            # a bit is a variable of two options, of which only the first, 1, has energy
            scale = schedule.scale * max(float(np.abs(linear).mean()), 1e-12)
            of_class = replace(schedule, scale=scale)
            alone, both = (np.stack([part, np.zeros_like(part)], axis=-1) for part in (linear, quadratic))
            changes.append(self.decoded(path_integral(alone, both, of_class, rng) == 0))
        return np.stack(changes, axis=-1)
