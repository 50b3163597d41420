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


def screen(updates: Updates, longest: float, num_systems: int) -> Screened:
    """Look at every update by itself.

    Args:
        updates: What arrived.
        longest: Largest Euclidean norm that passes.
        num_systems: Systems E.
    """
    # in doubles, in which the squares of single precision do not overflow
    norm = np.sqrt(np.einsum("mp,mp->m", updates.change, updates.change, dtype=float, casting="unsafe"))
    finite = np.isfinite(norm)
    short = finite & (norm <= longest)
    return Screened(
        short,
        np.bincount(updates.row[~finite], minlength=num_systems),
        np.bincount(updates.row[finite & ~short], minlength=num_systems),
    )
