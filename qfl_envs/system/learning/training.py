"""Local training: every participant takes mini-batch gradient steps on its own data, all participants side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qfl_envs.quantum.shots import Shots
from qfl_envs.system.learning.models import Model


@dataclass(frozen=True)
class Participants:
    """The devices that train, as one flat list over all systems.

    Attributes:
        row: (M) system of each.
        device: (M) index of each in its system.
        local_steps: (M) gradient steps of each.
        batches: (M, T, B) rows of the training set: the mini-batch of every step.
    """

    row: np.ndarray
    device: np.ndarray
    local_steps: np.ndarray
    batches: np.ndarray


def draw_batches(sample_index: np.ndarray, num_samples: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Mini-batches drawn with replacement from each participant's samples.

    Args:
        sample_index: (M, D) rows of the training set that each participant holds.
        num_samples: (M) how many of them are valid.
        uniform: (M, T, B) numbers uniform in [0, 1).

    Returns:
        (M, T, B).
    """
    chosen = (uniform * num_samples[:, None, None]).astype(np.int64)
    return np.take_along_axis(sample_index, chosen.reshape(len(chosen), -1), axis=1).reshape(chosen.shape)


def local_training(
    model: Model,
    start: Tensor,
    features: Tensor,
    labels: Tensor,
    participants: Participants,
    rate: float,
    shots: Shots | None = None,
) -> Tensor:
    """Parameters of every participant after its local steps.

    Args:
        model: The learner.
        start: (M, P) parameters that each participant received.
        features: (T, F) training set.
        labels: (T) its labels.
        participants: Who trains, how long, on which mini-batches.
        rate: Learning rate of plain gradient descent.
        shots: Measurement of circuits; its owners are the participants' systems.

    Returns:
        (M, P).
    """
    # by descending number of steps, so that those who still train are always the first ones
    order = np.argsort(-participants.local_steps, kind="stable")
    steps = participants.local_steps[order]
    batches = torch.from_numpy(participants.batches[order]).to(labels.device)
    parameters = start[torch.from_numpy(order).to(start.device)].clone()
    for step in range(int(steps.max(initial=0))):
        active = int((steps > step).sum())
        here = parameters[:active].detach().requires_grad_(True)
        batch = batches[:active, step]
        measured = None if shots is None else Shots(shots.count, shots.generators, participants.row[order][:active])
        loss = mean_loss(model, here, features[batch], labels[batch], measured).sum()
        (gradient,) = torch.autograd.grad(loss, here)
        parameters[:active] = here.detach() - rate * gradient
    trained = torch.empty_like(parameters)
    trained[torch.from_numpy(order).to(start.device)] = parameters
    return trained


def mean_loss(model: Model, parameters: Tensor, inputs: Tensor, labels: Tensor, shots: Shots | None = None) -> Tensor:
    """Mean cross-entropy of each client on its samples: (C, P), (C, S, F), (C, S) -> (C) in nats."""
    return cross_entropy(model.logits(parameters, inputs, shots), labels).mean(1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each sample: (C, S, classes), (C, S) -> (C, S) in nats."""
    flat = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return flat.view(labels.shape)
