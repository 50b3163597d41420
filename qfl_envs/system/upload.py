"""What becomes of the participants' updates on their way up: in time, late, lost, or cut off by an empty battery."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qfl_envs.compiled import compiled
from qfl_envs.scenario import Scenario
from qfl_envs.system.devices import Work
from qfl_envs.system.network import radio
from qfl_envs.system.network.radio import Uplink, downlink_bps, loss_probability


@dataclass(frozen=True)
class Downlink:
    """The model on its way to the devices.

    Attributes:
        bits: Size of the model.
        gain: (E, N, C, K) linear power gain.
        serving: (E, N) cell of each device.
    """

    bits: float
    gain: np.ndarray
    serving: np.ndarray


@dataclass(frozen=True)
class Delivery:
    """Outcome of E x N uploads; zero or false for devices that take no part.

    Attributes:
        finish_s: (E, N) when each would have arrived, had nothing stopped it.
        upload_s: (E, N) time of the upload, as far as it got before the limit or the end of the battery.
        energy_j: (E, N) of the local work and the upload, at most what the battery held.
        bits_sent: (E, N) bits that left the device.
        late: (E, N) bool, who is not ready within the limit.
        depleted: (E, N) bool, whose battery ends first.
        lost: (E, N) bool, whose packet is in error.
        received: (E, N) bool, who is neither late nor depleted nor lost.
        end_s: (E) when the server has heard of everybody, of packets in error too; the limit where it waits for
            somebody in vain, the deadline where nobody takes part.
    """

    finish_s: np.ndarray
    upload_s: np.ndarray
    energy_j: np.ndarray
    bits_sent: np.ndarray
    late: np.ndarray
    depleted: np.ndarray
    lost: np.ndarray
    received: np.ndarray
    end_s: np.ndarray


def deliver(
    scenario: Scenario,
    up: Uplink,
    participate: np.ndarray,
    power_w: np.ndarray,
    payload_bits: np.ndarray,
    down: Downlink,
    before: Work,
    battery_j: np.ndarray,
    limit_s: float,
    packet: np.ndarray,
) -> Delivery:
    """Upload within a limit of time and charge.

    Args:
        scenario: Power that transmitting draws, and packet errors.
        up: Rates, SINR and shares of time.
        participate: (E, N) bool.
        power_w: (E, N) radiated.
        payload_bits: (E, N).
        down: How the model reaches the devices; the limit cuts short first the upload, then what is before it.
        before: What follows until the upload begins: seconds and joules.
        battery_j: (E, N).
        limit_s: Latest arrival.
        packet: (E, N) uniform in [0, 1), decides on packet errors.

    Returns:
        What becomes of the uploads.
    """
    shape = participate.shape
    finish_s, upload_s, energy_j, bits_sent = np.zeros((4, *shape))
    late, depleted, lost, received = np.zeros((4, *shape), dtype=np.bool_)
    end_s = np.empty(len(participate))
    _deliver(
        up.rate_bps,
        up.sinr,
        up.share,
        participate,
        power_w,
        payload_bits,
        down.gain,
        down.serving,
        radio.downlink_snr_per_gain(scenario.radio),
        scenario.radio.subchannel_hz,
        down.bits,
        before.seconds,
        before.energy_j,
        battery_j,
        limit_s,
        scenario.deadline_s,
        packet,
        scenario.fleet.transmit_circuit_w,
        scenario.radio.waterfall,
        finish_s,
        upload_s,
        energy_j,
        bits_sent,
        late,
        depleted,
        lost,
        received,
        end_s,
    )
    return Delivery(finish_s, upload_s, energy_j, bits_sent, late, depleted, lost, received, end_s)


@compiled
def _deliver(
    rate_bps: np.ndarray,
    sinr: np.ndarray,
    share: np.ndarray,
    participate: np.ndarray,
    power_w: np.ndarray,
    payload_bits: np.ndarray,
    gain: np.ndarray,
    serving: np.ndarray,
    snr_per_gain: float,
    subchannel_hz: float,
    model_bits: float,
    work_s: np.ndarray,
    work_j: np.ndarray,
    battery_j: np.ndarray,
    limit_s: float,
    deadline_s: float,
    packet: np.ndarray,
    circuit_w: float,
    waterfall: float,
    finish_s: np.ndarray,
    upload_s: np.ndarray,
    energy_j: np.ndarray,
    bits_sent: np.ndarray,
    late: np.ndarray,
    depleted: np.ndarray,
    lost: np.ndarray,
    received: np.ndarray,
    end_s: np.ndarray,
) -> None:
    """Fill the attributes of :class:`Delivery`, which are all zero, where devices take part."""
    for e in range(participate.shape[0]):
        end_s[e] = 0.0 if participate[e].any() else deadline_s
        for n in range(participate.shape[1]):
            if not participate[e, n]:
                continue
            down_bps = downlink_bps(gain[e, n, serving[e, n]], snr_per_gain, subchannel_hz)
            before = model_bits / max(down_bps, 1e-9) + work_s[e, n]
            finish = before + payload_bits[e, n] / max(rate_bps[e, n], 1e-9)
            upload = max(min(finish, limit_s) - before, 0.0)
            radio_w = (power_w[e, n] + circuit_w) * share[e, n]
            worked_j = work_j[e, n] * min(limit_s / max(before, 1e-12), 1.0)
            needed_j = worked_j + radio_w * upload
            late[e, n] = finish > limit_s
            depleted[e, n] = needed_j > battery_j[e, n]
            if depleted[e, n]:
                upload = min(upload, max(battery_j[e, n] - worked_j, 0.0) / max(radio_w, 1e-12))
            arrives = not late[e, n] and not depleted[e, n]
            end_s[e] = max(end_s[e], finish if arrives else limit_s)
            lost[e, n] = arrives and packet[e, n] < loss_probability(waterfall, sinr[e, n])
            received[e, n] = arrives and not lost[e, n]
            finish_s[e, n], upload_s[e, n] = finish, upload
            energy_j[e, n] = min(needed_j, battery_j[e, n])
            bits_sent[e, n] = min(rate_bps[e, n] * upload, payload_bits[e, n])
