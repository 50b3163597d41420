"""The same clusters as PennyLane circuits, device by device and gate by gate, on any device that PennyLane knows.

The simulation of :mod:`agents.multi_agent.shared_states` never builds the joint state of a cluster; this does, so it is
for small clusters, for verification and for processors.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import pennylane as qml
import torch
from torch import Tensor

from agents.multi_agent.shared_states import SharedState
from qfl_envs.quantum.circuits import Circuit


def outcome_probabilities(
    shared: SharedState,
    circuit: Circuit,
    rotations: Tensor,
    phases: Tensor,
    scales: Tensor,
    inputs: Tensor,
    device: str = "default.qubit",
) -> Tensor:
    """Joint probabilities of what the devices of one cluster measure.

    Args:
        shared: What they begin with.
        circuit: Of each device.
        rotations: (n, L + 1, d) angles of each device.
        phases: (n, L, d).
        scales: (n, uploads, d).
        inputs: (n, d).
        device: Name of a PennyLane device.

    Returns:
        (2^d,) * n, an axis per device.
    """

    def run() -> Any:
        _begin(shared, circuit, rotations, phases, scales, inputs)
        return qml.probs(wires=range(shared.num_devices * circuit.num_qubits))

    found = _node(run, device, shared, circuit)()
    return torch.as_tensor(found).view((2**circuit.num_qubits,) * shared.num_devices)


def parity(
    shared: SharedState,
    circuit: Circuit,
    rotations: Tensor,
    phases: Tensor,
    scales: Tensor,
    inputs: Tensor,
    device: str = "default.qubit",
) -> float:
    """Expectation of the product of Pauli-Z on all qubits of a cluster; arguments as :func:`outcome_probabilities`."""

    def run() -> Any:
        _begin(shared, circuit, rotations, phases, scales, inputs)
        return qml.expval(reduce(lambda a, b: a @ b, map(qml.PauliZ, range(shared.num_devices * circuit.num_qubits))))

    return float(_node(run, device, shared, circuit)())


def _node(run: Any, device: str, shared: SharedState, circuit: Circuit) -> Any:
    return qml.QNode(run, qml.device(device, wires=shared.num_devices * circuit.num_qubits), interface="torch")


def _begin(
    shared: SharedState, circuit: Circuit, rotations: Tensor, phases: Tensor, scales: Tensor, inputs: Tensor
) -> None:
    """Share the state, then let each device run its circuit."""
    qubits = circuit.num_qubits
    if shared.chain != "product":
        for wire in range(shared.num_shared):
            _entangle([device * qubits + wire for device in range(shared.num_devices)], shared.chain)
    for device in range(shared.num_devices):
        for gate in circuit.gates():
            wires = [device * qubits + wire for wire in gate.wires]
            if gate.name == "ry":
                qml.RY(rotations[device, gate.layer, gate.wires[0]], wires=wires)
            elif gate.name == "rz":
                uploaded = (
                    scales[device, gate.layer, gate.wires[0]] * inputs[device, gate.wires[0]] if gate.uploads else 0
                )
                qml.RZ(phases[device, gate.layer, gate.wires[0]] + uploaded, wires=wires)
            else:
                {"cz": qml.CZ, "cnot": qml.CNOT}[gate.name](wires=wires)


def _entangle(wires: list[int], chain: str) -> None:
    qml.Hadamard(wires=wires[0])
    if chain.endswith("-"):
        qml.RZ(math.pi, wires=wires[0])
    for control, target in zip(wires, wires[1:], strict=False):
        qml.CNOT(wires=[control, target])
        if chain.startswith("psi"):
            qml.PauliX(wires=target)
