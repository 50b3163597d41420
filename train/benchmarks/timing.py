"""Timing that holds on a busy machine: alternatives take turns, and the median counts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
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
    turns = {name: partial(seconds, run) for name, run in runs.items()}
    return medians_of_turns(turns, repeats, budget_s, warm_up)


def medians_of_turns(
    turns: Mapping[str, Callable[[], float]], repeats: int = 5, budget_s: float = 5.0, warm_up: bool = True
) -> dict[str, float]:
    """Median of what alternatives measure themselves, as :func:`interleaved_medians` does of whole calls.

    Args:
        turns: By name, a function that does its work once and returns the seconds that count.
        repeats: Measured turns of each, at least 3.
        budget_s: Measured time after which an alternative gets by with 3 turns.
        warm_up: Whether to let each take a turn before that does not count.

    Returns:
        Median seconds per turn, by name.
    """
    if warm_up:
        for turn in turns.values():
            turn()
    times: dict[str, list[float]] = {name: [] for name in turns}
    for repeat in range(max(repeats, LEAST_REPEATS)):
        for name, turn in turns.items():
            if repeat < LEAST_REPEATS or sum(times[name]) < budget_s:
                times[name].append(turn())
    return {name: statistics.median(taken) for name, taken in times.items()}
