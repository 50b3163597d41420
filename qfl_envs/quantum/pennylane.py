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
MEASURED = ("z", "probabilities")


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
    return run("z", circuit, rotations, phases, scales, inputs, device=device, gradient=gradient, shots=shots)


def run(
    measured: str,
    circuit: Circuit,
    rotations: Tensor,
    phases: Tensor,
    scales: Tensor,
    inputs: Tensor,
    *,
    device: str = "default.qubit",
    gradient: str = "backprop",
    shots: Shots | None = None,
    noise: float = 0.0,
) -> Tensor:
    """Pauli-Z expectations, or probabilities of all basis states.

    Args:
        measured: ``"z"`` or ``"probabilities"``.
        circuit: As in :func:`expectations`, like all up to ``shots``.
        rotations: Likewise.
        phases: Likewise.
        scales: Likewise.
        inputs: Likewise.
        device: Likewise.
        gradient: Likewise.
        shots: Likewise.
        noise: Probability of the depolarising channel that follows every gate on each of its qubits; above 0 only on
            devices with density matrices, such as ``"default.mixed"``.

    Returns:
        (C, S, num_qubits), or (C, S, 2**num_qubits).

    Raises:
        InvalidValueError: As in :func:`expectations`, and for something else to measure.
    """
    if gradient not in GRADIENTS:
        raise InvalidValueError("gradient", gradient, GRADIENTS)
    if measured not in MEASURED:
        raise InvalidValueError("measured", measured, MEASURED)
    check_shapes(circuit, rotations, phases, scales, inputs)
    if shots is not None:
        parts = [tensor.split(1) for tensor in (rotations, phases, scales, inputs)]
        seeds = [int(shots.generators[owner].integers(2**31)) for owner in shots.owners]
        nodes = [_make_qnode(circuit, device, gradient, measured, noise, shots.count, seed) for seed in seeds]
        return torch.cat([_run(node, gradient, *part) for node, *part in zip(nodes, *parts, strict=True)])
    return _run(qnode(circuit, device, gradient, measured, noise), gradient, rotations, phases, scales, inputs)


def _run(node: Any, gradient: str, rotations: Tensor, phases: Tensor, scales: Tensor, inputs: Tensor) -> Tensor:
    """All clients and samples on one QNode."""
    clients, samples, _ = inputs.shape
    if gradient == "backprop":
        angles = (tensor.repeat_interleave(samples, dim=0) for tensor in (rotations, phases, scales))
        results = _joined(node(*angles, inputs.flatten(0, 1)))
    else:
        results = torch.stack(
            [
                _joined(node(rotations[client], phases[client], scales[client], inputs[client, sample]))
                for client in range(clients)
                for sample in range(samples)
            ]
        )
    return results.view(clients, samples, -1).to(inputs)


def _joined(measured: Any) -> Tensor:
    """Expectations, which PennyLane lists, along the last axis; probabilities are so already."""
    return measured if isinstance(measured, Tensor) else torch.stack(tuple(measured), dim=-1)


@lru_cache(maxsize=32)
def qnode(circuit: Circuit, device: str, gradient: str, measured: str = "z", noise: float = 0.0) -> Any:
    """The circuit as an exact QNode of ``rotations, phases, scales, inputs``, each with an optional leading axis."""
    return _make_qnode(circuit, device, gradient, measured, noise)


def _make_qnode(
    circuit: Circuit,
    device: str,
    gradient: str,
    measured: str,
    noise: float,
    shots: int | None = None,
    seed: int | None = None,
) -> Any:
    def run(rotations: Tensor, phases: Tensor, scales: Tensor, inputs: Tensor) -> Any:
        apply(circuit, rotations, phases, scales, inputs, noise=noise)
        if measured == "probabilities":
            return qml.probs(wires=range(circuit.num_qubits))
        return [qml.expval(qml.PauliZ(wire)) for wire in range(circuit.num_qubits)]

    node = qml.QNode(
        run, _device(device, circuit.num_qubits, seed), interface="torch", diff_method=gradient.replace("_", "-")
    )
    return qml.set_shots(node, shots=shots)


def apply(
    circuit: Circuit,
    rotations: Tensor,
    phases: Tensor,
    scales: Tensor,
    inputs: Tensor,
    *,
    first_wire: int = 0,
    noise: float = 0.0,
) -> None:
    """The gates of a circuit, in a function that becomes a QNode.

    Args:
        circuit: What to apply.
        rotations: (..., num_layers + 1, num_qubits).
        phases: (..., num_layers, num_qubits).
        scales: (..., num_uploads, num_qubits).
        inputs: (..., num_qubits).
        first_wire: Wire of the first qubit; the others follow.
        noise: As in :func:`run`.
    """
    for gate in circuit.gates():
        wires, qubit = [first_wire + wire for wire in gate.wires], gate.wires[0]
        if gate.name == "ry":
            qml.RY(rotations[..., gate.layer, qubit], wires=wires)
        elif gate.name == "rz":
            angle = phases[..., gate.layer, qubit]
            if gate.uploads:
                angle = angle + scales[..., gate.layer, qubit] * inputs[..., qubit]
            qml.RZ(angle, wires=wires)
        else:
            {"cz": qml.CZ, "cnot": qml.CNOT}[gate.name](wires=wires)
        if noise > 0:
            for wire in wires:
                qml.DepolarizingChannel(noise, wires=wire)


def open_device(name: str, wires: int, **arguments: Any) -> Any:
    """A device of PennyLane.

    Args:
        name: Of the device.
        wires: How many.
        arguments: What else it takes, e.g. a seed.

    Raises:
        InvalidValueError: For a device that is not installed, or whose libraries or account are missing.
    """
    try:
        return qml.device(name, wires=wires, **arguments)
    except TypeError:
        raise  # an argument that it does not take
    except Exception as error:
        # plug-ins raise what they like where something that they need is missing
        raise InvalidValueError("device", name, f"an installed one: {', '.join(installed_devices())}") from error


def installed_devices() -> list[str]:
    """Names of all devices whose plug-in is installed."""
    return sorted(qml.plugin_devices)


def _device(name: str, wires: int, seed: int | None) -> Any:
    device = open_device(name, wires)
    if seed is None or "seed" not in inspect.signature(type(device)).parameters:
        return device
    return open_device(name, wires, seed=seed)
