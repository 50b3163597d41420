"""Learners, batched over clients: flat parameters (C, P) and inputs (C, S, F) to logits (C, S, classes)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from qfl_envs.quantum import batched, parameter_shift
from qfl_envs.quantum.shots import Shots
from qfl_envs.scenario import Scenario
from qfl_envs.system.devices import circuit_of
from qfl_envs.system.learning.shapes import parameter_shapes

Expectations = Callable[..., Tensor]


class Model:
    """A learner of one scenario."""

    def __init__(self, scenario: Scenario) -> None:
        """Prepare the learner that ``scenario.learning.model`` names."""
        self.scenario = scenario
        self.shapes = parameter_shapes(scenario)
        self.sizes = [int(np.prod(shape)) for shape in self.shapes.values()]

    @property
    def num_parameters(self) -> int:
        """Length of the flat parameter vector."""
        return sum(self.sizes)

    def initial(self, uniform: np.ndarray) -> np.ndarray:
        """Parameters at the start.

        Args:
            uniform: (..., P) numbers uniform in [0, 1).

        Returns:
            (..., P) float32: angles uniform over the circle, input scales 1, dense layers uniform with the variance
            1 / inputs, biases 0.
        """
        parts = []
        for (name, shape), part in zip(
            self.shapes.items(), np.split(uniform, np.cumsum(self.sizes)[:-1], axis=-1), strict=True
        ):
            if name in ("rotations", "phases"):
                parts.append(np.pi * (2 * part - 1))
            elif name == "scales":
                parts.append(np.ones_like(part))
            elif len(shape) == 2:
                parts.append(np.sqrt(3 / shape[0]) * (2 * part - 1))
            else:
                parts.append(np.zeros_like(part))
        return np.concatenate(parts, axis=-1).astype(np.float32)

    def logits(self, parameters: Tensor, inputs: Tensor, shots: Shots | None = None) -> Tensor:
        """Class scores.

        Args:
            parameters: (C, P).
            inputs: (C, S, F).
            shots: Measurement of the quantum learner, None for exact expectations.

        Returns:
            (C, S, classes).
        """
        named = {
            name: part.unflatten(1, shape)
            for (name, shape), part in zip(self.shapes.items(), parameters.split(self.sizes, dim=1), strict=True)
        }
        return torch.baddbmm(named["bias"][:, None], self._features(named, inputs, shots), named["head"])

    def _features(self, named: dict[str, Tensor], inputs: Tensor, shots: Shots | None) -> Tensor:
        """What the last layer sees: (C, S, features)."""
        kind = self.scenario.learning.model
        if kind == "logistic":
            return inputs
        if kind == "mlp":
            return torch.relu(torch.baddbmm(named["hidden_bias"][:, None], inputs, named["hidden"]))
        return self._expectations(named["rotations"], named["phases"], named["scales"], inputs, shots)

    def _expectations(
        self, rotations: Tensor, phases: Tensor, scales: Tensor, inputs: Tensor, shots: Shots | None
    ) -> Tensor:
        quantum, circuit = self.scenario.quantum, circuit_of(self.scenario)
        tensors = (rotations, phases, scales, inputs)
        if quantum.executor == "pennylane":
            from qfl_envs.quantum import pennylane

            return pennylane.expectations(
                circuit,
                *tensors,
                device=quantum.pennylane_device,
                gradient=quantum.gradient,
                shots=shots,
            )
        if shots is not None or quantum.gradient == "parameter_shift":
            return parameter_shift.expectations(circuit, *tensors, shots=shots)
        return batched.expectations(circuit, *tensors, gradient=quantum.gradient)
