"""Local training: every participant takes mini-batch gradient steps on its own data, all participants side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qfl_envs.quantum.shots import Shots
from qfl_envs.system.learning.models import Model, Readout


@dataclass(frozen=True)
class Clients:
    """Those who train, as one flat list over all systems.

    Attributes:
        row: (M) system of each.
        local_steps: (M) gradient steps of each.
        samples: (M, T, B) rows of the table of features: the mini-batch of every step.
        labels: (M, T, B) labels of these samples.
        rate: (M) learning rate of plain gradient descent.
        proximal: Pull towards the received model (FedProx).
        correction: (M, P) added to every gradient (SCAFFOLD), or None.
        head_only: (M) bool, whose last layer alone is trained.
        activation_bits: (M) bits of each readout, 0 for full precision.
        kept: (M, T, Q) factor of each readout in every step, 0 where it is dropped; None without dropout.
    """

    row: np.ndarray
    local_steps: np.ndarray
    samples: np.ndarray
    labels: np.ndarray
    rate: np.ndarray
    proximal: float
    correction: np.ndarray | None
    head_only: np.ndarray
    activation_bits: np.ndarray
    kept: np.ndarray | None


def draw_batches(sample_index: np.ndarray, num_samples: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Mini-batches drawn with replacement from each client's samples.

    Args:
        sample_index: (M, D) rows of the training set that each client holds.
        num_samples: (M) how many of them are valid.
        uniform: (M, T, B) numbers uniform in [0, 1).

    Returns:
        (M, T, B).
    """
    chosen = (uniform * num_samples[:, None, None]).astype(np.int64)
    flat = chosen.reshape(len(chosen), chosen.shape[1] * chosen.shape[2])
    return np.take_along_axis(sample_index, flat, axis=1).reshape(chosen.shape)


def kept_readouts(dropout: np.ndarray, uniform: np.ndarray) -> np.ndarray | None:
    """Factors of inverted dropout (Srivastava et al. 2014): 0 or 1 / (1 - dropout).

    Args:
        dropout: (M) share that each client drops.
        uniform: (M, T, Q) numbers uniform in [0, 1).

    Returns:
        (M, T, Q) float32; None where nobody drops anything.
    """
    if not dropout.any():
        return None
    share = dropout[:, None, None]
    return ((uniform >= share) / (1 - share)).astype(np.float32)


def local_training(model: Model, start: Tensor, features: Tensor, clients: Clients, shots: Shots | None) -> Tensor:
    """Parameters of every client after its local steps.

    Args:
        model: The learner.
        start: (M, P) parameters that each client received.
        features: (T, F) table of features.
        clients: Who trains, how long, on which mini-batches.
        shots: Measurement of circuits; its owners are the clients' systems.

    Returns:
        (M, P).
    """
    device = start.device
    # by descending number of steps, so that those who still train are always the first ones
    order = np.argsort(-clients.local_steps, kind="stable")
    steps, row = clients.local_steps[order], clients.row[order]
    samples, labels, rate, bits = (
        torch.from_numpy(array[order]).to(device)
        for array in (clients.samples, clients.labels, clients.rate.astype(np.float32), clients.activation_bits)
    )
    kept = None if clients.kept is None else torch.from_numpy(clients.kept[order]).to(device)
    received = start[torch.from_numpy(order).to(device)]
    correction = None
    if clients.correction is not None:
        correction = torch.from_numpy(clients.correction[order].astype(np.float32)).to(device)
    head_only = torch.from_numpy(clients.head_only[order]).to(device)[:, None]
    quantised, mixed = bool(clients.activation_bits.any()), bool(clients.head_only.any())
    parameters = received.clone()
    for step in range(int(steps.max(initial=0))):
        active = int((steps > step).sum())
        here = parameters[:active].detach().requires_grad_(True)
        readout = Readout(
            None if kept is None else kept[:active, step, None], bits[:active, None, None] if quantised else None
        )
        measured = None if shots is None else Shots(shots.count, shots.generators, row[:active])
        loss = mean_loss(model, here, features[samples[:active, step]], labels[:active, step], measured, readout).sum()
        (gradient,) = torch.autograd.grad(loss, here)
        if clients.proximal > 0.0:
            gradient = gradient + clients.proximal * (here.detach() - received[:active])
        if correction is not None:
            gradient = gradient + correction[:active]
        if mixed:
            gradient = gradient * (model.is_head | ~head_only[:active])
        parameters[:active] = here.detach() - rate[:active, None] * gradient
    trained = torch.empty_like(parameters)
    trained[torch.from_numpy(order).to(device)] = parameters
    return trained


def mean_loss(
    model: Model,
    parameters: Tensor,
    inputs: Tensor,
    labels: Tensor,
    shots: Shots | None = None,
    readout: Readout | None = None,
) -> Tensor:
    """Mean cross-entropy of each client on its samples: (C, P), (C, S, F), (C, S) -> (C) in nats."""
    return cross_entropy(model.logits(parameters, inputs, shots, readout), labels).mean(1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each sample: (C, S, classes), (C, S) -> (C, S) in nats."""
    flat = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return flat.view(labels.shape)
