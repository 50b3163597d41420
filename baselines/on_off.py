"""Exact power control on sub-channels of one cell, where interference is treated as noise.

The sum-rate is then largest at a point where every device has either its most or its least power, and those at full
power are the ones received best (Inaltekin & Hanly 2012, "Optimality of binary power control in a single cell via
majorization", arXiv 1105.5861). So the best of N + 1 prefixes is the optimum.
"""

from __future__ import annotations

import numpy as np


def on_off_power(full_w: np.ndarray, least_w: np.ndarray, noise_w: float) -> tuple[np.ndarray, np.ndarray]:
    """Who transmits at full power.

    Args:
        full_w: (..., N) power received from each device at full power; 0 for devices on other sub-channels.
        least_w: (..., N) power received from each at least power, or 0 where devices may be silent.
        noise_w: Noise power.

    Returns:
        ``on`` (..., N) bool, and the sum of log2(1 + SINR) (...) that results.
    """
    order = np.argsort(-full_w, axis=-1, kind="stable")
    high, low = (np.take_along_axis(power, order, axis=-1) for power in (full_w, least_w))
    n = full_w.shape[-1]
    # row m of the table: the m best received at full power, the others at least power
    is_on = np.arange(n) < np.arange(n + 1)[:, None]
    received = np.where(is_on, high[..., None, :], low[..., None, :])
    total = received.sum(-1, keepdims=True) + noise_w
    rates = np.log2(total / (total - received)).sum(-1)
    best = rates.argmax(-1)
    on = np.empty(full_w.shape, dtype=bool)
    np.put_along_axis(on, order, np.arange(n) < best[..., None], axis=-1)
    return on & (full_w > 0), np.take_along_axis(rates, best[..., None], axis=-1)[..., 0]
