"""What ``--quick`` and ``--full`` mean: who plays where, on how many seeds, trained for how long."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHIPPED: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("line_ups.toml").read_text())


@dataclass(frozen=True)
class LineUp:
    """Who plays where.

    Attributes:
        seeds: Test seeds.
        steps: Training budget in each environment, of all agents that learn there; shipped ones in those not named.
        competitors: Names in each environment, which are those that are played if no other is asked for; in others,
            those play that do so unasked. Nothing for all environments.
    """

    seeds: int
    steps: Mapping[str, int] = field(default_factory=dict)
    competitors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def line_up(name: str | None) -> LineUp:
    """A shipped one, or None for the one of a leaderboard that names none.

    Args:
        name: ``quick`` or ``full``.
    """
    if name is None:
        return LineUp(SHIPPED["full"]["seeds"])
    of = SHIPPED[name]
    return LineUp(of["seeds"], of["steps"], {env_id: tuple(names) for env_id, names in of["competitors"].items()})
