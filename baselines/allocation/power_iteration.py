"""What iterative power control on given sub-channels has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from baselines.allocation.links import Links
from baselines.allocation.problem import AllocationProblem, Solution, Trace
from qfl_envs.errors import InvalidValueError

Start = Literal["maximum", "random"]
Step = Callable[[Links, np.ndarray], np.ndarray]
"""From links and powers (B, N) to the next powers."""


def iterate_powers(
    problem: AllocationProblem,
    subchannel: np.ndarray,
    step: Step,
    start: Start,
    rng: np.random.Generator | None,
    iterations: int,
    tolerance: float,
) -> Solution:
    """Repeat a step until it changes nothing any more.

    Args:
        problem: Instances with interference.
        subchannel: (B, N).
        step: One iteration.
        start: Everyone at the most power, or powers uniform between the least and the most.
        rng: Source of the random start.
        iterations: Most of them.
        tolerance: Ends when no sum-rate changes by more than this share.

    Returns:
        The iterates; a last iteration more makes powers legal that ended between silence and the least power.
    """
    links = Links.of(problem, subchannel)
    power_w = starting_power(links, start, rng)
    trace = Trace(problem, links.allocation(power_w))
    for _ in range(iterations):
        power_w = step(links, power_w)
        trace.add(links.allocation(power_w))
        if trace.settled(tolerance):
            break
    trace.add(links.legal(power_w))
    return trace.solution()


def starting_power(links: Links, start: Start, rng: np.random.Generator | None) -> np.ndarray:
    """Powers (B, N) that an iteration starts from.

    Raises:
        InvalidValueError: For an unknown start, or a random one without a generator.
    """
    if start == "maximum":
        return links.high_w.copy()
    if start != "random" or rng is None:
        raise InvalidValueError("start", start, "'maximum', or 'random' with a generator")
    return rng.uniform(links.low_w, links.high_w)
