"""Screening of updates by entangled correlation: pairs of devices measure how alike their updates are.

Every two devices share Bell pairs (|00> + |11>) / sqrt 2. Each turns the phase of its |1> by an angle of its own, one
of them the opposite way, and measures in the X basis: either outcome is a fair coin, but their product is +1 with
probability (1 + v cos(a - b)) / 2, so that whoever hears both learns how far the angles are apart and nothing else.
Angles are random projections of updates of unit length, the same for all devices; the mean of cos(a - b) over them
estimates exp(-s^2 |u - w|^2 / 2) (random Fourier features, Rahimi & Recht 2007). A device whose updates correlate less
with the others' than most do is flagged.

Bits that two devices share beforehand do the same without a quantum channel: both add one secret, uniform phase to
their angles and send the sign of the cosine. Each sign is a fair coin, and their product has a mean of
1 - 2 |a - b| / pi.
"""

from __future__ import annotations

import math

import numpy as np

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security.e91 import correlation

MAD_TO_STD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


def encoded(change: np.ndarray, projection: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Angles (E, N, D) in rad of updates (E, N, P), by a projection (P, D) of standard normal numbers.

    What an update's length is, nobody sees. With the scale s, two updates of cosine c have a mean of exp(-s^2 (1 - c)).
    """
    return np.asarray(scale * unit(change) @ projection)


def unit(change: np.ndarray) -> np.ndarray:
    """Updates (..., P) of length 1; zeros stay zeros."""
    return np.asarray(change / np.maximum(np.linalg.norm(change, axis=-1, keepdims=True), 1e-300))


def cosine(change: np.ndarray) -> np.ndarray:
    """(E, N, N) cosines of whole updates (E, N, P), for somebody who may see them."""
    directions = unit(change)
    return np.asarray(directions @ directions.transpose(0, 2, 1))


def projected(angles: np.ndarray) -> np.ndarray:
    """(E, N, N) mean cosines of differences of angles (E, N, D), for somebody who may see them."""
    turned = np.concatenate([np.cos(angles), np.sin(angles)], axis=-1)
    return np.asarray(turned @ turned.transpose(0, 2, 1) / angles.shape[-1])


def entangled(angles: np.ndarray, shots: int, generator: np.random.Generator, visibility: float = 1.0) -> np.ndarray:
    """What measured Bell pairs say of the same.

    Args:
        angles: (E, N, D) of the devices.
        shots: Pairs per two devices and angle.
        generator: Of the outcomes.
        visibility: Of the pairs, 1 for perfect ones, 0 for a mixture of |00> and |11> in which nothing is entangled.

    Returns:
        (E, N, N) mean products of outcomes, 1 on the diagonal.

    Raises:
        InvalidValueError: For no shots, or a visibility outside 0 ... 1.
    """
    if not 0.0 <= visibility <= 1.0:
        raise InvalidValueError("visibility", visibility, "from 0 to 1")
    first, second = _pairs(angles)
    return _measured(angles, correlation(first, second, visibility), shots, generator)


def shared_bits(angles: np.ndarray, shots: int, generator: np.random.Generator) -> np.ndarray:
    """The same from bits shared beforehand, as many as there would be pairs: no quantum channel, the same secrecy.

    Args:
        angles: (E, N, D) of the devices.
        shots: Secret phases per two devices and angle.
        generator: Of the phases.

    Returns:
        (E, N, N) mean products of signs, 1 on the diagonal.

    Raises:
        InvalidValueError: For no shots.
    """
    first, second = _pairs(angles)
    apart = np.abs((first - second + np.pi) % (2 * np.pi) - np.pi)
    return _measured(angles, 1 - 2 * apart / np.pi, shots, generator)


def _pairs(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles (E, N (N - 1) / 2, D) of the first and the second of all pairs."""
    first, second = np.triu_indices(angles.shape[1], 1)
    return angles[:, first], angles[:, second]


def _measured(angles: np.ndarray, expected: np.ndarray, shots: int, generator: np.random.Generator) -> np.ndarray:
    """Means over shots and angles of products +1 or -1 of expected values (E, pairs, D), as matrices (E, N, N)."""
    if shots < 1:
        raise InvalidValueError("shots", shots, "at least 1")
    # of rounding errors, cosines may be above 1
    equal = generator.binomial(shots, np.clip((1 + expected) / 2, 0.0, 1.0))
    systems, devices = angles.shape[:2]
    matrix = np.zeros((systems, devices, devices))
    first, second = np.triu_indices(devices, 1)
    matrix[:, first, second] = (2 * equal / shots - 1).mean(-1)
    return matrix + matrix.transpose(0, 2, 1) + np.eye(devices)


def typicality(alike: np.ndarray) -> np.ndarray:
    """(E, N) median likeness of every device to the others, from matrices (E, N, N); hostile ones should have less.

    Raises:
        InvalidValueError: For fewer than two devices.
    """
    devices = alike.shape[-1]
    if devices < 2:
        raise InvalidValueError("devices", devices, "at least 2")
    others = alike[:, ~np.eye(devices, dtype=bool)].reshape(len(alike), devices, devices - 1)
    return np.asarray(np.median(others, axis=-1))


def outliers(score: np.ndarray, deviations: float = 3.0) -> np.ndarray:
    """(E, N) bool, scores so many standard deviations below the median of their system, both as the median has them."""
    middle = np.median(score, axis=-1, keepdims=True)
    spread = MAD_TO_STD * np.median(np.abs(score - middle), axis=-1, keepdims=True)
    return np.asarray(score < middle - deviations * spread)


def pairs_needed(devices: int, length: int, shots: int) -> int:
    """Bell pairs, or shared phases, of a round."""
    return math.comb(devices, 2) * length * shots
