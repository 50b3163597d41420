"""A federated system some of whose devices are hostile, and whose server may screen updates and merge them robustly.

Without an adversary and a defence it is the system that it derives from, bit for bit: only what is asked for draws
random numbers, after all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.learning.aggregation import Updates
from qfl_envs.system.learning.shapes import kept_parameters
from qfl_envs.system.learning.work import LocalResult, LocalWork
from qfl_envs.system.random import RowRandom
from qfl_envs.system.security.attacks import UPDATE_ATTACKS, USUAL_STRENGTH, attacker_mask, flipped, tamper
from qfl_envs.system.security.robust import RULES, gather, merge
from qfl_envs.system.security.screening import screen

if TYPE_CHECKING:
    from qfl_envs.system.federation import _Round
    from qfl_envs.system.state import SystemState

KINDS = (*UPDATE_ATTACKS, "label-flip")


@dataclass(frozen=True)
class Adversary:
    """Who attacks, and how.

    Attributes:
        kind: One of :data:`KINDS`.
        share: Of all devices, drawn anew in every episode; rounded down.
        strength: As :func:`~qfl_envs.system.security.attacks.tamper` takes it; None for the usual one.
    """

    kind: str = "none"
    share: float = 0.0
    strength: float | None = None

    def __post_init__(self) -> None:
        """Refuse what does not exist.

        Raises:
            InvalidValueError: For an unknown kind, or a share outside 0 ... 1.
        """
        if self.kind not in KINDS:
            raise InvalidValueError("kind", self.kind, KINDS)
        if not 0.0 <= self.share <= 1.0:
            raise InvalidValueError("share", self.share, "from 0 to 1")

    @property
    def acts(self) -> bool:
        """Whether there is any."""
        return self.kind != "none" and self.share > 0.0


@dataclass(frozen=True)
class Defence:
    """What the server does against it.

    Attributes:
        rule: One of :data:`~qfl_envs.system.security.robust.RULES`, or None for the scenario's own mean.
        attackers: Share of a round's updates that may be hostile, f of the rule; rounded up.
        clip_norm: Longest update that clipping rules leave as it is.
        longest: Longest update that is not thrown away at once; None to look at none.
    """

    rule: str | None = None
    attackers: float = 0.3
    clip_norm: float = 1.0
    longest: float | None = None

    def __post_init__(self) -> None:
        """Refuse what does not exist.

        Raises:
            InvalidValueError: For an unknown rule, or a share outside 0 ... 1.
        """
        if self.rule is not None and self.rule not in RULES:
            raise InvalidValueError("rule", self.rule, [*RULES])
        if not 0.0 <= self.attackers <= 1.0:
            raise InvalidValueError("attackers", self.attackers, "from 0 to 1")


class AttackedSystem(FederatedSystem):
    """Systems under attack.

    Attributes:
        hostile: (E, N) bool, hostile devices of this episode.
        not_finite: (E) updates of the last round that were thrown away because they were no numbers.
        too_long: (E) likewise, because they were longer than the defence allows.
        failed: (E) bool, where the last round had too few updates for its rule, so that the model is the old one.
    """

    def __init__(
        self,
        scenario: Scenario,
        num_systems: int = 1,
        adversary: Adversary | None = None,
        defence: Defence | None = None,
    ) -> None:
        """Prepare the systems.

        Args:
            scenario: What each system is; its server must merge the updates of a round in that round.
            num_systems: How many run side by side.
            adversary: None for no attack.
            defence: None for none.

        Raises:
            InvalidValueError: For a scenario whose updates are merged in later rounds, or whose rule of the server
                needs more of them than their merged update.
        """
        super().__init__(scenario, num_systems)
        self.adversary, self.defence = adversary or Adversary(), defence or Defence()
        if scenario.goes_on or scenario.learning.server_rule not in ("fedadam", "fedavg"):
            raise InvalidValueError(
                "learning.server_rule", scenario.learning.server_rule, "'fedadam' or 'fedavg', merged in the round"
            )
        self.hostile = np.zeros((num_systems, scenario.num_devices), dtype=bool)
        self._forget()

    def _forget(self) -> None:
        self.not_finite, self.too_long = np.zeros((2, self.num_systems), dtype=np.int64)
        self.failed = np.zeros(self.num_systems, dtype=bool)

    def reset(self, generators: Sequence[np.random.Generator], rows: np.ndarray | None = None) -> None:
        """Begin new episodes, each with hostile devices of its own."""
        super().reset(generators, rows)
        if self.adversary.acts:
            drawn = RowRandom(generators).uniform(hostile=(self.scenario.num_devices,))["hostile"]
            chosen = slice(None) if rows is None else rows
            self.hostile[chosen] = attacker_mask(drawn, self.adversary.share)

    def _learn(self, state: SystemState, work: _Round) -> None:
        """Hostile devices of a label flip train on other labels."""
        super()._learn(state, work)
        liars = work.trains & self.hostile
        if self.adversary.kind != "label-flip" or self.learner is None or work.result is None or not liars.any():
            return
        lying = replace(state, label_map=flipped(state.label_map, self.learner.data.num_classes))
        learned = self.learner.train(
            lying, LocalWork(liars, work.local_steps, work.adaptation, work.drifted, work.uniform, work.normal)
        )
        updates = work.result.updates
        change = updates.change.copy()
        change[self.hostile[updates.row, updates.device]] = learned.updates.change
        work.result = replace(work.result, updates=Updates(updates.row, updates.device, change))

    def _attack(self, work: _Round) -> None:
        """6. Hostile devices send something else than what they learned."""
        self._forget()
        if not self.adversary.acts or self.adversary.kind == "label-flip" or work.result is None:
            return
        kind, updates = self.adversary.kind, work.result.updates
        normal = np.zeros((len(updates), 0))
        if kind == "gaussian":
            shape = self.scenario.num_devices, kept_parameters(self.scenario)
            normal = RowRandom(self.generators).normal(noise=shape)["noise"][updates.row, updates.device]
        strength = USUAL_STRENGTH[kind] if self.adversary.strength is None else self.adversary.strength
        hostile = self.hostile[updates.row, updates.device]
        sent = tamper(kind, updates, hostile, self.num_systems, strength, normal)
        work.result = replace(work.result, updates=sent)

    def _aggregate(self, state: SystemState, work: _Round) -> None:
        """7. The server throws away what is no update, and merges the rest by its rule."""
        if work.result is not None:
            work.result = self._merged(state, self._screened(work.result))
        super()._aggregate(state, work)

    def _screened(self, result: LocalResult) -> LocalResult:
        if self.defence.longest is None:
            return result
        seen = screen(result.updates, self.defence.longest, self.num_systems)
        self.not_finite, self.too_long = seen.not_finite, seen.too_long
        return _only(result, seen.passed)

    def _merged(self, state: SystemState, result: LocalResult) -> LocalResult:
        """One update per system in which the rule stands the attackers that are assumed."""
        if self.defence.rule is None:
            return result
        gathered = gather(result.updates, self.server.weights(state, result), self.num_systems)
        update, self.failed = np.zeros((self.num_systems, result.updates.change.shape[1])), self.failed.copy()
        assumed = np.ceil(self.defence.attackers * gathered.count - 1e-9).astype(np.int64)
        for attackers in np.unique(assumed):
            rows = np.flatnonzero(assumed == attackers)
            of_rows = type(gathered)(gathered.change[rows], gathered.weight[rows], gathered.heard[rows])
            merged = merge(self.defence.rule, of_rows, int(attackers), self.defence.clip_norm)
            update[rows], self.failed[rows] = merged.update, merged.failed
        heard = np.flatnonzero((gathered.count > 0) & ~self.failed)
        first = np.searchsorted(result.updates.row, heard)
        return replace(
            _only(result, first),
            updates=Updates(heard, result.updates.device[first], update[heard].astype(result.updates.change.dtype)),
        )


def _only(result: LocalResult, chosen: np.ndarray) -> LocalResult:
    """The result of some of the devices."""
    updates = result.updates
    return replace(
        result,
        updates=Updates(updates.row[chosen], updates.device[chosen], updates.change[chosen]),
        steps=result.steps[chosen],
        rate=result.rate[chosen],
        losses=None if result.losses is None else result.losses[chosen],
    )
