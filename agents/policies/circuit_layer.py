"""A circuit as a torch module: angles in, Pauli-Z expectations or probabilities out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from agents.parameters import refuse_other_shapes
from agents.policies.execution import Execution
from qfl_envs.quantum.circuits import Circuit


class CircuitLayer(nn.Module):
    """One set of weights of a circuit, run on many samples.

    Attributes:
        circuit: Its description.
        execution: Where it runs; the same weights run anywhere.
    """

    def __init__(self, circuit: Circuit, all_outcomes: bool = False) -> None:
        """Draw the angles uniformly from the circle; inputs are angles as they are at first.

        Args:
            circuit: What to run.
            all_outcomes: Whether to give the probability of every basis state in place of each qubit's Pauli-Z.
        """
        super().__init__()
        self.circuit, self.all_outcomes = circuit, all_outcomes
        self.execution = Execution()
        shapes = circuit.shape()
        self.rotations = nn.Parameter(torch.empty(shapes["rotations"]).uniform_(-math.pi, math.pi))
        self.phases = nn.Parameter(torch.empty(shapes["phases"]).uniform_(-math.pi, math.pi))
        self.scales = nn.Parameter(torch.ones(shapes["scales"]))

    @property
    def width(self) -> int:
        """Numbers that come out per sample."""
        return 2**self.circuit.num_qubits if self.all_outcomes else self.circuit.num_qubits

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., num_qubits) angles -> (..., width).

        Simulators run on the CPU, wherever the other layers of the policy are.
        """
        measure = self.execution.probabilities if self.all_outcomes else self.execution.expectations
        flat = inputs.reshape(-1, self.circuit.num_qubits)
        measured = measure(self.circuit, *(tensor.cpu() for tensor in (self.rotations, self.phases, self.scales, flat)))
        return measured.to(inputs.device).view(*inputs.shape[:-1], self.width)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *arguments: Any) -> None:
        """Refuse weights of another circuit.

        Raises:
            InvalidValueError: Naming the weights, their shape and that of the circuit.
        """
        whose = f"{self.circuit.num_qubits} qubits in {self.circuit.num_layers} layers"
        refuse_other_shapes(state_dict, prefix, self.circuit.shape(), whose)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def circuit_layers(network: nn.Module) -> list[CircuitLayer]:
    """All circuits of a network."""
    return [module for module in network.modules() if isinstance(module, CircuitLayer)]
