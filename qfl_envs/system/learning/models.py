"""Learners, batched over clients: flat parameters (C, P) and inputs (C, S, F) to logits (C, S, classes)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from qfl_envs.quantum import batched, parameter_shift
from qfl_envs.quantum.contraction import readouts
from qfl_envs.quantum.shots import Shots
from qfl_envs.scenario import Scenario
from qfl_envs.system.devices import circuit_of
from qfl_envs.system.learning.shapes import chain_of, head_parameters, parameter_shapes

Expectations = Callable[..., Tensor]


class Readout(NamedTuple):
    """What happens to the numbers between a learner's body and its last layer.

    Attributes:
        kept: Factor of each, broadcast to (C, S, Q): 0 where dropout leaves it out; None for no dropout.
        bits: (C, 1, 1) bits that each keeps, 0 for full precision; None for full precision everywhere.
    """

    kept: Tensor | None = None
    bits: Tensor | None = None


READOUT_RANGE = 1.0
"""Expectations lie between minus and plus this; what other learners read out is clipped to it times 4."""


def quantised(values: Tensor, bits: Tensor, bound: float) -> Tensor:
    """Values (C, S, Q) on a uniform grid of 2^bits points from -bound to bound, whose gradient passes straight through.

    Clients with 0 bits keep full precision.
    """
    step = 2 * bound / (2.0 ** bits.clamp(min=1) - 1)
    rounded = torch.round((values.clamp(-bound, bound) + bound) / step) * step - bound
    return values + torch.where(bits > 0, rounded - values, 0.0).detach()


class Model:
    """A learner of one scenario."""

    def __init__(self, scenario: Scenario) -> None:
        """Prepare the learner that ``scenario.learning.model`` names."""
        self.scenario = scenario
        self.shapes = parameter_shapes(scenario)
        self.sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        self.is_head = torch.arange(sum(self.sizes)) >= sum(self.sizes) - head_parameters(scenario)

    @property
    def num_readouts(self) -> int:
        """Numbers that the last layer sees."""
        return self.shapes["head"][0]

    @property
    def num_parameters(self) -> int:
        """Length of the flat parameter vector."""
        return sum(self.sizes)

    def initial(self, uniform: np.ndarray) -> np.ndarray:
        """Parameters at the start.

        Args:
            uniform: (..., P) numbers uniform in [0, 1).

        Returns:
            (..., P) float32: angles uniform over the circle, input scales 1, tensors of a chain near the identity,
            dense layers uniform with the variance 1 / inputs, biases 0.
        """
        parts = []
        for (name, shape), part in zip(
            self.shapes.items(), np.split(uniform, np.cumsum(self.sizes)[:-1], axis=-1), strict=True
        ):
            if name in ("rotations", "phases"):
                parts.append(np.pi * (2 * part - 1))
            elif name == "scales":
                parts.append(np.ones_like(part))
            elif name in ("edges", "cores"):
                parts.append(chain_of(self.scenario).initial(name, part))
            elif len(shape) == 2:
                parts.append(np.sqrt(3 / shape[0]) * (2 * part - 1))
            else:
                parts.append(np.zeros_like(part))
        return np.concatenate(parts, axis=-1).astype(np.float32)

    def logits(
        self, parameters: Tensor, inputs: Tensor, shots: Shots | None = None, readout: Readout | None = None
    ) -> Tensor:
        """Class scores.

        Args:
            parameters: (C, P).
            inputs: (C, S, F).
            shots: Measurement of the quantum learner, None for exact expectations.
            readout: Dropout and quantisation before the last layer, None for neither.

        Returns:
            (C, S, classes).
        """
        named = self._named(parameters)
        features = self._features(named, inputs, shots)
        if readout is not None and readout.bits is not None:
            circuit = self.scenario.learning.model == "qnn"
            features = quantised(features, readout.bits, READOUT_RANGE if circuit else 4 * READOUT_RANGE)
        if readout is not None and readout.kept is not None:
            features = features * readout.kept
        return torch.baddbmm(named["bias"][:, None], features, named["head"])

    def readouts(self, parameters: Tensor, inputs: Tensor, shots: Shots | None = None) -> Tensor:
        """What the last layer sees, (C, S, Q), of parameters (C, P) and inputs (C, S, F)."""
        return self._features(self._named(parameters), inputs, shots)

    def head(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (C, Q, classes) and biases (C, classes) of the last layer, in parameters (C, P)."""
        named = self._named(parameters)
        return named["head"], named["bias"]

    def _named(self, parameters: Tensor) -> dict[str, Tensor]:
        parts = parameters.split(self.sizes, dim=1)
        return {name: part.unflatten(1, shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def _features(self, named: dict[str, Tensor], inputs: Tensor, shots: Shots | None) -> Tensor:
        """What the last layer sees: (C, S, features)."""
        kind = self.scenario.learning.model
        if kind == "logistic":
            return inputs
        if kind == "tensor_network":
            return readouts(named["edges"], named["cores"], inputs)
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
