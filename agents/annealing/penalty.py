"""A one-hot problem as a plain quadratic problem of bits (QUBO), whose penalty keeps one option per variable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True)
class PenaltyForm:
    """One problem of M variables with A options as n = M A bits x: energy = x linear + x quadratic x / 2 + offset.

    Attributes:
        linear: (n).
        quadratic: (n, n) symmetric, 0 on the diagonal.
        offset: Of the penalties.
        one_hot: (M, A) and (M, M, A): the problem itself.
    """

    linear: np.ndarray
    quadratic: np.ndarray
    offset: float
    one_hot: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, linear: np.ndarray, pair: np.ndarray) -> Self:
        """The form with the least weight of (sum of the bits of a variable - 1)^2 that no choice is worth breaking for.

        Args:
            linear: (M, A) energy of an option alone.
            pair: (M, M, A) energy that two variables with the same option add.
        """
        variables, options = linear.shape
        # what one option more can gain at most, and what a variable without any saves at most
        more = -(linear + np.minimum(pair, 0.0).sum(1)).min()
        none = (linear + np.maximum(pair, 0.0).sum(1)).min(-1).max()
        weight = 1.01 * max(more, none, 1e-6)
        quadratic = np.zeros((variables, options, variables, options))
        each = np.arange(options)
        quadratic[:, each, :, each] = pair.transpose(2, 0, 1)
        own = np.arange(variables)
        quadratic[own, :, own] += 2 * weight * (1 - np.eye(options))
        size = variables * options
        alone = (linear - weight).reshape(size)
        return cls(alone, quadratic.reshape(size, size), weight * variables, (linear, pair))

    def energy(self, bits: np.ndarray) -> np.ndarray:
        """Energy (...) of bits (..., n)."""
        x = np.asarray(bits, dtype=float)
        total: np.ndarray = x @ self.linear + 0.5 * (x * (x @ self.quadratic)).sum(-1) + self.offset
        return total

    def choice(self, bits: np.ndarray) -> np.ndarray:
        """The one-hot choice (M) that bits (n) say; where they say none or several, the option of least energy.

        Variables are repaired in turn, given those that are clear and those repaired before.
        """
        linear, pair = self.one_hot
        variables, options = linear.shape
        chosen = bits.reshape(variables, options)
        clear = chosen.sum(1) == 1
        fields = linear + np.einsum("ija,ja->ia", pair, (chosen & clear[:, None]).astype(float))
        choice = chosen.argmax(1)
        for i in np.flatnonzero(~clear):
            allowed = chosen[i] if chosen[i].any() else np.ones(options, dtype=bool)
            choice[i] = np.where(allowed, fields[i], np.inf).argmin()
            fields[:, choice[i]] += pair[:, i, choice[i]]
        return choice
