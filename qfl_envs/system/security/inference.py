"""What answers of a model tell: who was in its training set, and which small push of the input flips it."""

from __future__ import annotations

import numpy as np
import torch

from qfl_envs.system.learning.models import Model
from qfl_envs.system.learning.training import cross_entropy


def losses(model: Model, parameters: np.ndarray, samples: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy (S) in nats of parameters (P) on samples (S, F)."""
    return cross_entropy(_scores(model, parameters, samples), torch.as_tensor(labels)[None])[0].numpy()


def accuracy(model: Model, parameters: np.ndarray, samples: np.ndarray, labels: np.ndarray) -> float:
    """Share of samples (S, F) that a model of parameters (P) takes for what they are."""
    return float((_scores(model, parameters, samples)[0].argmax(-1).numpy() == labels).mean())


def _scores(model: Model, parameters: np.ndarray, samples: np.ndarray) -> torch.Tensor:
    """(1, S, classes) logits."""
    with torch.no_grad():
        held, given = (torch.from_numpy(np.asarray(part, dtype=np.float32))[None] for part in (parameters, samples))
        return model.logits(held, given)


def membership_auc(members: np.ndarray, others: np.ndarray) -> float:
    """Chance that a member's loss is below another sample's: 0.5 for an attack that learns nothing (Yeom et al. 2018).

    Args:
        members: Losses of samples that were trained on.
        others: Losses of samples that were not.
    """
    return chance_below(members, others)


def chance_below(first: np.ndarray, second: np.ndarray) -> float:
    """Chance that one of the first numbers is below one of the second, equal ones counted half: area under a curve."""
    below = (first[:, None] < second).mean()
    return float(below + 0.5 * (first[:, None] == second).mean())


def membership_advantage(members: np.ndarray, others: np.ndarray) -> float:
    """Largest difference of true and false positives over all thresholds of the loss, 0 ... 1 (Yeom et al. 2018)."""
    thresholds = np.concatenate([members, others])
    true = (members[None] <= thresholds[:, None]).mean(1)
    false = (others[None] <= thresholds[:, None]).mean(1)
    return float(max((true - false).max(), 0.0))


def adversarial(
    model: Model, parameters: np.ndarray, samples: np.ndarray, labels: np.ndarray, bound: float, steps: int = 10
) -> np.ndarray:
    """Samples (S, F), none of whose features differs by more than a bound, that raise the loss (Madry et al. 2018).

    Projected gradient steps of 2.5 bound / steps. Features are encoded as angles, so that the bound limits how far the
    encoded states are from the honest ones, too.
    """
    fixed = torch.from_numpy(np.asarray(parameters, dtype=np.float32))[None]
    honest, known = torch.from_numpy(np.asarray(samples, dtype=np.float32))[None], torch.as_tensor(labels)[None]
    pushed = honest.clone()
    for _ in range(steps):
        here = pushed.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(cross_entropy(model.logits(fixed, here), known).sum(), here)
        pushed = honest + (pushed + 2.5 * bound / steps * slope.sign() - honest).clamp(-bound, bound)
    return pushed[0].numpy()
