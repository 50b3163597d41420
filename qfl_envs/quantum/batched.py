"""The fast executor: all clients and samples at once.

On the processor compiled loops run the circuits (:mod:`qfl_envs.quantum.lanes`), on other devices, and where gradients
are differentiated again, products of matrices (:mod:`qfl_envs.quantum.matrices`).
"""

from __future__ import annotations

from torch import Tensor

from qfl_envs.errors import InvalidValueError
from qfl_envs.quantum import lanes, matrices
from qfl_envs.quantum.circuits import Circuit

GRADIENTS = ("adjoint", "backprop")
METHODS = ("loops", "matrices")


def expectations(
    circuit: Circuit,
    rotations: Tensor,
    phases: Tensor,
    scales: Tensor,
    inputs: Tensor,
    *,
    gradient: str = "adjoint",
    method: str | None = None,
) -> Tensor:
    """Pauli-Z expectation of every qubit, differentiable in all four tensors.

    Args:
        circuit: What to run.
        rotations: (C, num_layers + 1, num_qubits) RY angles in rad, one set per client, float32 or float64.
        phases: (C, num_layers, num_qubits) RZ angles in rad.
        scales: (C, num_uploads, num_qubits) input scales.
        inputs: (C, S, num_qubits) samples of each client.
        gradient: ``"adjoint"`` or ``"backprop"``, which can be differentiated twice.
        method: ``"loops"``, on the processor and with adjoint gradients alone, or ``"matrices"``; None for loops
            where they can be had.

    Returns:
        (C, S, num_qubits) expectations in the dtype of the arguments.

    Raises:
        InvalidValueError: For a shape, a gradient or a method that does not fit.
    """
    return _measure(circuit, rotations, phases, scales, inputs, gradient, method, z_only=True)


def probabilities(
    circuit: Circuit,
    rotations: Tensor,
    phases: Tensor,
    scales: Tensor,
    inputs: Tensor,
    *,
    gradient: str = "adjoint",
    method: str | None = None,
) -> Tensor:
    """Probability of every basis state: (C, S, 2**num_qubits). Arguments and errors as in :func:`expectations`."""
    return _measure(circuit, rotations, phases, scales, inputs, gradient, method, z_only=False)


def check_shapes(circuit: Circuit, rotations: Tensor, phases: Tensor, scales: Tensor, inputs: Tensor) -> None:
    """Refuse parameters or samples that do not belong to the circuit.

    Raises:
        InvalidValueError: Naming the tensor, its shape and the shape that the circuit takes.
    """
    clients = rotations.shape[0]
    given = {"rotations": rotations, "phases": phases, "scales": scales}
    for name, shape in circuit.shape().items():
        if tuple(given[name].shape) != (clients, *shape):
            raise InvalidValueError(f"shape of {name}", tuple(given[name].shape), str((clients, *shape)))
    if inputs.ndim != 3 or inputs.shape[0] != clients or inputs.shape[2] != circuit.num_qubits:
        raise InvalidValueError("shape of inputs", tuple(inputs.shape), f"({clients}, S, {circuit.num_qubits})")


def _measure(
    circuit: Circuit,
    rotations: Tensor,
    phases: Tensor,
    scales: Tensor,
    inputs: Tensor,
    gradient: str,
    method: str | None,
    z_only: bool,
) -> Tensor:
    if gradient not in GRADIENTS:
        raise InvalidValueError("gradient", gradient, GRADIENTS)
    check_shapes(circuit, rotations, phases, scales, inputs)
    loops = rotations.device.type == "cpu" and gradient == "adjoint"
    if method not in (None, *METHODS) or (method == "loops" and not loops):
        raise InvalidValueError("method", method, "'matrices', or on the processor with adjoint gradients 'loops'")
    if loops and method != "matrices":
        return lanes.measure(circuit, rotations, phases, scales, inputs, z_only)
    return matrices.measure(circuit, rotations, phases, scales, inputs, z_only, adjoint=gradient == "adjoint")
