"""All solvers by name, each from a batch of problems to a solution."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from baselines.allocation.alternating import alternating_sca
from baselines.allocation.best_response import best_response
from baselines.allocation.fp import fp, fp_matching
from baselines.allocation.greedy import greedy
from baselines.allocation.hungarian import hungarian
from baselines.allocation.matching import match
from baselines.allocation.problem import AllocationProblem, Solution
from baselines.allocation.qubo import qubo_annealing, qubo_icm
from baselines.allocation.relaxed import relaxed_sca
from baselines.allocation.sca import sca
from baselines.allocation.wmmse import wmmse

Solve = Callable[[AllocationProblem, np.random.Generator], Solution]


def matched_subchannel(problem: AllocationProblem) -> np.ndarray:
    """(B, N) where methods that only decide powers begin.

    The heaviest matching of alone rates in every cell; the others on their best own sub-channel or, where devices must
    transmit, all on the one that the Hungarian allocator sacrifices.
    """
    if not problem.may_idle:
        return hungarian(problem).allocation.subchannel
    matched = match(problem, problem.alone_rate_bps())
    return np.where(matched >= 0, matched, problem.own_gain.argmax(-1))


SOLVERS: Mapping[str, Solve] = {
    "hungarian": lambda problem, rng: hungarian(problem),
    "greedy": lambda problem, rng: greedy(problem),
    "best-response": lambda problem, rng: best_response(problem),
    "icm": lambda problem, rng: qubo_icm(problem),
    "one-hot-annealing": qubo_annealing,
    "sca": lambda problem, rng: sca(problem, matched_subchannel(problem)),
    "sca-random": lambda problem, rng: sca(problem, matched_subchannel(problem), "random", rng),
    "sca-alternating": lambda problem, rng: alternating_sca(problem, "marginal"),
    "sca-matching": lambda problem, rng: alternating_sca(problem, "matching"),
    "sca-relaxed": lambda problem, rng: relaxed_sca(problem),
    "wmmse": lambda problem, rng: wmmse(problem, matched_subchannel(problem)),
    "fp": lambda problem, rng: fp(problem, matched_subchannel(problem)),
    "fp-matching": lambda problem, rng: fp_matching(problem),
}

NEEDS_IDLE = frozenset({"fp-matching"})
"""Those without an answer where every device must transmit."""
