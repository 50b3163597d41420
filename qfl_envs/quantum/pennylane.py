"""The reference executor: the same circuits as PennyLane QNodes, on any device that PennyLane knows."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

import pennylane as qml
import torch
from torch import Tensor

from qfl_envs.errors import InvalidValueError
from qfl_envs.quantum.batched import check_shapes
from qfl_envs.quantum.circuits import Circuit
from qfl_envs.quantum.shots import Shots

GRADIENTS = ("backprop", "adjoint", "parameter_shift")


def expectations(
    circuit: Circuit,
    rotations: Tensor,
    phases: Tensor,
    scales: Tensor,
    inputs: Tensor,
    *,
    device: str = "default.qubit",
    gradient: str = "backprop",
    shots: Shots | None = None,
) -> Tensor:
    """Pauli-Z expectation of every qubit.

    With ``"backprop"`` all clients and samples run as one broadcast circuit; the other gradients run one circuit per
    client and sample, since PennyLane differentiates no broadcast parameter with them.

    Args:
        circuit: What to run.
        rotations: (C, num_layers + 1, num_qubits) RY angles in rad.
        phases: (C, num_layers, num_qubits) RZ angles in rad.
        scales: (C, num_uploads, num_qubits) input scales.
        inputs: (C, S, num_qubits) samples.
        device: Name of a PennyLane device.
        gradient: ``"backprop"``, ``"adjoint"`` or ``"parameter_shift"``.
        shots: Measurement, None for exact expectations. Simulators are seeded by the generator of each client's owner;
            what a device without a seed measures, such as a real processor, is nobody's to repeat.

    Returns:
        (C, S, num_qubits).

    Raises:
        InvalidValueError: For a shape or a gradient that does not fit.
    """
    if gradient not in GRADIENTS:
        raise InvalidValueError("gradient", gradient, GRADIENTS)
    check_shapes(circuit, rotations, phases, scales, inputs)
    if shots is not None:
        parts = [tensor.split(1) for tensor in (rotations, phases, scales, inputs)]
        seeds = [int(shots.generators[owner].integers(2**31)) for owner in shots.owners]
        nodes = [_make_qnode(circuit, device, gradient, shots.count, seed) for seed in seeds]
        return torch.cat([_run(node, gradient, *part) for node, *part in zip(nodes, *parts, strict=True)])
    return _run(qnode(circuit, device, gradient), gradient, rotations, phases, scales, inputs)


def _run(node: Any, gradient: str, rotations: Tensor, phases: Tensor, scales: Tensor, inputs: Tensor) -> Tensor:
    """All clients and samples on one QNode."""
    clients, samples, qubits = inputs.shape
    if gradient == "backprop":
        angles = (tensor.repeat_interleave(samples, dim=0) for tensor in (rotations, phases, scales))
        results = torch.stack(node(*angles, inputs.flatten(0, 1)), dim=-1)
    else:
        results = torch.stack(
            [
                torch.stack(node(rotations[client], phases[client], scales[client], inputs[client, sample]))
                for client in range(clients)
                for sample in range(samples)
            ]
        )
    return results.view(clients, samples, qubits).to(inputs)


@lru_cache(maxsize=32)
def qnode(circuit: Circuit, device: str, gradient: str) -> Any:
    """The circuit as an exact QNode of ``rotations, phases, scales, inputs``, each with an optional leading axis."""
    return _make_qnode(circuit, device, gradient)


def _make_qnode(circuit: Circuit, device: str, gradient: str, shots: int | None = None, seed: int | None = None) -> Any:
    def run(rotations: Tensor, phases: Tensor, scales: Tensor, inputs: Tensor) -> list[Any]:
        for gate in circuit.gates():
            wire = gate.wires[0]
            if gate.name == "ry":
                qml.RY(rotations[..., gate.layer, wire], wires=wire)
            elif gate.name == "rz":
                angle = phases[..., gate.layer, wire]
                if gate.uploads:
                    angle = angle + scales[..., gate.layer, wire] * inputs[..., wire]
                qml.RZ(angle, wires=wire)
            else:
                {"cz": qml.CZ, "cnot": qml.CNOT}[gate.name](wires=gate.wires)
        return [qml.expval(qml.PauliZ(wire)) for wire in range(circuit.num_qubits)]

    node = qml.QNode(
        run, _device(device, circuit.num_qubits, seed), interface="torch", diff_method=gradient.replace("_", "-")
    )
    return qml.set_shots(node, shots=shots)


def _device(name: str, wires: int, seed: int | None) -> Any:
    device = qml.device(name, wires=wires)
    if seed is None or "seed" not in inspect.signature(type(device)).parameters:
        return device
    return qml.device(name, wires=wires, seed=seed)
