"""When, and how much of, the data of each device comes from the second distribution."""

from __future__ import annotations

import numpy as np

from qfl_envs.scenario import Drift


def num_worlds(drift: Drift) -> int:
    """Distributions that there are: one, or two where data drift."""
    return 1 if drift.kind == "none" else 2


def onset_round(drift: Drift, uniform: np.ndarray) -> np.ndarray:
    """Round in which drift begins on each device: the onset of the episode, and each device's delay.

    Args:
        drift: Bounds of both.
        uniform: (E, 1 + N) numbers uniform in [0, 1).

    Returns:
        (E, N).
    """
    low, high = drift.onset_round
    return low + (high - low) * uniform[:, :1] + drift.stagger_rounds * uniform[:, 1:]


def severity(drift: Drift, round_index: np.ndarray, onset: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Share of each device's data that comes from the second distribution in a round.

    Args:
        drift: How it goes on.
        round_index: (E).
        onset: (E, N) round in which it begins.
        scale: (E) share at its strongest.

    Returns:
        (E, N) in [0, 1].
    """
    if drift.kind == "none":
        return np.zeros(onset.shape)
    since = round_index[:, None] - onset
    if drift.kind == "abrupt":
        share = (since >= 0).astype(float)
    elif drift.kind == "gradual":
        share = np.clip(since / drift.duration_rounds, 0.0, 1.0)
    else:
        share = ((since >= 0) & (since % drift.period_rounds < drift.period_rounds / 2)).astype(float)
    return scale[:, None] * share
