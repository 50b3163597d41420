"""The learning side of many systems: data, local training, aggregation and evaluation on numpy state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from qfl_envs.errors import InvalidValueError
from qfl_envs.quantum.shots import Shots
from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.data import load_dataset
from qfl_envs.system.learning.models import Model
from qfl_envs.system.learning.partition import capacity, partition
from qfl_envs.system.learning.training import Participants, cross_entropy, draw_batches, local_training


@dataclass(frozen=True)
class Evaluation:
    """Quality of E global models: (E) on held-out data, (E, N) on each device's own."""

    accuracy: np.ndarray
    loss: np.ndarray
    device_accuracy: np.ndarray
    device_loss: np.ndarray


def _torch_device(name: str) -> torch.device:
    """A device of this machine.

    Raises:
        InvalidValueError: For any other.
    """
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # a name that torch does not know; a build without CUDA
        raise InvalidValueError("device", name, "a torch device of this machine, such as 'cpu'") from error


class Learner:
    """Data and model of one scenario."""

    def __init__(self, scenario: Scenario, device: str = "cpu") -> None:
        """Load the data.

        Args:
            scenario: What is learned.
            device: Torch device of all computations.

        Raises:
            MissingDataError: If the data are not to be had.
            InvalidValueError: For a torch device that this machine does not have.
        """
        self.learning, self.quantum = scenario.learning, scenario.quantum
        self.num_devices = scenario.num_devices
        self.device = _torch_device(device)
        data = load_dataset(scenario.learning.dataset, scenario.num_features)
        self.model = Model(scenario)
        self.labels_on_host = data.train_labels
        self.features = torch.from_numpy(data.train_features).to(self.device)
        self.labels = torch.from_numpy(data.train_labels).to(self.device)
        self.test_features = torch.from_numpy(data.test_features[: self.learning.eval_samples]).to(self.device)
        self.test_labels = torch.from_numpy(data.test_labels[: self.learning.eval_samples]).to(self.device)

    @property
    def capacity(self) -> int:
        """Most samples that a device can hold."""
        return capacity(self.learning, len(self.labels_on_host), self.num_devices)

    def partition(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Samples of each device of one system; see :func:`qfl_envs.system.learning.partition.partition`."""
        return partition(self.learning, self.labels_on_host, self.num_devices, rng)

    def train(
        self,
        parameters: np.ndarray,
        sample_index: np.ndarray,
        num_samples: np.ndarray,
        participate: np.ndarray,
        local_steps: np.ndarray,
        uniform: np.ndarray,
        shot_generators: list[np.random.Generator] | None,
    ) -> tuple[Participants, np.ndarray]:
        """Local training of all participants of all systems.

        Args:
            parameters: (E, P) global models.
            sample_index: (E, N, D).
            num_samples: (E, N).
            participate: (E, N) bool.
            local_steps: (E, N).
            uniform: (E, N, T, B) numbers uniform in [0, 1) behind the mini-batches.
            shot_generators: One per system where circuits are sampled, else None.

        Returns:
            The participants, and their updates (M, P) float32 in the same order.
        """
        row, device = np.nonzero(participate)
        batches = draw_batches(sample_index[row, device], num_samples[row, device], uniform[row, device])
        participants = Participants(row, device, local_steps[row, device], batches)
        start = torch.from_numpy(parameters).to(self.device)[torch.from_numpy(row).to(self.device)]
        shots = None if shot_generators is None else Shots(self.quantum.shots, shot_generators, row)
        trained = local_training(
            self.model, start, self.features, self.labels, participants, self.learning.local_rate, shots
        )
        return participants, (trained - start).cpu().numpy()

    @torch.no_grad()
    def evaluate(self, parameters: np.ndarray, sample_index: np.ndarray, num_samples: np.ndarray) -> Evaluation:
        """Measure global models (E, P) on the held-out samples and on the first samples of each device."""
        systems, devices, _ = sample_index.shape
        taken = min(self.learning.device_eval_samples, sample_index.shape[2])
        held = torch.from_numpy(sample_index[:, :, :taken].reshape(systems, -1).astype(np.int64)).to(self.device)
        test = len(self.test_labels)
        inputs = torch.cat([self.test_features.expand(systems, -1, -1), self.features[held]], dim=1)
        labels = torch.cat([self.test_labels.expand(systems, -1), self.labels[held]], dim=1)
        logits = self.model.logits(torch.from_numpy(parameters).to(self.device), inputs)
        loss = cross_entropy(logits, labels).double().cpu().numpy()
        correct = (logits.argmax(-1) == labels).double().cpu().numpy()
        valid = np.arange(taken) < num_samples[..., None]
        counted = valid.sum(-1)

        def per_device(values: np.ndarray) -> np.ndarray:
            return (values[:, test:].reshape(systems, devices, taken) * valid).sum(-1) / counted

        return Evaluation(correct[:, :test].mean(1), loss[:, :test].mean(1), per_device(correct), per_device(loss))
