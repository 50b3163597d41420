"""How the server merges updates into the global model."""

from __future__ import annotations

import numpy as np

from qfl_envs.scenario import Learning

ADAM_BETAS = (0.8, 0.99)
ADAM_EPSILON = 1e-3
"""Decays of the moments, and tau, of FedAdam (Reddi et al. 2021, arXiv 2003.00295).

beta_2 and tau are theirs. beta_1 is below their 0.9: with one label per device the mean update turns with who takes
part, and an old direction soon points at the wrong labels.
"""


def weighted_mean_update(updates: np.ndarray, weights: np.ndarray, row: np.ndarray, num_rows: int) -> np.ndarray:
    """Mean of the updates that reached each system's server, weighted by data points (FedAvg, McMahan et al. 2017).

    Args:
        updates: (M, P) difference between each participant's model and the one it received.
        weights: (M) data points of each, 0 for updates that did not arrive.
        row: (M) system of each.
        num_rows: Systems E.

    Returns:
        (E, P); zero where nothing arrived.
    """
    total = np.bincount(row, weights, minlength=num_rows)
    share = weights / np.maximum(total[row], 1e-12)
    mean = np.zeros((num_rows, updates.shape[1]))
    np.add.at(mean, row, share[:, None] * updates)
    return mean


def server_step(
    learning: Learning,
    parameters: np.ndarray,
    mean_update: np.ndarray,
    first_moment: np.ndarray,
    second_moment: np.ndarray,
    updates: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Global model after one mean update.

    ``fedavg`` adds the update times the server's rate; ``fedadam`` takes it as a pseudo-gradient for Adam with bias
    correction.

    Args:
        learning: Rule and rate.
        parameters: (E, P) global model.
        mean_update: (E, P).
        first_moment: (E, P).
        second_moment: (E, P).
        updates: (E) how often the model was updated before.

    Returns:
        New parameters, first and second moments.
    """
    if learning.server_rule == "fedavg":
        return parameters + learning.server_rate * mean_update, first_moment, second_moment
    beta_1, beta_2 = ADAM_BETAS
    first = beta_1 * first_moment + (1 - beta_1) * mean_update
    second = beta_2 * second_moment + (1 - beta_2) * mean_update**2
    count = (updates + 1)[:, None]
    direction = first / (1 - beta_1**count) / (np.sqrt(second / (1 - beta_2**count)) + ADAM_EPSILON)
    return parameters + learning.server_rate * direction, first, second
