"""An oracle: it tries plans out on copies of the system, with the random numbers that will come true.

All randomness of a round is drawn after the decision, in an amount that does not depend on it. So whoever holds the
generator knows what every sequence of decisions leads to; only how many of them can be tried is limited. The oracle
plays the best plan found so far, and every few rounds looks for a better way to go on from there. What it has planned
it gets, so it is never worse than the best plan at the start: a rollout with many base policies (Bertsekas 2020,
"Rollout, Policy Iteration, and Distributed Reinforcement Learning").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

import baselines
from baselines.adaptation import Phases
from baselines.protection import ProtectionPhases
from baselines.selection.age_and_speed import AgeAndSpeed
from qfl_envs.competitor import Competitor, Kind, Rule
from qfl_envs.envs.task import Task
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.learning.adaptation import Adaptation

PATIENCE = 2.0
"""How many times as many rounds as the present plan has left another one may take."""


@dataclass
class Plan:
    """Actions from now on, and the rewards that they will bring."""

    actions: list[Any]
    rewards: list[float]

    @property
    def value(self) -> float:
        """Sum of the rewards."""
        return sum(self.rewards)

    def pop(self) -> Any:
        """Take off the first action."""
        del self.rewards[0]
        return self.actions.pop(0)


def try_out(task: Task, system: FederatedSystem, rules: Sequence[Rule], longest: int) -> Plan | None:
    """The best of several rules, each on a copy of a single system until the episode ends.

    Args:
        task: What they decide and what is rewarded.
        system: A batch of one, which is left as it is.
        rules: Ready to play.
        longest: Rounds after which a plan is given up. Many short rounds can be better than few long ones, so that a
            tight limit loses good plans.

    Returns:
        What the best rule did; None if no episode ended in time.
    """
    plans, finished = [Plan([], []) for _ in rules], []
    running, copies = list(range(len(rules))), system.branch([0] * len(rules))
    for _ in range(longest):
        observed = task.observe(copies)
        for row, of in enumerate(running):
            plans[of].actions.append(rules[of].choose({name: array[row] for name, array in observed.items()}))
        report = copies.step(task.decide(copies, np.array([plans[of].actions[-1] for of in running])))
        outcome = task.judge(copies, report)
        reward = sum(task.weights[name] * term for name, term in outcome.terms.items())
        for of, gained in zip(running, np.asarray(reward), strict=True):
            plans[of].rewards.append(float(gained))
        ended = outcome.terminated | outcome.truncated
        finished += [plans[running[row]] for row in np.flatnonzero(ended)]
        if ended.all():
            break
        if ended.any():
            going_on = np.flatnonzero(~ended)
            copies, running = copies.branch(going_on), [running[row] for row in going_on]
    return max(finished, key=lambda plan: plan.value, default=None)


class Oracle(Competitor):
    """Sees the future: tries many plans on copies of the system and plays the one that will turn out best."""

    name = "oracle"
    kind: Kind = "privileged"
    by_default = False
    environments = (
        "qfl/Allocation-v0",
        "qfl/Scheduling-v0",
        "qfl/StragglerFairness-v0",
        "qfl/Drift-v0",
        "qfl/Security-v0",
    )
    variations: ClassVar[int] = 8
    """Plans that are tried in each search beside those of the rules, which are tried at the start."""
    every: ClassVar[int] = 5
    """Rounds between two searches; twice as many where episodes last until the last round, and plans as well."""

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Forget the plan of another episode."""
        super().reset(env, seed)
        self._plan: Plan | None = None
        self._round = 0

    def choose(self, observation: dict[str, np.ndarray]) -> Any:
        """The next action of the best plan known; the observation is not needed."""
        # learned quantities of copies agree to float tolerance, so that an episode may outlast its plan
        if self._plan is None or not self._plan.actions:
            self._plan = self._search(self._rules(), self.env.scenario.max_rounds)
            assert self._plan is not None
        elif self._round % (self.every if self.env.task.ends_at_target else 2 * self.every) == 0:
            other = self._search([], int(PATIENCE * len(self._plan.actions)) + 1)
            if other is not None and other.value > self._plan.value:
                self._plan = other
        self._round += 1
        return self._plan.pop()

    def _rules(self) -> list[Rule]:
        """All rules that see no more than they are shown."""
        env_id = self.env.spec.id
        made = [baselines.make(name) for name in baselines.names()]
        return [
            one
            for one in made
            if isinstance(one, Rule) and one.kind != "privileged" and one.by_default and one.supports(env_id)
        ]

    def _search(self, rules: list[Rule], longest: int) -> Plan | None:
        """The best of some rules, and of random variations of the strongest."""
        rules = [*rules, *(self._variation() for _ in range(self.variations))]
        for rule in rules:
            rule.reset(self.env, int(self.rng.integers(2**32)))
        return try_out(self.env.task, self.env.system, rules, longest)

    def _variation(self) -> Rule:
        """Another way to go on."""
        task = self.env.task
        if task.protects:
            return _protections(self.rng, task.options)
        return _adaptations(self.rng) if task.adapts else _selections(self.rng)


def _selections(rng: np.random.Generator) -> Rule:
    """A rule by age and speed with other settings and some noise."""
    return AgeAndSpeed(
        occupancy=rng.uniform(0.4, 1.6),
        age_exponent=rng.uniform(0.5, 2.5),
        loss_exponent=rng.uniform(0.0, 3.0),
        local_steps=int(rng.integers(1, 3)),
        jitter=rng.uniform(0.0, 1.0),
    )


def _adaptations(rng: np.random.Generator) -> Rule:
    """Another way to adapt for a while, then the usual one; the costly kinds seldom, and for a round or two."""
    kind = Adaptation(int(rng.choice(4, p=[0.4, 0.4, 0.1, 0.1])))
    costly = kind in (Adaptation.RETRAIN, Adaptation.REOPTIMISE)
    return Phases(
        kind=kind,
        share=float(rng.choice([0.0, 0.25, 1.0], p=[0.2, 0.5, 0.3])),
        rounds=int(rng.integers(1, 3 if costly else 11)),
    )


def _protections(rng: np.random.Generator, options: Mapping[str, Sequence[str]]) -> Rule:
    """Any protection for a while, then what the alarms ask for."""
    first = {part: names[int(rng.integers(len(names)))] for part, names in options.items()}
    return ProtectionPhases(first, rounds=int(rng.integers(1, 11)), signs_for=int(rng.integers(1, 11)))
