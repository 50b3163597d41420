"""A device's own circuit on its own qubits, which may be entangled with those of others.

The circuit is that of :mod:`qfl_envs.quantum.circuits`; only it does not begin in |0...0>. What a device does to a
state shared with others follows from what its circuit makes of each basis state of the shared qubits, so those few
columns of its unitary are all that is simulated.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from qfl_envs.errors import InvalidValueError
from qfl_envs.quantum.circuits import Circuit, cnot_permutation, cz_signs, z_signs


def columns(
    circuit: Circuit, rotations: Tensor, phases: Tensor, scales: Tensor, inputs: Tensor, num_shared: int
) -> Tensor:
    """What the circuit makes of every basis state of its first ``num_shared`` qubits, the others being in |0>.

    Args:
        circuit: With d qubits and L layers.
        rotations: (L + 1, d) or (N, L + 1, d) RY angles in rad: the same for all devices, or one set for each.
        phases: (L, d) or (N, L, d) RZ angles in rad.
        scales: (uploads, d) or (N, uploads, d) input scales.
        inputs: (..., N, d) what each device uploads.
        num_shared: e, from 0 to d.

    Returns:
        (..., N, 2^e, 2^d) complex: row t is the state that |t>|0...0> ends in.

    Raises:
        InvalidValueError: For more shared qubits than there are.
    """
    if not 0 <= num_shared <= circuit.num_qubits:
        raise InvalidValueError("num_shared", num_shared, f"0 to {circuit.num_qubits}, the qubits of the circuit")
    signs, ring, gather = _constants(circuit, inputs.dtype, inputs.device)
    begin = torch.arange(2**num_shared, device=inputs.device) << (circuit.num_qubits - num_shared)
    state = _rotation(rotations[..., 0, :])[..., :, begin].mT.to(inputs.dtype.to_complex())
    for layer in range(circuit.num_layers):
        angles = phases[..., layer, :]
        if layer < circuit.num_uploads:
            angles = angles + scales[..., layer, :] * inputs
        halves = -0.5 * (angles @ signs.T)
        diagonal = torch.complex(halves.cos(), halves.sin()) * ring
        state = state * diagonal[..., None, :]
        if gather is not None:
            state = state[..., gather]
        state = state @ _rotation(rotations[..., layer + 1, :]).mT.to(state.dtype)
    return state.expand(*inputs.shape[:-1], -1, -1)


def operators(states: Tensor, effects: Tensor) -> Tensor:
    """<b|U^dagger diag(effect) U|b'> of a diagonal operator that is measured after the circuit.

    Args:
        states: (..., T, D) of :func:`columns`.
        effects: (..., D) real, the operator's diagonal.

    Returns:
        (..., T, T) complex.
    """
    return (states.conj() * effects[..., None, :]) @ states.mT


def _rotation(angles: Tensor) -> Tensor:
    """RY on every qubit as one matrix: (..., d) -> (..., 2^d, 2^d) real."""
    cos, sin = (angles / 2).cos(), (angles / 2).sin()
    gates = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    matrix = gates[..., 0, :, :]
    for qubit in range(1, angles.shape[-1]):
        product = matrix[..., :, None, :, None] * gates[..., qubit, None, :, None, :]
        matrix = product.flatten(-4, -3).flatten(-2)
    return matrix


@lru_cache(maxsize=64)
def _constants(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
    """Pauli-Z eigenvalues (D, d), the diagonal of the CZ layer (D) and the gather of the CNOT layer, if any."""
    signs = torch.tensor(z_signs(circuit.num_qubits), dtype=dtype, device=device)
    cnots = circuit.entangler == "cnot_ring"
    diagonal = torch.ones(len(signs)) if cnots else torch.tensor(cz_signs(circuit))
    gather = torch.tensor(cnot_permutation(circuit), device=device) if cnots else None
    return signs, diagonal.to(dtype=dtype, device=device), gather


class DeviceLinear(nn.Module):
    """A linear layer on what each device has: one for all, or one for each device."""

    def __init__(self, num_inputs: int, num_outputs: int, copies: int | None, gain: float = 1.0) -> None:
        """Draw the weights as for tanh layers, times a gain.

        Args:
            num_inputs: Numbers of a device.
            num_outputs: What they become.
            copies: N for a layer of each device, None for one that all share.
            gain: Factor of the weights at the start.
        """
        super().__init__()
        several = () if copies is None else (copies,)
        self.weight = nn.Parameter(gain * torch.randn(*several, num_inputs, num_outputs) / math.sqrt(num_inputs))
        self.bias = nn.Parameter(torch.zeros(*several, num_outputs))

    def forward(self, values: Tensor) -> Tensor:
        """(..., N, inputs) -> (..., N, outputs)."""
        if self.weight.ndim == 2:
            return values @ self.weight + self.bias
        return (values[..., None, :] @ self.weight).squeeze(-2) + self.bias


class LocalCircuit(nn.Module):
    """The circuit of every device, with the classical layer before it: one for all, or one for each device.

    The layer makes as many angles of a device's observation as it has qubits, arctan(W o + b), since what is uploaded
    should stay within a turn.
    """

    def __init__(self, circuit: Circuit, num_shared: int, num_features: int, copies: int | None) -> None:
        """Draw angles within a quarter turn, and scales of 1.

        Args:
            circuit: Of one device.
            num_shared: Its qubits that begin in the shared state, 0 for none.
            num_features: Numbers that a device observes.
            copies: N for a circuit of each device, None for one that all share.
        """
        super().__init__()
        self.circuit, self.num_shared = circuit, num_shared
        shapes, several = circuit.shape(), () if copies is None else (copies,)
        self.encoder = DeviceLinear(num_features, circuit.num_qubits, copies)
        self.rotations = nn.Parameter((torch.rand(*several, *shapes["rotations"]) - 0.5) * math.pi)
        self.phases = nn.Parameter((torch.rand(*several, *shapes["phases"]) - 0.5) * math.pi)
        self.scales = nn.Parameter(torch.ones(*several, *shapes["scales"]))

    @property
    def angles(self) -> list[nn.Parameter]:
        """What a quantum processor holds: angles, and the scales of uploaded ones."""
        return [self.rotations, self.phases, self.scales]

    def forward(self, observations: Tensor) -> Tensor:
        """(..., N, F) -> (..., N, 2^e, 2^d) as :func:`columns`."""
        inputs = self.encoder(observations).arctan()
        return columns(self.circuit, self.rotations, self.phases, self.scales, inputs, self.num_shared)
