"""What stands in a policy where others have hidden layers: a circuit between thin classical layers, or its controls.

Features go through a linear layer, unless there are as many as qubits, and are squashed by the arctangent, so that
observations of -1 ... 1 become angles of up to pi/4 and nothing more than pi/2. The circuit uploads them again and
again, with trainable scales (Perez-Salinas et al. 2020, Quantum 4, 226), and what it measures is multiplied by a
trainable output scale beta: the inverse temperature of the softmax policy that follows (Jerbi et al. 2021, NeurIPS,
arXiv 2103.05577).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, Self

import torch
from torch import Tensor, nn

from agents.parameters import matching_width
from agents.policies.circuit_layer import CircuitLayer
from agents.policies.network import Network
from agents.policies.tensor_network import TensorNetwork, matched_chain
from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown
from qfl_envs.quantum.circuits import Circuit
from qfl_envs.quantum.tensor_network import MatrixProductState

MAX_OUTPUT_SCALE = 10.0
LEAST_PROBABILITY = 1e-4
"""Of an action, in its logarithm: below it, finite shots see nothing."""
NETWORKS = ("circuit", "mlp", "tensor_network")
CRITICS = ("circuit", "mlp")
READOUTS = ("local", "partition")
RATES = ("angles", "output")


@dataclass(frozen=True)
class CircuitSettings:
    """The circuit of a policy, and its control.

    Attributes:
        num_qubits: Qubits.
        num_layers: Times that the features are uploaded; 2 are too few in the literature.
        encoder: ``"reuploading"`` or ``"angle"``, as in :class:`qfl_envs.quantum.circuits.Circuit`.
        entangler: ``"cz_ring"``, ``"cnot_ring"`` or ``"none"``, the control without entanglement.
        readout: ``"local"``, each qubit's Pauli-Z and a linear layer; ``"partition"``, where the action is one choice:
            the basis states are dealt to the actions in turn, and an action's logit is the logarithm of the
            probability of its states. None takes the second where there are more actions than qubits.
        network: ``"circuit"``; ``"mlp"``, the control: a hidden tanh layer in place of the circuit, as wide as makes
            the number of parameters equal; or ``"tensor_network"``: a matrix product state of as many features as
            qubits.
        bond_dimension: Of the tensor network; None for bonds that bring the number of parameters closest to that of
            the circuit.
        critic: ``"mlp"`` for a classical critic, ``"circuit"`` for one with a network of its own like the actor's.
        rates: Learning rates ``"angles"`` (of angles and input scales) and ``"output"`` (of the output scale and the
            last layer). Everything else learns at SB3's ``learning_rate``. They fall as that one does.
    """

    num_qubits: int = 4
    num_layers: int = 5
    encoder: Any = "reuploading"
    entangler: Any = "cz_ring"
    readout: str | None = None
    network: str = "circuit"
    bond_dimension: int | None = None
    critic: str = "mlp"
    rates: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what does not exist.

        Raises:
            InvalidValueError: Naming the setting, its value and what is allowed, also for a circuit that is too large.
            UnknownNameError: For a learning rate of something else.
        """
        for name, value, allowed in (
            ("network", self.network, NETWORKS),
            ("critic", self.critic, CRITICS),
            ("readout", self.readout, (*READOUTS, None)),
        ):
            if value not in allowed:
                raise InvalidValueError(name, value, allowed)
        reject_unknown(self.rates, RATES, "learning rate of a circuit policy")
        object.__setattr__(self, "rates", {"angles": 1e-2, "output": 1e-1, **self.rates})
        for name, rate in self.rates.items():
            if not rate > 0:
                raise InvalidValueError(f"rates.{name}", rate, "above 0")
        assert self.circuit is not None  # the description refuses what no executor can run
        if self.bond_dimension is not None:
            if self.network != "tensor_network":
                raise InvalidValueError("bond_dimension", self.bond_dimension, f"none for the network {self.network!r}")
            MatrixProductState(self.num_qubits, self.bond_dimension)

    @classmethod
    def taken_from(cls, keywords: dict[str, Any]) -> Self:
        """The settings among keywords of a policy, which lose them."""
        return cls(**{item.name: keywords.pop(item.name) for item in fields(cls) if item.name in keywords})

    @property
    def circuit(self) -> Circuit:
        """The description of the circuit."""
        return Circuit(self.num_qubits, self.num_layers, self.encoder, self.entangler)

    def local_network(self, features: int, outputs: int) -> Network:
        """A network whose local readouts a linear layer follows.

        Args:
            features: Numbers that come in.
            outputs: Numbers that the linear layer makes of them; they decide how wide the control is.
        """
        if self.network == "circuit":
            return CircuitNetwork(features, self.circuit)
        with_layer = self.circuit.num_parameters + 1 + (self.num_qubits + 1) * outputs
        if self.network == "tensor_network":
            return TensorNetwork(features, self._chain(with_layer, outputs))
        return MatchedNetwork(features, self.num_qubits, with_layer, outputs, ends=False)

    def deciding_network(self, features: int, actions: int) -> Network:
        """A network that gives the logits of actions itself, by a partition of the basis states.

        Raises:
            InvalidValueError: For more actions than basis states.
        """
        outcomes = 2**self.num_qubits
        if actions > outcomes:
            allowed = f"at most {outcomes}, the outcomes of {self.num_qubits} qubits"
            raise InvalidValueError("number of actions", actions, allowed)
        if self.network == "circuit":
            return CircuitNetwork(features, self.circuit, actions)
        parameters = self.circuit.num_parameters + 1
        if self.network == "tensor_network":
            return TensorNetwork(features, self._chain(parameters, actions), actions)
        return MatchedNetwork(features, self.num_qubits, parameters, actions, ends=True)

    def _chain(self, parameters: int, outputs: int) -> MatrixProductState:
        if self.bond_dimension is None:
            return matched_chain(self.num_qubits, parameters, outputs)
        return MatrixProductState(self.num_qubits, self.bond_dimension)


class CircuitNetwork(Network):
    """A circuit between a linear layer and an output scale."""

    def __init__(self, features: int, circuit: Circuit, actions: int | None = None) -> None:
        """Make it.

        Args:
            features: Numbers that come in.
            circuit: The circuit.
            actions: Into how many parts the basis states are dealt; None for the Pauli-Z of each qubit.
        """
        super().__init__(features, circuit.num_qubits)
        self.layer = CircuitLayer(circuit, all_outcomes=actions is not None)
        # beta = 10 sigmoid(raw): close to exp(raw) while small, and never above its bound
        self.raw_scale = nn.Parameter(torch.tensor(-math.log(MAX_OUTPUT_SCALE - 1.0)))
        self.width = circuit.num_qubits if actions is None else actions
        if actions is not None:
            states = torch.arange(2**circuit.num_qubits)
            self.register_buffer("parts", torch.eye(actions)[states % actions], persistent=False)

    @property
    def output_scale(self) -> Tensor:
        """Beta."""
        return MAX_OUTPUT_SCALE * torch.sigmoid(self.raw_scale)

    def behind(self, first: Tensor) -> Tensor:
        """What follows the first layer."""
        measured = self.layer(torch.atan(first))
        if self.layer.all_outcomes:
            measured = (measured @ self.get_buffer("parts")).clamp(min=LEAST_PROBABILITY).log()
        return self.output_scale * measured


class MatchedNetwork(Network):
    """The control: a hidden layer in place of the circuit, so wide that there are as many parameters."""

    def __init__(self, features: int, num_qubits: int, parameters: int, outputs: int, ends: bool) -> None:
        """Make it.

        Args:
            features: Numbers that come in.
            num_qubits: Width of the first layer.
            parameters: To match, of all behind the first layer.
            outputs: Of the last layer.
            ends: Whether that layer belongs to this network, or follows it.
        """
        super().__init__(features, num_qubits)
        hidden = matching_width(parameters, num_qubits, outputs)
        layers: list[nn.Module] = [nn.Linear(num_qubits, hidden), nn.Tanh()]
        self.layers = nn.Sequential(*layers, *([nn.Linear(hidden, outputs)] if ends else []))
        self.width = outputs if ends else hidden

    def behind(self, first: Tensor) -> Tensor:
        """What follows the first layer."""
        values: Tensor = self.layers(torch.tanh(first))
        return values
