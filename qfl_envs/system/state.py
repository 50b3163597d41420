"""Everything that systems remember between rounds, as arrays with a leading axis E of systems."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass
class SystemState:
    """State of E systems of N devices, C cells, K sub-channels and a model of P parameters.

    Attributes:
        position_m: (E, N, 2).
        velocity_mps: (E, N, 2).
        mean_velocity_mps: (E, N, 2) velocity that each device returns to.
        shadowing_db: (E, N, C).
        rician_k: (E, N) linear Rician K.
        scatter: (E, N, C, K) complex scattered part of the fading, unit variance.
        gain: (E, N, C, K) linear power gain of this round, which follows from the five arrays above.
        mean_gain: (E, N, C) its mean over the sub-channels.
        active: (E, N) bool, devices that belong to the fleet in this episode and have not left it for good.
        link_up: (E, N) whether the device can be reached this round.
        max_cpu_hz: (E, N) fastest clock.
        shot_s: (E, N) seconds per shot.
        load_normal: (E, N) standard normal process behind the load.
        battery_j: (E, N) charge.
        full_battery_j: (E, N) charge at the start.
        busy_s: (E, N) time that the update under way still takes; 0 for devices that are free.
        sample_index: (E, W, N, D) rows of the training set that each device holds in each distribution of the data,
            the first ``num_samples`` valid.
        num_samples: (E, N) samples of each device.
        label_map: (E, W, classes) label of the samples of each class in each distribution.
        label_share: (E, W, N, classes) share of each class among the samples of a device.
        onset_round: (E, N) round in which the data of each device begin to drift.
        drift_strength: (E) share of the data that drifts at most.
        parameters: (E, P) float32 global model.
        first_moment: (E, P) float32 of the server's Adam.
        second_moment: (E, P) float32 of the server's Adam.
        adam_steps: (E) steps behind these moments.
        updates: (E) versions of the global model since the start.
        local_rate: (E) learning rate of the local steps.
        dropout: (E) share of the readouts that local steps leave out.
        activation_bits: (E) bits of each readout in local steps, 0 for full precision.
        controls: (E, N, P) control variates of SCAFFOLD; P is 0 without.
        server_control: (E, P) that of the server.
        flight: (E, N, P) float32 what each device will hand in, its update or, under FedAsync, its model; P is 0 where
            devices do not go on from round to round.
        flight_arrives: (E, N) bool, whether what is under way will arrive.
        flight_weight: (E, N) its weight.
        held_version: (E, N) version of the global model that each device received last.
        received_loss: (E, N) loss of that version on the device's data.
        accuracy: (E) held-out accuracy of the global model.
        start_accuracy: (E) that of the untrained model.
        best_accuracy: (E) best of the episode so far.
        loss: (E) held-out cross-entropy in nats.
        device_loss: (E, N) cross-entropy of the global model on each device's data.
        device_accuracy: (E, N).
        reported_loss: (E, N) last loss that reached the server; the start value is that of a uniform guess.
        age: (E, N) rounds since a device last delivered, or since the start.
        round_index: (E) rounds played.
        elapsed_s: (E) simulated time.
        energy_j: (E) energy spent by all devices.
        last_round_s: (E) duration of the last round.
        hostile: (E, N) bool, devices that attack while their threat is on; N is 0 in this and the next five where
            rounds know neither threats nor choices of protection.
        threats: (E, T) bool, which of :data:`qfl_envs.system.security.threats.THREATS` are on.
        q_day_round: (E, 1) round from which on classical schemes are broken; infinite for never.
        key_bits: (E, N) key of quantum channels that each device has not used.
        exposed: (E, 2) updates that somebody has read, and that somebody recorded to read after Q-day.
        signs: (E, S) what the server noticed in the last round, see :data:`qfl_envs.system.security.signs.SIGNS`.
    """

    position_m: np.ndarray
    velocity_mps: np.ndarray
    mean_velocity_mps: np.ndarray
    shadowing_db: np.ndarray
    rician_k: np.ndarray
    scatter: np.ndarray
    gain: np.ndarray
    mean_gain: np.ndarray
    active: np.ndarray
    link_up: np.ndarray
    max_cpu_hz: np.ndarray
    shot_s: np.ndarray
    load_normal: np.ndarray
    battery_j: np.ndarray
    full_battery_j: np.ndarray
    busy_s: np.ndarray
    sample_index: np.ndarray
    num_samples: np.ndarray
    label_map: np.ndarray
    label_share: np.ndarray
    onset_round: np.ndarray
    drift_strength: np.ndarray
    parameters: np.ndarray
    first_moment: np.ndarray
    second_moment: np.ndarray
    adam_steps: np.ndarray
    updates: np.ndarray
    local_rate: np.ndarray
    dropout: np.ndarray
    activation_bits: np.ndarray
    controls: np.ndarray
    server_control: np.ndarray
    flight: np.ndarray
    flight_arrives: np.ndarray
    flight_weight: np.ndarray
    held_version: np.ndarray
    received_loss: np.ndarray
    accuracy: np.ndarray
    start_accuracy: np.ndarray
    best_accuracy: np.ndarray
    loss: np.ndarray
    device_loss: np.ndarray
    device_accuracy: np.ndarray
    reported_loss: np.ndarray
    age: np.ndarray
    round_index: np.ndarray
    elapsed_s: np.ndarray
    energy_j: np.ndarray
    last_round_s: np.ndarray
    hostile: np.ndarray
    threats: np.ndarray
    q_day_round: np.ndarray
    key_bits: np.ndarray
    exposed: np.ndarray
    signs: np.ndarray

    def put(self, rows: np.ndarray, state: SystemState) -> None:
        """Overwrite some systems."""
        for name, array in state._arrays():
            getattr(self, name)[rows] = array

    def take(self, rows: np.ndarray) -> Self:
        """Copies of some systems, which share nothing."""
        return type(self)(**{name: array[rows] for name, array in self._arrays()})

    def copy(self) -> Self:
        """A copy that shares nothing."""
        return type(self)(**{name: array.copy() for name, array in self._arrays()})

    def _arrays(self) -> list[tuple[str, np.ndarray]]:
        return [(field.name, getattr(self, field.name)) for field in dataclasses.fields(self)]
