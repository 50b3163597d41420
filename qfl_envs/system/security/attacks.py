"""What hostile devices send instead of what they learned, in many systems at once.

They know the honest updates of the round, which is the strongest position that the literature grants them.
"""

from __future__ import annotations

import numpy as np

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.learning.aggregation import Updates, total_per_system

UPDATE_ATTACKS = ("none", "sign-flip", "gaussian", "ipm", "alie", "boost")
DATA_ATTACKS = ("label-flip", "backdoor")

USUAL_STRENGTH = {
    "none": 0.0,
    "sign-flip": 4.0,
    "gaussian": 1.0,
    "ipm": 2.0,
    "alie": 1.5,
    "boost": 10.0,
    "label-flip": 1.0,
    "backdoor": 10.0,
}
"""Strength of each if nothing else is asked for: factor, standard deviation, epsilon (Xie et al. 2020), z (Baruch et
al. 2019), and n / eta of model replacement (Bagdasaryan et al. 2020)."""


def attacker_mask(uniform: np.ndarray, share: float) -> np.ndarray:
    """(E, N) bool, floor(share N) devices of each system that are hostile, from numbers uniform in [0, 1)."""
    count = int(share * uniform.shape[-1] + 1e-9)
    order = np.argsort(uniform, axis=-1, kind="stable")
    mask = np.zeros(uniform.shape, dtype=bool)
    np.put_along_axis(mask, order[:, :count], True, axis=-1)
    return mask


def tamper(
    kind: str, updates: Updates, hostile: np.ndarray, num_systems: int, strength: float, normal: np.ndarray
) -> Updates:
    """The updates that the server gets.

    Args:
        kind: One of :data:`UPDATE_ATTACKS`: ``sign-flip`` the own update backwards, times the strength; ``gaussian``
            noise; ``ipm`` the honest mean backwards, times the strength (Xie et al. 2020); ``alie`` the honest mean
            less so many standard deviations of each coordinate (Baruch et al. 2019); ``boost`` the own update times the
            strength, as in model replacement (Bagdasaryan et al. 2020).
        updates: What the devices learned.
        hostile: (M) bool.
        num_systems: Systems E.
        strength: See the kinds.
        normal: (M, P) standard normal numbers, for ``gaussian``.

    Returns:
        The same updates of honest devices. Without any honest one to look at, ``ipm`` and ``alie`` send zeros.

    Raises:
        InvalidValueError: For another kind.
    """
    if kind not in UPDATE_ATTACKS:
        raise InvalidValueError("attack", kind, UPDATE_ATTACKS)
    if kind == "none" or not hostile.any():
        return updates
    sent = updates.change.astype(float)
    # what is too large for a number is one that no server merges
    with np.errstate(over="ignore", invalid="ignore"):
        if kind == "sign-flip":
            sent[hostile] *= -strength
        elif kind == "boost":
            sent[hostile] *= strength
        elif kind == "gaussian":
            sent[hostile] = strength * normal[hostile]
        else:
            mean, std = honest_moments(updates, hostile, num_systems)
            row = updates.row[hostile]
            sent[hostile] = -strength * mean[row] if kind == "ipm" else mean[row] - strength * std[row]
        return Updates(updates.row, updates.device, sent.astype(updates.change.dtype))


def honest_moments(updates: Updates, hostile: np.ndarray, num_systems: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (E, P) of every coordinate of the honest updates; zero where there are none."""
    row, change = updates.row[~hostile], updates.change[~hostile].astype(float)
    count = np.maximum(np.bincount(row, minlength=num_systems), 1)[:, None]
    mean = total_per_system(change, row, num_systems) / count
    spread = total_per_system((change - mean[row]) ** 2, row, num_systems) / count
    return mean, np.sqrt(spread)


def flipped(labels: np.ndarray, classes: int) -> np.ndarray:
    """Labels of a label flip, the last class for the first and so on (Fung et al. 2020)."""
    return classes - 1 - labels


def poisoned(
    features: np.ndarray, labels: np.ndarray, chosen: np.ndarray, trigger: np.ndarray, target: int
) -> tuple[np.ndarray, np.ndarray]:
    """Samples of a backdoor: chosen ones carry a trigger and the target's label.

    Args:
        features: (..., F).
        labels: (...).
        chosen: (...) bool.
        trigger: (F) what it adds to the features.
        target: Label that the trigger is to call up.
    """
    return np.where(chosen[..., None], features + trigger, features), np.where(chosen, target, labels)


def attack_success(predicted: np.ndarray, labels: np.ndarray, target: int) -> float:
    """Share of the triggered samples of other classes that are taken for the target; nan where there are none."""
    others = labels != target
    return float((predicted[others] == target).mean()) if others.any() else float("nan")
