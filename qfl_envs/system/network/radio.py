"""Rates of devices that transmit at once, on sub-channels of several cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

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


def dbm_to_w(dbm: FloatOrArray) -> FloatOrArray:
    """Power in W of a power in dBm."""
    return 10 ** ((dbm - 30) / 10)


def w_to_dbm(power_w: FloatOrArray) -> FloatOrArray:
    """Power in dBm of a power above 0 in W."""
    return 10 * np.log10(power_w) + 30


def capped_sinr(radio: Radio, sinr: np.ndarray) -> np.ndarray:
    """What the modulation makes of an SINR (...), which gains nothing above the cap."""
    return sinr if radio.sinr_cap_db is None else np.minimum(sinr, 10 ** (radio.sinr_cap_db / 10))


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
        gain: (E, N, C, K) linear power gain.
        serving: (E, N) cell of each device.
        transmits: (E, N) bool.
        subchannel: (E, N) in [0, K).
        power_w: (E, N).
        time_share: (E) bool, whether devices take turns.

    Returns:
        The uplink of the round.
    """
    systems, devices, cells, subchannels = gain.shape
    rows = np.arange(systems)[:, None]
    slot = (rows * cells + serving) * subchannels + subchannel
    bins = systems * cells * subchannels
    users = np.bincount(slot[transmits], minlength=bins)
    share = np.where(time_share[:, None], 1.0 / np.maximum(users[slot], 1), 1.0)
    # mean power that each device puts into each cell on its sub-channel
    each = np.arange(devices)
    own_gain = gain[rows[..., None], each[:, None], np.arange(cells), subchannel[..., None]]
    received = np.where(transmits, power_w * share, 0.0)[..., None] * own_gain
    signal = received[rows, each, serving]
    of_own_cell = total = np.bincount(slot.ravel(), signal.ravel(), minlength=bins)[slot]
    if cells > 1:
        every_slot = (rows[..., None] * cells + np.arange(cells)) * subchannels + subchannel[..., None]
        total = np.bincount(every_slot.ravel(), received.ravel(), minlength=bins)[slot]
    interference = np.maximum(total - np.where(time_share[:, None], of_own_cell, signal), 0.0)
    sinr = capped_sinr(radio, np.where(transmits, signal / share / (interference + radio.noise_w), 0.0))
    return Uplink(sinr, share * radio.subchannel_hz * np.log2(1 + sinr), share)


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
    systems, _, cells, subchannels = gain.shape
    mean_gain = gain.mean(-1)
    cell = np.arange(systems)[:, None] * cells + serving
    wanted = np.where(transmits, share, 0.0)
    total = np.bincount(cell.ravel(), wanted.ravel(), minlength=systems * cells)[cell]
    own_share = wanted / np.maximum(total, 1.0)
    received = np.where(transmits, power_w, 0.0)[..., None] * mean_gain
    signal = np.take_along_axis(received, serving[..., None], axis=2)[..., 0]
    everything = received.sum(1).reshape(-1)[cell]
    of_own_cell = np.bincount(cell.ravel(), signal.ravel(), minlength=systems * cells)[cell]
    interference = np.maximum(everything - of_own_cell, 0.0)
    noise = np.maximum(own_share, 1e-12) * (interference + radio.noise_w * subchannels)
    sinr = capped_sinr(radio, np.where(transmits, signal / noise, 0.0))
    rate = own_share * subchannels * radio.subchannel_hz * np.log2(1 + sinr)
    return Uplink(sinr, rate, np.ones_like(rate))


def packet_error(radio: Radio, sinr: np.ndarray) -> np.ndarray:
    """Probability that an upload is lost, 1 - exp(-m / SINR) (Chen et al. 2021, IEEE TWC 20(1)); 1 without a signal."""
    if radio.waterfall == 0.0:
        return np.where(sinr > 0, 0.0, 1.0)
    return 1 - np.exp(-radio.waterfall / np.maximum(sinr, 1e-12))


def downlink_rate_bps(radio: Radio, gain: np.ndarray, serving: np.ndarray) -> np.ndarray:
    """Rate (E, N) at which a device hears its base station, which spreads its power over all sub-channels."""
    systems, devices = serving.shape
    own = gain[np.arange(systems)[:, None], np.arange(devices), serving]
    power_w = dbm_to_w(radio.base_station_dbm) / radio.num_subchannels
    return radio.subchannel_hz * np.log2(1 + power_w * own / radio.noise_w).sum(-1)


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
