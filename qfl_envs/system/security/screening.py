"""Updates that no server should merge, whatever its rule: those that are no numbers, and those of absurd size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qfl_envs.system.learning.aggregation import Updates


@dataclass(frozen=True)
class Screened:
    """What passes, and how many do not, by reason.

    Attributes:
        passed: (M) bool.
        not_finite: (E) updates that hold an infinity or a nan.
        too_long: (E) updates longer than the bound.
    """

    passed: np.ndarray
    not_finite: np.ndarray
    too_long: np.ndarray


def all_sane(updates: Updates, longest: float) -> bool:
    """Whether all updates are numbers, and none is longer than a bound."""
    change = updates.change.ravel()
    with np.errstate(over="ignore", invalid="ignore"):
        # none is longer than all of them in a row, which are short in nearly every round
        if np.vdot(change, change) <= longest**2:
            return True
        return bool(((updates.change.astype(float) ** 2).sum(-1) <= longest**2).all())


def screen(updates: Updates, longest: float, num_systems: int) -> Screened:
    """Look at every update by itself.

    Args:
        updates: What arrived.
        longest: Largest Euclidean norm that passes.
        num_systems: Systems E.
    """
    finite = np.isfinite(updates.change).all(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        norm = np.linalg.norm(updates.change.astype(float), axis=-1)
    short = finite & (norm <= longest)
    return Screened(
        short,
        np.bincount(updates.row[~finite], minlength=num_systems),
        np.bincount(updates.row[finite & ~short], minlength=num_systems),
    )
