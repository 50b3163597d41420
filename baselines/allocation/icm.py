"""Iterated conditional modes on one-hot quadratic problems."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from baselines.allocation.one_hot import OneHotQuadratic


class OneHotState:
    """A choice (B, M) and its fields, kept up to date device by device.

    Arrays have devices last, so that what a change touches lies together in memory.

    Attributes:
        choice: (B, M).
        fields: (B, A, M) energy that each device would add with each option, given the others.
        pair: (B, M, A, M) the pairs of the problem.
    """

    def __init__(self, problem: OneHotQuadratic, choice: np.ndarray) -> None:
        """Start at a choice (B, M)."""
        self.choice = choice.copy()
        self.fields = np.ascontiguousarray(problem.fields(choice).swapaxes(1, 2))
        self.pair = np.ascontiguousarray(problem.pair.swapaxes(2, 3))
        self.rows = np.arange(len(choice))

    def change(self, device: np.ndarray, option: np.ndarray) -> bool:
        """Give one device (B) of every instance an option (B); returns whether any changed."""
        before = self.choice[self.rows, device]
        rows = np.flatnonzero(option != before)
        for b in rows:
            pair = self.pair[b, device[b]]
            self.fields[b, before[b]] -= pair[before[b]]
            self.fields[b, option[b]] += pair[option[b]]
        self.choice[rows, device[rows]] = option[rows]
        return len(rows) > 0


def strongest_first(problem: OneHotQuadratic) -> np.ndarray:
    """(B, M) devices in ascending least energy alone, an order that does not depend on how they are numbered."""
    return np.argsort(problem.linear.min(-1), axis=1, kind="stable")


def rest_choice(problem: OneHotQuadratic) -> np.ndarray:
    """(B, M) the start of a search: the last option, which is to idle where that is allowed."""
    return np.full(problem.linear.shape[:2], problem.num_options - 1)


def icm(problem: OneHotQuadratic, choice: np.ndarray | None = None, sweeps: int = 50) -> Iterator[np.ndarray]:
    """Every device in turn takes the option of least energy given the others, until none changes (Besag 1986).

    Args:
        problem: Any one-hot quadratic problem.
        choice: (B, M) start; the last option for everyone if not given.
        sweeps: Most turns of everyone.

    Yields:
        The choice (B, M) after every sweep, whose energy never rises.
    """
    state = OneHotState(problem, rest_choice(problem) if choice is None else choice)
    rows, order = state.rows, strongest_first(problem)
    for _ in range(sweeps):
        changed = False
        for device in order.T:
            field = state.fields[rows, :, device]
            best = field.argmin(1)
            # an equal option is no reason to change, or rounding could make it go round in circles
            stays = field[rows, state.choice[rows, device]] <= field[rows, best] + 1e-12
            changed |= state.change(device, np.where(stays, state.choice[rows, device], best))
        yield state.choice.copy()
        if not changed:
            return
