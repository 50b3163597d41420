"""Timing that holds on a busy machine: alternatives take turns, and the median counts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

LEAST_REPEATS = 3
"""No median of fewer times: it would be a mean or a single one."""


def seconds(run: Callable[[], Any]) -> float:
    """Wall time of one call in s."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def interleaved_medians(
    runs: Mapping[str, Callable[[], Any]], repeats: int = 5, budget_s: float = 5.0, warm_up: bool = True
) -> dict[str, float]:
    """Median time of each alternative.

    The alternatives take turns, so that a machine that is busy for a while slows all of them.

    Args:
        runs: What to time, by name.
        repeats: Measured calls of each, at least 3.
        budget_s: Time after which an alternative gets by with 3 calls.
        warm_up: Whether to call each once before, unmeasured: a first call compiles, allocates and fills caches.

    Returns:
        Median seconds per call, by name.
    """
    if warm_up:
        for run in runs.values():
            run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(max(repeats, LEAST_REPEATS)):
        for name, run in runs.items():
            if repeat < LEAST_REPEATS or sum(times[name]) < budget_s:
                times[name].append(seconds(run))
    return {name: statistics.median(taken) for name, taken in times.items()}
