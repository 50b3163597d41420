"""Links that come and go: a two-state Markov chain per device (Gilbert 1960)."""

from __future__ import annotations

import numpy as np

from qfl_envs.compiled import elementwise
from qfl_envs.scenario import Radio


def start_up(radio: Radio, uniform: np.ndarray) -> np.ndarray:
    """Stationary state of the chain; all up where links neither drop nor recover."""
    total = radio.link_drop + radio.link_recover
    return uniform >= (radio.link_drop / total if total > 0 else 0.0)


def next_up(radio: Radio, link_up: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Whether each link is up in the next round."""
    return np.asarray(is_up_next(link_up, uniform, radio.link_drop, radio.link_recover))  # type: ignore[arg-type]


@elementwise
def is_up_next(link_up: bool, uniform: float, drop: float, recover: float) -> bool:
    """Whether a link is up in the next round, from a number uniform in [0, 1)."""
    return uniform >= drop if link_up else uniform < recover
