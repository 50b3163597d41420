"""Circuits defined once: a frozen description that every executor reads.

A circuit is a sequence of layers on ``num_qubits`` wires that start in ``|0...0>``::

    RY(rotations[0])                                    one per qubit
    for layer in 1 ... num_layers:
        RZ(phases[layer] + scales[layer] * inputs)      the inputs where the encoder uploads them
        entangler
        RY(rotations[layer])
    measure Pauli-Z on every qubit

With the CZ ring this is the usual "Rot, then CZ" ansatz without its redundant angles: RZ commutes with CZ, so of the
two RZ around an entangler only their sum matters, and the first and the last RZ of a Rot circuit change no Pauli-Z.
All uploads and phases are diagonal, all rotations are real. Data re-uploading is due to Perez-Salinas et al. 2020
(Quantum 4, 226).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from qfl_envs.errors import InvalidValueError

Encoder = Literal["angle", "reuploading"]
Entangler = Literal["cz_ring", "cnot_ring", "none"]

ENCODERS: tuple[str, ...] = get_args(Encoder)
ENTANGLERS: tuple[str, ...] = get_args(Entangler)
MAX_QUBITS = 12
"""The executors hold full state vectors; past this size the grouped layers of the batched one stop paying off."""


class Gate(NamedTuple):
    """One operation of a circuit.

    ``name`` is ``"ry"`` (angle ``rotations[layer, wire]``), ``"rz"`` (angle ``phases[layer, wire]``, plus
    ``scales[layer, wire] * inputs[wire]`` where ``uploads``), ``"cz"`` or ``"cnot"``. ``layer`` is the row that the
    gate reads of its parameter array, and -1 for gates without parameters.
    """

    name: Literal["ry", "rz", "cz", "cnot"]
    wires: tuple[int, ...]
    layer: int = -1
    uploads: bool = False


@dataclass(frozen=True)
class Circuit:
    """Description of a variational circuit with one Pauli-Z expectation per qubit.

    Attributes:
        num_qubits: Wires, 1 to 12. One input is uploaded per wire.
        num_layers: Entangling layers, at least 1.
        encoder: ``"angle"`` uploads the inputs once, before the first entangler; ``"reuploading"`` before each.
        entangler: ``"cz_ring"``, ``"cnot_ring"`` or ``"none"`` (the control without entanglement).
    """

    num_qubits: int
    num_layers: int
    encoder: Encoder = "reuploading"
    entangler: Entangler = "cz_ring"

    def __post_init__(self) -> None:
        """Refuse what no executor can run.

        Raises:
            InvalidValueError: Naming the field, its value and what is allowed.
        """
        if not 1 <= self.num_qubits <= MAX_QUBITS:
            raise InvalidValueError("num_qubits", self.num_qubits, f"1 to {MAX_QUBITS}")
        if self.num_layers < 1:
            raise InvalidValueError("num_layers", self.num_layers, "at least 1")
        if self.encoder not in ENCODERS:
            raise InvalidValueError("encoder", self.encoder, ENCODERS)
        if self.entangler not in ENTANGLERS:
            raise InvalidValueError("entangler", self.entangler, ENTANGLERS)

    @property
    def num_uploads(self) -> int:
        """How many times the inputs are uploaded."""
        return self.num_layers if self.encoder == "reuploading" else 1

    def shape(self) -> dict[str, tuple[int, int]]:
        """Shapes of the parameters of one circuit.

        Returns:
            ``rotations``: (num_layers + 1, num_qubits) RY angles in rad; ``phases``: (num_layers, num_qubits) RZ angles
            in rad; ``scales``: (num_uploads, num_qubits) factors that turn inputs into RZ angles.
        """
        return {
            "rotations": (self.num_layers + 1, self.num_qubits),
            "phases": (self.num_layers, self.num_qubits),
            "scales": (self.num_uploads, self.num_qubits),
        }

    @property
    def num_parameters(self) -> int:
        """Trainable numbers of one circuit."""
        return sum(rows * columns for rows, columns in self.shape().values())

    @property
    def num_gate_angles(self) -> int:
        """Gates with an angle; the parameter-shift rule runs two circuits for each."""
        return (2 * self.num_layers + 1) * self.num_qubits

    def gates(self) -> Iterator[Gate]:
        """Every gate in the order of execution."""
        wires = range(self.num_qubits)
        two_qubit_gate: Literal["cz", "cnot"] = "cnot" if self.entangler == "cnot_ring" else "cz"
        yield from (Gate("ry", (wire,), 0) for wire in wires)
        for layer in range(self.num_layers):
            yield from (Gate("rz", (wire,), layer, layer < self.num_uploads) for wire in wires)
            yield from (Gate(two_qubit_gate, pair) for pair in self.entangled_pairs())
            yield from (Gate("ry", (wire,), layer + 1) for wire in wires)

    def entangled_pairs(self) -> list[tuple[int, int]]:
        """Control and target of each two-qubit gate of one entangling layer.

        Two qubits form a chain of one gate: the second gate of a ring of two CZ would undo the first.
        """
        n = self.num_qubits
        if self.entangler == "none" or n == 1:
            return []
        if n == 2:
            return [(0, 1)]
        return [(wire, (wire + 1) % n) for wire in range(n)]


def z_signs(num_qubits: int) -> np.ndarray:
    """Eigenvalues of Pauli-Z per basis state and wire.

    Returns:
        (2**num_qubits, num_qubits) array of +1 and -1; wire 0 is the most significant bit.
    """
    states = np.arange(2**num_qubits)[:, None]
    bits = (states >> np.arange(num_qubits - 1, -1, -1)) & 1
    return 1.0 - 2.0 * bits


def cz_signs(circuit: Circuit) -> np.ndarray:
    """Diagonal of the CZ entangling layer: (2**num_qubits,) array of +1 and -1."""
    bits = z_signs(circuit.num_qubits) < 0
    flips = sum((bits[:, a] & bits[:, b] for a, b in circuit.entangled_pairs()), np.zeros(len(bits), dtype=int))
    return 1.0 - 2.0 * (flips % 2)


def cnot_permutation(circuit: Circuit) -> np.ndarray:
    """The CNOT entangling layer as a gather: ``state_after[k] = state_before[permutation[k]]``.

    Returns:
        (2**num_qubits,) integer array.
    """
    n = circuit.num_qubits
    source = np.arange(2**n)
    for control, target in reversed(circuit.entangled_pairs()):
        controlled = (source >> (n - 1 - control)) & 1
        source = source ^ (controlled << (n - 1 - target))
    return source
