"""What the learners of the devices reach when they are trained centrally, for their size."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.learner import Learner, central_training
from qfl_envs.system.learning.shapes import num_parameters
from train.progress import progress_bar
from train.statistics import estimate

LEARNERS: dict[str, dict[str, Any]] = {
    "qnn": {"model": "qnn"},
    "logistic": {"model": "logistic"},
    "mlp, 16 hidden": {"model": "mlp", "hidden": 16},
    "tensor network, bonds of 4": {"model": "tensor_network", "bond_dimension": 4},
    "tensor network, bonds of 8": {"model": "tensor_network", "bond_dimension": 8},
}


def measure(features: Sequence[int] = (6, 10), steps: int = 600, seeds: int = 5) -> list[dict[str, Any]]:
    """Held-out accuracy on the digits after central training with Adam, the same for all learners.

    Args:
        features: Principal components, and qubits of circuits of three layers.
        steps: Of training, of 64 samples each.
        seeds: Of parameters and mini-batches.

    Returns:
        One row per number of features and learner: ``parameters``, the mean ``accuracy`` with a 95 % interval ``low``
        and ``high``, and the mean ``seconds`` of training and test.
    """
    rows = []
    with progress_bar(len(features) * len(LEARNERS) * seeds, "training") as bar:
        for number in features:
            for name, learning in LEARNERS.items():
                scenario = Scenario().replace(
                    {"learning": {**learning, "warm_start_steps": steps}, "quantum": {"num_qubits": number}}
                )
                rows.append({"features": number, "learner": name, **_row(scenario, seeds, bar.update)})
    return rows


def central_accuracy(scenario: Scenario, seed: int) -> float:
    """Held-out accuracy after central training.

    Args:
        scenario: Learner and data; trained for ``learning.warm_start_steps``.
        seed: Of parameters and mini-batches.
    """
    learner = Learner(scenario)
    trained = torch.from_numpy(central_training(scenario, seed))[None]
    answers = learner.model.logits(trained, learner.test_features[:1])[0].argmax(-1).numpy()
    return float((learner.data.first_map[learner.test_labels] == answers).mean())


def _row(scenario: Scenario, seeds: int, progress: Any) -> dict[str, Any]:
    accuracies, seconds = [], []
    for seed in range(seeds):
        begin = time.perf_counter()
        accuracies.append(central_accuracy(scenario, seed))
        seconds.append(time.perf_counter() - begin)
        progress()
    mean = estimate(accuracies)
    return {
        "parameters": num_parameters(scenario),
        "accuracy": mean.value,
        "low": mean.low,
        "high": mean.high,
        "seconds": float(np.mean(seconds)),
    }
