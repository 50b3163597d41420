"""The observation in physical units, which solvers and rules read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qfl_envs.scenario import Scenario


@dataclass(frozen=True)
class SecurityView:
    """What the server noticed in the last round, and what protection has to go on with.

    Attributes:
        refused: Share of the updates whose check failed.
        screened: Share of the updates that were thrown away.
        failed: Whether none could be merged.
        spread: Longest update over the median one; 0 where they were masked, or nothing came.
        agreement: Mean cosine of the updates with their sum; 0 likewise.
        qber: Mean error rate of the quantum channels that were open.
        classical_broken: Whether classical schemes have fallen.
        key_bits: (N) unused key of each device.
    """

    refused: float
    screened: float
    failed: bool
    spread: float
    agreement: float
    qber: float
    classical_broken: bool
    key_bits: np.ndarray


@dataclass(frozen=True)
class NetworkView:
    """What the server knows before a decision, for one system with C cells and K sub-channels.

    It shows N devices: the whole fleet, or those that the task decides about.

    Attributes:
        scenario: Constants of the system.
        device: (N) number of each in the fleet; -1 for a place that no device has taken, whose values mean nothing.
        gain: (N, C, K) linear power gain to every cell. A task whose observation has one number per device and cell
            repeats it over the sub-channels.
        serving_cell: (N) cell that each device is received best in.
        noise_w: Noise power of one sub-channel.
        subchannel_hz: Bandwidth of one sub-channel.
        min_power_dbm: Least power of a device that transmits.
        max_power_dbm: Most power.
        time_share: Whether devices on one sub-channel take turns; else they interfere.
        payload_bits: (N) bits of an upload, protection included.
        num_samples: (N) training samples.
        cpu_hz: (N) clock that is left for training this round.
        step_s: (N) seconds that one local step would take this round.
        battery_j: (N) charge.
        available: (N) bool, who can take part this round: linked, with charge above the reserve.
        loss: (N) last loss that each device reported, in nats.
        age: (N) rounds since each last delivered.
        accuracy: Held-out accuracy of the global model; None where the task does not show it.
        best_accuracy: Best of the episode so far; None where the task does not show it.
        round_index: Rounds played.
        last_round_s: Duration of the last round.
        scheduled: (N) bool, in which places a device has its turn; None where the agent itself decides who has one.
        local_rate: Learning rate of the local steps; this and the next two are None where the task does not show it.
        dropout: Share of the readouts that local steps leave out.
        activation_bits: Bits of each readout in local steps, 0 for full precision.
        security: What the server noticed of attacks; None where the task does not show it.
    """

    scenario: Scenario
    device: np.ndarray
    gain: np.ndarray
    serving_cell: np.ndarray
    noise_w: float
    subchannel_hz: float
    min_power_dbm: float
    max_power_dbm: float
    time_share: bool
    payload_bits: np.ndarray
    num_samples: np.ndarray
    cpu_hz: np.ndarray
    step_s: np.ndarray
    battery_j: np.ndarray
    available: np.ndarray
    loss: np.ndarray
    age: np.ndarray
    accuracy: float | None
    best_accuracy: float | None
    round_index: int
    last_round_s: float
    scheduled: np.ndarray | None = None
    local_rate: float | None = None
    dropout: float | None = None
    activation_bits: int | None = None
    security: SecurityView | None = None
