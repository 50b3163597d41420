"""What security adds to a round, in its order: draw, choose, protect, poison, send, merge, move on.

A system has a guard where its scenario has threats or protection, or where decisions choose protection; without one,
its rounds are as if none of this existed, bit for bit. A guard draws its random numbers after all others, always as
many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from qfl_envs.scenario import Scenario
from qfl_envs.security import DATA_ATTACKS, UPDATE_ATTACKS
from qfl_envs.system import devices
from qfl_envs.system.learning.aggregation import Updates, weighted_mean_update
from qfl_envs.system.learning.shapes import kept_parameters
from qfl_envs.system.learning.work import LocalLearner, LocalResult, LocalWork, Shapes
from qfl_envs.system.random import RowRandom
from qfl_envs.system.security import threats
from qfl_envs.system.security.attacks import USUAL_STRENGTH, attacker_mask, tamper
from qfl_envs.system.security.choices import Choices
from qfl_envs.system.security.exposure import authentic, expose, forgeable
from qfl_envs.system.security.key_rate import error_rate
from qfl_envs.system.security.mail import Mail, Sent
from qfl_envs.system.security.merging import merge_round, only
from qfl_envs.system.security.round_cost import Groups, RoundCost, air, groups_of_participants, round_cost
from qfl_envs.system.state import SystemState

if TYPE_CHECKING:
    from qfl_envs.system.security.poisoned_data import Poisoner

SIGNS = ("refused", "screened", "failed", "spread", "agreement", "qber")
"""What the server notices in a round: shares of the updates that failed their check and that were screened; whether
none could be merged; the longest update over the median one; how far updates point the same way (mean cosine with their
sum), both 0 where they are masked; and the mean error rate of the quantum channels that were open."""
POISONING, TAMPERING, EAVESDROPPING, JAMMING, INTRUSION = range(len(threats.THREATS))


@dataclass
class GuardedRound:
    """What the steps of one round hand on to each other, and what is reported of it; (E, N) or (E).

    Attributes:
        choices: How updates are protected.
        refused: (E, N) bool, updates whose check failed.
        screened: (E, N) bool, updates that the server threw away.
        forged: (E, N) bool, replaced updates that were taken for real.
        poisoned: (E, N) bool, updates of hostile devices that were accepted.
        read: (E, N) bool, updates that somebody read.
        recorded: (E, N) bool, updates that somebody keeps until Q-day.
        opened: (E) updates recorded before that are read from now on.
        failed: (E) bool, where updates arrived and none could be merged.
        steered: (E) how far what was merged points away from the honest mean, 0 to 1; 0 where nobody interfered.
        keyless: (E, N) bool, whose pool held too little key.
        qber: (E) mean error rate of the quantum channels that were open.
        attack_success: (E) share of triggered samples that are taken for the target; nan without a backdoor.
    """

    uniform: dict[str, np.ndarray]
    normal: dict[str, np.ndarray]
    choices: Choices
    groups: Groups = field(init=False)
    refused: np.ndarray = field(init=False)
    screened: np.ndarray = field(init=False)
    forged: np.ndarray = field(init=False)
    poisoned: np.ndarray = field(init=False)
    read: np.ndarray = field(init=False)
    recorded: np.ndarray = field(init=False)
    opened: np.ndarray = field(init=False)
    failed: np.ndarray = field(init=False)
    steered: np.ndarray = field(init=False)
    keyless: np.ndarray = field(init=False)
    qber: np.ndarray = field(init=False)
    attack_success: np.ndarray = field(init=False)
    arrived: np.ndarray = field(init=False)
    honest_mean: np.ndarray | None = None
    spread: np.ndarray = field(init=False)
    agreement: np.ndarray = field(init=False)


class Guard:
    """Threats and protection of the systems of one scenario."""

    def __init__(self, scenario: Scenario, num_systems: int) -> None:
        """Prepare it."""
        self.scenario, self.security, self.num_systems = scenario, scenario.security, num_systems
        self.air = air(self.security)
        self.possible = threats.possible(self.security)
        self.poisoner: Poisoner | None = None
        if self.security.attack in DATA_ATTACKS:
            from qfl_envs.system.security.poisoned_data import Poisoner

            self.poisoner = Poisoner(scenario)
        self._mail = Mail(self.security)
        self._parameters = kept_parameters(scenario)

    # what is drawn

    def initial(self, random: RowRandom) -> dict[str, np.ndarray]:
        """What systems remember at the start of an episode, by name of :class:`SystemState`."""
        n, systems = self.scenario.num_devices, len(random.generators)
        uniform = random.uniform(hostile=(n,), threats=(len(threats.THREATS),), q_day=(1,))
        return {
            "hostile": attacker_mask(uniform["hostile"], self.security.attacker_share),
            "threats": threats.at_start(self.security, uniform["threats"]),
            "q_day_round": threats.q_day_round(self.security, uniform["q_day"]),
            "key_bits": np.full((systems, n), self.security.key_pool_bits),
            "exposed": np.zeros((systems, 2)),
            "signs": np.zeros((systems, len(SIGNS))),
        }

    def begin(self, random: RowRandom, choices: Choices | None) -> GuardedRound:
        """Draw all randomness of a round, and take the decision or the scenario's choices."""
        n = self.scenario.num_devices
        shape = (n,)
        uniform = random.uniform(
            signing=shape, tampered=shape, overheard=shape, opened=shape, jammed=shape, threats=(len(threats.THREATS),)
        )
        shapes: Shapes = {}
        if self.security.attack == "gaussian":
            shapes["attack"] = (n, self._parameters)
        if self.security.noise_multiplier > 0.0:
            shapes["privacy"] = (self._parameters,)
        normal = random.normal(**shapes) if shapes else {}
        return GuardedRound(uniform, normal, choices or Choices.usual(self.security, self.num_systems))

    # what protection costs

    def protect(
        self,
        state: SystemState,
        guarded: GuardedRound,
        participate: np.ndarray,
        cpu_hz: np.ndarray,
        distance_m: np.ndarray,
        payload_bits: np.ndarray,
    ) -> tuple[devices.Work, np.ndarray]:
        """Seconds and joules of the participants, and bits that their uploads gain, (E, N) each."""
        guarded.groups = groups_of_participants(participate, self.security.group_size)
        bits_each = self.scenario.learning.bits_per_parameter
        cost: RoundCost = round_cost(
            self.security,
            guarded.choices.signature,
            guarded.choices.key_exchange,
            guarded.choices.secure,
            guarded.groups,
            (payload_bits[:, 0] - self.security.protection_bits) / bits_each,
            bits_each,
            cpu_hz,
            state.key_bits,
            np.where(self._open(state, guarded), self.air.rate_bps(distance_m, self._intercepted(state)), 0.0),
            guarded.uniform["signing"],
        )
        state.key_bits, guarded.keyless = cost.key_bits, cost.keyless
        energy_j = self.scenario.fleet.capacitance * cost.cycles * cpu_hz**2
        return devices.Work(cost.seconds, energy_j), cost.bits

    def _open(self, state: SystemState, guarded: GuardedRound) -> np.ndarray:
        """(E, N) bool, whose quantum channel lets anything through this round."""
        jammed = state.threats[:, JAMMING, None] & (guarded.uniform["jammed"] < self.security.jammed_share)
        return (guarded.uniform["opened"] < self.air.availability) & ~jammed

    def _intercepted(self, state: SystemState) -> np.ndarray:
        """(E, 1) share of the photons that is intercepted."""
        return np.where(state.threats[:, EAVESDROPPING, None], self.security.intercepted_share, 0.0)

    # what happens to updates

    def poison_data(
        self, state: SystemState, result: LocalResult, learner: LocalLearner, work: LocalWork
    ) -> LocalResult:
        """Hostile devices of an attack on data learn something else."""
        if self.poisoner is None:
            return result
        return self.poisoner.train(state, self._attackers(state), result, learner, work)

    def _attackers(self, state: SystemState) -> np.ndarray:
        """(E, N) bool, who is hostile and active."""
        return state.hostile & state.threats[:, POISONING, None]

    def send(
        self,
        state: SystemState,
        guarded: GuardedRound,
        result: LocalResult | None,
        weights: np.ndarray,
        delivered: np.ndarray,
    ) -> tuple[LocalResult | None, np.ndarray]:
        """Hostile devices lie, attackers replace updates on the air, others listen, and the server checks what it gets.

        Args:
            state: Who is hostile and what is on.
            guarded: Is filled with what happened.
            result: What the devices learned; None where nothing is learned.
            weights: (M) weight of each update in a mean.
            delivered: (E, N) bool, whose update arrives.

        Returns:
            What the server accepts, and (E, N) bool whose update that is.
        """
        security, uniform, choices = self.security, guarded.uniform, guarded.choices
        broken = self.broken(state)
        liars = self._attackers(state) & delivered
        if result is not None:
            honest = ~liars[result.updates.row, result.updates.device]
            guarded.honest_mean = weighted_mean_update(result.updates, weights * honest, len(delivered))
            result = self._lie(guarded, result, liars)
        tampered = delivered & state.threats[:, TAMPERING, None] & (uniform["tampered"] < security.tampered_share)
        refused = tampered & authentic(choices, broken)[:, None]
        if result is not None:
            result, refused = self._carry(state, guarded, result, tampered, refused, broken)
        overheard = state.threats[:, EAVESDROPPING, None] & (uniform["overheard"] < security.eavesdropped_share)
        exposure = expose(choices, delivered, overheard, state.threats[:, INTRUSION], broken)
        guarded.read, guarded.recorded = exposure.read, exposure.recorded
        accepted = delivered & ~refused
        guarded.arrived, guarded.refused = delivered, refused
        guarded.forged, guarded.poisoned = tampered & ~refused, liars & accepted
        return result, accepted

    def broken(self, state: SystemState) -> np.ndarray:
        """(E) bool, where classical schemes have fallen."""
        return np.asarray(state.round_index >= state.q_day_round[:, 0])

    def _lie(self, guarded: GuardedRound, result: LocalResult, liars: np.ndarray) -> LocalResult:
        """What hostile devices send."""
        kind, updates = self.security.attack, result.updates
        if not liars.any():
            return result
        strength = self.security.attack_strength
        strength = USUAL_STRENGTH[kind] if strength is None else strength
        # model replacement boosts whatever the backdoor has taught
        sent_as = "boost" if kind == "backdoor" else kind
        if sent_as not in UPDATE_ATTACKS:
            return result
        normal = np.zeros((len(updates), 0))
        if kind == "gaussian":
            normal = guarded.normal["attack"][updates.row, updates.device]
        hostile = liars[updates.row, updates.device]
        return replace(result, updates=tamper(sent_as, updates, hostile, len(liars), strength, normal))

    def _carry(
        self,
        state: SystemState,
        guarded: GuardedRound,
        result: LocalResult,
        tampered: np.ndarray,
        refused: np.ndarray,
        broken: np.ndarray,
    ) -> tuple[LocalResult, np.ndarray]:
        """Updates as they are accepted, and (E, N) bool whose are refused."""
        updates = result.updates
        hit = tampered[updates.row, updates.device]
        forged = updates.change.copy()
        forged[hit] *= -self.security.tampering_strength
        if self.security.protection == "modelled":
            arrived = replace(result, updates=replace(updates, change=forged))
            return only(arrived, ~refused[updates.row, updates.device]), refused

        has_keys = forgeable(guarded.choices, broken)

        def sent() -> Iterator[Sent]:
            for number in range(len(updates)):
                row = int(updates.row[number])
                yield Sent(
                    row,
                    int(updates.device[number]),
                    int(state.round_index[row]),
                    updates.change[number],
                    forged[number] if hit[number] else None,
                    bool(has_keys[row]),
                )

        received = self._mail.deliver(guarded.choices, sent())
        kept = np.array([one is not None for one in received], dtype=bool)
        refused = np.zeros_like(refused)
        refused[updates.row[~kept], updates.device[~kept]] = True
        accepted = only(result, kept)
        if kept.any():
            change = np.stack([one for one in received if one is not None]).astype(updates.change.dtype)
            accepted = replace(accepted, updates=replace(accepted.updates, change=change))
        return accepted, refused

    def merge(self, guarded: GuardedRound, result: LocalResult | None, weights: np.ndarray) -> LocalResult | None:
        """Screen and merge what was accepted, of weights (M), and note what the server sees of it."""
        guarded.screened = np.zeros_like(guarded.refused)
        guarded.failed = guarded.arrived.any(-1) & ~(guarded.arrived & ~guarded.refused).any(-1)
        guarded.steered, guarded.spread, guarded.agreement = np.zeros((3, self.num_systems))
        if result is None:
            return None
        choices, updates = guarded.choices, result.updates
        merged = merge_round(
            self.security,
            result,
            weights,
            choices.aggregation,
            choices.screening,
            guarded.groups,
            guarded.normal.get("privacy"),
        )
        guarded.screened[updates.row[~merged.passed], updates.device[~merged.passed]] = True
        seen = ~choices.secure[updates.row]
        guarded.spread, guarded.agreement = _looks(
            Updates(updates.row[seen], updates.device[seen], updates.change[seen]), self.num_systems
        )
        guarded.failed |= merged.failed
        touched = ((guarded.forged | guarded.poisoned) & ~guarded.screened).any(-1) & ~guarded.failed
        if touched.any():
            mean = weighted_mean_update(merged.result.updates, merged.weights, self.num_systems)
            guarded.steered = np.where(touched, _turned(mean, guarded.honest_mean), 0.0)
        return merged.result

    def move_on(
        self,
        state: SystemState,
        guarded: GuardedRound,
        round_s: np.ndarray,
        distance_m: np.ndarray,
        learner: LocalLearner | None,
    ) -> None:
        """Key comes in, threats come and go, Q-day comes, and the server has noticed what it can."""
        security = self.security
        intercepted, open_now = self._intercepted(state), self._open(state, guarded)
        gained = self.air.rate_bps(distance_m, intercepted) * round_s[:, None]
        state.key_bits = np.minimum(state.key_bits + np.where(open_now, gained, 0.0), security.key_pool_bits)
        heard = np.where(open_now, error_rate(intercepted, self.air.device_error), 0.0).sum(-1)
        # of channels none of which lets anything through, no better rate is known than a coin's
        guarded.qber = np.divide(heard, open_now.sum(-1), out=np.full(len(heard), 0.5), where=open_now.any(-1))
        now_broken = state.round_index + 1 >= state.q_day_round[:, 0]
        read, recorded = guarded.read.sum(-1), guarded.recorded.sum(-1)
        kept = state.exposed[:, 1] + recorded
        guarded.opened = np.where(now_broken, kept, 0.0)
        state.exposed = np.stack([state.exposed[:, 0] + read + guarded.opened, kept - guarded.opened], axis=-1)
        state.threats = threats.afterwards(security, state.threats, guarded.uniform["threats"])
        arrived = np.maximum(guarded.arrived.sum(-1), 1)
        state.signs = np.stack(
            [
                guarded.refused.sum(-1) / arrived,
                guarded.screened.sum(-1) / arrived,
                guarded.failed.astype(float),
                guarded.spread,
                guarded.agreement,
                guarded.qber,
            ],
            axis=-1,
        )
        guarded.attack_success = np.full(len(round_s), np.nan)
        if self.poisoner is not None and learner is not None:
            guarded.attack_success = self.poisoner.success(state, learner)


def _harmless(change: np.ndarray) -> np.ndarray:
    """Updates (M, P) without what is no number, of which no mean can be made."""
    return np.where(np.isfinite(change), change, 0.0).astype(change.dtype)


def _looks(updates: Updates, systems: int) -> tuple[np.ndarray, np.ndarray]:
    """The longest over the median update, and the mean cosine of updates with their sum, (E) each."""
    change = _harmless(updates.change).astype(float)
    norm = np.linalg.norm(change, axis=-1)
    total = np.zeros((systems, change.shape[1]))
    np.add.at(total, updates.row, change)
    along = (change * total[updates.row]).sum(-1)
    cosine = along / np.maximum(norm * np.linalg.norm(total, axis=-1)[updates.row], 1e-300)
    count = np.maximum(np.bincount(updates.row, minlength=systems), 1)
    ordered = np.full((systems, max(int(count.max()), 1)), np.inf)
    first = np.searchsorted(updates.row, updates.row)
    by_norm = np.lexsort((norm, updates.row))
    ordered[updates.row[by_norm], np.arange(len(norm)) - first[by_norm]] = norm[by_norm]
    row = np.arange(systems)
    middle, longest = ordered[row, (count - 1) // 2], ordered[row, count - 1]
    heard = np.isfinite(longest) & (middle > 0.0)
    spread = np.divide(longest, middle, out=np.zeros(systems), where=heard)
    return spread, np.bincount(updates.row, cosine, minlength=systems) / count


def _turned(mean: np.ndarray, honest: np.ndarray | None) -> np.ndarray:
    """(E) half of one minus the cosine of what was merged (E, P) with the honest mean: 0 along it, 1 against it."""
    if honest is None:
        return np.zeros(len(mean))
    norms = np.linalg.norm(mean, axis=-1) * np.linalg.norm(honest, axis=-1)
    cosine = np.divide((mean * honest).sum(-1), norms, out=np.ones(len(mean)), where=norms > 0.0)
    return np.asarray((1.0 - np.clip(cosine, -1.0, 1.0)) / 2.0)
