"""Finite shots: what is sampled, from whose generator, and how far from the exact values it may be."""

import numpy as np
import pytest
import torch

from qfl_envs.quantum import batched, parameter_shift, pennylane
from qfl_envs.quantum.circuits import Circuit
from qfl_envs.quantum.shots import Shots

CIRCUIT = Circuit(2, 1, entangler="cnot_ring")
STANDARD_ERRORS = 5


def random_tensors(clients, samples, seed=0):
    """Rotations, phases, scales and inputs."""
    rng = np.random.default_rng(seed)
    shapes = [(clients, *shape) for shape in CIRCUIT.shape().values()] + [(clients, samples, CIRCUIT.num_qubits)]
    return [torch.from_numpy(rng.uniform(-np.pi, np.pi, shape)) for shape in shapes]


def one_system(count, clients, seed=0):
    return Shots(count, [np.random.default_rng(seed)], np.zeros(clients, dtype=int))


def gradients(tensors, shots):
    """Gradient of the sum of all expectations by each of the four tensors, in one row per client."""
    leaves = [tensor.clone().requires_grad_(True) for tensor in tensors]
    parts = torch.autograd.grad(parameter_shift.expectations(CIRCUIT, *leaves, shots=shots).sum(), leaves)
    return torch.cat([part.flatten(1) for part in parts], dim=1).numpy()


def test_frequencies_are_multiples_of_one_over_the_number_of_shots():
    exact = batched.probabilities(CIRCUIT, *random_tensors(3, 2))
    counts = one_system(7, clients=3).frequencies(exact).numpy() * 7
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-12)


def test_frequencies_of_a_circuit_sum_to_one():
    exact = batched.probabilities(CIRCUIT, *random_tensors(3, 2))
    np.testing.assert_allclose(one_system(7, clients=3).frequencies(exact).sum(-1), 1, atol=1e-12)


def test_frequencies_are_unbiased():
    exact = batched.probabilities(CIRCUIT, *random_tensors(1, 1))
    count, repeats = 5, 20_000
    frequencies = one_system(count, clients=repeats).frequencies(exact.expand(repeats, -1, -1)).mean(0)
    standard_error = torch.sqrt(exact[0] * (1 - exact[0]) / (count * repeats))
    assert (abs(frequencies - exact[0]) <= STANDARD_ERRORS * standard_error).all()


def test_frequencies_spread_as_the_number_of_shots_says():
    exact = batched.probabilities(CIRCUIT, *random_tensors(1, 1))
    count, repeats = 5, 20_000
    frequencies = one_system(count, clients=repeats).frequencies(exact.expand(repeats, -1, -1))
    np.testing.assert_allclose(frequencies.var(0), exact[0] * (1 - exact[0]) / count, rtol=0.1)


@pytest.mark.parametrize("system", [0, 1])
def test_a_system_does_not_depend_on_those_simulated_beside_it(system):
    exact = batched.probabilities(CIRCUIT, *random_tensors(4, 2))
    owners = np.array([0, 1, 0, 1])
    together = Shots(10, [np.random.default_rng(1), np.random.default_rng(2)], owners).frequencies(exact)
    mine = torch.from_numpy(owners == system)
    alone = one_system(10, clients=2, seed=1 + system).frequencies(exact[mine])
    assert torch.equal(together[mine], alone)


def test_systems_with_other_generators_see_other_outcomes():
    exact = batched.probabilities(CIRCUIT, *random_tensors(1, 8))
    assert not torch.equal(one_system(10, 1, seed=1).frequencies(exact), one_system(10, 1, seed=2).frequencies(exact))


def test_sampled_expectations_are_unbiased():
    tensors = random_tensors(1, 1)
    count, repeats = 10, 5_000
    exact = batched.expectations(CIRCUIT, *tensors)[0]
    many = [tensor.expand(repeats, -1, -1) for tensor in tensors]
    sampled = parameter_shift.expectations(CIRCUIT, *many, shots=one_system(count, repeats)).mean(0)
    standard_error = torch.sqrt((1 - exact**2) / (count * repeats))
    assert (abs(sampled - exact) <= STANDARD_ERRORS * standard_error).all()


def test_the_sampled_gradient_is_unbiased():
    tensors = random_tensors(1, 2)
    repeats = 2_000
    many = [tensor.expand(repeats, -1, -1) for tensor in tensors]
    sampled = gradients(many, one_system(20, repeats))
    standard_error = sampled.std(0) / np.sqrt(repeats)
    assert (abs(sampled.mean(0) - gradients(tensors, shots=None)[0]) <= STANDARD_ERRORS * standard_error + 1e-12).all()


def test_the_sampled_gradient_has_noise():
    tensors = random_tensors(1, 2)
    assert abs(gradients(tensors, one_system(20, clients=1)) - gradients(tensors, shots=None)).max() > 0.01


def test_pennylane_samples_the_number_of_shots():
    values = pennylane.expectations(
        CIRCUIT, *random_tensors(1, 2), gradient="parameter_shift", shots=one_system(8, clients=1)
    ).numpy()
    # 8 outcomes of +1 or -1 have an even sum
    np.testing.assert_allclose(values * 4, np.rint(values * 4), atol=1e-6)


def test_pennylane_differentiates_with_shots():
    tensors = random_tensors(1, 1)
    tensors[0].requires_grad_(True)
    values = pennylane.expectations(CIRCUIT, *tensors, gradient="parameter_shift", shots=one_system(20_000, clients=1))
    (sampled,) = torch.autograd.grad(values.sum(), tensors[0])
    exact = torch.autograd.grad(batched.expectations(CIRCUIT, *tensors).sum(), tensors[0])[0]
    # each entry is half the difference of two means of two qubits, whose standard error is at most 2 / sqrt(shots)
    np.testing.assert_allclose(sampled, exact, atol=STANDARD_ERRORS * 2 / np.sqrt(20_000))
