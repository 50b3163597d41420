"""The federated system: one round, in order.

    check -> compute -> protect -> upload -> learn -> attack -> aggregate -> evaluate -> move on

E independent systems run side by side; every array has their axis first. The state before :meth:`FederatedSystem.step`
is what a server can know when it decides; everything that is drawn in a round is drawn after the decision, in a fixed
order and amount, so that two policies meet the same fading, links and mini-batches under one seed.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from qfl_envs.compiled import ready
from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system import devices, evolution, memory
from qfl_envs.system.decision import Decision, fill_dealt, repair
from qfl_envs.system.difficulty import Difficulty
from qfl_envs.system.initial import initial_state
from qfl_envs.system.learning.adaptation import RETRAIN_FACTOR, leaves_body, num_trained, step_factor, uploaded_bits
from qfl_envs.system.learning.drift import severity
from qfl_envs.system.learning.shapes import model_bits, payload_bits
from qfl_envs.system.learning.work import LocalWork
from qfl_envs.system.network import channel, mobility, radio
from qfl_envs.system.random import RowRandom
from qfl_envs.system.report import RoundReport
from qfl_envs.system.round import Round
from qfl_envs.system.server import Server
from qfl_envs.system.state import SystemState
from qfl_envs.system.upload import Downlink, deliver

if TYPE_CHECKING:
    from qfl_envs.system.learning.work import LocalLearner
    from qfl_envs.system.security.guard import Guard


class FederatedSystem:
    """E federated systems of one scenario.

    Attributes:
        scenario: What they are.
        state: What they remember; complete after :meth:`reset`.
        devices_leave: Whether a device whose charge is down to the reserve after a round leaves the fleet for good;
            else it waits until its battery has filled again.
    """

    state: SystemState

    def __init__(
        self,
        scenario: Scenario,
        num_systems: int = 1,
        max_local_steps: int | None = None,
        device: str = "cpu",
        adapts: bool = False,
        protects: bool = False,
    ) -> None:
        """Prepare the systems; call :meth:`reset` before the first round.

        Args:
            scenario: What each system is.
            num_systems: How many run side by side.
            max_local_steps: Most local steps that decisions will ask for; None for ``learning.local_steps``.
                Mini-batches for so many steps are drawn in each round.
            device: Torch device of the learning.
            adapts: Whether decisions will ask for other rounds than ordinary ones.
            protects: Whether decisions will choose how updates are protected.

        Raises:
            InvalidValueError: For such rounds or choices where updates of several rounds are merged at once.
        """
        if adapts and scenario.goes_on:
            raise InvalidValueError(
                "learning.aggregation",
                scenario.learning.aggregation,
                "'deadline' or 'synchronous' where rounds adapt the model",
            )
        if protects and scenario.goes_on:
            raise InvalidValueError(
                "learning.aggregation",
                scenario.learning.aggregation,
                "'deadline' or 'synchronous', merged in the round, where protection is chosen",
            )
        self.scenario = scenario
        self.num_systems = num_systems
        self.max_local_steps = scenario.learning.local_steps if max_local_steps is None else max_local_steps
        if adapts:
            self.max_local_steps *= RETRAIN_FACTOR
        self.device, self.adapts, self.protects = device, adapts, protects
        self.difficulty = Difficulty()
        self.devices_leave = False
        self.generators: list[np.random.Generator] = [np.random.default_rng(0)] * num_systems
        self.sites_m = ready(mobility.cell_sites(scenario.radio))
        self.radius_m = mobility.area_radius_m(scenario.radio)
        self.server = Server(scenario)
        self.payload_bits = payload_bits(scenario)
        self.model_bits = model_bits(scenario)
        # how long an update may take: until the round ends at the latest, or until patience does
        self._limit_s = scenario.deadline_s * (scenario.learning.patience if scenario.goes_on else 1.0)
        if not scenario.goes_on:
            self._limit_s = scenario.longest_round_s
        self._learner: LocalLearner | None = None
        self.guard: Guard | None = None
        if protects or scenario.security.guards:
            from qfl_envs.system.security.guard import Guard

            self.guard = Guard(scenario, num_systems, protects)
        # what a decision leaves open; nothing writes to these
        shape = num_systems, scenario.num_devices
        self._usual_dbm = np.full(shape, scenario.radio.max_power_dbm)
        self._usual_steps = np.full(shape, scenario.learning.local_steps)
        self._usual_turns = np.full(num_systems, scenario.radio.access == "time_share")
        self._ordinary = np.zeros(num_systems, dtype=np.int64)
        self._payload_bits = np.full(shape, float(self.payload_bits))
        self._step_shots = np.full((num_systems, 1), devices.shots_per_step(scenario))

    @property
    def learner(self) -> LocalLearner | None:
        """Data and model, loaded when first needed; None where the scenario learns nothing."""
        if self._learner is None and self.scenario.learning.model != "none":
            if self.scenario.learning.model == "surrogate":
                from qfl_envs.system.learning.surrogate import Surrogate

                self._learner = Surrogate(self.scenario)
            else:
                from qfl_envs.system.learning.learner import Learner

                self._learner = Learner(self.scenario, self.device)
        return self._learner

    def reset(self, generators: Sequence[np.random.Generator], rows: np.ndarray | None = None) -> None:
        """Begin new episodes.

        Args:
            generators: One per system that begins anew; all that happens in the episode is drawn from it.
            rows: Which systems; None for all.
        """
        rows = np.arange(self.num_systems) if rows is None else np.asarray(rows)
        for row, generator in zip(rows, generators, strict=True):
            self.generators[row] = generator
        state = self._initial_state(RowRandom(generators))
        if len(rows) == self.num_systems:
            self.state = state
        else:
            self.state.put(rows, state)

    def _initial_state(self, random: RowRandom) -> SystemState:
        """Begin, deal data, and measure the untrained model."""
        state = initial_state(self.scenario, self.difficulty, self.sites_m, random)
        if self.learner is not None:
            # after all other numbers, so that the network is the one that there is without learning
            state.parameters = self.learner.initial(random.uniform(model=state.parameters.shape[1:])["model"])
            holdings = [self.learner.data.deal(generator) for generator in random.generators]
            state.sample_index = np.stack([holding.sample_index for holding in holdings])
            state.num_samples = np.stack([holding.num_samples for holding in holdings])
            state.label_map = np.stack([holding.label_map for holding in holdings])
            state.label_share = np.stack([self.learner.data.label_share(holding) for holding in holdings])
            self._measure(state, np.arange(len(random.generators)))
            state.start_accuracy, state.best_accuracy = state.accuracy.copy(), state.accuracy.copy()
            if self.scenario.learning.monitored:
                state.reported_loss = np.where(state.active & state.link_up, state.device_loss, state.reported_loss)
        if self.guard is not None:
            for name, value in self.guard.initial(random).items():
                setattr(state, name, value)
        return state

    def branch(self, rows: Sequence[int] | np.ndarray) -> FederatedSystem:
        """Copies of some systems, in the state that they are in, each with the future of its original.

        Args:
            rows: Which systems, a number as often as copies of it are wanted.

        Returns:
            Systems that share nothing with these but the data and the model, which no round changes.
        """
        rows = np.asarray(rows)
        other = FederatedSystem(self.scenario, len(rows), None, self.device, self.adapts, self.protects)
        other.max_local_steps, other.devices_leave = self.max_local_steps, self.devices_leave
        other.difficulty, other._learner = self.difficulty, self.learner
        other.state = self.state.take(rows)
        other.generators = [copy.deepcopy(self.generators[row]) for row in rows]
        return other

    def __getstate__(self) -> dict[str, object]:
        """Everything but the data and the model, which any process loads again."""
        return {**self.__dict__, "_learner": None}

    # what devices report before a decision

    def serving_cell(self) -> np.ndarray:
        """Cell (E, N) that each device is received best in."""
        return channel.serving_cell(self.state.mean_gain)

    def offer(self) -> devices.Offer:
        """What processors of all devices have for training this round."""
        state = self.state
        return devices.offer(self.scenario, state.load_normal, state.max_cpu_hz, state.shot_s)

    def available(self) -> np.ndarray:
        """(E, N) bool, devices that can take part: of the fleet, linked, free, with charge above the reserve."""
        return devices.available(self.scenario.fleet, self.state)

    def drifted(self) -> np.ndarray:
        """Share (E, N) of each device's data that comes from the second distribution this round."""
        return self._drifted(self.state, slice(None))

    def empty(self) -> np.ndarray:
        """(E, N) bool, devices whose charge is down to the reserve."""
        state = self.state
        return np.asarray(devices.is_empty(state.battery_j, state.full_battery_j, self.scenario.fleet.reserve))  # type: ignore[arg-type]

    # the round

    def step(self, decision: Decision) -> RoundReport:
        """Play one round of every system.

        Raises:
            InvalidValueError: For a choice of protection in systems whose decisions choose none.
        """
        if decision.protection is not None and not self.protects:
            raise InvalidValueError(
                "protection", "chosen", "None, as the scenario has it, unless systems are made with protects=True"
            )
        state = self.state
        work = self._begin(state, RowRandom(self.generators), decision)
        self._check(state, decision, work)
        self._compute(state, work)
        self._protect(state, work)
        self._upload(state, work)
        self._learn(state, work)
        self._attack(state, work)
        self._aggregate(state, work)
        self._evaluate(state, work)
        self._move_on(state, work)
        return work.report(state)

    def _begin(self, state: SystemState, random: RowRandom, decision: Decision) -> Round:
        """Draw all randomness of the round, always the same amount of it."""
        scenario, learner = self.scenario, self.learner
        n, c, k = scenario.num_devices, scenario.radio.num_cells, scenario.radio.num_subchannels
        of_uniform = {} if learner is None else learner.uniform_shapes(self.max_local_steps, self.adapts)
        of_normal = {} if learner is None else learner.normal_shapes()
        uniform = random.uniform(packet=(n,), link=(n,), harvest=(n,))
        normal = random.normal(velocity=(n, 2), shadowing=(n, c), scatter=(n, c, k, 2), load=(n,), **of_normal)
        if of_uniform:
            uniform |= random.uniform(**of_uniform)
        work = Round(uniform, normal, self.serving_cell(), self.offer())
        if self.guard is not None:
            work.guarded = self.guard.begin(random, decision.protection)
        return work

    def _check(self, state: SystemState, decision: Decision, work: Round) -> None:
        """1. Fill in default rules and repair what cannot be done."""
        limits = self.scenario.radio
        wanted = ready(decision.participate, np.bool_)
        work.drifted = self.drifted()
        work.adaptation = self._ordinary if decision.adaptation is None else decision.adaptation
        work.setting = decision.setting
        free_hz = work.offer.cpu_hz
        wanted_hz = free_hz if decision.cpu_hz is None else decision.cpu_hz
        if decision.cpu_share is not None:
            wanted_hz = decision.cpu_share * free_hz
        power_dbm = self._usual_dbm if decision.power_dbm is None else decision.power_dbm
        steps = self._usual_steps if decision.local_steps is None else decision.local_steps
        if self.adapts:
            steps = steps * step_factor(work.adaptation)[:, None]
        shape = wanted.shape
        work.participate, work.repaired = np.empty(shape, dtype=np.bool_), np.empty(shape, dtype=np.bool_)
        work.cpu_hz, work.power_dbm, work.power_w = np.empty(shape), np.empty(shape), np.empty(shape)
        work.local_steps = np.empty(shape, dtype=np.int64)
        repair(
            wanted,
            self.available(),
            ready(wanted_hz),
            free_hz,
            ready(power_dbm),
            limits.min_power_dbm,
            limits.max_power_dbm,
            ready(steps, np.int64),
            self.max_local_steps,
            work.participate,
            work.repaired,
            work.cpu_hz,
            work.power_dbm,
            work.power_w,
            work.local_steps,
        )
        work.band_share = decision.band_share
        if decision.subchannel is None:
            work.subchannel = np.empty(shape, dtype=np.int64)
            fill_dealt(work.participate, work.serving, state.mean_gain, limits.num_subchannels, work.subchannel)
        else:
            work.subchannel = np.where(work.participate, decision.subchannel, 0).clip(0, limits.num_subchannels - 1)
            work.repaired |= work.participate & (work.subchannel != decision.subchannel)
        work.time_share = self._usual_turns if decision.time_share is None else decision.time_share

    def _compute(self, state: SystemState, work: Round) -> None:
        """2. Local work takes seconds and joules, on the processor and on the quantum processor."""
        steps, step_shots = work.local_steps, self._step_shots
        if self.adapts:
            every, of_head = (devices.shots_per_step(self.scenario, head_only) for head_only in (False, True))
            step_shots = np.where(leaves_body(work.adaptation), of_head, every)[:, None]
            steps = steps * num_trained(work.adaptation)[:, None]
        taken = devices.compute_work(self.scenario, steps, work.cpu_hz, state.shot_s, work.offer.load_share, step_shots)
        work.compute_s, work.energy_j = taken.seconds, taken.energy_j

    def _protect(self, state: SystemState, work: Round) -> None:
        """3. Signing, encrypting and masking an update take cycles, waits and bits of the payload."""
        taken = devices.protection_work(self.scenario, work.participate, work.cpu_hz)
        work.protect_s, work.energy_j = taken.seconds, work.energy_j + taken.energy_j
        work.payload_bits = self._payload_bits
        if self.adapts:
            bits = uploaded_bits(self.scenario, work.adaptation) + self.scenario.security.protection_bits
            work.payload_bits = np.repeat(bits[:, None].astype(float), work.participate.shape[1], axis=1)
        if self.guard is not None and work.guarded is not None:
            distance_m = None
            if self.guard.uses_keys:
                distance_m = np.linalg.norm(state.position_m - self.sites_m[work.serving], axis=-1)
            chosen, added_bits = self.guard.protect(
                state, work.guarded, work.participate, work.cpu_hz, distance_m, work.payload_bits
            )
            work.protect_s, work.energy_j = work.protect_s + chosen.seconds, work.energy_j + chosen.energy_j
            work.payload_bits = work.payload_bits + added_bits

    def _upload(self, state: SystemState, work: Round) -> None:
        """4. Updates go up: rate, seconds, joules; some are late, some lost, some outlive the battery."""
        scenario, part = self.scenario, work.participate
        power_w = work.power_w
        if work.band_share is None:
            up = radio.uplink(scenario.radio, state.gain, work.serving, part, work.subchannel, power_w, work.time_share)
        else:
            up = radio.band_uplink(scenario.radio, state.gain, work.serving, part, power_w, work.band_share)
        work.rates_bps = up.rate_bps
        outcome = deliver(
            scenario,
            up,
            part,
            power_w,
            work.payload_bits,
            Downlink(self.model_bits, state.gain, work.serving),
            devices.Work(work.compute_s + work.protect_s, work.energy_j),
            state.battery_j,
            self._limit_s,
            work.uniform["packet"],
        )
        work.late, work.depleted, work.lost, work.trains = (
            outcome.late,
            outcome.depleted,
            outcome.lost,
            outcome.received,
        )
        work.upload_s, work.energy_j, work.bits_sent = outcome.upload_s, outcome.energy_j, outcome.bits_sent
        if scenario.goes_on:
            self._go_on(state, work, np.minimum(outcome.finish_s, self._limit_s))
            return
        work.delivered = work.trains
        work.round_s = outcome.end_s

    def _go_on(self, state: SystemState, work: Round, finish_s: np.ndarray) -> None:
        """The round ends when the server has heard enough, or at the deadline; who is not ready goes on."""
        learning, part = self.scenario.learning, work.participate
        enough = 1 if learning.aggregation == "asynchronous" else min(learning.buffer_size, part.shape[1])
        remaining_s = np.where(part, finish_s, state.busy_s)
        state.flight_arrives = np.where(part, work.trains, state.flight_arrives) & (remaining_s > 0.0)
        arrival_s = np.where(state.flight_arrives, remaining_s, np.inf)
        heard_enough_s = np.partition(arrival_s, enough - 1, axis=-1)[:, enough - 1]
        work.round_s = np.minimum(heard_enough_s, self.scenario.deadline_s)
        work.delivered = arrival_s <= work.round_s[:, None]
        state.flight_arrives &= ~work.delivered
        state.busy_s = np.maximum(remaining_s - work.round_s[:, None], 0.0)

    def _learn(self, state: SystemState, work: Round) -> None:
        """5. Participants train on their own data from the global model; no update that never arrives is computed."""
        memory.receive(state, work.participate)
        if self.learner is None or not work.trains.any():
            return
        if work.setting is not None:
            self.server.adopt(state, np.where(work.trains.any(-1), work.setting, -1))
        local = LocalWork(work.trains, work.local_steps, work.adaptation, work.drifted, work.uniform, work.normal)
        work.result = self.learner.train(state, local)
        if self.guard is not None:
            work.result = self.guard.poison_data(state, work.result, self.learner, local)

    def _attack(self, state: SystemState, work: Round) -> None:
        """6. Adversaries lie, replace updates and listen; the server refuses what fails its check."""
        if self.guard is not None and work.guarded is not None:
            weigh = self.server.weights
            work.result, work.delivered = self.guard.send(state, work.guarded, work.result, weigh, work.delivered)

    def _aggregate(self, state: SystemState, work: Round) -> None:
        """7. The server merges what arrived into the global model."""
        if self.guard is not None and work.guarded is not None:
            work.result = self.guard.merge(state, work.guarded, work.result, self.server.weights)
        if self.learner is None:
            return
        if not self.scenario.goes_on:
            if work.result is not None:
                self.server.merge(state, work.result, work.adaptation)
            return
        if work.result is not None:
            self.server.take_off(state, work.result)
        if work.delivered.any():
            self.server.land(state, work.delivered)

    def _evaluate(self, state: SystemState, work: Round) -> None:
        """8. The new model is measured on held-out data and on every device."""
        work.best_before = state.best_accuracy
        work.device_accuracy_before = state.device_accuracy.copy()
        heard = memory.hear(state, work.delivered)
        if self.learner is not None:
            moves = self.scenario.drift.kind != "none"
            self._measure(state, np.arange(self.num_systems) if moves else np.flatnonzero(heard))
            if self.scenario.learning.monitored:
                state.reported_loss = np.where(state.active & state.link_up, state.device_loss, state.reported_loss)
        state.best_accuracy = np.maximum(state.best_accuracy, state.accuracy)

    def _move_on(self, state: SystemState, work: Round) -> None:
        """9. Devices move, channels fade, links and loads change, batteries fill."""
        scenario, fleet = self.scenario, self.scenario.fleet
        work.gain = state.gain
        if self.guard is not None and work.guarded is not None:
            self.guard.move_on(state, work.guarded, work.round_s, self.learner)
        evolution.move(scenario.radio, fleet, state, work.round_s, work.normal, self.sites_m, self.radius_m)
        evolution.refill(scenario.radio, fleet, state, work.round_s, work.energy_j, work.uniform, work.normal["load"])
        if self.devices_leave:
            state.active = state.active & ~self.empty()
        state.round_index = state.round_index + 1
        state.elapsed_s = state.elapsed_s + work.round_s
        work.spent_j = work.energy_j.sum(-1)
        state.energy_j = state.energy_j + work.spent_j
        state.last_round_s = work.round_s

    # helpers

    def _drifted(self, state: SystemState, rows: np.ndarray | slice) -> np.ndarray:
        if self.scenario.drift.kind == "none":
            return np.zeros(state.onset_round[rows].shape)
        return severity(
            self.scenario.drift, state.round_index[rows], state.onset_round[rows], state.drift_strength[rows]
        )

    def _measure(self, state: SystemState, rows: np.ndarray) -> None:
        """Measure the global models of some systems."""
        if self.learner is None or len(rows) == 0:
            return
        measured = self.learner.evaluate(state, rows, self._drifted(state, rows))
        if len(rows) == len(state.accuracy):
            state.accuracy, state.loss = measured.accuracy, measured.loss
            state.device_accuracy, state.device_loss = measured.device_accuracy, measured.device_loss
            return
        state.accuracy[rows], state.loss[rows] = measured.accuracy, measured.loss
        state.device_accuracy[rows], state.device_loss[rows] = measured.device_accuracy, measured.device_loss
