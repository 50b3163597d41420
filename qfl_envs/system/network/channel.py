"""Power gain between every device and every base station: path loss, shadowing and Rician fading per sub-channel."""

from __future__ import annotations

import numpy as np
from scipy.special import j0

from qfl_envs.scenario import Radio

LIGHT_MPS = 299_792_458.0


def distance_m(radio: Radio, sites_m: np.ndarray, position_m: np.ndarray) -> np.ndarray:
    """Distances (E, N, C) of devices (E, N, 2) from base stations (C, 2), at least ``radio.min_distance_m``."""
    offset = position_m[:, :, None, :] - sites_m
    return np.maximum(np.sqrt((offset**2).sum(-1)), radio.min_distance_m)


def path_loss_db(radio: Radio, distance: np.ndarray) -> np.ndarray:
    """Distance-dependent loss in dB, without shadowing: intercept + slope log10(distance / 1 km)."""
    return radio.path_loss_1km_db + radio.path_loss_slope_db * np.log10(distance / 1000.0)


def next_shadowing_db(radio: Radio, shadowing_db: np.ndarray, moved_m: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Shadowing after a move: an AR(1) process in distance (Gudmundson 1991).

    Args:
        radio: Standard deviation and correlation distance.
        shadowing_db: (E, N, C).
        moved_m: (E, N) distance moved.
        normal: (E, N, C) standard normal numbers.

    Returns:
        (E, N, C).
    """
    correlation = np.exp(-moved_m / radio.shadowing_distance_m)[..., None]
    return correlation * shadowing_db + np.sqrt(1 - correlation**2) * radio.shadowing_db * normal


def complex_normal(normal: np.ndarray) -> np.ndarray:
    """Unit-variance complex normal numbers (...) from standard normal ones (..., 2)."""
    return np.ascontiguousarray(normal).view(np.complex128)[..., 0] * np.sqrt(0.5)


def next_scatter(
    radio: Radio, scatter: np.ndarray, speed_mps: np.ndarray, seconds: np.ndarray, normal: np.ndarray
) -> np.ndarray:
    """Scattered part of the fading after some time: AR(1) with the Clarke correlation J0(2 pi f_d T), f_d = v f_c / c.

    Args:
        radio: Carrier.
        scatter: (E, N, C, K) complex, unit variance.
        speed_mps: (E, N).
        seconds: (E).
        normal: (E, N, C, K, 2) standard normal numbers.

    Returns:
        (E, N, C, K).
    """
    doppler_hz = speed_mps * radio.carrier_hz / LIGHT_MPS
    correlation = j0(2 * np.pi * doppler_hz * seconds[:, None])[..., None, None]
    return correlation * scatter + np.sqrt(1 - correlation**2) * complex_normal(normal)


def power_gain(
    radio: Radio, distance: np.ndarray, shadowing_db: np.ndarray, rician_k: np.ndarray, scatter: np.ndarray
) -> np.ndarray:
    """Linear power gain of every link and sub-channel.

    The line-of-sight phase is taken as zero: the scattered part is circularly symmetric, so |h|^2 is distributed as for
    any other phase.

    Args:
        radio: Path loss and least coupling loss.
        distance: (E, N, C) m.
        shadowing_db: (E, N, C).
        rician_k: (E, N) linear.
        scatter: (E, N, C, K) complex.

    Returns:
        (E, N, C, K).
    """
    loss_db = np.maximum(path_loss_db(radio, distance) + shadowing_db, radio.min_coupling_loss_db)
    k = rician_k[..., None, None]
    fading = np.sqrt(k / (k + 1)) + np.sqrt(1 / (k + 1)) * scatter
    return 10 ** (-loss_db / 10)[..., None] * (fading.real**2 + fading.imag**2)


def serving_cell(mean_gain: np.ndarray) -> np.ndarray:
    """Cell that each device is received best in, from its mean gain over sub-channels: (..., N, C) -> (..., N)."""
    return mean_gain.argmax(-1)
