"""Circuits on any of torch's devices: products of matrices, batched over clients and samples.

The state of every client and sample is one complex tensor of shape (C, A, S, B): clients, amplitudes of the first half
of the qubits, samples, amplitudes of the second half (A * B = 2**num_qubits). In this layout a layer of RY gates is two
batched matrix products without any transposition: the Kronecker product of the first half's gates acts on
(C, A, S * B), that of the second half's on (C, A * S, B). The factors belong to a client, so they are built once for
all of its samples. RZ gates and a CZ ring are elementwise phases, a CNOT ring is one gather.

Gradients are exact in either of two ways: the adjoint method walks the circuit backwards and keeps two states in memory
(Jones & Gacon 2020, arXiv 2009.02823), or torch records every layer, which can be differentiated twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from qfl_envs.quantum.circuits import Circuit, cnot_permutation, cz_signs, z_signs

BLOCK_AMPLITUDES = 450_000
"""Clients are run in blocks of about this many amplitudes: larger ones fall out of the processor's cache."""


def measure(
    circuit: Circuit, rotations: Tensor, phases: Tensor, scales: Tensor, inputs: Tensor, z_only: bool, adjoint: bool
) -> Tensor:
    """As :func:`qfl_envs.quantum.lanes.measure`, on the device of the tensors; by torch's record if not by adjoints."""
    clients, samples, _ = inputs.shape
    blocks = min(clients, math.ceil(clients * samples * 2**circuit.num_qubits / BLOCK_AMPLITUDES))
    if blocks > 1:
        tensors = (rotations.chunk(blocks), phases.chunk(blocks), scales.chunk(blocks), inputs.chunk(blocks))
        return torch.cat([_measure_block(circuit, *part, z_only, adjoint) for part in zip(*tensors, strict=True)])
    return _measure_block(circuit, rotations, phases, scales, inputs, z_only, adjoint)


def _measure_block(
    circuit: Circuit, rotations: Tensor, phases: Tensor, scales: Tensor, inputs: Tensor, z_only: bool, adjoint: bool
) -> Tensor:
    plan = _plan(circuit, rotations.dtype, rotations.device)
    angles = _angles(phases, scales, inputs)
    if adjoint:
        found: Tensor = _Adjoint.apply(plan, z_only, rotations, angles)
        return found
    state = _run(plan, _layers(plan, rotations), _diagonals(plan, angles))
    return _readout(plan, z_only, state)


def _angles(phases: Tensor, scales: Tensor, inputs: Tensor) -> Tensor:
    """RZ angle of every layer, sample and qubit: (num_layers, C, S, n)."""
    uploads, layers = scales.shape[1], phases.shape[1]
    phases, scales = phases.transpose(0, 1)[:, :, None], scales.transpose(0, 1)[:, :, None]
    uploaded = torch.addcmul(phases[:uploads], scales, inputs)
    if uploads == layers:
        return uploaded
    return torch.cat([uploaded, phases[uploads:].expand(-1, -1, inputs.shape[1], -1)])


@dataclass(frozen=True, eq=False)
class _Plan:
    """What the kernels need to know of a circuit, as tensors on one device; a and b count the qubits of each half."""

    num_layers: int
    a: int
    b: int
    half_signs: Tensor
    """(n, A + B) minus half of the Pauli-Z eigenvalues in each half: RZ angles to phases of the amplitudes."""
    first_signs: Tensor
    """(a + 1, A) Pauli-Z eigenvalues of the first half, then ones."""
    power_signs: Tensor
    """(2 * B, b + 1) those of the second half as columns, then ones; each row for Re and for Im."""
    twist_signs: Tensor
    """Half of them for Im and zeros for Re, which measure the derivative of a phase."""
    orders: tuple[Tensor, Tensor]
    """(A * A,) and (B * B,): from the outer product of flat 2 x 2 gates to the flat Kronecker product."""
    generators: tuple[Tensor, Tensor]
    """(A * A, a) and (B * B, b): -iY/2 on each qubit, flattened."""
    cz: Tensor | None
    """(A, 1, B) complex diagonal of the CZ layer."""
    cnot: tuple[Tensor, Tensor] | None
    """(2**n,) gather of the CNOT layer, and its inverse."""


@lru_cache(maxsize=64)
def _plan(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> _Plan:
    n = circuit.num_qubits
    a = n // 2
    b = n - a
    to: dict[str, Any] = {"dtype": dtype, "device": device}
    signs_a, signs_b = torch.tensor(z_signs(a), **to), torch.tensor(z_signs(b), **to)
    second_signs = torch.cat([signs_b, torch.ones(2**b, 1, **to)], dim=1)
    cz = cnot = None
    if circuit.entangled_pairs() and circuit.entangler == "cz_ring":
        cz = torch.tensor(cz_signs(circuit), **to).view(2**a, 1, 2**b).to(dtype.to_complex())
    elif circuit.entangled_pairs():
        gather = torch.tensor(cnot_permutation(circuit), device=device)
        cnot = (gather, torch.argsort(gather))
    return _Plan(
        num_layers=circuit.num_layers,
        a=a,
        b=b,
        half_signs=-0.5 * torch.block_diag(signs_a, signs_b).T.contiguous(),
        first_signs=torch.cat([signs_a.T, torch.ones(1, 2**a, **to)]),
        power_signs=second_signs.repeat_interleave(2, dim=0),
        twist_signs=torch.stack([torch.zeros_like(second_signs), second_signs / 2], dim=1).flatten(0, 1),
        orders=(_kronecker_order(a).to(device), _kronecker_order(b).to(device)),
        generators=(_generators(a, to), _generators(b, to)),
        cz=cz,
        cnot=cnot,
    )


def _kronecker_order(count: int) -> Tensor:
    """Positions of (row, column) of a Kronecker product in the outer product of its flat 2 x 2 factors."""
    axes = torch.arange(4**count).view((2,) * (2 * count))
    return axes.permute([*range(0, 2 * count, 2), *range(1, 2 * count, 2)]).flatten()


def _generators(num_qubits: int, to: dict[str, Any]) -> Tensor:
    """-iY/2 = [[0, -1/2], [1/2, 0]] on each qubit of one half: (4**num_qubits, num_qubits)."""
    identity = torch.eye(2, **to)
    rotation = torch.tensor([[0.0, -0.5], [0.5, 0.0]], **to)
    generators = torch.empty(4**num_qubits, num_qubits, **to)
    for qubit in range(num_qubits):
        matrix = torch.ones(1, 1, **to)
        for position in range(num_qubits):
            matrix = torch.kron(matrix, rotation if position == qubit else identity)
        generators[:, qubit] = matrix.flatten()
    return generators


def _layers(plan: _Plan, rotations: Tensor) -> tuple[Tensor, Tensor]:
    """Each layer's RY gates as one Kronecker product per half of the qubits.

    Args:
        plan: The circuit.
        rotations: (C, num_layers + 1, n) angles.

    Returns:
        Real (num_layers + 1, C, A, A) and complex (num_layers + 1, C, B, B); the second acts from the right and is
        transposed.
    """
    half = rotations.permute(1, 2, 0) / 2
    cosine, sine = torch.cos(half), torch.sin(half)
    # flat RY gates, clients last: what is many lies side by side
    gates = torch.stack([cosine, -sine, sine, cosine], dim=2)
    first = _kronecker(gates[:, : plan.a], plan.orders[0])
    second = _kronecker(gates[:, plan.a :], plan.orders[1])
    return first, second.mT.to(second.dtype.to_complex())


def _kronecker(gates: Tensor, order: Tensor) -> Tensor:
    """Kronecker product over the second axis, gates flat: (L, m, 4, C) -> (L, C, 2**m, 2**m)."""
    size = 2 ** gates.shape[1]
    if size == 1:
        return gates.new_ones((len(gates), gates.shape[-1], 1, 1))
    product, *others = gates.unbind(1)
    for gate in others:
        product = (product[:, :, None] * gate[:, None]).flatten(1, 2)
    return product.transpose(1, 2).index_select(2, order).unflatten(2, (size, size))


def _diagonals(plan: _Plan, angles: Tensor) -> tuple[Tensor, Tensor]:
    """Phases of the RZ layers, of shapes (num_layers, C, A, S, 1) and (num_layers, C, 1, S, B)."""
    phases = angles @ plan.half_signs
    # not torch.polar: its derivative is wrong for a negative modulus, and a reader should not have to check the sign
    factors = torch.complex(torch.cos(phases), torch.sin(phases))
    return factors[..., : 2**plan.a].mT[..., None], factors[:, :, None, :, 2**plan.a :]


def _run(plan: _Plan, layers: tuple[Tensor, Tensor], diagonals: tuple[Tensor, Tensor]) -> Tensor:
    """Final state (C, A, S, B) of every client and sample."""
    # the first rotations act on |0...0>: a product state that all samples of a client share
    first, second = layers[0][0, :, :, 0, None, None], layers[1][0, :, None, None, 0]
    state = (first * diagonals[0][0]) * (second * diagonals[1][0])
    state = state.contiguous()
    scratch = None if torch.is_grad_enabled() else torch.empty_like(state)
    for layer in range(plan.num_layers):
        if layer > 0:
            state = _multiply(_multiply(state, diagonals[0][layer]), diagonals[1][layer])
        state = _rotate(layers[0][layer + 1], layers[1][layer + 1], _entangle(plan, state), scratch)
    return state


def _multiply(state: Tensor, factor: Tensor) -> Tensor:
    """Elementwise product, in place where torch does not record."""
    return state * factor if torch.is_grad_enabled() else state.mul_(factor)


def _entangle(plan: _Plan, state: Tensor, inverse: bool = False) -> Tensor:
    """The two-qubit gates of one layer on states (..., A, S, B)."""
    if plan.cz is not None:
        return _multiply(state, plan.cz)
    if plan.cnot is not None:
        gathered = state.transpose(-3, -2).flatten(-2)[..., plan.cnot[inverse]]
        return gathered.unflatten(-1, (2**plan.a, 2**plan.b)).transpose(-3, -2).contiguous()
    return state


def _rotate(first: Tensor, second: Tensor, state: Tensor, scratch: Tensor | None) -> Tensor:
    """One layer of rotations: a batched product from the left and one from the right.

    Args:
        first: (C, A, A) real, from the left.
        second: (C, B, B) complex, from the right.
        state: (C, A, S, B) complex; overwritten where there is a ``scratch``.
        scratch: Memory of the same shape, since fresh memory for each product would cost more than the product; None
            to allocate, as torch must when it records.
    """
    # a real matrix acts alike on Re and Im, which are neighbours in memory
    columns = torch.view_as_real(state).view(*state.shape[:2], -1)
    if scratch is None:
        product = torch.view_as_complex(torch.bmm(first, columns).view(*state.shape, 2))
        return torch.bmm(_rows(product), second).view(state.shape)
    torch.bmm(first, columns, out=torch.view_as_real(scratch).view(columns.shape))
    torch.bmm(_rows(scratch), second, out=_rows(state))
    return state


def _rows(state: Tensor) -> Tensor:
    """(C, A, S, B) as one matrix (C, A * S, B) per client."""
    return state.view(len(state), -1, state.shape[-1])


def _readout(plan: _Plan, z_only: bool, state: Tensor) -> Tensor:
    """Pauli-Z expectations (C, S, n) or basis probabilities (C, S, 2**n) of states (C, A, S, B)."""
    squared = torch.view_as_real(state).square()
    if z_only:
        return _z_sums(plan, squared, plan.power_signs)
    return squared.sum(-1).transpose(1, 2).flatten(2)


def _z_sums(plan: _Plan, values: Tensor, second_signs: Tensor) -> Tensor:
    """Sums over the basis states, weighted with each qubit's Pauli-Z eigenvalue.

    Args:
        plan: The circuit.
        values: (C, A, S, B, 2) real.
        second_signs: (2 * B, b + 1) weights of the parts of the second half.

    Returns:
        (C, S, n).
    """
    clients, a, samples, _, _ = values.shape
    halves = torch.bmm(plan.first_signs.expand(clients, -1, -1), values.view(clients, a, -1))
    sums = halves.view(clients, plan.a + 1, samples, -1) @ second_signs
    return torch.cat([sums[:, : plan.a, :, plan.b].mT, sums[:, plan.a, :, : plan.b]], dim=-1)


class _Adjoint(torch.autograd.Function):
    """Readout of the final state, with the adjoint method as its derivative."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, z_only: bool, rotations: Tensor, angles: Tensor) -> Tensor:
        layers, diagonals = _layers(plan, rotations), _diagonals(plan, angles)
        state = _run(plan, layers, diagonals)
        ctx.plan, ctx.z_only = plan, z_only
        ctx.save_for_backward(*layers, *diagonals, state)
        return _readout(plan, z_only, state)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[None, None, Tensor, Tensor]:
        """Undo layer after layer on the state and its conjugate cotangent, collecting each layer's derivative."""
        plan: _Plan = ctx.plan
        *matrices, phases_a, phases_b, final = ctx.saved_tensors
        clients, a, samples, b = final.shape
        undo_a, undo_b = (matrix[1:].mT.repeat(1, 2, 1, 1) for matrix in matrices)
        # the state is undone by the conjugate phases, the conjugate cotangent by the phases themselves
        undo_phases_a, undo_phases_b = (torch.stack([p.conj_physical(), p], dim=1) for p in (phases_a, phases_b))
        products_a = final.new_empty((plan.num_layers + 1, clients, a, a))
        products_b = final.new_empty((plan.num_layers + 1, clients, b, b))
        grad_angles = upstream.new_empty((plan.num_layers, clients, samples, plan.a + plan.b))
        pair = final.new_empty((2, *final.shape))
        pair[0] = final
        torch.mul(final.conj_physical(), _cotangent_factor(plan, ctx.z_only, upstream), out=pair[1])
        scratch = torch.empty_like(pair)
        state, cotangent = pair
        for layer in range(plan.num_layers, -1, -1):
            # Re <cotangent| -iY/2 |state> of every qubit follows from these products
            torch.bmm(cotangent.view(clients, a, -1), state.view(clients, a, -1).mT, out=products_a[layer])
            torch.bmm(_rows(cotangent).mT, _rows(state), out=products_b[layer])
            if layer == 0:
                break
            _rotate(undo_a[layer - 1], undo_b[layer - 1], pair.flatten(0, 1), scratch.flatten(0, 1))
            pair.copy_(_entangle(plan, pair, inverse=True)) if plan.cnot is not None else _entangle(plan, pair)
            # Im(conj(cotangent) state) of every amplitude, which the diagonal below leaves as it is
            twist = torch.view_as_real(torch.mul(cotangent, state, out=scratch[0]))
            grad_angles[layer - 1] = _z_sums(plan, twist, plan.twist_signs)
            pair.mul_(undo_phases_a[layer - 1]).mul_(undo_phases_b[layer - 1])
        grads = [
            products.real.flatten(2) @ generators
            for products, generators in zip((products_a, products_b), plan.generators, strict=True)
        ]
        return None, None, torch.cat(grads, dim=-1).transpose(0, 1), grad_angles


def _cotangent_factor(plan: _Plan, z_only: bool, upstream: Tensor) -> Tensor:
    """Factor (C, A, S, B) between a state and the derivative by its conjugate; real numbers as complex ones."""
    if z_only:
        by_half = torch.nn.functional.linear(upstream, -4 * plan.half_signs.T).to(upstream.dtype.to_complex())
        return by_half[..., : 2**plan.a].mT[..., None] + by_half[:, None, :, 2**plan.a :]
    return 2 * upstream.unflatten(2, (2**plan.a, 2**plan.b)).transpose(1, 2).to(upstream.dtype.to_complex())
