"""The fast executor of circuits that share one set of weights, as those of a policy do: many samples, small circuits.

:mod:`qfl_envs.quantum.batched` has weights of each client, for which products of matrices are best; with one set for
all samples, compiled loops that keep a few samples in the processor's cache are several times as fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qfl_envs.quantum import shared_kernels as kernels
from qfl_envs.quantum.batched import check_shapes
from qfl_envs.quantum.circuits import Circuit, cnot_permutation, cz_signs, z_signs


def probabilities(circuit: Circuit, rotations: Tensor, phases: Tensor, scales: Tensor, inputs: Tensor) -> Tensor:
    """Probability of every basis state, with adjoint gradients in all four tensors, once differentiable.

    Args:
        circuit: What to run.
        rotations: (num_layers + 1, num_qubits) RY angles in rad, float32 or float64, on the CPU as all others.
        phases: (num_layers, num_qubits) RZ angles in rad.
        scales: (num_uploads, num_qubits) input scales.
        inputs: (S, num_qubits) samples.

    Returns:
        (S, 2**num_qubits) in the dtype of the arguments.

    Raises:
        InvalidValueError: For a shape that does not fit.
    """
    return _by_sample(_run(circuit, rotations, phases, scales, inputs), len(inputs))


def expectations(circuit: Circuit, rotations: Tensor, phases: Tensor, scales: Tensor, inputs: Tensor) -> Tensor:
    """Pauli-Z expectation of every qubit: (S, num_qubits). Arguments and errors as in :func:`probabilities`."""
    blocks = _run(circuit, rotations, phases, scales, inputs)
    return _by_sample(_plan(circuit, blocks.dtype).z_signs @ blocks, len(inputs))


def _run(circuit: Circuit, rotations: Tensor, phases: Tensor, scales: Tensor, inputs: Tensor) -> Tensor:
    """Probabilities (B, 2**n, LANES) of all samples in blocks."""
    check_shapes(circuit, rotations[None], phases[None], scales[None], inputs[None])
    padded = torch.nn.functional.pad(inputs, (0, 0, 0, -len(inputs) % kernels.LANES))
    lanes = padded.view(-1, kernels.LANES, circuit.num_qubits).mT[:, None]
    angles = phases[: len(scales), :, None] + scales[:, :, None] * lanes
    if len(scales) < len(phases):
        rest = phases[len(scales) :, :, None].expand(len(lanes), -1, -1, kernels.LANES)
        angles = torch.cat([angles, rest], dim=1)
    found: Tensor = _Adjoint.apply(_plan(circuit, rotations.dtype), rotations, angles)
    return found


def _by_sample(blocks: Tensor, samples: int) -> Tensor:
    """(B, values, LANES) -> (S, values)."""
    return blocks.mT.flatten(0, 1)[:samples]


@dataclass(frozen=True, eq=False)
class _Plan:
    """What the loops need to know of a circuit."""

    signs: np.ndarray
    gather: np.ndarray
    scatter: np.ndarray
    z_signs: Tensor
    """(n, 2**n)."""


@lru_cache(maxsize=64)
def _plan(circuit: Circuit, dtype: torch.dtype) -> _Plan:
    like = torch.empty(0, dtype=dtype).numpy()
    signs, gather = np.ones(2**circuit.num_qubits), np.empty(0, dtype=np.int64)
    if circuit.entangled_pairs() and circuit.entangler == "cz_ring":
        signs = cz_signs(circuit)
    elif circuit.entangled_pairs():
        gather = cnot_permutation(circuit).astype(np.int64)
    return _Plan(
        signs=signs.astype(like.dtype),
        gather=gather,
        scatter=np.argsort(gather),
        z_signs=torch.tensor(z_signs(circuit.num_qubits).T.copy(), dtype=dtype),
    )


class _Adjoint(torch.autograd.Function):
    """Probabilities of the final states, with the adjoint method as their derivative."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, rotations: Tensor, angles: Tensor) -> Tensor:
        half = rotations / 2
        parts = [half.cos(), half.sin(), angles.cos(), angles.sin()]
        cosines, sines, re, im = (part.contiguous().numpy() for part in parts)
        real, imaginary = (angles.new_empty((len(angles), len(plan.signs), kernels.LANES)) for _ in range(2))
        kernels.run(cosines, sines, re, im, plan.signs, plan.gather, real.numpy(), imaginary.numpy())
        ctx.plan = plan
        ctx.save_for_backward(*parts, real, imaginary)
        return real.square() + imaginary.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[None, Tensor, Tensor]:
        """Run the circuits backwards."""
        plan: _Plan = ctx.plan
        *parts, real, imaginary = ctx.saved_tensors
        grad_rotations, grad_angles = torch.empty_like(parts[0]), torch.empty_like(parts[2])
        cosines, sines, re, im = (part.contiguous().numpy() for part in parts)
        kernels.differentiate(
            cosines,
            sines,
            re,
            im,
            plan.signs,
            plan.scatter,
            real.numpy(),
            imaginary.numpy(),
            upstream.contiguous().numpy(),
            grad_rotations.numpy(),
            grad_angles.numpy(),
        )
        return None, grad_rotations, grad_angles
