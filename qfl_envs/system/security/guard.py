"""What security adds to a round, in its order: draw, choose, protect, poison, send, merge, move on.

A system has a guard where its scenario has threats or protection, or where decisions choose protection; without one,
its rounds are as if none of this existed, bit for bit. A guard draws its random numbers after all others, always as
many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.security import DATA_ATTACKS, KEY_EXCHANGES, UPDATE_ATTACKS
from qfl_envs.system import devices
from qfl_envs.system.learning.aggregation import Updates, weighted_mean_update
from qfl_envs.system.learning.shapes import kept_parameters
from qfl_envs.system.learning.work import LocalLearner, LocalResult, LocalWork, Shapes
from qfl_envs.system.random import RowRandom
from qfl_envs.system.security import threats
from qfl_envs.system.security.attacks import USUAL_STRENGTH, attacker_mask, tamper
from qfl_envs.system.security.choices import Choices
from qfl_envs.system.security.exposure import authentic, expose, forgeable, used_exchange
from qfl_envs.system.security.key_rate import error_rate
from qfl_envs.system.security.mail import Mail, Sent
from qfl_envs.system.security.merging import merge_round, only
from qfl_envs.system.security.round_cost import (
    SESSION_BITS,
    Groups,
    RoundCost,
    air,
    groups_of_participants,
    round_cost,
    usual_bits,
    usual_protection,
)
from qfl_envs.system.security.screening import all_sane, screen
from qfl_envs.system.security.signs import SIGNS, looks, turned
from qfl_envs.system.state import SystemState

if TYPE_CHECKING:
    from qfl_envs.system.security.poisoned_data import Poisoner

POISONING, TAMPERING, EAVESDROPPING, JAMMING, INTRUSION = range(len(threats.THREATS))


@dataclass
class GuardedRound:
    """What the steps of one round hand on to each other, and what is reported of it; (E, N) or (E).

    Attributes:
        choices: How updates are protected.
        accepted: What the server goes on with; None where nothing is learned.
        refused: (E, N) bool, updates whose check failed.
        screened: (E, N) bool, updates that the server threw away.
        forged: (E, N) bool, replaced updates that were taken for real.
        poisoned: (E, N) bool, updates of hostile devices that were accepted.
        read: (E, N) bool, updates that somebody read.
        recorded: (E, N) bool, updates that somebody keeps until Q-day.
        opened: (E) updates recorded before that are read from now on.
        failed: (E) bool, where updates arrived and none could be merged.
        steered: (E) how far what was merged points away from the honest mean, 0 to 1; 0 where nobody interfered, 1
            where nothing honest arrived.
        keyless: (E, N) bool, whose pool held too little key.
        qber: (E) mean error rate of the quantum channels that were open.
        attack_success: (E) share of triggered samples that are taken for the target; nan without a backdoor.
    """

    uniform: dict[str, np.ndarray]
    normal: dict[str, np.ndarray]
    choices: Choices
    accepted: Updates | None = None
    groups: Groups = field(init=False)
    key_bps: np.ndarray = field(init=False)
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

    def told(self) -> dict[str, np.ndarray]:
        """What goes into logs: numbers (E) of updates and devices, and what was measured; no secret among them."""
        counted = ("refused", "screened", "forged", "poisoned", "read", "recorded", "keyless")
        told = {name: getattr(self, name).sum(-1) for name in counted}
        told |= {name: getattr(self, name) for name in ("opened", "failed", "steered", "qber")}
        return told if np.isnan(self.attack_success).all() else told | {"attack_success": self.attack_success}


Weigh = Callable[[SystemState, LocalResult], np.ndarray]
"""Weight (M) of each update in the mean that a server makes."""


class Guard:
    """Threats and protection of the systems of one scenario.

    Attributes:
        uses_keys: Whether keys of quantum channels may be used.
    """

    def __init__(self, scenario: Scenario, num_systems: int, chooses: bool = True) -> None:
        """Prepare it.

        Args:
            scenario: Its threats and protection.
            num_systems: How many run side by side.
            chooses: Whether decisions choose protection; else what the scenario has no use for is not computed.
        """
        self.scenario, self.security, self.num_systems = scenario, scenario.security, num_systems
        self.air = air(self.security)
        self.chooses = chooses
        self._usual = Choices.usual(self.security, num_systems)
        self._threatened = bool(threats.possible(self.security).any())
        self.uses_keys = chooses or self.security.key_exchange == "qkd"
        self._plain = not (
            chooses
            or self._threatened
            or self.security.aggregation != "mean"
            or self.security.screening != "none"
            or self.security.noise_multiplier > 0.0
        )
        self._masks = chooses or self.security.aggregation == "secure"
        self._protection, self._bits = usual_protection(self.security), usual_bits(self.security)
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
        return GuardedRound(uniform, normal, choices or self._usual)

    # what protection costs

    def protect(
        self,
        state: SystemState,
        guarded: GuardedRound,
        participate: np.ndarray,
        cpu_hz: np.ndarray,
        distance_m: np.ndarray | None,
        payload_bits: np.ndarray,
    ) -> tuple[devices.Work, np.ndarray]:
        """What protection costs the participants.

        Args:
            state: Whose pools of key are used up.
            guarded: Choices; is filled with who lacks key.
            participate: (E, N) bool.
            cpu_hz: (E, N) clock.
            distance_m: (E, N) to the base station; None where no key is used.
            payload_bits: (E, N) of the uploads without what is chosen here.

        Returns:
            Seconds and joules, and bits that the uploads gain, (E, N) each.
        """
        capacitance = self.scenario.fleet.capacitance
        if not self.uses_keys and not self._masks:
            # the same for all systems and rounds, but for the attempts at a signature
            guarded.groups, guarded.keyless = Groups(participate, participate), np.zeros(participate.shape, dtype=bool)
            taken = self._protection.work(participate, cpu_hz, capacitance, guarded.uniform["signing"])
            return taken, participate * float(self._bits)
        guarded.groups = groups_of_participants(participate, self.security.group_size)
        guarded.key_bps = np.zeros((1, 1))
        if distance_m is not None:
            rate_bps = self.air.rate_bps(distance_m, self._intercepted(state))
            guarded.key_bps = np.where(self._open(state, guarded), rate_bps, 0.0)
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
            guarded.key_bps,
            guarded.uniform["signing"],
        )
        state.key_bits, guarded.keyless = cost.key_bits, cost.keyless
        energy_j = capacitance * cost.cycles * cpu_hz**2
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
        """Hostile devices of an attack on data learn something else.

        Raises:
            InvalidValueError: In a round that changes last layers by statistics, which nothing here protects.
        """
        if result.corrections is not None:
            raise InvalidValueError(
                "adaptation", "by statistics of the last layer", "by updates, where these are attacked or protected"
            )
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
        weigh: Weigh,
        delivered: np.ndarray,
    ) -> tuple[LocalResult | None, np.ndarray]:
        """Hostile devices lie, attackers replace updates on the air, others listen, and the server checks what it gets.

        Args:
            state: Who is hostile and what is on.
            guarded: Is filled with what happened.
            result: What the devices learned; None where nothing is learned.
            weigh: Gives the weight of each update in a mean.
            delivered: (E, N) bool, whose update arrives.

        Returns:
            What the server accepts, and (E, N) bool whose update that is.
        """
        security, uniform, choices = self.security, guarded.uniform, guarded.choices
        nobody = np.zeros(delivered.shape, dtype=bool)
        guarded.arrived = delivered
        if not self._threatened and security.protection == "modelled":
            guarded.refused = guarded.forged = guarded.poisoned = guarded.read = guarded.recorded = nobody
            return result, delivered
        broken = threats.classical_broken(state.round_index, state.q_day_round)
        liars = self._attackers(state) & delivered
        exchange = used_exchange(choices, guarded.keyless, security.qkd_fallback)
        if result is not None:
            guarded.honest_mean = self._honest_mean(state, result, weigh, liars)
            result = self._lie(guarded, result, liars)
        tampered = delivered & state.threats[:, TAMPERING, None] & (uniform["tampered"] < security.tampered_share)
        refused = tampered & authentic(choices, exchange, broken)
        if result is not None:
            result, refused = self._carry(state, guarded, result, tampered, refused, exchange, broken)
        overheard = state.threats[:, EAVESDROPPING, None] & (uniform["overheard"] < security.eavesdropped_share)
        exposure = expose(choices, exchange, delivered, overheard, state.threats[:, INTRUSION], broken)
        guarded.read, guarded.recorded = exposure.read, exposure.recorded
        accepted = delivered & ~refused
        guarded.refused = refused
        guarded.forged, guarded.poisoned = tampered & ~refused, liars & accepted
        return result, accepted

    def _honest_mean(self, state: SystemState, result: LocalResult, weigh: Weigh, liars: np.ndarray) -> np.ndarray:
        """(E, P) mean of what devices that do not lie (E, N) learned, as far as any server would merge it."""
        if not all_sane(result.updates, self.security.longest_update):
            result = only(result, screen(result.updates, self.security.longest_update, self.num_systems).passed)
        honest = ~liars[result.updates.row, result.updates.device]
        return weighted_mean_update(result.updates, weigh(state, result) * honest, self.num_systems)

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
        exchange: np.ndarray,
        broken: np.ndarray,
    ) -> tuple[LocalResult, np.ndarray]:
        """Updates as they are accepted, and (E, N) bool whose are refused."""
        updates = result.updates
        hit = tampered[updates.row, updates.device]
        if self.security.protection == "modelled" and not hit.any():
            return result, refused
        forged = updates.change.copy()
        with np.errstate(over="ignore", invalid="ignore"):  # what is too long for a number is thrown away
            forged[hit] *= -self.security.tampering_strength
        if self.security.protection == "modelled":
            arrived = replace(result, updates=replace(updates, change=forged))
            return only(arrived, ~refused[updates.row, updates.device]), refused

        has_keys = forgeable(guarded.choices, broken)

        def sent() -> Iterator[Sent]:
            for number in range(len(updates)):
                row, device = int(updates.row[number]), int(updates.device[number])
                yield Sent(
                    row,
                    device,
                    int(state.round_index[row]),
                    updates.change[number],
                    forged[number] if hit[number] else None,
                    bool(has_keys[row]),
                    KEY_EXCHANGES[exchange[row, device]],
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

    def merge(
        self, state: SystemState, guarded: GuardedRound, result: LocalResult | None, weigh: Weigh
    ) -> LocalResult | None:
        """Screen and merge what was accepted, and note what the server sees of it.

        Args:
            state: Of the systems.
            guarded: Is filled with what happened.
            result: What was accepted; None where nothing is learned.
            weigh: Gives the weight of each update in a mean.
        """
        guarded.screened = np.zeros(guarded.arrived.shape, dtype=bool)
        guarded.steered, guarded.spread, guarded.agreement = np.zeros((3, self.num_systems))
        guarded.failed = np.zeros(self.num_systems, dtype=bool)
        if self._threatened:
            guarded.failed = guarded.arrived.any(-1) & ~(guarded.arrived & ~guarded.refused).any(-1)
        if result is None:
            return None
        choices, updates = guarded.choices, result.updates
        guarded.accepted = updates
        if self._plain and all_sane(updates, self.security.longest_update):
            return result
        weights = weigh(state, result)
        merged = merge_round(
            self.security,
            result,
            weights,
            choices,
            guarded.groups,
            guarded.normal.get("privacy"),
        )
        guarded.screened[updates.row[~merged.passed], updates.device[~merged.passed]] = True
        if self.chooses:
            seen = ~choices.secure[updates.row]
            shown = Updates(updates.row[seen], updates.device[seen], updates.change[seen])
            guarded.spread, guarded.agreement = looks(shown, self.num_systems)
        guarded.failed |= merged.failed
        touched = ((guarded.forged | guarded.poisoned) & ~guarded.screened).any(-1) & ~guarded.failed
        if touched.any():
            mean = weighted_mean_update(merged.result.updates, merged.weights, self.num_systems)
            guarded.steered = np.where(touched, turned(mean, guarded.honest_mean), 0.0)
        return merged.result

    def move_on(
        self,
        state: SystemState,
        guarded: GuardedRound,
        round_s: np.ndarray,
        learner: LocalLearner | None,
    ) -> None:
        """Key comes in, threats come and go, Q-day comes, and the server has noticed what it can.

        In a system without threats, all channels are taken for open, whose error rate nobody asks for.
        """
        if self.uses_keys:
            filled = state.key_bits + guarded.key_bps * round_s[:, None]
            # who still owes key has waited for it in vain, and keeps what came in
            filled = np.where(filled < 0.0, filled + SESSION_BITS, filled)
            state.key_bits = np.minimum(filled, self.security.key_pool_bits)
        systems = len(round_s)
        guarded.qber, guarded.opened = np.full(systems, self.air.device_error), np.zeros(systems)
        if self._threatened:
            self._age(state, guarded)
        if self.chooses:
            arrived = np.maximum(guarded.arrived.sum(-1), 1)
            noticed = {
                "refused": guarded.refused.sum(-1) / arrived,
                "screened": guarded.screened.sum(-1) / arrived,
                "failed": guarded.failed,
                "spread": guarded.spread,
                "agreement": guarded.agreement,
                "qber": guarded.qber,
            }
            state.signs = np.stack([noticed[name] for name in SIGNS], axis=-1)
        guarded.attack_success = np.full(len(round_s), np.nan)
        if self.poisoner is not None and learner is not None:
            guarded.attack_success = self.poisoner.success(state, learner)

    def _age(self, state: SystemState, guarded: GuardedRound) -> None:
        """What was recorded is opened on Q-day, and threats come and go."""
        intercepted, open_now = self._intercepted(state), self._open(state, guarded)
        heard = np.where(open_now, error_rate(intercepted, self.air.device_error), 0.0).sum(-1)
        # of channels none of which lets anything through, no better rate is known than a coin's
        guarded.qber = np.divide(heard, open_now.sum(-1), out=np.full(len(heard), 0.5), where=open_now.any(-1))
        now_broken = threats.classical_broken(state.round_index + 1, state.q_day_round)
        kept = state.exposed[:, 1] + guarded.recorded.sum(-1)
        guarded.opened = np.where(now_broken, kept, 0.0)
        read = state.exposed[:, 0] + guarded.read.sum(-1) + guarded.opened
        state.exposed = np.stack([read, kept - guarded.opened], axis=-1)
        state.threats = threats.afterwards(self.security, state.threats, guarded.uniform["threats"])
