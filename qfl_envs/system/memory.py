"""What devices and server remember of a round: the model that was received, the losses reported, who was heard when."""

from __future__ import annotations

import numpy as np

from qfl_envs.compiled import compiled
from qfl_envs.system.state import SystemState


def receive(state: SystemState, participate: np.ndarray) -> None:
    """Note which version of the model those who take part (E, N) receive, and its loss on their data."""
    version, loss = np.empty(participate.shape, dtype=np.int64), np.empty(participate.shape)
    _receive(participate, state.updates, state.device_loss, state.held_version, state.received_loss, version, loss)
    state.held_version, state.received_loss = version, loss


@compiled
def _receive(
    participate: np.ndarray,
    updates: np.ndarray,
    device_loss: np.ndarray,
    held_version: np.ndarray,
    received_loss: np.ndarray,
    version: np.ndarray,
    loss: np.ndarray,
) -> None:
    """Fill the last two arrays (E, N)."""
    for e in range(participate.shape[0]):
        for n in range(participate.shape[1]):
            version[e, n] = updates[e] if participate[e, n] else held_version[e, n]
            loss[e, n] = device_loss[e, n] if participate[e, n] else received_loss[e, n]


def hear(state: SystemState, delivered: np.ndarray) -> np.ndarray:
    """Note the losses that came with what was delivered (E, N), and that all others are a round older.

    Returns:
        (E) bool, systems in which anything was delivered.
    """
    reported, age = np.empty(delivered.shape), np.empty(delivered.shape, dtype=np.int64)
    heard = np.zeros(len(delivered), dtype=np.bool_)
    _hear(delivered, state.received_loss, state.reported_loss, state.age, reported, age, heard)
    state.reported_loss, state.age = reported, age
    return heard


@compiled
def _hear(
    delivered: np.ndarray,
    received_loss: np.ndarray,
    reported_loss: np.ndarray,
    age: np.ndarray,
    reported_after: np.ndarray,
    age_after: np.ndarray,
    heard: np.ndarray,
) -> None:
    """Fill the last three arrays, the third of which is all false."""
    for e in range(delivered.shape[0]):
        for n in range(delivered.shape[1]):
            reported_after[e, n] = received_loss[e, n] if delivered[e, n] else reported_loss[e, n]
            age_after[e, n] = 0 if delivered[e, n] else age[e, n] + 1
            heard[e] = heard[e] or delivered[e, n]
