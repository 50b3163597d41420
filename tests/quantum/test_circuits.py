"""The circuit's description, and the two entangling layers that the batched executor takes from it."""

from functools import reduce

import numpy as np
import pennylane as qml
import pytest

from qfl_envs.errors import InvalidValueError
from qfl_envs.quantum.circuits import Circuit, Gate, cnot_permutation, cz_signs, z_signs


def matrix_of_layer(gate, pairs, num_qubits):
    """Unitary of a sequence of two-qubit gates, wire 0 the most significant."""
    operators = [qml.matrix(gate(wires=pair), wire_order=range(num_qubits)) for pair in pairs]
    return reduce(lambda before, after: after @ before, operators, np.eye(2**num_qubits))


def test_shape_has_one_row_more_of_rotations_than_layers():
    assert Circuit(4, 3).shape() == {"rotations": (4, 4), "phases": (3, 4), "scales": (3, 4)}


def test_angle_encoder_has_one_row_of_scales():
    assert Circuit(4, 3, encoder="angle").shape()["scales"] == (1, 4)


@pytest.mark.parametrize("encoder", ["angle", "reuploading"])
def test_num_parameters_counts_all_numbers_of_the_shape(encoder):
    circuit = Circuit(5, 2, encoder=encoder)
    assert circuit.num_parameters == sum(np.zeros(shape).size for shape in circuit.shape().values())


@pytest.mark.parametrize("entangler", ["cz_ring", "cnot_ring", "none"])
def test_num_gate_angles_counts_the_gates_with_an_angle(entangler):
    circuit = Circuit(4, 3, entangler=entangler)
    assert circuit.num_gate_angles == sum(gate.name in ("ry", "rz") for gate in circuit.gates())


def test_gates_come_in_the_order_of_execution():
    assert list(Circuit(2, 2, encoder="angle", entangler="cnot_ring").gates()) == [
        Gate("ry", (0,), 0),
        Gate("ry", (1,), 0),
        Gate("rz", (0,), 0, True),
        Gate("rz", (1,), 0, True),
        Gate("cnot", (0, 1)),
        Gate("ry", (0,), 1),
        Gate("ry", (1,), 1),
        Gate("rz", (0,), 1, False),
        Gate("rz", (1,), 1, False),
        Gate("cnot", (0, 1)),
        Gate("ry", (0,), 2),
        Gate("ry", (1,), 2),
    ]


def test_reuploading_uploads_the_inputs_in_every_layer():
    uploads = [gate.layer for gate in Circuit(1, 3).gates() if gate.uploads]
    assert uploads == [0, 1, 2]


def test_a_ring_closes_on_the_first_qubit():
    assert Circuit(4, 1).entangled_pairs() == [(0, 1), (1, 2), (2, 3), (3, 0)]


@pytest.mark.parametrize(
    ("num_qubits", "entangler", "pairs"), [(1, "cz_ring", []), (2, "cz_ring", [(0, 1)]), (5, "none", [])]
)
def test_too_few_qubits_or_no_entangler_form_no_ring(num_qubits, entangler, pairs):
    assert Circuit(num_qubits, 1, entangler=entangler).entangled_pairs() == pairs


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"num_qubits": 0}, "num_qubits is 0"),
        ({"num_qubits": 13}, "num_qubits is 13"),
        ({"num_layers": 0}, "num_layers is 0"),
        ({"encoder": "amplitude"}, "encoder is 'amplitude'.*'angle', 'reuploading'"),
        ({"entangler": "swap"}, "entangler is 'swap'.*'cz_ring', 'cnot_ring', 'none'"),
    ],
)
def test_what_no_executor_can_run_is_refused_by_name(arguments, named):
    with pytest.raises(InvalidValueError, match=named):
        Circuit(**{"num_qubits": 2, "num_layers": 1, **arguments})


@pytest.mark.parametrize("num_qubits", [1, 2, 3, 4, 5])
def test_z_signs_are_the_diagonals_of_pauli_z(num_qubits):
    diagonals = [np.diag(qml.matrix(qml.PauliZ(wire), wire_order=range(num_qubits))).real for wire in range(num_qubits)]
    assert np.array_equal(z_signs(num_qubits), np.stack(diagonals, axis=1))


@pytest.mark.parametrize("num_qubits", [1, 2, 3, 4, 5])
def test_cz_signs_are_the_diagonal_of_the_cz_layer(num_qubits):
    circuit = Circuit(num_qubits, 1, entangler="cz_ring")
    layer = matrix_of_layer(qml.CZ, circuit.entangled_pairs(), num_qubits)
    assert np.array_equal(np.diag(cz_signs(circuit)), layer.real)


@pytest.mark.parametrize("num_qubits", [1, 2, 3, 4, 5])
def test_cnot_permutation_gathers_as_the_cnot_layer(num_qubits):
    circuit = Circuit(num_qubits, 1, entangler="cnot_ring")
    layer = matrix_of_layer(qml.CNOT, circuit.entangled_pairs(), num_qubits)
    assert np.array_equal(np.eye(2**num_qubits)[cnot_permutation(circuit)], layer.real)
