"""How hard new episodes are, from an easy start to the whole scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qfl_envs.fields import Section, real


@dataclass(frozen=True)
class Difficulty(Section):
    """Share of the scenario's fleet, spread and drift that an episode has.

    Attributes:
        fleet: Share of the devices that belong to the fleet; the others never take part.
        heterogeneity: Spread over devices of clocks, shots and charges, as a share of the scenario's in the logarithm.
        drift: Share of a device's data that drifts when drift is at its strongest.
    """

    prefix: ClassVar[str] = "curriculum."

    fleet: float = real(1.0, 1e-6, 1.0, "", "share of the devices that belong to the fleet")
    heterogeneity: float = real(1.0, 0.0, 1.0, "", "share of the spread of clocks, shots and charges over devices")
    drift: float = real(1.0, 0.0, 1.0, "", "share of the data that drifts at most")
