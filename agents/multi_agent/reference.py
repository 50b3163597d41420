"""The same clusters as PennyLane circuits, device by device and gate by gate, on any device that PennyLane knows.

The simulation of :mod:`agents.multi_agent.shared_states` never builds the joint state of a cluster; this does, so it is
for small clusters, for verification and for processors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import pennylane as qml
import torch
from torch import Tensor

from agents.multi_agent.shared_states import SharedState
from qfl_envs.quantum.circuits import Circuit
from qfl_envs.quantum.pennylane import apply, open_device


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
    wires = range(shared.num_devices * circuit.num_qubits)
    found = _measured(lambda: qml.probs(wires=wires), shared, circuit, rotations, phases, scales, inputs, device)
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
    wires = range(shared.num_devices * circuit.num_qubits)
    product = reduce(lambda a, b: a @ b, map(qml.PauliZ, wires))
    return float(_measured(lambda: qml.expval(product), shared, circuit, rotations, phases, scales, inputs, device))


def _measured(
    measure: Callable[[], Any],
    shared: SharedState,
    circuit: Circuit,
    rotations: Tensor,
    phases: Tensor,
    scales: Tensor,
    inputs: Tensor,
    device: str,
) -> Any:
    """Share the state, let each device run its circuit, and measure."""
    qubits = circuit.num_qubits

    def run() -> Any:
        for wire in range(shared.num_entangled):
            _entangle([n * qubits + wire for n in range(shared.num_devices)], shared.chain)
        for n in range(shared.num_devices):
            apply(circuit, rotations[n], phases[n], scales[n], inputs[n], first_wire=n * qubits)
        return measure()

    return qml.QNode(run, open_device(device, shared.num_devices * qubits), interface="torch")()


def _entangle(wires: list[int], chain: str) -> None:
    qml.Hadamard(wires=wires[0])
    if chain.endswith("-"):
        qml.RZ(math.pi, wires=wires[0])
    for control, target in zip(wires, wires[1:], strict=False):
        qml.CNOT(wires=[control, target])
        if chain.startswith("psi"):
            qml.PauliX(wires=target)
