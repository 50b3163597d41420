"""The federated system: one round, in order.

    check -> compute -> protect -> upload -> learn -> attack -> aggregate -> evaluate -> move on

E independent systems run side by side; every array has their axis first. The state before :meth:`FederatedSystem.step`
is what a server can know when it decides; everything that is drawn in a round is drawn after the decision, in a fixed
order and amount, so that two policies meet the same fading, links and mini-batches under one seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from qfl_envs.scenario import Scenario
from qfl_envs.system import devices
from qfl_envs.system.decision import Decision, deal_subchannels
from qfl_envs.system.learning.aggregation import server_step, weighted_mean_update
from qfl_envs.system.learning.shapes import NUM_CLASSES, model_bits, num_parameters, payload_bits
from qfl_envs.system.network import channel, links, mobility, radio
from qfl_envs.system.random import RowRandom
from qfl_envs.system.report import Fairness, RoundReport
from qfl_envs.system.state import SystemState

if TYPE_CHECKING:
    from qfl_envs.system.learning.learner import Learner
    from qfl_envs.system.learning.training import Participants


@dataclass
class _Round:
    """What the steps of one round hand on to each other; arrays as in :class:`RoundReport` and :class:`Decision`."""

    uniform: dict[str, np.ndarray]
    normal: dict[str, np.ndarray]
    serving: np.ndarray
    load_share: np.ndarray
    participate: np.ndarray = field(init=False)
    repaired: np.ndarray = field(init=False)
    subchannel: np.ndarray = field(init=False)
    power_dbm: np.ndarray = field(init=False)
    cpu_hz: np.ndarray = field(init=False)
    local_steps: np.ndarray = field(init=False)
    time_share: np.ndarray = field(init=False)
    compute_s: np.ndarray = field(init=False)
    protect_s: np.ndarray = field(init=False)
    upload_s: np.ndarray = field(init=False)
    energy_j: np.ndarray = field(init=False)
    round_s: np.ndarray = field(init=False)
    rates_bps: np.ndarray = field(init=False)
    best_alone_bps: np.ndarray = field(init=False)
    bits_sent: np.ndarray = field(init=False)
    delivered: np.ndarray = field(init=False)
    late: np.ndarray = field(init=False)
    lost: np.ndarray = field(init=False)
    depleted: np.ndarray = field(init=False)
    participants: Participants | None = None
    updates: np.ndarray | None = None
    best_before: np.ndarray = field(init=False)


class FederatedSystem:
    """E federated systems of one scenario.

    Attributes:
        scenario: What they are.
        state: What they remember; complete after :meth:`reset`.
    """

    state: SystemState

    def __init__(
        self, scenario: Scenario, num_systems: int = 1, max_local_steps: int | None = None, device: str = "cpu"
    ) -> None:
        """Prepare the systems; call :meth:`reset` before the first round.

        Args:
            scenario: What each system is.
            num_systems: How many run side by side.
            max_local_steps: Most local steps that decisions will ask for; None for ``learning.local_steps``.
                Mini-batches for so many steps are drawn in each round.
            device: Torch device of the learning.
        """
        self.scenario = scenario
        self.num_systems = num_systems
        self.max_local_steps = scenario.learning.local_steps if max_local_steps is None else max_local_steps
        self.device = device
        self.generators: list[np.random.Generator] = [np.random.default_rng(0)] * num_systems
        self.sites_m = mobility.cell_sites(scenario.radio)
        self.payload_bits = payload_bits(scenario)
        self._learner: Learner | None = None

    @property
    def learner(self) -> Learner | None:
        """Data and model, loaded when first needed; None where the scenario learns nothing."""
        if self._learner is None and self.scenario.learning.model != "none":
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
        """Place devices, deal data and batteries, and measure the untrained model."""
        scenario, fleet = self.scenario, self.scenario.fleet
        systems, n, c = len(random.generators), scenario.num_devices, scenario.radio.num_cells
        parameters = num_parameters(scenario)
        uniform = random.uniform(
            place=(n, 3), heading=(n,), link=(n,), cpu=(n,), shot=(n,), battery=(n,), model=(parameters,)
        )
        normal = random.normal(
            velocity=(n, 2), shadowing=(n, c), rician=(n,), scatter=(n, c, scenario.radio.num_subchannels, 2), load=(n,)
        )
        mean_velocity = mobility.mean_velocity(fleet, uniform["heading"])
        battery_j = devices.draw_per_device(fleet.battery_j, uniform["battery"])
        rician_k_db = scenario.radio.rician_k_db + scenario.radio.rician_k_std_db * normal["rician"]
        state = SystemState(
            position_m=mobility.place(scenario.radio, uniform["place"]),
            velocity_mps=mean_velocity + fleet.speed_std_mps * normal["velocity"],
            mean_velocity_mps=mean_velocity,
            shadowing_db=scenario.radio.shadowing_db * normal["shadowing"],
            rician_k=10 ** (rician_k_db / 10),
            scatter=channel.complex_normal(normal["scatter"]),
            gain=np.zeros(()),
            active=np.ones((systems, n), dtype=bool),
            link_up=links.start_up(scenario.radio, uniform["link"]),
            max_cpu_hz=devices.draw_per_device(fleet.cpu_hz, uniform["cpu"]),
            shot_s=devices.draw_per_device(fleet.shot_s, uniform["shot"]),
            load_normal=normal["load"],
            battery_j=battery_j,
            full_battery_j=battery_j.copy(),
            sample_index=np.zeros((systems, n, 1), dtype=np.int32),
            num_samples=np.ones((systems, n), dtype=np.int64),
            parameters=np.zeros((systems, parameters), dtype=np.float32),
            first_moment=np.zeros((systems, parameters), dtype=np.float32),
            second_moment=np.zeros((systems, parameters), dtype=np.float32),
            updates=np.zeros(systems, dtype=np.int64),
            accuracy=np.zeros(systems),
            start_accuracy=np.zeros(systems),
            best_accuracy=np.zeros(systems),
            loss=np.zeros(systems),
            device_loss=np.zeros((systems, n)),
            device_accuracy=np.zeros((systems, n)),
            reported_loss=np.full((systems, n), np.log(NUM_CLASSES)),
            age=np.zeros((systems, n), dtype=np.int64),
            round_index=np.zeros(systems, dtype=np.int64),
            elapsed_s=np.zeros(systems),
            energy_j=np.zeros(systems),
            last_round_s=np.zeros(systems),
        )
        state.gain = self._gain(state)
        if self.learner is not None:
            parts = [self.learner.partition(generator) for generator in random.generators]
            state.sample_index = np.stack([index for index, _ in parts])
            state.num_samples = np.stack([sizes for _, sizes in parts])
            state.parameters = self.learner.model.initial(uniform["model"])
            self._measure(state, np.arange(systems))
            state.start_accuracy, state.best_accuracy = state.accuracy.copy(), state.accuracy.copy()
        return state

    def __getstate__(self) -> dict[str, object]:
        """Everything but the data and the model, which any process loads again."""
        return {**self.__dict__, "_learner": None}

    # what devices report before a decision

    def load_share(self) -> np.ndarray:
        """Share (E, N) of each device's processors that other work takes this round."""
        return devices.load(self.scenario.fleet, self.state.load_normal)

    def cpu_hz(self) -> np.ndarray:
        """Clock (E, N) that is left for training."""
        return self.state.max_cpu_hz * (1 - self.load_share())

    def step_seconds(self) -> np.ndarray:
        """Seconds (E, N) that one local step would take this round."""
        return devices.step_seconds(self.scenario, self.cpu_hz(), self.state.shot_s, self.load_share())

    def available(self) -> np.ndarray:
        """(E, N) bool, devices that can take part: of the fleet, linked, with charge above the reserve."""
        return self.state.active & self.state.link_up & ~self.empty()

    def empty(self) -> np.ndarray:
        """(E, N) bool, devices whose charge is down to the reserve."""
        return self.state.battery_j <= self.scenario.fleet.reserve * self.state.full_battery_j

    # the round

    def step(self, decision: Decision) -> RoundReport:
        """Play one round of every system."""
        state = self.state
        work = self._begin(state, RowRandom(self.generators))
        self._check(state, decision, work)
        self._compute(state, work)
        self._protect(work)
        self._upload(state, work)
        self._learn(state, work)
        self._attack(work)
        self._aggregate(state, work)
        self._evaluate(state, work)
        self._move_on(state, work)
        return self._report(state, work)

    def _begin(self, state: SystemState, random: RowRandom) -> _Round:
        """Draw all randomness of the round, always the same amount of it."""
        scenario, learning = self.scenario, self.scenario.learning
        n, c, k = scenario.num_devices, scenario.radio.num_cells, scenario.radio.num_subchannels
        batches = (n, self.max_local_steps, learning.batch_size) if self.learner is not None else (0,)
        uniform = random.uniform(packet=(n,), batch=batches, shots=(1,), link=(n,), harvest=(n,))
        normal = random.normal(velocity=(n, 2), shadowing=(n, c), scatter=(n, c, k, 2), load=(n,))
        load_share = devices.load(scenario.fleet, state.load_normal)
        return _Round(uniform, normal, channel.serving_cell(state.gain), load_share)

    def _check(self, state: SystemState, decision: Decision, work: _Round) -> None:
        """1. Fill in default rules and repair what cannot be done."""
        scenario, limits = self.scenario, self.scenario.radio
        able = self.available()
        wanted = np.asarray(decision.participate, dtype=bool)
        work.participate = wanted & able
        available_hz = state.max_cpu_hz * (1 - work.load_share)
        wanted_hz = available_hz if decision.cpu_hz is None else decision.cpu_hz
        work.cpu_hz = np.minimum(wanted_hz, available_hz)
        work.repaired = wanted & (~able | (wanted_hz > available_hz))
        if decision.subchannel is None:
            work.subchannel = deal_subchannels(work.participate, work.serving, state.gain)
        else:
            work.subchannel = np.where(work.participate, decision.subchannel, 0).clip(0, limits.num_subchannels - 1)
            work.repaired |= work.participate & (work.subchannel != decision.subchannel)
        shape = work.participate.shape
        power_dbm = np.full(shape, limits.max_power_dbm) if decision.power_dbm is None else decision.power_dbm
        work.power_dbm = np.clip(power_dbm, limits.min_power_dbm, limits.max_power_dbm)
        work.repaired |= wanted & (power_dbm != work.power_dbm)
        steps = scenario.learning.local_steps if decision.local_steps is None else decision.local_steps
        work.local_steps = np.where(work.participate, np.clip(steps, 1, self.max_local_steps), 0)
        work.repaired |= work.participate & (work.local_steps != steps)
        if decision.time_share is None:
            work.time_share = np.full(shape[0], limits.access == "time_share")
        else:
            work.time_share = decision.time_share

    def _compute(self, state: SystemState, work: _Round) -> None:
        """2. Local work takes seconds and joules, on the processor and on the quantum processor."""
        taken = devices.compute_work(self.scenario, work.local_steps, work.cpu_hz, state.shot_s, work.load_share)
        work.compute_s, work.energy_j = taken.seconds, taken.energy_j

    def _protect(self, work: _Round) -> None:
        """3. Signing an update takes cycles; its bits are part of the payload."""
        cycles = np.where(work.participate, self.scenario.security.protection_cycles, 0.0)
        work.protect_s = cycles / work.cpu_hz
        work.energy_j = work.energy_j + self.scenario.fleet.capacitance * cycles * work.cpu_hz**2

    def _upload(self, state: SystemState, work: _Round) -> None:
        """4. Updates go up: rate, seconds, joules; some are late, some lost, some outlive the battery."""
        scenario, fleet, part = self.scenario, self.scenario.fleet, work.participate
        power_w = radio.dbm_to_w(work.power_dbm)
        up = radio.uplink(scenario.radio, state.gain, work.serving, part, work.subchannel, power_w, work.time_share)
        work.rates_bps = up.rate_bps
        work.best_alone_bps = radio.best_alone_bps(scenario.radio, state.gain, work.serving)
        down_bps = radio.downlink_rate_bps(scenario.radio, state.gain, work.serving)
        before_s = model_bits(scenario) / np.maximum(down_bps, 1e-9) + work.compute_s + work.protect_s
        finish_s = before_s + self.payload_bits / np.maximum(up.rate_bps, 1e-9)
        work.late = part & (finish_s > scenario.deadline_s)
        # the deadline cuts short first the upload, then the work before it
        work.upload_s = np.where(part, np.minimum(finish_s, scenario.deadline_s) - before_s, 0.0).clip(min=0.0)
        done = np.minimum(scenario.deadline_s / np.maximum(before_s, 1e-12), 1.0)
        radio_w = (power_w + fleet.transmit_circuit_w) * up.share
        needed_j = np.where(part, work.energy_j * done + radio_w * work.upload_s, 0.0)
        work.depleted = part & (needed_j > state.battery_j)
        affordable_s = (state.battery_j - work.energy_j * done).clip(min=0.0) / np.maximum(radio_w, 1e-12)
        work.upload_s = np.where(work.depleted, np.minimum(work.upload_s, affordable_s), work.upload_s)
        work.energy_j = np.minimum(needed_j, state.battery_j)
        error = radio.packet_error(scenario.radio, up.sinr)
        arrives = part & ~work.late & ~work.depleted
        work.lost = arrives & (work.uniform["packet"] < error)
        work.delivered = arrives & ~work.lost
        work.bits_sent = np.where(part, np.minimum(up.rate_bps * work.upload_s, self.payload_bits), 0.0)
        # the server hears a packet in error at its end, but waits until the deadline for one that never comes
        waits = (part & ~arrives).any(-1) | ~part.any(-1)
        work.round_s = np.where(waits, scenario.deadline_s, np.where(arrives, finish_s, 0.0).max(-1))

    def _learn(self, state: SystemState, work: _Round) -> None:
        """5. Participants train on their own data from the global model; no update that never arrives is computed."""
        if self.learner is None or not work.delivered.any():
            return
        work.participants, work.updates = self.learner.train(
            state.parameters,
            state.sample_index,
            state.num_samples,
            work.delivered,
            work.local_steps,
            work.uniform["batch"],
            [np.random.default_rng(int(seed * 2**53)) for seed in work.uniform["shots"][:, 0]]
            if self.scenario.quantum.sampled
            else None,
        )

    def _attack(self, work: _Round) -> None:
        """6. Adversaries tamper with updates; there are none yet."""

    def _aggregate(self, state: SystemState, work: _Round) -> None:
        """7. The server merges what arrived into the global model."""
        if work.participants is None or work.updates is None:
            return
        row, device = work.participants.row, work.participants.device
        weights = state.num_samples[row, device].astype(float)
        mean_update = weighted_mean_update(work.updates, weights, row, len(state.parameters))
        heard = np.asarray(work.delivered.any(-1))
        stepped = server_step(
            self.scenario.learning,
            state.parameters,
            mean_update,
            state.first_moment,
            state.second_moment,
            state.updates,
        )
        for old, new in zip((state.parameters, state.first_moment, state.second_moment), stepped, strict=True):
            np.copyto(old, new, where=heard[:, None], casting="same_kind")
        state.updates += heard

    def _evaluate(self, state: SystemState, work: _Round) -> None:
        """8. The new model is measured on held-out data and on every device."""
        work.best_before = state.best_accuracy
        state.reported_loss = np.where(work.delivered, state.device_loss, state.reported_loss)
        state.age = np.where(work.delivered, 0, state.age + 1)
        if self.learner is not None:
            self._measure(state, np.flatnonzero(work.delivered.any(-1)))
        state.best_accuracy = np.maximum(state.best_accuracy, state.accuracy)

    def _move_on(self, state: SystemState, work: _Round) -> None:
        """9. Devices move, channels fade, links and loads change, batteries fill."""
        scenario, fleet = self.scenario, self.scenario.fleet
        state.position_m, state.velocity_mps, state.mean_velocity_mps = mobility.move(
            scenario.radio,
            fleet,
            state.position_m,
            state.velocity_mps,
            state.mean_velocity_mps,
            work.round_s,
            work.normal["velocity"],
        )
        speed_mps = np.sqrt((state.velocity_mps**2).sum(-1))
        state.shadowing_db = channel.next_shadowing_db(
            scenario.radio, state.shadowing_db, speed_mps * work.round_s[:, None], work.normal["shadowing"]
        )
        state.scatter = channel.next_scatter(
            scenario.radio, state.scatter, speed_mps, work.round_s, work.normal["scatter"]
        )
        state.gain = self._gain(state)
        state.link_up = links.next_up(scenario.radio, state.link_up, work.uniform["link"])
        state.load_normal = devices.next_load_normal(fleet, state.load_normal, work.normal["load"])
        harvested_j = 2 * fleet.harvest_w * work.round_s[:, None] * work.uniform["harvest"]
        state.battery_j = np.minimum(state.battery_j - work.energy_j + harvested_j, state.full_battery_j)
        state.round_index = state.round_index + 1
        state.elapsed_s = state.elapsed_s + work.round_s
        state.energy_j = state.energy_j + work.energy_j.sum(-1)
        state.last_round_s = work.round_s

    # helpers

    def _gain(self, state: SystemState) -> np.ndarray:
        distance = channel.distance_m(self.scenario.radio, self.sites_m, state.position_m)
        return channel.power_gain(self.scenario.radio, distance, state.shadowing_db, state.rician_k, state.scatter)

    def _measure(self, state: SystemState, rows: np.ndarray) -> None:
        """Measure the global models of some systems."""
        if self.learner is None or len(rows) == 0:
            return
        measured = self.learner.evaluate(state.parameters[rows], state.sample_index[rows], state.num_samples[rows])
        state.accuracy[rows], state.loss[rows] = measured.accuracy, measured.loss
        state.device_accuracy[rows], state.device_loss[rows] = measured.device_accuracy, measured.device_loss

    def _report(self, state: SystemState, work: _Round) -> RoundReport:
        return RoundReport(
            rates_bps=work.rates_bps,
            sum_rate_bps=work.rates_bps.sum(-1),
            best_alone_bps=work.best_alone_bps,
            compute_s=work.compute_s,
            protect_s=work.protect_s,
            upload_s=work.upload_s,
            round_s=work.round_s,
            energy_j=work.energy_j.sum(-1),
            participation=work.participate,
            subchannel=work.subchannel,
            power_dbm=work.power_dbm,
            local_steps=work.local_steps,
            delivered=work.delivered,
            late=work.late,
            lost=work.lost,
            depleted=work.depleted,
            repaired=work.repaired,
            bits_sent=work.bits_sent,
            accuracy=state.accuracy.copy(),
            best_accuracy=state.best_accuracy.copy(),
            best_accuracy_gain=state.best_accuracy - work.best_before,
            loss=state.loss.copy(),
            device_loss=state.device_loss.copy(),
            fairness=fairness(state.device_accuracy),
        )


def fairness(device_accuracy: np.ndarray) -> Fairness:
    """Spread of the accuracies (E, N) over devices; equal accuracies of zero count as perfectly even."""
    n = device_accuracy.shape[-1]
    worst = -(-n // 10)
    squares = (device_accuracy**2).sum(-1)
    total = device_accuracy.sum(-1)
    return Fairness(
        variance=device_accuracy.var(-1),
        worst_accuracy=np.partition(device_accuracy, worst - 1, axis=-1)[:, :worst].mean(-1),
        jain=np.where(squares > 0, total**2 / np.maximum(n * squares, 1e-300), 1.0),
    )
