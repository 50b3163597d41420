"""What becomes of the participants' updates on their way up: in time, late, lost, or cut off by an empty battery."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qfl_envs.scenario import Scenario
from qfl_envs.system.compiled import compiled, ready
from qfl_envs.system.network.radio import Uplink, loss_probability


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
        arrives: (E, N) bool, who is neither late nor depleted; the server hears of those, even of a packet in error.
        end_s: (E) when the server has heard of everybody; the limit where it waits for somebody in vain, 0 for nobody.
    """

    finish_s: np.ndarray
    upload_s: np.ndarray
    energy_j: np.ndarray
    bits_sent: np.ndarray
    late: np.ndarray
    depleted: np.ndarray
    lost: np.ndarray
    arrives: np.ndarray
    end_s: np.ndarray


def deliver(
    scenario: Scenario,
    up: Uplink,
    participate: np.ndarray,
    power_w: np.ndarray,
    payload_bits: np.ndarray,
    before_s: np.ndarray,
    work_j: np.ndarray,
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
        before_s: (E, N) time before the upload begins; the limit cuts short first the upload, then what is before it.
        work_j: (E, N) energy of that time.
        battery_j: (E, N).
        limit_s: Latest arrival.
        packet: (E, N) uniform in [0, 1), decides on packet errors.

    Returns:
        What becomes of the uploads.
    """
    numbers, flags, end_s = _deliver(
        up.rate_bps,
        up.sinr,
        up.share,
        ready(participate, np.bool_),
        ready(power_w),
        ready(payload_bits),
        ready(before_s),
        ready(work_j),
        ready(battery_j),
        limit_s,
        ready(packet),
        scenario.fleet.transmit_circuit_w,
        scenario.radio.waterfall,
    )
    return Delivery(*numbers, *flags, end_s)


@compiled
def _deliver(
    rate_bps: np.ndarray,
    sinr: np.ndarray,
    share: np.ndarray,
    participate: np.ndarray,
    power_w: np.ndarray,
    payload_bits: np.ndarray,
    before_s: np.ndarray,
    work_j: np.ndarray,
    battery_j: np.ndarray,
    limit_s: float,
    packet: np.ndarray,
    circuit_w: float,
    waterfall: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The attributes of :class:`Delivery` in their order: four of numbers, four of flags, and the end."""
    systems, devices = rate_bps.shape
    # few arrays leave a compiled function faster than many
    numbers, flags = np.zeros((4, systems, devices)), np.zeros((4, systems, devices), dtype=np.bool_)
    finish_s, upload_s, energy_j, bits_sent = numbers[0], numbers[1], numbers[2], numbers[3]
    late, depleted, lost, arrives = flags[0], flags[1], flags[2], flags[3]
    end_s = np.zeros(systems)
    for e in range(systems):
        for n in range(devices):
            if not participate[e, n]:
                continue
            before = before_s[e, n]
            finish = before + payload_bits[e, n] / max(rate_bps[e, n], 1e-9)
            upload = max(min(finish, limit_s) - before, 0.0)
            radio_w = (power_w[e, n] + circuit_w) * share[e, n]
            worked_j = work_j[e, n] * min(limit_s / max(before, 1e-12), 1.0)
            needed_j = worked_j + radio_w * upload
            late[e, n] = finish > limit_s
            depleted[e, n] = needed_j > battery_j[e, n]
            if depleted[e, n]:
                upload = min(upload, max(battery_j[e, n] - worked_j, 0.0) / max(radio_w, 1e-12))
            arrives[e, n] = not late[e, n] and not depleted[e, n]
            end_s[e] = max(end_s[e], finish if arrives[e, n] else limit_s)
            lost[e, n] = arrives[e, n] and packet[e, n] < loss_probability(waterfall, sinr[e, n])
            finish_s[e, n], upload_s[e, n] = finish, upload
            energy_j[e, n] = min(needed_j, battery_j[e, n])
            bits_sent[e, n] = min(rate_bps[e, n] * upload, payload_bits[e, n])
    return numbers, flags, end_s
