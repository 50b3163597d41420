"""What happened in one round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qfl_envs.compiled import compiled, ready

if TYPE_CHECKING:
    from qfl_envs.system.security.guard import GuardedRound


@dataclass(frozen=True)
class Fairness:
    """How evenly the model serves the devices: (E) each, of the accuracies on the devices' own data.

    Attributes:
        variance: Variance over devices.
        worst_accuracy: Mean over the worst tenth of the devices.
        jain: Jain's index (sum x)^2 / (n sum x^2), 1 for equal accuracies.
    """

    variance: np.ndarray
    worst_accuracy: np.ndarray
    jain: np.ndarray


@dataclass(frozen=True)
class RoundReport:
    """Outcome of a round of E systems of N devices.

    Attributes:
        rates_bps: (E, N) uplink rate of the participants, 0 for others.
        sum_rate_bps: (E).
        gain: (E, N, C, K) linear power gain in the round.
        serving: (E, N) cell that each device was received best in.
        compute_s: (E, N) time of the local steps.
        protect_s: (E, N) time of protecting the update.
        upload_s: (E, N) time of the upload, as far as it got before the deadline or the end of the battery.
        round_s: (E) duration: until the server had heard enough, or the deadline where it waited in vain.
        energy_j: (E) energy of all devices.
        participation: (E, N) bool, who took part after repair.
        subchannel: (E, N) sub-channel of the participants.
        power_dbm: (E, N) power of the participants.
        local_steps: (E, N) local steps, 0 for devices that do not participate.
        delivered: (E, N) bool, whose update arrived in this round.
        late: (E, N) bool, who took part and will not be ready in time.
        lost: (E, N) bool, whose packet was in error.
        depleted: (E, N) bool, whose battery ended before the upload did.
        repaired: (E, N) bool, whose part of the decision had to be changed.
        payload_bits: (E, N) bits of a whole upload, protection included.
        bits_sent: (E, N) bits that left the device.
        accuracy: (E) held-out accuracy after the round.
        best_accuracy: (E) best of the episode so far.
        best_accuracy_gain: (E) its rise by the round.
        loss: (E) held-out cross-entropy.
        device_loss: (E, N).
        drifted: (E) mean share of the devices' data that has drifted.
        fairness: Spread over devices.
        device_accuracy_before: (E, N) accuracies before the round.
        guarded: What threats and protection did; None in systems that know neither.
    """

    rates_bps: np.ndarray
    sum_rate_bps: np.ndarray
    gain: np.ndarray
    serving: np.ndarray
    compute_s: np.ndarray
    protect_s: np.ndarray
    upload_s: np.ndarray
    round_s: np.ndarray
    energy_j: np.ndarray
    participation: np.ndarray
    subchannel: np.ndarray
    power_dbm: np.ndarray
    local_steps: np.ndarray
    delivered: np.ndarray
    late: np.ndarray
    lost: np.ndarray
    depleted: np.ndarray
    repaired: np.ndarray
    payload_bits: np.ndarray
    bits_sent: np.ndarray
    accuracy: np.ndarray
    best_accuracy: np.ndarray
    best_accuracy_gain: np.ndarray
    loss: np.ndarray
    device_loss: np.ndarray
    drifted: np.ndarray
    fairness: Fairness
    device_accuracy_before: np.ndarray
    guarded: GuardedRound | None = None


def fairness(device_accuracy: np.ndarray) -> Fairness:
    """Spread of the accuracies (E, N) over devices; equal accuracies of zero count as perfectly even."""
    systems = len(device_accuracy)
    spread = Fairness(np.empty(systems), np.empty(systems), np.ones(systems))
    _spread(ready(device_accuracy), spread.variance, spread.worst_accuracy, spread.jain)
    return spread


@compiled
def _spread(accuracy: np.ndarray, variance: np.ndarray, worst: np.ndarray, jain: np.ndarray) -> None:
    """Fill the attributes of :class:`Fairness`; Jain's index stays 1 where all accuracies are zero."""
    systems, devices = accuracy.shape
    tenth = -(-devices // 10)
    for e in range(systems):
        mean = accuracy[e].sum() / devices
        variance[e] = ((accuracy[e] - mean) ** 2).sum() / devices
        worst[e] = np.sort(accuracy[e])[:tenth].sum() / tenth
        squares = (accuracy[e] ** 2).sum()
        if squares > 0.0:
            jain[e] = accuracy[e].sum() ** 2 / (devices * squares)
