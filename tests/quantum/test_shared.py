"""Circuits that share one set of weights: values and gradients are those of the other executors."""

import numpy as np
import pytest
import torch

from qfl_envs.errors import InvalidValueError
from qfl_envs.quantum import batched, pennylane, shared
from qfl_envs.quantum.circuits import ENCODERS, ENTANGLERS, Circuit

NAMES = ("rotations", "phases", "scales", "inputs")
# 37 samples are a block of lanes and a part of one
CIRCUITS = [Circuit(n, 3, encoder, entangler) for n in (1, 2, 5) for encoder in ENCODERS for entangler in ENTANGLERS]


def random_tensors(circuit, samples=37):
    rng = np.random.default_rng(circuit.num_qubits)
    shapes = [*circuit.shape().values(), (samples, circuit.num_qubits)]
    return [torch.tensor(rng.uniform(-np.pi, np.pi, shape), dtype=torch.float32) for shape in shapes]


def values_and_gradients(executor, tensors, weights):
    leaves = [tensor.clone().requires_grad_(True) for tensor in tensors]
    values = executor(*leaves)
    return [values.detach(), *torch.autograd.grad((values * weights.to(values)).sum(), leaves)]


def assert_agree(measure, reference, circuit, width):
    tensors = random_tensors(circuit)
    weights = torch.from_numpy(np.random.default_rng(0).normal(size=(len(tensors[-1]), width)))
    found = values_and_gradients(lambda *leaves: measure(circuit, *leaves), tensors, weights)
    doubles = [tensor.double() for tensor in tensors]
    expected = values_and_gradients(
        lambda *leaves: reference(circuit, *(leaf[None] for leaf in leaves))[0], doubles, weights
    )
    for name, one, other in zip(("values", *NAMES), found, expected, strict=True):
        np.testing.assert_allclose(one.double(), other, rtol=1e-5, atol=5e-5, err_msg=name)


@pytest.mark.parametrize("circuit", CIRCUITS, ids=str)
def test_values_and_gradients_are_those_of_the_batched_executor(circuit):
    assert_agree(shared.probabilities, batched.probabilities, circuit, 2**circuit.num_qubits)
    assert_agree(shared.expectations, batched.expectations, circuit, circuit.num_qubits)


@pytest.mark.parametrize("entangler", ENTANGLERS)
def test_values_and_gradients_are_those_of_pennylane(entangler):
    circuit = Circuit(3, 2, entangler=entangler)
    assert_agree(shared.expectations, pennylane.expectations, circuit, 3)
    assert_agree(shared.probabilities, lambda *arguments: pennylane.run("probabilities", *arguments), circuit, 2**3)


def test_a_wrong_shape_is_refused_by_the_name_of_the_tensor():
    circuit = Circuit(3, 2)
    for position, name in enumerate(NAMES):
        tensors = random_tensors(circuit)
        tensors[position] = tensors[position][..., :2]
        with pytest.raises(InvalidValueError, match=f"shape of {name} is .* allowed: "):
            shared.expectations(circuit, *tensors)
