"""Circuits in compiled loops: values and gradients of batches that fill several blocks of lanes, and a part of one."""

import numpy as np
import pytest
import torch

from qfl_envs.errors import InvalidValueError
from qfl_envs.quantum import batched, lanes
from qfl_envs.quantum.circuits import ENCODERS, ENTANGLERS, Circuit

NAMES = ("rotations", "phases", "scales", "inputs")
# three clients of 23 samples are two blocks of lanes and a part of one; blocks hold samples of several clients
CLIENTS, SAMPLES = 3, 23
CIRCUITS = [Circuit(n, 3, encoder, entangler) for n in (1, 2, 5) for encoder in ENCODERS for entangler in ENTANGLERS]


def random_tensors(circuit, clients=CLIENTS, samples=SAMPLES):
    rng = np.random.default_rng(circuit.num_qubits)
    shapes = [(clients, *shape) for shape in circuit.shape().values()] + [(clients, samples, circuit.num_qubits)]
    return [torch.tensor(rng.uniform(-np.pi, np.pi, shape), dtype=torch.float32) for shape in shapes]


def values_and_gradients(measure, circuit, tensors, **options):
    leaves = [tensor.clone().requires_grad_(True) for tensor in tensors]
    values = measure(circuit, *leaves, **options)
    # each sample's weights are its own, so that a part of a batch has the same
    weights = torch.from_numpy(np.random.default_rng(0).normal(size=(CLIENTS * SAMPLES, values.shape[2]))).to(values)
    weighted = values.flatten(0, 1) * weights[: values.shape[0] * values.shape[1]]
    return [values.detach(), *torch.autograd.grad(weighted.sum(), leaves)]


@pytest.mark.parametrize("measure", [batched.expectations, batched.probabilities])
@pytest.mark.parametrize("circuit", CIRCUITS, ids=str)
def test_values_and_gradients_are_those_of_products_of_matrices(measure, circuit):
    tensors = random_tensors(circuit)
    found = values_and_gradients(measure, circuit, tensors, method="loops")
    expected = values_and_gradients(measure, circuit, [tensor.double() for tensor in tensors], method="matrices")
    for name, one, other in zip(("values", *NAMES), found, expected, strict=True):
        np.testing.assert_allclose(one.double(), other, rtol=1e-5, atol=5e-5, err_msg=name)


@pytest.mark.parametrize("entangler", ENTANGLERS)
def test_one_client_fills_several_blocks_with_its_samples(entangler):
    circuit = Circuit(4, 2, entangler=entangler)
    tensors = random_tensors(circuit, 1, CLIENTS * SAMPLES)
    found = values_and_gradients(batched.expectations, circuit, tensors)
    expected = values_and_gradients(batched.expectations, circuit, tensors, method="matrices")
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("measure", [batched.expectations, batched.probabilities])
def test_a_client_alone_has_the_numbers_that_it_has_in_a_batch(measure):
    circuit = Circuit(4, 2)
    tensors = random_tensors(circuit)
    together = values_and_gradients(measure, circuit, tensors)
    alone = values_and_gradients(measure, circuit, [tensor[:1] for tensor in tensors])
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other[:1], rtol=0, atol=2e-6)


@pytest.mark.parametrize(("clients", "samples"), [(CLIENTS, SAMPLES), (1, CLIENTS * SAMPLES)])
def test_threads_change_nothing(monkeypatch, clients, samples):
    circuit = Circuit(3, 2)
    tensors = random_tensors(circuit, clients, samples)
    by_one = values_and_gradients(batched.expectations, circuit, tensors)
    monkeypatch.setattr(lanes, "WORTH_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    by_two = values_and_gradients(batched.expectations, circuit, tensors)
    for one, other in zip(by_one, by_two, strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_gradient_is_prepared_where_none_is_asked_for():
    circuit = Circuit(3, 2)
    tensors = random_tensors(circuit)
    leaves = [tensor.clone().requires_grad_(True) for tensor in tensors]
    with torch.no_grad():
        assert not batched.expectations(circuit, *leaves).requires_grad
    np.testing.assert_array_equal(
        batched.expectations(circuit, *tensors), batched.expectations(circuit, *leaves).detach()
    )


def test_a_wrong_shape_is_refused_by_the_name_of_the_tensor():
    circuit = Circuit(3, 2)
    for position, name in enumerate(NAMES):
        tensors = random_tensors(circuit)
        tensors[position] = tensors[position][..., :2]
        with pytest.raises(InvalidValueError, match=f"shape of {name} is .* allowed: "):
            batched.expectations(circuit, *tensors)


@pytest.mark.parametrize("options", [{"method": "tensors"}, {"method": "loops", "gradient": "backprop"}])
def test_a_method_that_cannot_be_had_is_refused(options):
    circuit = Circuit(3, 2)
    with pytest.raises(InvalidValueError, match="method is .* allowed: 'matrices', or"):
        batched.expectations(circuit, *random_tensors(circuit), **options)
