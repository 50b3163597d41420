"""Parameters of each learner, by name and shape; needs no torch, so that a network alone knows its payload."""

from __future__ import annotations

import numpy as np

from qfl_envs.quantum.tensor_network import MatrixProductState
from qfl_envs.scenario import Scenario
from qfl_envs.system.devices import circuit_of

NUM_CLASSES = 10
"""Both data sets are digits."""


def chain_of(scenario: Scenario) -> MatrixProductState:
    """The chain of tensors that the scenario's ``'tensor_network'`` learners hold."""
    return MatrixProductState(scenario.num_features, scenario.learning.bond_dimension)


def parameter_shapes(scenario: Scenario) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the learner's parameters, in the order of the flat vector that devices upload.

    A scenario without learning, and a surrogate of it, keep the payload of the quantum learner.
    """
    inputs, hidden = scenario.num_features, scenario.learning.hidden
    if scenario.learning.model == "logistic":
        return {"head": (inputs, NUM_CLASSES), "bias": (NUM_CLASSES,)}
    if scenario.learning.model == "mlp":
        return {
            "hidden": (inputs, hidden),
            "hidden_bias": (hidden,),
            "head": (hidden, NUM_CLASSES),
            "bias": (NUM_CLASSES,),
        }
    if scenario.learning.model == "tensor_network":
        chain = chain_of(scenario)
        return {**chain.shape(), "head": (chain.num_readouts, NUM_CLASSES), "bias": (NUM_CLASSES,)}
    circuit = circuit_of(scenario)
    return {**circuit.shape(), "head": (circuit.num_qubits, NUM_CLASSES), "bias": (NUM_CLASSES,)}


def num_parameters(scenario: Scenario) -> int:
    """Length of the flat parameter vector that is uploaded."""
    return sum(int(np.prod(shape)) for shape in parameter_shapes(scenario).values())


def head_parameters(scenario: Scenario) -> int:
    """Parameters of the last layer, which are the last ones of the flat vector."""
    shapes = parameter_shapes(scenario)
    return sum(int(np.prod(shapes[name])) for name in ("head", "bias"))


def head_statistics(scenario: Scenario) -> int:
    """Numbers of a gradient and of a symmetric Gram matrix of the last layer, the bias included."""
    weights = parameter_shapes(scenario)["head"][0] + 1
    return head_parameters(scenario) + weights * (weights + 1) // 2


def kept_parameters(scenario: Scenario) -> int:
    """Length of the parameter vector that the simulation keeps: none without learning, another one for a surrogate."""
    if scenario.learning.model == "none":
        return 0
    if scenario.learning.model == "surrogate":
        return (scenario.num_features + 1) * NUM_CLASSES
    return num_parameters(scenario)


def payload_bits(scenario: Scenario) -> int:
    """Bits of one upload: the parameters and what protects them."""
    return num_parameters(scenario) * scenario.learning.bits_per_parameter + scenario.security.protection_bits


def model_bits(scenario: Scenario) -> int:
    """Bits of the global model on its way down."""
    return num_parameters(scenario) * scenario.learning.bits_per_parameter
