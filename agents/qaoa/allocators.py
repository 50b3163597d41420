"""QAOA allocators and their honest controls, as competitors. All circuits are classically simulated."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from agents.qaoa.account import CircuitAccount
from agents.qaoa.angles import Angles, linear_ramp, transferred
from agents.qaoa.blocks import descend
from agents.qaoa.one_hot import OneHotQAOA
from agents.qaoa.one_shot import one_shot, recursive, uniform_shots
from agents.qaoa.tuning import OnlineAngles
from baselines.allocation.problem import Allocation, AllocationProblem
from qfl_envs.competitor import Cost, Kind, Rule
from qfl_envs.system.decision import Decision
from qfl_envs.view import NetworkView


class Allocator(Rule):
    """Base: reads the problem, keeps account of circuits and shots.

    Attributes:
        num_angles: Angles of its circuits.
    """

    kind: Kind = "quantum"
    environments: ClassVar[tuple[str, ...]] = ("qfl/Allocation-v0",)
    num_angles: ClassVar[int] = 0

    def __init__(self) -> None:
        """Begin with no circuit run."""
        super().__init__()
        self._account = CircuitAccount()

    def decide(self, view: NetworkView) -> Decision:
        """Allocate for the largest sum-rate.

        Raises:
            InvalidValueError: Where devices on one sub-channel take turns.
        """
        problem = AllocationProblem.from_view(view, self.env.task.allow_idle)
        problem.require_interference(self.name)
        allocation = self.allocate(problem)
        self._account.end_decision(view.scenario.fleet)
        return allocation.decision(view.scenario.radio)

    @abstractmethod
    def allocate(self, problem: AllocationProblem) -> Allocation:
        """The allocation of one instance; counts what it runs by :meth:`ran`."""

    def ran(self, circuits: int, shots: int) -> None:
        """Count circuits of some shots each."""
        self._account.ran(circuits, shots)

    def cost(self) -> Cost:
        """Per decision; the processor is the fleet's, with the geometric mean of its seconds per shot."""
        return self._account.cost(self._decisions, self._seconds, self.num_angles)


class OneShot(Allocator):
    """QAOA in one shot: one circuit of depth one on all devices, with transferred angles, read out once. Simulated.

    On every sub-channel the device is fixed that its shots show there most often; with the others as some shot has
    them, or all as one shot has them, whatever is best after power control.
    """

    name = "qaoa-one-shot"
    num_angles = 2
    shots_per_device: ClassVar[int] = 25

    @classmethod
    def budget(cls, problem: AllocationProblem) -> int:
        """Shots: the more devices, the less the cost, whose deviation they all add to, says about one of them."""
        return cls.shots_per_device * problem.num_devices

    def allocate(self, problem: AllocationProblem) -> Allocation:
        """One circuit."""
        shots = self.budget(problem)
        self.ran(1, shots)
        return one_shot(problem, transferred("one-shot", 1, problem.num_subchannels), shots, self.rng)


class UniformShots(Allocator):
    """Control of qaoa-one-shot: as many uniform shots, read out in the same way, and no circuit."""

    name = "uniform-shots"
    kind = "classical"

    def allocate(self, problem: AllocationProblem) -> Allocation:
        """No circuit."""
        return uniform_shots(problem, OneShot.budget(problem), self.rng)


class Recursive(Allocator):
    """Recursive QAOA: depth one; the most certain devices are fixed, and the rest asked again. Simulated."""

    name = "qaoa-recursive"
    by_default = False  # it simulates many circuits a round
    num_angles = 2
    shots = 2000
    circuits_wanted = 5

    def allocate(self, problem: AllocationProblem) -> Allocation:
        """Fix so many devices at a time that all sub-channels are taken after about as many circuits as wanted."""
        chunk = -(-problem.num_cells * problem.num_subchannels // self.circuits_wanted)
        allocation, circuits = recursive(problem, self.angles(problem), self.shots, self.rng, chunk)
        self.ran(circuits, self.shots)
        return allocation

    def angles(self, problem: AllocationProblem) -> Angles | None:
        """Of the circuits."""
        return transferred("recursive", 1, problem.num_subchannels)


class RecursiveUniform(Recursive):
    """Control of qaoa-recursive: as many uniform shots in place of each circuit's, and no circuit."""

    name = "recursive-uniform"
    kind = "classical"
    num_angles = 0

    def angles(self, problem: AllocationProblem) -> None:
        """No circuit."""
        return None

    def ran(self, circuits: int, shots: int) -> None:
        """Count no circuits."""


class Block(Allocator):
    """QAOA in block coordinate descent: circuits on a few devices at a time, with transferred angles. Simulated.

    A block has as many devices, up to five, as leave it with no more than 10,000 choices: five of `small`, three of
    `paper`.
    """

    name = "qaoa-block"
    by_default = False  # it simulates many circuits a round
    depth: ClassVar[int] = 3
    num_angles = 6
    most_devices: ClassVar[int] = 5
    most_choices: ClassVar[int] = 10_000
    sweeps: ClassVar[int] = 4
    shots: ClassVar[int] = 64

    def allocate(self, problem: AllocationProblem) -> Allocation:
        """Four sweeps; the controls deal the same blocks, whatever they draw themselves."""
        return self.descend(problem)

    def descend(
        self, problem: AllocationProblem, after_sweep: Callable[[Allocation], object] | None = None
    ) -> Allocation:
        """The same, told of after every sweep."""
        (dealer,) = self.rng.spawn(1)
        return descend(problem, self.solve, dealer, self.block_size(problem), self.sweeps, after_sweep)

    def block_size(self, problem: AllocationProblem) -> int:
        """Devices of a block."""
        options = problem.num_subchannels + problem.may_idle
        return max(m for m in range(1, self.most_devices + 1) if m == 1 or options**m <= self.most_choices)

    def angles(self, options: int) -> Angles:
        """Of the circuits."""
        return transferred("block", self.depth, options)

    def solve(self, cost: np.ndarray) -> np.ndarray:
        """The best of the shots."""
        self.ran(1, self.shots)
        choice, _ = OneHotQAOA(cost).best_of_shots(self.angles(cost.shape[1]), self.shots, [self.rng])
        return choice[0]


class BlockUniform(Block):
    """Control of qaoa-block: as many uniform shots in every block, and no circuit."""

    name = "block-uniform"
    kind = "classical"
    num_angles = 0

    def solve(self, cost: np.ndarray) -> np.ndarray:
        """The best of uniform choices."""
        drawn = self.rng.integers(cost.shape[1], size=(self.shots, cost.ndim - 1))
        return drawn[cost[0][tuple(drawn.T)].argmin()]


class BlockExact(Block):
    """Control of qaoa-block: the exact best choice of every block, by enumeration."""

    name = "block-exact"
    kind = "classical"
    num_angles = 0

    def solve(self, cost: np.ndarray) -> np.ndarray:
        """The best of all choices."""
        return np.array(np.unravel_index(cost.argmin(), cost.shape[1:]))


class Online(Block):
    """QAOA in blocks whose angles begin as a ramp and go on from round to round, a gradient step a sweep. Simulated.

    A slope is counted as central differences: two circuits of its own for each angle, of as many shots.
    """

    name = "qaoa-online"

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Begin an episode with the ramp."""
        super().reset(env, seed)
        self._online: OnlineAngles | None = None
        self._slopes: list[Angles] = []

    def allocate(self, problem: AllocationProblem) -> Allocation:
        """Four sweeps, each about as many blocks as slopes make a step."""
        self._slopes_per_step = max(-(-int(problem.available.sum()) // self.block_size(problem)), 1)
        return super().allocate(problem)

    def angles(self, options: int) -> Angles:
        """Those of now."""
        if self._online is None:
            self._online = OnlineAngles(linear_ramp(self.depth, options))
        return self._online.angles

    def solve(self, cost: np.ndarray) -> np.ndarray:
        """The best of the shots; the slope of the mean cost is remembered, and followed once there are enough."""
        choice = super().solve(cost)
        angles = self.angles(cost.shape[1])
        assert self._online is not None
        if np.ptp(cost) > 0:
            self.ran(2 * self.num_angles, self.shots)
            self._slopes.append(OneHotQAOA(cost).gradient(angles)[1])
        if len(self._slopes) >= self._slopes_per_step:
            gamma, beta = (np.mean([getattr(slope, name) for slope in self._slopes], 0) for name in ("gamma", "beta"))
            self._online.step(Angles(gamma, beta))
            self._slopes.clear()
        return choice
