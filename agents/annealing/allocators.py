"""Annealers as competitors of ``qfl/Allocation-v0``, on the quadratic problem that ``icm`` solves too.

All are classical computations, those named quantum as well; what a quantum annealer would take is not modelled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from agents.annealing.one_hot import UNDRIVEN, penalty_sqa, sqa
from agents.annealing.samplers import make_sampler, sample
from baselines.allocation.competitors import Allocator
from baselines.allocation.icm import icm
from baselines.allocation.one_hot import OneHotQuadratic
from baselines.allocation.problem import Allocation, AllocationProblem
from baselines.allocation.qubo import by_qubo


class Annealer(Allocator):
    """Base: minimises the one-hot quadratic problem, then powers by SCA."""

    def allocate(self, problem: AllocationProblem) -> Allocation:
        """What the annealer chose, moved to a local minimum by iterated conditional modes, with good powers."""
        return by_qubo(problem, self._minimise).allocation

    def _minimise(self, quadratic: OneHotQuadratic) -> Iterator[np.ndarray]:
        yield from icm(quadratic, self.anneal(quadratic))

    def anneal(self, quadratic: OneHotQuadratic) -> np.ndarray:
        """A choice (B, M)."""
        raise NotImplementedError


class QuantumAnnealing(Annealer):
    """The one-hot QUBO by simulated quantum annealing that never leaves the one-hot space, then powers by SCA."""

    name = "sqa"

    def anneal(self, quadratic: OneHotQuadratic) -> np.ndarray:
        """One run."""
        return sqa(quadratic, self.rng)


class Undriven(Annealer):
    """Control of sqa: as many moves of the same kinds at a fixed temperature, without a quantum driver."""

    name = "sqa-undriven"

    def anneal(self, quadratic: OneHotQuadratic) -> np.ndarray:
        """One run."""
        return sqa(quadratic, self.rng, UNDRIVEN)


class PenaltyAnnealing(Annealer):
    """Simulated quantum annealing of the plain QUBO of bits with penalties: what sqa gains by going without them."""

    name = "sqa-penalty"

    def anneal(self, quadratic: OneHotQuadratic) -> np.ndarray:
        """One run."""
        return penalty_sqa(quadratic, self.rng)


class DWaveAnnealing(Annealer):
    """The plain QUBO with penalties by simulated annealing of dwave-samplers, the best of ten reads."""

    name = "dwave-sa"
    reads: ClassVar[int] = 10
    sweeps: ClassVar[int] = 1000

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Look for the sampler.

        Raises:
            MissingExtraError: Where dwave-samplers is not installed.
        """
        super().reset(env, seed)
        make_sampler(self.name)

    def anneal(self, quadratic: OneHotQuadratic) -> np.ndarray:
        """The best read."""
        return sample(self.name, quadratic, self.reads, self.sweeps, self.rng)


class DWaveQuantumAnnealing(DWaveAnnealing):
    """The plain QUBO with penalties by path-integral annealing of dwave-samplers, the best of ten reads."""

    name = "dwave-sqa"
