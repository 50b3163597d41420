"""Power gain between every device and every base station: path loss, shadowing and Rician fading per sub-channel."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import j0

from qfl_envs.compiled import compiled, elementwise, ready
from qfl_envs.scenario import Radio

LIGHT_MPS = 299_792_458.0


def distance_m(radio: Radio, sites_m: np.ndarray, position_m: np.ndarray) -> np.ndarray:
    """Distances (E, N, C) of devices (E, N, 2) from base stations (C, 2), at least ``radio.min_distance_m``."""
    distance = np.empty((*position_m.shape[:2], len(sites_m)))
    fill_distance(ready(sites_m), ready(position_m), radio.min_distance_m, distance)
    return distance


@compiled
def fill_distance(sites_m: np.ndarray, position_m: np.ndarray, least_m: float, distance: np.ndarray) -> None:
    """Fill the last array with :func:`distance_m`."""
    for e in range(distance.shape[0]):
        for n in range(distance.shape[1]):
            for c in range(distance.shape[2]):
                east, north = position_m[e, n, 0] - sites_m[c, 0], position_m[e, n, 1] - sites_m[c, 1]
                distance[e, n, c] = max(math.sqrt(east**2 + north**2), least_m)


def path_loss_db(radio: Radio, distance: np.ndarray) -> np.ndarray:
    """Distance-dependent loss in dB, without shadowing: intercept + slope log10(distance / 1 km)."""
    return np.asarray(_path_loss(distance, radio.path_loss_1km_db, radio.path_loss_slope_db))  # type: ignore[arg-type]


@elementwise
def _path_loss(distance_m: float, at_1km_db: float, slope_db: float) -> float:
    return at_1km_db + slope_db * math.log10(distance_m / 1000.0)


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
    after = np.empty(shadowing_db.shape)
    fill_next_shadowing(
        ready(shadowing_db), ready(moved_m), ready(normal), radio.shadowing_distance_m, radio.shadowing_db, after
    )
    return after


@compiled
def fill_next_shadowing(
    shadowing_db: np.ndarray,
    moved_m: np.ndarray,
    normal: np.ndarray,
    distance_m: float,
    std_db: float,
    after: np.ndarray,
) -> None:
    """Fill the last array with :func:`next_shadowing_db`."""
    for e in range(after.shape[0]):
        for n in range(after.shape[1]):
            correlation = math.exp(-moved_m[e, n] / distance_m)
            fresh_db = math.sqrt(1.0 - correlation**2) * std_db
            for c in range(after.shape[2]):
                after[e, n, c] = correlation * shadowing_db[e, n, c] + fresh_db * normal[e, n, c]


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
    after = np.empty(scatter.shape, dtype=np.complex128)
    correlation = clarke_correlation(radio, ready(speed_mps * seconds[:, None]))
    fill_next_scatter(ready(scatter, np.complex128), correlation, ready(normal), after)
    return after


def clarke_correlation(radio: Radio, moved_m: np.ndarray) -> np.ndarray:
    """Correlation J0(2 pi f_d T) = J0(2 pi d f_c / c) of the scattered part before and after a way d (...)."""
    return np.asarray(j0(2 * math.pi * radio.carrier_hz / LIGHT_MPS * moved_m))


@compiled
def fill_next_scatter(scatter: np.ndarray, correlation: np.ndarray, normal: np.ndarray, after: np.ndarray) -> None:
    """Fill the last array with :func:`next_scatter`, from the correlation (E, N)."""
    for e in range(after.shape[0]):
        for n in range(after.shape[1]):
            kept = correlation[e, n]
            fresh = math.sqrt(0.5 * (1.0 - kept**2))
            for c in range(after.shape[2]):
                for k in range(after.shape[3]):
                    after[e, n, c, k] = kept * scatter[e, n, c, k] + fresh * complex(
                        normal[e, n, c, k, 0], normal[e, n, c, k, 1]
                    )


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
    gain = np.empty(scatter.shape)
    fill_power_gain(
        ready(distance),
        ready(shadowing_db),
        ready(rician_k),
        ready(scatter, np.complex128),
        radio.path_loss_1km_db,
        radio.path_loss_slope_db,
        radio.min_coupling_loss_db,
        gain,
    )
    return gain


@compiled
def fill_power_gain(
    distance: np.ndarray,
    shadowing_db: np.ndarray,
    rician_k: np.ndarray,
    scatter: np.ndarray,
    at_1km_db: float,
    slope_db: float,
    least_db: float,
    gain: np.ndarray,
) -> None:
    """Fill the last array with :func:`power_gain`."""
    for e in range(gain.shape[0]):
        for n in range(gain.shape[1]):
            line, scattered = (
                math.sqrt(rician_k[e, n] / (rician_k[e, n] + 1.0)),
                math.sqrt(1.0 / (rician_k[e, n] + 1.0)),
            )
            for c in range(gain.shape[2]):
                loss_db = max(_path_loss(distance[e, n, c], at_1km_db, slope_db) + shadowing_db[e, n, c], least_db)
                mean = 10.0 ** (-loss_db / 10.0)
                for k in range(gain.shape[3]):
                    fading = line + scattered * scatter[e, n, c, k]
                    gain[e, n, c, k] = mean * (fading.real**2 + fading.imag**2)


def serving_cell(mean_gain: np.ndarray) -> np.ndarray:
    """Cell that each device is received best in, from its mean gain over sub-channels: (..., N, C) -> (..., N)."""
    return mean_gain.argmax(-1)
