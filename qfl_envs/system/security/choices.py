"""What a round's updates are protected by, in many systems at once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from qfl_envs.security import AGGREGATIONS, KEY_EXCHANGES, SCREENINGS, SIGNATURES, Security

OPTIONS = {
    "signature": SIGNATURES,
    "key_exchange": KEY_EXCHANGES,
    "aggregation": AGGREGATIONS,
    "screening": SCREENINGS,
}
"""Names that each choice has, in the order of their numbers."""


@dataclass(frozen=True)
class Choices:
    """One of each for every system: (E) integers, places in :data:`OPTIONS`.

    Attributes:
        signature: How updates are signed.
        key_exchange: How the key that encrypts them is agreed on.
        aggregation: How the server merges them.
        screening: Which ones it throws away.
    """

    signature: np.ndarray
    key_exchange: np.ndarray
    aggregation: np.ndarray
    screening: np.ndarray

    @classmethod
    def usual(cls, security: Security, systems: int) -> Self:
        """What the scenario says, for so many systems."""
        return cls(*(np.full(systems, names.index(getattr(security, part))) for part, names in OPTIONS.items()))

    @classmethod
    def named(cls, systems: int = 1, **names: str) -> Self:
        """The same for all systems, by names; what is left out is ``"none"`` or ``"mean"``.

        Raises:
            InvalidValueError: For a name that does not exist.
        """
        return cls.usual(Security(**names), systems)  # type: ignore[arg-type]  # all of these fields are names

    @property
    def secure(self) -> np.ndarray:
        """(E) bool, where updates are masked and only their sum is seen."""
        return self.aggregation == AGGREGATIONS.index("secure")

    def names(self, row: int) -> dict[str, str]:
        """What one system has chosen."""
        return {item.name: OPTIONS[item.name][int(getattr(self, item.name)[row])] for item in fields(self)}
