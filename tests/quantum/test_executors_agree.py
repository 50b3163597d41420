"""One circuit, several executors: values and gradients agree on random circuits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qfl_envs.errors import InvalidValueError
from qfl_envs.quantum import batched, matrices, parameter_shift, pennylane
from qfl_envs.quantum.circuits import ENCODERS, ENTANGLERS, Circuit, z_signs

NAMES = ("rotations", "phases", "scales", "inputs")
TOLERANCE = 1e-5

FAST_EXECUTORS = {
    "adjoint": batched.expectations,
    "matrices": lambda circuit, *tensors: batched.expectations(circuit, *tensors, method="matrices"),
    "backprop": lambda circuit, *tensors: batched.expectations(circuit, *tensors, gradient="backprop"),
    "parameter_shift": parameter_shift.expectations,
}
circuits = st.builds(
    Circuit,
    num_qubits=st.integers(1, 5),
    num_layers=st.integers(1, 3),
    encoder=st.sampled_from(ENCODERS),
    entangler=st.sampled_from(ENTANGLERS),
)
modest = settings(deadline=None, max_examples=25, derandomize=True)


def random_tensors(circuit, clients, samples, seed, dtype=torch.float64):
    """Rotations, phases, scales and inputs."""
    rng = np.random.default_rng(seed)
    shapes = [(clients, *shape) for shape in circuit.shape().values()] + [(clients, samples, circuit.num_qubits)]
    return [torch.tensor(rng.uniform(-np.pi, np.pi, shape), dtype=dtype) for shape in shapes]


def values_and_gradients(expectations, circuit, tensors):
    """Results by name, as float64: the values and the gradient of a fixed random combination of them."""
    leaves = [tensor.clone().requires_grad_(True) for tensor in tensors]
    values = expectations(circuit, *leaves)
    weights = torch.from_numpy(np.random.default_rng(0).normal(size=tuple(values.shape))).to(values)
    gradients = torch.autograd.grad((values * weights).sum(), leaves)
    named = {"values": values.detach(), **dict(zip(NAMES, gradients, strict=True))}
    return {name: tensor.double().numpy() for name, tensor in named.items()}


def assert_close(results, reference):
    for name, expected in reference.items():
        np.testing.assert_allclose(results[name], expected, rtol=0, atol=TOLERANCE, err_msg=name)


@pytest.mark.parametrize("executor", FAST_EXECUTORS)
@modest
@given(circuit=circuits, clients=st.integers(1, 3), samples=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
def test_fast_executors_agree_with_pennylane_in_values_and_gradients(executor, circuit, clients, samples, seed):
    tensors = random_tensors(circuit, clients, samples, seed)
    reference = values_and_gradients(pennylane.expectations, circuit, tensors)
    assert_close(values_and_gradients(FAST_EXECUTORS[executor], circuit, tensors), reference)


@pytest.mark.parametrize("executor", FAST_EXECUTORS)
@modest
@given(circuit=circuits, clients=st.integers(1, 3), samples=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
def test_single_precision_agrees_with_double_precision(executor, circuit, clients, samples, seed):
    single = random_tensors(circuit, clients, samples, seed, torch.float32)
    reference = values_and_gradients(FAST_EXECUTORS["backprop"], circuit, [tensor.double() for tensor in single])
    assert_close(values_and_gradients(FAST_EXECUTORS[executor], circuit, single), reference)


@pytest.mark.parametrize("gradient", ["adjoint", "parameter_shift"])
@pytest.mark.parametrize("entangler", ENTANGLERS)
def test_lightning_agrees_with_the_batched_executor(gradient, entangler):
    circuit = Circuit(3, 2, entangler=entangler)
    tensors = random_tensors(circuit, clients=2, samples=1, seed=1)

    def lightning(*arguments):
        return pennylane.expectations(*arguments, device="lightning.qubit", gradient=gradient)

    reference = values_and_gradients(FAST_EXECUTORS["adjoint"], circuit, tensors)
    assert_close(values_and_gradients(lightning, circuit, tensors), reference)


@pytest.mark.parametrize("entangler", ENTANGLERS)
def test_ten_qubits_agree_with_pennylane(entangler):
    circuit = Circuit(10, 2, entangler=entangler)
    tensors = random_tensors(circuit, clients=2, samples=2, seed=2)
    reference = values_and_gradients(pennylane.expectations, circuit, tensors)
    assert_close(values_and_gradients(FAST_EXECUTORS["adjoint"], circuit, tensors), reference)


@modest
@given(circuit=circuits, seed=st.integers(0, 2**32 - 1))
def test_probabilities_sum_to_one(circuit, seed):
    probabilities = batched.probabilities(circuit, *random_tensors(circuit, 2, 2, seed))
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-12)


@modest
@given(circuit=circuits, seed=st.integers(0, 2**32 - 1))
def test_probabilities_give_the_expectations(circuit, seed):
    tensors = random_tensors(circuit, 2, 2, seed)
    from_probabilities = batched.probabilities(circuit, *tensors).numpy() @ z_signs(circuit.num_qubits)
    np.testing.assert_allclose(from_probabilities, batched.expectations(circuit, *tensors), atol=1e-12)


@modest
@given(circuit=circuits, seed=st.integers(0, 2**32 - 1))
def test_adjoint_differentiates_probabilities_as_backprop_does(circuit, seed):
    tensors = random_tensors(circuit, 2, 2, seed)
    adjoint, backprop = (
        values_and_gradients(
            lambda *arguments, by=gradient: batched.probabilities(*arguments, gradient=by), circuit, tensors
        )
        for gradient in batched.GRADIENTS
    )
    assert_close(adjoint, backprop)


@pytest.mark.parametrize("executor", ["matrices", "backprop"])
def test_blocks_of_clients_equal_one_block(monkeypatch, executor):
    circuit = Circuit(3, 2)
    tensors = random_tensors(circuit, clients=5, samples=2, seed=3)
    whole = values_and_gradients(FAST_EXECUTORS[executor], circuit, tensors)
    monkeypatch.setattr(matrices, "BLOCK_AMPLITUDES", 2 * 2 * 2**3)
    assert_close(values_and_gradients(FAST_EXECUTORS[executor], circuit, tensors), whole)


def test_results_keep_the_precision_of_the_arguments():
    circuit = Circuit(2, 1)
    values = batched.expectations(circuit, *random_tensors(circuit, 1, 1, 4, torch.float32))
    assert values.dtype == torch.float32


def test_backprop_can_be_differentiated_twice():
    circuit = Circuit(1, 1)
    rotations, *others = random_tensors(circuit, 1, 1, 5)

    def value(angles):
        return batched.expectations(circuit, angles, *others, gradient="backprop").sum()

    # d^2 <Z> / d theta^2 of a rotation follows from shifts by pi: [f(t + pi) + f(t - pi) - 2 f(t)] / 4
    shift = torch.zeros_like(rotations)
    shift[0, 0, 0] = np.pi
    expected = (value(rotations + shift) + value(rotations - shift) - 2 * value(rotations)) / 4
    hessian = torch.autograd.functional.hessian(value, rotations)
    assert float(hessian[0, 0, 0, 0, 0, 0]) == pytest.approx(float(expected), abs=1e-10)


@pytest.mark.parametrize("wrong", NAMES)
@pytest.mark.parametrize(
    "expectations",
    [batched.expectations, parameter_shift.expectations, pennylane.expectations],
    ids=lambda f: f.__module__,
)
def test_a_wrong_shape_is_refused_by_the_name_of_the_tensor(expectations, wrong):
    circuit = Circuit(3, 2)
    tensors = random_tensors(circuit, 2, 2, 6)
    position = NAMES.index(wrong)
    tensors[position] = tensors[position][..., :2]
    with pytest.raises(InvalidValueError, match=f"shape of {wrong} is .* allowed: "):
        expectations(circuit, *tensors)


@pytest.mark.parametrize("expectations", [batched.expectations, pennylane.expectations], ids=lambda f: f.__module__)
def test_an_unknown_gradient_is_refused(expectations):
    circuit = Circuit(2, 1)
    with pytest.raises(InvalidValueError, match="gradient is 'finite'.*'adjoint'"):
        expectations(circuit, *random_tensors(circuit, 1, 1, 7), gradient="finite")
