"""The solvers as competitors of ``qfl/Allocation-v0``: each maximises the sum-rate of the round and nothing else."""

from __future__ import annotations

from baselines.allocation.alternating import alternating_sca
from baselines.allocation.best_response import best_response
from baselines.allocation.problem import Allocation, AllocationProblem
from baselines.allocation.solvers import SOLVERS
from qfl_envs.competitor import Rule
from qfl_envs.system.decision import Decision
from qfl_envs.system.network.radio import dbm_to_w
from qfl_envs.view import NetworkView

UNCHANGED = 1e-9
"""Relative change of the sum-rate at which an alternation has come to its end."""


class Allocator(Rule):
    """A competitor that solves the allocation problem which the observation shows.

    The environment has discrete power levels and takes the closest. All allocators have the same pure sum-rate as their
    aim, and in one cell none has more than ``hungarian``, which alone competes where nobody is named.
    """

    environments = ("qfl/Allocation-v0",)
    by_default = False

    def decide(self, view: NetworkView) -> Decision:
        """The solver's allocation."""
        problem = AllocationProblem.from_view(view, self.env.task.allow_idle)
        return self.allocate(problem).decision(problem.radio)

    def allocate(self, problem: AllocationProblem) -> Allocation:
        """The allocation of one instance."""
        return SOLVERS[self.name](problem, self.rng).allocation


class Hungarian(Allocator):
    """One device to each sub-channel of a cell by the Hungarian method, then exact on/off power.

    In one cell it is very close to the bound, exactly optimal among one device per sub-channel. Several cells are
    solved one by one, blind to each other. Where devices may not idle, one sub-channel is sacrificed to all that have
    none of their own.
    """

    name = "hungarian"
    by_default = True


class Greedy(Allocator):
    """One device after the other, the one that raises the exact sum-rate most; nothing is taken back. Any cells."""

    name = "greedy"


class BestResponse(Allocator):
    """Each device in turn takes its best sub-channel and power level by the exact sum-rate.

    It ends where no device alone can gain, and never exchanges two. Any cells.
    """

    name = "best-response"

    def allocate(self, problem: AllocationProblem) -> Allocation:
        """With the environment's own levels."""
        return best_response(problem, dbm_to_w(self.env.task.power_levels_dbm).tolist()).allocation


class IteratedConditionalModes(Allocator):
    """The one-hot QUBO by iterated conditional modes, then powers by SCA.

    Any cells. Weak where devices may not idle, as the QUBO counts interference in pairs.
    """

    name = "icm"


class OneHotAnnealing(Allocator):
    """The one-hot QUBO by simulated annealing with exchanges, then powers by SCA.

    Any cells; slow. Weak where devices may not idle, as the QUBO counts interference in pairs.
    """

    name = "one-hot-annealing"


class SCA(Allocator):
    """SCA on powers from the most power, on the Hungarian matching and every other device's best own sub-channel.

    The assignment is not touched. Every iteration has a closed form. Any cells.
    """

    name = "sca"


class AlternatingSCA(Allocator):
    """Up to 150 alternations of sub-channels by marginal rates and an SCA iteration on powers, from the most power.

    It begins with every device on its best own sub-channel, not with a matching, and ends where nothing changes. Any
    cells; slow.
    """

    name = "sca-alternating"

    def allocate(self, problem: AllocationProblem) -> Allocation:
        """The end of the alternations."""
        return alternating_sca(problem, "marginal", tolerance=UNCHANGED).allocation


class MatchingSCA(Allocator):
    """Up to 150 alternations of a matching by rates under the present interference and an SCA iteration on powers.

    In one cell the matching is that of the Hungarian allocator, at once. Any cells. Weak where devices may not idle:
    those without a match stay on their best own sub-channel.
    """

    name = "sca-matching"

    def allocate(self, problem: AllocationProblem) -> Allocation:
        """The end of the alternations."""
        return alternating_sca(problem, "matching", tolerance=UNCHANGED).allocation


class RelaxedSCA(Allocator):
    """SCA of relaxed assignments, rounded at the end: the weak form, kept to trace claimed gains. Any cells."""

    name = "sca-relaxed"


class WMMSE(Allocator):
    """WMMSE powers from the most power, on the Hungarian matching and every other device's best own sub-channel.

    The assignment is not touched. Any cells.
    """

    name = "wmmse"


class FractionalProgramming(Allocator):
    """FP powers from the most power, on the Hungarian matching and every other device's best own sub-channel.

    The assignment is not touched. Any cells.
    """

    name = "fp"


class MatchingFractionalProgramming(Allocator):
    """FP of powers and schedule, one device per sub-channel and cell by matching.

    Made for several cells. Devices must be allowed to idle.
    """

    name = "fp-matching"
