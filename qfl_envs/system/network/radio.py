"""Rates of devices that transmit at once, on sub-channels of several cells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from qfl_envs.compiled import compiled, elementwise, ready
from qfl_envs.scenario import Radio

FloatOrArray = TypeVar("FloatOrArray", float, np.ndarray)


@dataclass(frozen=True)
class Uplink:
    """What the base stations receive in one round.

    Attributes:
        sinr: (E, N) linear; 0 for devices that do not transmit.
        rate_bps: (E, N) Shannon rate, the share of time included.
        share: (E, N) share of the time that each device transmits: 1, or its turn.
    """

    sinr: np.ndarray
    rate_bps: np.ndarray
    share: np.ndarray


@compiled
def dbm_to_w(dbm: FloatOrArray) -> FloatOrArray:
    """Power in W of a power in dBm."""
    return 10.0 ** ((dbm - 30.0) / 10.0)


def w_to_dbm(power_w: FloatOrArray) -> FloatOrArray:
    """Power in dBm of a power above 0 in W."""
    return 10 * np.log10(power_w) + 30


def capped_sinr(radio: Radio, sinr: np.ndarray) -> np.ndarray:
    """What the modulation makes of an SINR (...), which gains nothing above the cap."""
    return np.minimum(sinr, most_sinr(radio))


def uplink(
    radio: Radio,
    gain: np.ndarray,
    serving: np.ndarray,
    transmits: np.ndarray,
    subchannel: np.ndarray,
    power_w: np.ndarray,
    time_share: np.ndarray,
) -> Uplink:
    """SINR and rate of every device, R = share B log2(1 + p g / (I + N0 B)).

    Devices on one sub-channel of a cell either all transmit and are each other's noise, or take turns of equal length;
    devices of other cells interfere in both cases, in the second with their mean power.

    Args:
        radio: Noise, bandwidth and SINR cap.
        gain: (E, N, C, K) linear power gain; (1, N, C, K) where all systems have the same.
        serving: (E, N) cell of each device.
        transmits: (E, N) bool.
        subchannel: (E, N) in [0, K).
        power_w: (E, N).
        time_share: (E) bool, whether devices take turns.

    Returns:
        The uplink of the round.
    """
    sinr, rate, share = np.empty(power_w.shape), np.empty(power_w.shape), np.empty(power_w.shape)
    _uplink(
        ready(gain),
        ready(serving, np.int64),
        ready(transmits, np.bool_),
        ready(subchannel, np.int64),
        ready(power_w),
        ready(time_share, np.bool_),
        radio.noise_w,
        radio.subchannel_hz,
        most_sinr(radio),
        sinr,
        rate,
        share,
    )
    return Uplink(sinr, rate, share)


@compiled
def _uplink(
    gain: np.ndarray,
    serving: np.ndarray,
    transmits: np.ndarray,
    subchannel: np.ndarray,
    power_w: np.ndarray,
    time_share: np.ndarray,
    noise_w: float,
    subchannel_hz: float,
    most: float,
    sinr: np.ndarray,
    rate: np.ndarray,
    share: np.ndarray,
) -> None:
    """Fill the last three arrays with SINR, rate and share of time of :func:`uplink`."""
    (systems, devices), (cells, subchannels) = transmits.shape, gain.shape[2:]
    sinr[:] = 0.0
    rate[:] = 0.0
    share[:] = 1.0
    users = np.empty((cells, subchannels), dtype=np.int64)
    # mean power that a cell receives on a sub-channel: from all devices, and from its own
    total, of_own = np.empty((cells, subchannels)), np.empty((cells, subchannels))
    for e in range(systems):
        own_gain = gain[min(e, len(gain) - 1)]
        users[:] = 0
        total[:] = 0.0
        of_own[:] = 0.0
        for n in range(devices):
            if transmits[e, n]:
                users[serving[e, n], subchannel[e, n]] += 1
        for n in range(devices):
            own, k = serving[e, n], subchannel[e, n]
            if time_share[e]:
                share[e, n] = 1.0 / max(users[own, k], 1)
            if transmits[e, n]:
                mean_w = power_w[e, n] * share[e, n]
                of_own[own, k] += mean_w * own_gain[n, own, k]
                for c in range(cells):
                    total[c, k] += mean_w * own_gain[n, c, k]
        for n in range(devices):
            if transmits[e, n]:
                own, k = serving[e, n], subchannel[e, n]
                signal = power_w[e, n] * share[e, n] * own_gain[n, own, k]
                unheard = of_own[own, k] if time_share[e] else signal
                interference = max(total[own, k] - unheard, 0.0)
                sinr[e, n] = min(signal / share[e, n] / (interference + noise_w), most)
                rate[e, n] = share[e, n] * subchannel_hz * math.log2(1.0 + sinr[e, n])


def most_sinr(radio: Radio) -> float:
    """SINR, linear, above which the modulation gains nothing; infinite without a cap."""
    return math.inf if radio.sinr_cap_db is None else 10 ** (radio.sinr_cap_db / 10)


def band_uplink(
    radio: Radio, gain: np.ndarray, serving: np.ndarray, transmits: np.ndarray, power_w: np.ndarray, share: np.ndarray
) -> Uplink:
    """Rate of devices that split the band of their cell, R = b B log2(1 + p g / (b (I + N0 B))), B of all sub-channels.

    Each has a share b of it for itself, over which it spreads its power; g is its mean gain over the sub-channels. What
    other cells transmit is spread over the whole band, as noise of the same mean power.

    Args:
        radio: Noise, bandwidth and SINR cap.
        gain: (E, N, C, K) linear power gain.
        serving: (E, N) cell of each device.
        transmits: (E, N) bool.
        power_w: (E, N).
        share: (E, N) above 0 for those who transmit; a cell whose shares add up to more than 1 scales them down to it.

    Returns:
        The uplink of the round; ``share`` is 1, everyone transmits all the time.
    """
    sinr, rate = _band_uplink(
        ready(gain),
        ready(serving, np.int64),
        ready(transmits, np.bool_),
        ready(power_w),
        ready(share),
        radio.noise_w,
        radio.subchannel_hz,
        most_sinr(radio),
    )
    return Uplink(sinr, rate, np.ones_like(rate))


@compiled
def _band_uplink(
    gain: np.ndarray,
    serving: np.ndarray,
    transmits: np.ndarray,
    power_w: np.ndarray,
    share: np.ndarray,
    noise_w: float,
    subchannel_hz: float,
    most: float,
) -> tuple[np.ndarray, np.ndarray]:
    """SINR and rate of :func:`band_uplink`."""
    systems, devices, cells, subchannels = gain.shape
    sinr, rate = np.zeros((systems, devices)), np.zeros((systems, devices))
    received = np.empty((devices, cells))
    wanted, total, of_own = np.empty(cells), np.empty(cells), np.empty(cells)
    for e in range(systems):
        wanted[:] = 0.0
        total[:] = 0.0
        of_own[:] = 0.0
        for n in range(devices):
            if transmits[e, n]:
                wanted[serving[e, n]] += share[e, n]
                for c in range(cells):
                    received[n, c] = power_w[e, n] * gain[e, n, c].sum() / subchannels
                    total[c] += received[n, c]
                of_own[serving[e, n]] += received[n, serving[e, n]]
        for n in range(devices):
            if transmits[e, n]:
                own = serving[e, n]
                part = share[e, n] / max(wanted[own], 1.0)
                interference = max(total[own] - of_own[own], 0.0)
                noise = max(part, 1e-12) * (interference + noise_w * subchannels)
                sinr[e, n] = min(received[n, own] / noise, most)
                rate[e, n] = part * subchannels * subchannel_hz * math.log2(1.0 + sinr[e, n])
    return sinr, rate


@elementwise
def loss_probability(waterfall: float, sinr: float) -> float:
    """Probability that a packet is in error, 1 - exp(-m / SINR) (Chen et al. 2021, IEEE TWC 20(1)); 1 without a signal.

    Args:
        waterfall: m, ``radio.waterfall``.
        sinr: Linear.
    """
    return 1.0 - math.exp(-waterfall / sinr) if sinr > 0.0 else 1.0


def packet_error(radio: Radio, sinr: np.ndarray) -> np.ndarray:
    """:func:`loss_probability` (...) of uploads with an SINR (...)."""
    return np.asarray(loss_probability(radio.waterfall, sinr))  # type: ignore[arg-type]


def downlink_rate_bps(radio: Radio, gain: np.ndarray, serving: np.ndarray) -> np.ndarray:
    """Rate (E, N) at which a device hears its base station, which spreads its power over all sub-channels."""
    rate = np.empty(gain.shape[:2])
    _downlink(ready(gain), ready(serving, np.int64), downlink_snr_per_gain(radio), radio.subchannel_hz, rate)
    return rate


def downlink_snr_per_gain(radio: Radio) -> float:
    """SNR on the way down over a link of gain 1."""
    return dbm_to_w(radio.base_station_dbm) / radio.num_subchannels / radio.noise_w


@compiled
def downlink_bps(gain: np.ndarray, snr_per_gain: float, subchannel_hz: float) -> float:
    """:func:`downlink_rate_bps` of one device, from the gain (K) to its own cell."""
    bits = 0.0
    for k in range(len(gain)):
        bits += math.log2(1.0 + snr_per_gain * gain[k])
    return subchannel_hz * bits


@compiled
def _downlink(
    gain: np.ndarray, serving: np.ndarray, snr_per_gain: float, subchannel_hz: float, rate: np.ndarray
) -> None:
    """Fill the last array with :func:`downlink_rate_bps`."""
    for e in range(gain.shape[0]):
        for n in range(gain.shape[1]):
            rate[e, n] = downlink_bps(gain[e, n, serving[e, n]], snr_per_gain, subchannel_hz)


def alone_rate_bps(radio: Radio, gain: np.ndarray, serving: np.ndarray) -> np.ndarray:
    """Rate of each device alone on each sub-channel of its cell, at full power.

    Args:
        radio: Noise, bandwidth, power and SINR cap.
        gain: (..., N, C, K) linear power gain.
        serving: (..., N) cell of each device.

    Returns:
        (..., N, K).
    """
    return _full_power_rate_bps(radio, np.take_along_axis(gain, serving[..., None, None], axis=-2)[..., 0, :])


def best_alone_bps(radio: Radio, gain: np.ndarray, serving: np.ndarray) -> np.ndarray:
    """Sum-rate (E) if the best device of each cell had each sub-channel for itself, at full power and unharmed.

    No allocation that puts at most one device on a sub-channel has more.
    """
    of_cell = serving[..., None] == np.arange(gain.shape[2])
    best = np.where(of_cell[..., None], gain, 0.0).max(1)
    return _full_power_rate_bps(radio, best).sum((-1, -2))


def _full_power_rate_bps(radio: Radio, gain: np.ndarray) -> np.ndarray:
    """Rate over links of any gain (...) at full power, without interference."""
    snr = capped_sinr(radio, dbm_to_w(radio.max_power_dbm) * gain / radio.noise_w)
    return radio.subchannel_hz * np.log2(1 + snr)
