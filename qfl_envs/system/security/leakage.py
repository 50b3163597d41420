"""What a gradient tells of the samples behind it.

A dense layer with a bias gives away a single sample exactly: dL/dW_ij = x_i dL/db_j, so that x = (dL/dW_j) / (dL/db_j)
for any output j (Phong et al. 2018). Behind a circuit the samples are searched for, so that their gradient becomes the
observed one (deep leakage from gradients, Zhu et al. 2019), by L-BFGS in double precision. The searcher knows the
model, the number of samples and their labels; a single sample's label it reads from the signs of the bias' gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from qfl_envs.system.learning.models import Model
from qfl_envs.system.learning.training import mean_loss

ITERATIONS = 300
"""Of L-BFGS, as in Zhu et al. 2019."""
FOUND = 1e-12
"""Mismatch from which on no other search begins: what is left is rounding."""


@dataclass(frozen=True)
class Reconstruction:
    """What was found.

    Attributes:
        samples: (S, F).
        mismatch: Squared distance of the found samples' gradient to the observed one, over the observed one's square.
    """

    samples: np.ndarray
    mismatch: float


def dense_input(weight_gradient: np.ndarray, bias_gradient: np.ndarray) -> np.ndarray:
    """The one sample (F) behind gradients (F, H) and (H) of a dense layer with a bias; zeros where nothing flowed."""
    output = int(np.abs(bias_gradient).argmax())
    if bias_gradient[output] == 0.0:
        return np.zeros(len(weight_gradient))
    return weight_gradient[:, output] / bias_gradient[output]


def single_label(bias_gradient: np.ndarray) -> int:
    """Label of the one sample behind the gradient of the last layer's bias: the only entry below zero (Zhao 2020)."""
    return int(bias_gradient.argmin())


def gradient(model: Model, parameters: np.ndarray, samples: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Gradient (P) of the mean loss of parameters (P) on samples (S, F) with labels (S), in double precision."""
    return _gradient(model, _double(parameters), _double(samples), torch.as_tensor(labels)).detach().numpy()


def reconstruct(
    model: Model,
    parameters: np.ndarray,
    observed: np.ndarray,
    labels: np.ndarray,
    start: np.ndarray,
    iterations: int = ITERATIONS,
) -> Reconstruction:
    """Samples whose gradient is the observed one.

    Args:
        model: The learner, of which the second derivative can be had (quantum gradient ``backprop``).
        parameters: (P) that the gradient was taken at.
        observed: (P) gradient of the mean loss.
        labels: (S).
        start: (R, S, F) where R searches begin, until one has found it; the one that comes closest counts.
        iterations: Of each search.
    """
    target, fixed, known = _double(observed), _double(parameters), torch.as_tensor(labels)
    size = float((target**2).sum().clamp(min=1e-300))
    best = Reconstruction(start[0], np.inf)
    for begin in start:
        samples = _double(begin).requires_grad_(True)
        search = torch.optim.LBFGS(
            [samples], max_iter=iterations, history_size=50, tolerance_change=1e-14, line_search_fn="strong_wolfe"
        )

        def mismatch(samples: Tensor = samples, search: torch.optim.LBFGS = search) -> Tensor:
            search.zero_grad()
            distance = ((_gradient(model, fixed, samples, known) - target) ** 2).sum() / size
            distance.backward()
            return distance

        search.step(mismatch)
        left = float(mismatch().detach())
        if left < best.mismatch:
            best = Reconstruction(samples.detach().numpy(), left)
        if best.mismatch < FOUND:
            break
    return best


def similarity(true: np.ndarray, found: np.ndarray) -> float:
    """Mean cosine of true samples (S, F) and found ones (R, F), R >= S, each matched with another one."""
    cosine = _unit(true) @ _unit(found).T
    row, column = linear_sum_assignment(-cosine)
    return float(cosine[row, column].mean())


def _unit(samples: np.ndarray) -> np.ndarray:
    return samples / np.maximum(np.linalg.norm(samples, axis=-1, keepdims=True), 1e-300)


def _gradient(model: Model, parameters: Tensor, samples: Tensor, labels: Tensor) -> Tensor:
    here = parameters[None].detach().requires_grad_(True)
    loss = mean_loss(model, here, samples[None], labels[None]).sum()
    return torch.autograd.grad(loss, here, create_graph=True)[0][0]


def _double(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float64))
