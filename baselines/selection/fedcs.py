"""FedCS: as many participants as a deadline allows (Nishio & Yonetani 2019, IEEE ICC, arXiv 1804.08333)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from baselines.estimates import alone_seconds, round_seconds
from baselines.rules import Selection
from qfl_envs.view import NetworkView


def most_within(
    seconds_of: Callable[[np.ndarray], np.ndarray], candidates: np.ndarray, size: int, deadline_s: float
) -> np.ndarray:
    """The greedy maximisation of the article's algorithm 3.

    Again and again the candidate is asked whose addition lengthens the round the least; it is added if the round then
    still meets the deadline, and is out of question otherwise.

    Args:
        seconds_of: Duration (M) of the rounds of sets (M, N) of participants; adding one must not shorten it.
        candidates: Indices; the earlier of two that lengthen the round alike is asked first.
        size: Devices N.
        deadline_s: Longest round.

    Returns:
        (N) bool.
    """
    chosen, remaining = np.zeros(size, dtype=bool), np.array(candidates, dtype=int)
    while len(remaining):
        sets = np.repeat(chosen[None], len(remaining), axis=0)
        sets[np.arange(len(remaining)), remaining] = True
        seconds = seconds_of(sets)
        least = int(seconds.argmin())
        if seconds[least] > deadline_s:
            # nor does any other fit, now or after others
            break
        chosen[remaining[least]] = True
        remaining = np.delete(remaining, least)
    return chosen


class FedCS(Selection):
    """FedCS: as many devices as can upload before the deadline, each time the one that lengthens the round the least.

    The article's uploads come one after the other, these side by side; the duration of a round is estimated as this
    network has it. As there, the devices that are asked for their resources are drawn at random, at most 100.
    """

    name = "fedcs"
    asked: ClassVar[int] = 100
    """K x C of the article's experiments: a tenth of 1,000 devices."""

    def pick(self, view: NetworkView) -> np.ndarray:
        """Ask some, and take as many of them as fit."""
        available = np.flatnonzero(view.available)
        if len(available) > self.asked:
            available = self.rng.choice(available, self.asked, replace=False)
        quickest_first = available[np.argsort(alone_seconds(view)[available], kind="stable")]
        n, deadline_s = len(view.available), view.scenario.deadline_s
        return most_within(lambda sets: round_seconds(view, sets), quickest_first, n, deadline_s)
