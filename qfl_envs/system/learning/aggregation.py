"""How the server merges updates into the global model.

An update is the difference between a device's model after its local work and the model that it received. All rules but
FedAsync merge a weighted mean of updates; what sets them apart is the weights, the scale of the mean, and the step that
follows from it. FedProx is a matter of the local steps (``learning.proximal``), FedBuff of when the server merges
(``learning.aggregation``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qfl_envs.compiled import compiled, ready
from qfl_envs.scenario import Learning

ADAM_BETAS = (0.8, 0.99)
ADAM_EPSILON = 1e-3
"""Decays of the moments, and tau, of FedAdam (Reddi et al. 2021, arXiv 2003.00295).

beta_2 and tau are theirs. beta_1 is below their 0.9: with one label per device the mean update turns with who takes
part, and an old direction soon points at the wrong labels.
"""


@dataclass(frozen=True)
class Updates:
    """Updates of M devices, as one flat list over all systems, in ascending order of the system.

    Attributes:
        row: (M) system of each.
        device: (M) index of each in its system.
        change: (M, P) difference between each device's model and the one it received.
    """

    row: np.ndarray
    device: np.ndarray
    change: np.ndarray

    def __len__(self) -> int:
        """M."""
        return len(self.row)


def total_per_system(values: np.ndarray, row: np.ndarray, num_systems: int) -> np.ndarray:
    """Sums of rows that belong to one system: (M, ...) and ascending (M) -> (E, ...), zero where there are none."""
    total = np.zeros((num_systems, *values.shape[1:]))
    present, first = np.unique(row, return_index=True)
    if len(present):
        total[present] = np.add.reduceat(values, first, axis=0)
    return total


def weighted_mean_update(updates: Updates, weights: np.ndarray, num_systems: int) -> np.ndarray:
    """Mean of the updates that reached each system's server (FedAvg, McMahan et al. 2017, arXiv 1602.05629).

    Args:
        updates: What arrived.
        weights: (M) weight of each, e.g. its data points.
        num_systems: Systems E.

    Returns:
        (E, P); zero where nothing arrived.
    """
    mean = np.zeros((num_systems, updates.change.shape[1]))
    _weighted_mean(ready(updates.row, np.int64), ready(weights), updates.change, mean)
    return mean


@compiled
def _weighted_mean(row: np.ndarray, weights: np.ndarray, change: np.ndarray, mean: np.ndarray) -> None:
    """Add the mean of what belongs to each system to the last array (E, P)."""
    total = np.zeros(len(mean))
    for m in range(len(row)):
        total[row[m]] += weights[m]
    for m in range(len(row)):
        if total[row[m]] > 0.0:
            share = weights[m] / total[row[m]]
            for p in range(change.shape[1]):
                mean[row[m], p] += share * change[m, p]


def normalised_update(updates: Updates, weights: np.ndarray, steps: np.ndarray, num_systems: int) -> np.ndarray:
    """FedNova's update for plain local gradient steps (Wang et al. 2020, arXiv 2007.07481, equation 8).

    Each update is divided by its number of local steps, and the mean of these directions multiplied by the mean number
    of steps, so that whoever works longer does not pull the model towards its own optimum.

    Args:
        updates: What arrived.
        weights: (M) data points.
        steps: (M) local steps behind each.
        num_systems: Systems E.

    Returns:
        (E, P).
    """
    direction = Updates(updates.row, updates.device, updates.change / steps[:, None])
    total = np.bincount(updates.row, weights, minlength=num_systems)
    effective = np.bincount(updates.row, weights * steps, minlength=num_systems) / np.maximum(total, 1e-300)
    return effective[:, None] * weighted_mean_update(direction, weights, num_systems)


def q_fair_update(
    updates: Updates, losses: np.ndarray, fairness_q: float, local_rate: np.ndarray, num_systems: int
) -> np.ndarray:
    """Step of q-FedAvg (Li et al. 2020, arXiv 1905.10497, algorithm 2), to be added to the model.

    With L = 1 / local rate and dw_k = L (received - trained), the step is
    -sum_k F_k^q dw_k / sum_k (q F_k^(q-1) |dw_k|^2 + L F_k^q). At q = 0 it is the plain mean of the updates.

    Args:
        updates: What arrived.
        losses: (M) F_k, the loss of the received model on the whole data of each device.
        fairness_q: q.
        local_rate: (M) learning rate of each device's local steps.
        num_systems: Systems E.

    Returns:
        (E, P).
    """
    losses = np.maximum(losses, 1e-10)
    lipschitz = 1.0 / local_rate
    gradient = -lipschitz[:, None] * updates.change
    squared = (gradient**2).sum(1)
    scale = fairness_q * losses ** (fairness_q - 1) * squared + lipschitz * losses**fairness_q
    total = total_per_system(losses[:, None] ** fairness_q * gradient, updates.row, num_systems)
    return -total / np.maximum(np.bincount(updates.row, scale, minlength=num_systems), 1e-300)[:, None]


def staleness_weight(learning: Learning, behind: np.ndarray) -> np.ndarray:
    """s(t - tau), the weight of updates that began so many versions ago (Xie et al. 2019, arXiv 1903.03934).

    ``constant`` 1; ``polynomial`` (behind + 1)^-a; ``hinge`` 1 up to b versions, then 1 / (a (behind - b) + 1).
    """
    behind = np.asarray(behind, dtype=float)
    if learning.staleness == "constant":
        return np.ones_like(behind)
    if learning.staleness == "polynomial":
        return (behind + 1) ** -learning.staleness_exponent
    return 1.0 / (learning.hinge_slope * np.maximum(behind - learning.hinge_delay, 0.0) + 1.0)


def mix(parameters: np.ndarray, trained: np.ndarray, share: np.ndarray) -> np.ndarray:
    """FedAsync's new model, (1 - share) parameters + share trained: (M, P), (M, P), (M) -> (M, P)."""
    return parameters + share[:, None] * (trained - parameters)


def server_step(
    learning: Learning,
    parameters: np.ndarray,
    mean_update: np.ndarray,
    first_moment: np.ndarray,
    second_moment: np.ndarray,
    updates: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Global model after one mean update.

    ``fedadam`` takes it as a pseudo-gradient for Adam with bias correction, ``q-fedavg`` adds it as it is, the others
    add it times the server's rate.

    Args:
        learning: Rule and rate.
        parameters: (E, P) global model.
        mean_update: (E, P).
        first_moment: (E, P).
        second_moment: (E, P).
        updates: (E) how many steps the moments have behind them.

    Returns:
        New parameters, first and second moments.
    """
    if learning.server_rule != "fedadam":
        rate = 1.0 if learning.server_rule == "q-fedavg" else learning.server_rate
        return parameters + rate * mean_update, first_moment, second_moment
    stepped, first, second = parameters.astype(float), first_moment.astype(float), second_moment.astype(float)
    every = np.ones(len(parameters), dtype=bool)
    adam_in_place(stepped, mean_update, first, second, ready(updates, np.int64), learning.server_rate, every)
    return stepped, first, second


@compiled
def adam_in_place(
    parameters: np.ndarray,
    mean_update: np.ndarray,
    first_moment: np.ndarray,
    second_moment: np.ndarray,
    updates: np.ndarray,
    rate: float,
    heard: np.ndarray,
) -> None:
    """FedAdam's step of :func:`server_step`, in the arrays of the systems in which somebody was heard (E)."""
    beta_1, beta_2 = ADAM_BETAS
    for e in range(len(mean_update)):
        if not heard[e]:
            continue
        unbias_1, unbias_2 = 1.0 - beta_1 ** (updates[e] + 1), 1.0 - beta_2 ** (updates[e] + 1)
        for p in range(mean_update.shape[1]):
            update = mean_update[e, p]
            first = beta_1 * first_moment[e, p] + (1.0 - beta_1) * update
            second = beta_2 * second_moment[e, p] + (1.0 - beta_2) * update**2
            direction = first / unbias_1 / (math.sqrt(second / unbias_2) + ADAM_EPSILON)
            first_moment[e, p], second_moment[e, p] = first, second
            parameters[e, p] = parameters[e, p] + rate * direction


def next_controls(
    controls: np.ndarray,
    server_control: np.ndarray,
    updates: Updates,
    steps: np.ndarray,
    local_rate: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """SCAFFOLD's control variates after a round (Karimireddy et al. 2020, arXiv 1910.06378, option II).

    c_k' = c_k - c + (received - trained) / (steps rate), and c' = c + sum over the devices heard of (c_k' - c_k) / N.
    The local steps subtract c_k and add c; see :func:`qfl_envs.system.learning.training.local_training`.

    Args:
        controls: (E, N, P) c_k.
        server_control: (E, P) c.
        updates: What arrived.
        steps: (M) local steps behind each.
        local_rate: (M) learning rate of these steps.

    Returns:
        New c_k and c.
    """
    row, device = updates.row, updates.device
    change = -server_control[row] - updates.change / (steps * local_rate)[:, None]
    after = controls.copy()
    after[row, device] += change
    return after, server_control + total_per_system(change, row, len(server_control)) / controls.shape[1]
