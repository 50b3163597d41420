"""QAOA that chooses who takes part: one qubit a device, and a quadratic energy of how many, who, and how long.

What is wanted is the set S of at most k devices of the greatest sum of values per second of a round, which lasts as
long as its slowest. ``age-and-speed`` finds it exactly, by sorting; here it is cast as a QUBO as far as it is one. At a
price p of a second (Dinkelbach 1967, Management Science 13(7)) the set of the greatest ratio is that of the least

    p max_{i in S} seconds_i - sum_{i in S} value_i,

if p is that ratio, so that a first circuit at a guessed price finds the price of the second. The maximum is no sum over
pairs: its least-squares projection onto terms of one and two devices stands for it, with every device in the set with
the probability k / M. A term (|S| - k)^2 keeps the number about right. Circuits of depth one start with the same
probability, and their exact marginals are drawn from, as in :mod:`agents.qaoa.one_shot`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from agents.qaoa.account import CircuitAccount
from agents.qaoa.angles import Angles, transferred
from agents.qaoa.marginals import marginals
from agents.qaoa.projection import project
from baselines.allocation.icm import icm
from baselines.allocation.one_hot import OneHotQuadratic
from baselines.selection.age_and_speed import AgeAndSpeed
from qfl_envs.competitor import Cost, Kind
from qfl_envs.system.decision import Decision
from qfl_envs.view import NetworkView

WORK, IDLE = 0, 1
"""The two options of a device."""


@dataclass(frozen=True)
class SelectionProblem:
    """Which of M devices take part.

    Attributes:
        value: (M) positive.
        seconds: (M) positive.
        most: Participants at most, k.
    """

    value: np.ndarray
    seconds: np.ndarray
    most: int

    @property
    def probability(self) -> float:
        """With which a device is in a set of about k, at most one half."""
        return min(self.most / len(self.value), 0.5)

    def trimmed(self, chosen: np.ndarray) -> np.ndarray:
        """Sets (S, M) without those of least value where they are more than k; the quickest device for nobody."""
        worth = np.where(chosen, self.value, -1.0)
        rank = np.argsort(np.argsort(-worth, axis=-1, kind="stable"), axis=-1)
        kept = chosen & (rank < self.most)
        kept[~kept.any(-1), self.seconds.argmin()] = True
        return kept

    def ratio(self, chosen: np.ndarray) -> np.ndarray:
        """Value per second (S) of sets (S, M) that are not empty."""
        return (chosen * self.value).sum(-1) / (chosen * self.seconds).max(-1)

    def guessed_price(self) -> float:
        """The ratio of the k quickest."""
        quickest = np.argsort(self.seconds, kind="stable")[: self.most]
        return float(self.ratio(np.isin(np.arange(len(self.value)), quickest)[None])[0])

    def qubo(self, price: float) -> OneHotQuadratic:
        """The energy at a price of a second, of options to work and to idle, in units of the mean of the k best values.

        Idling has no energy.
        """
        unit = np.sort(self.value)[-self.most :].mean()
        alone, both = project(price * self.seconds[:, None] / unit, self.probability)
        wanted = min(self.most, len(self.value))
        # (|S| - k)^2 / 2: one device more than k costs half a good device, two cost two
        linear = -self.value / unit - alone[:, 0] + 0.5 * (1 - 2 * wanted)
        pair = 1.0 - both[..., 0]
        np.fill_diagonal(pair, 0.0)
        nothing = np.zeros_like
        return OneHotQuadratic(np.stack([linear, nothing(linear)], -1)[None], np.stack([pair, nothing(pair)], -1)[None])


def probabilities(problem: SelectionProblem, price: float, angles: Angles) -> np.ndarray:
    """Probability (M) with which a circuit of depth one measures that a device works."""
    start = np.empty((1, len(problem.value), 2))
    start[..., WORK], start[..., IDLE] = problem.probability, 1 - problem.probability
    found: np.ndarray = marginals(problem.qubo(price), angles, start)[0, :, WORK]
    return found


def best_of(problem: SelectionProblem, working: np.ndarray, shots: int, rng: np.random.Generator) -> np.ndarray:
    """The set (M) of greatest value per second among shots in which devices work with probabilities (M)."""
    drawn = problem.trimmed(rng.random((shots, len(working))) < working)
    best: np.ndarray = drawn[problem.ratio(drawn).argmax()]
    return best


def best_by_price(problem: SelectionProblem, set_at: Callable[[float], np.ndarray], times: int) -> np.ndarray:
    """The best of some sets (M), each found at a price; that of one sets the price of the next, where it is higher."""
    price, sets = problem.guessed_price(), []
    for _ in range(times):
        sets.append(set_at(price))
        price = max(price, float(problem.ratio(sets[-1][None])[0]))
    found = np.stack(sets)
    best: np.ndarray = found[problem.ratio(found).argmax()]
    return best


class Scheduling(AgeAndSpeed):
    """Who takes part by two circuits of depth one on all devices, with transferred angles; best of shots. Simulated.

    Values, seconds and local steps are those of ``age-and-speed``, which solves the same problem exactly.
    """

    name = "qaoa-scheduling"
    kind: Kind = "quantum"
    by_default = False  # its exact control competes already
    environments: ClassVar[tuple[str, ...]] = ("qfl/Scheduling-v0",)
    circuits: ClassVar[int] = 2
    shots: ClassVar[int] = 50

    def __init__(self) -> None:
        """Begin with no circuit run."""
        super().__init__()
        self._account = CircuitAccount()

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Take the angles."""
        super().reset(env, seed)
        self._angles = transferred("scheduling", 1, 2)

    def decide(self, view: NetworkView) -> Decision:
        """Decide, and count the time of the processor."""
        decision = super().decide(view)
        self._account.end_decision(view.scenario.fleet)
        return decision

    def best_set(self, value: np.ndarray, seconds: np.ndarray, most: int) -> np.ndarray:
        """The best shot; that of the first circuit sets the price for the second."""
        problem = SelectionProblem(value, seconds, most)

        def shot(price: float) -> np.ndarray:
            self._account.ran(1, self.shots)
            return best_of(problem, probabilities(problem, price, self._angles), self.shots, self.rng)

        return best_by_price(problem, shot, self.circuits)

    def cost(self) -> Cost:
        """Per decision; the processor is the fleet's, with the geometric mean of its seconds per shot."""
        return self._account.cost(self._decisions, self._seconds, 2 if self._account.circuits else 0)


class UniformScheduling(Scheduling):
    """Control of qaoa-scheduling: as many shots in which all devices work with equal probability, and no circuit."""

    name = "uniform-scheduling"
    kind = "classical"

    def best_set(self, value: np.ndarray, seconds: np.ndarray, most: int) -> np.ndarray:
        """The best shot."""
        problem = SelectionProblem(value, seconds, most)
        working = np.full(len(value), problem.probability)
        return best_of(problem, working, self.circuits * self.shots, self.rng)


class GreedyScheduling(Scheduling):
    """Control of qaoa-scheduling: descent on the same QUBOs by iterated conditional modes, from nobody, no circuit."""

    name = "greedy-scheduling"
    kind = "classical"

    def best_set(self, value: np.ndarray, seconds: np.ndarray, most: int) -> np.ndarray:
        """The best of the local minima; that of the first price sets the second."""
        problem = SelectionProblem(value, seconds, most)

        def minimum(price: float) -> np.ndarray:
            *_, choice = icm(problem.qubo(price))
            found: np.ndarray = problem.trimmed(choice == WORK)[0]
            return found

        return best_by_price(problem, minimum, self.circuits)
