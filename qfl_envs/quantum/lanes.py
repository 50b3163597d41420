"""Circuits on the processor: compiled loops that keep a few samples in the cache from the first gate to the last.

Every sample is computed by itself, with weights of its own client. So samples of many clients fill the lanes, and any
number of threads gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qfl_envs.quantum import lane_kernels as kernels
from qfl_envs.quantum.circuits import Circuit, cnot_permutation, cz_signs

WORTH_A_THREAD = 2_000_000
"""Amplitudes times layers from which on another thread is quicker, the time that it takes to start one included."""


def measure(
    circuit: Circuit, rotations: Tensor, phases: Tensor, scales: Tensor, inputs: Tensor, z_only: bool
) -> Tensor:
    """Pauli-Z expectations or probabilities, with adjoint gradients, once differentiable.

    Args:
        circuit: What to run.
        rotations: (C, num_layers + 1, n) RY angles in rad, one set per client, float32 or float64, on the CPU.
        phases: (C, num_layers, n) RZ angles in rad.
        scales: (C, num_uploads, n) input scales.
        inputs: (C, S, n) samples of each client.
        z_only: Whether to give the expectation of each qubit's Pauli-Z, and not the probability of every basis state.

    Returns:
        (C, S, n or 2**n) in the dtype of the arguments.
    """
    samples, uploads = inputs.shape[:2], scales.shape[1]
    own, factors = (_in_all_lanes(part, samples) for part in (phases, scales))
    seen = _in_lanes(inputs)[:, None]
    angles = torch.addcmul(own[:, :uploads], factors, seen)
    if uploads < phases.shape[1]:
        angles = torch.cat([angles, own[:, uploads:].expand(len(seen), -1, -1, -1)], dim=1)
    found: Tensor = _Adjoint.apply(_plan(circuit, rotations.dtype), z_only, samples, rotations, angles)
    return found


@dataclass(frozen=True, eq=False)
class _Plan:
    """What the loops need to know of a circuit."""

    signs: np.ndarray
    gather: np.ndarray
    scatter: np.ndarray


@lru_cache(maxsize=64)
def _plan(circuit: Circuit, dtype: torch.dtype) -> _Plan:
    like = torch.empty(0, dtype=dtype).numpy()
    signs, gather = np.ones(2**circuit.num_qubits), np.empty(0, dtype=np.int64)
    if circuit.entangled_pairs() and circuit.entangler == "cz_ring":
        signs = cz_signs(circuit)
    elif circuit.entangled_pairs():
        gather = cnot_permutation(circuit).astype(np.int64)
    return _Plan(signs.astype(like.dtype), gather, np.argsort(gather))


class _Adjoint(torch.autograd.Function):
    """Measurements of the final states, with the adjoint method as their derivative."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, z_only: bool, samples: torch.Size, rotations: Tensor, angles: Tensor) -> Tensor:
        """Run the circuits: RZ angles (B, num_layers, n, LANES) of all samples; the others as in :func:`measure`."""
        half, size = rotations / 2, len(plan.signs)
        cosines, sines = (_in_all_lanes(part, samples) for part in (half.cos(), half.sin()))
        phases = torch.cat([angles.cos(), angles.sin()], dim=-1)
        blocks = len(phases)
        final = angles.new_empty((blocks if any(ctx.needs_input_grad) else 0, size, kernels.WIDTH))
        measured = angles.new_empty((blocks, angles.shape[2] if z_only else size, kernels.LANES))
        _spread(kernels.run, [cosines, sines, phases], (plan.signs, plan.gather, z_only), [final, measured], size)
        ctx.plan, ctx.z_only, ctx.samples = plan, z_only, samples
        ctx.save_for_backward(cosines, sines, phases, final)
        return _by_sample(measured, samples)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[None, None, None, Tensor, Tensor]:
        """Run the circuits backwards."""
        plan: _Plan = ctx.plan
        cosines, sines, phases, final = ctx.saved_tensors
        grads = [cosines.new_empty((len(phases), *part.shape[1:-1], kernels.LANES)) for part in (cosines, phases)]
        _spread(
            kernels.differentiate,
            [cosines, sines, phases],
            (plan.signs, plan.scatter, ctx.z_only),
            [final, _in_lanes(upstream), *grads],
            final.shape[1],
        )
        rotations, angles = grads
        if ctx.samples[0] == 1:
            # lanes without a sample have no weights, and so no derivatives
            return None, None, None, rotations.sum((0, -1))[None], angles
        return None, None, None, _by_sample(rotations, ctx.samples).sum(1), angles


def _in_lanes(values: Tensor) -> Tensor:
    """(C, S, ...) -> (B, ..., LANES), the last block padded with zeros."""
    flat = values.reshape(values.shape[0] * values.shape[1], -1)
    padded = torch.nn.functional.pad(flat, (0, 0, 0, -len(flat) % kernels.LANES))
    lanes = padded.view(-1, kernels.LANES, flat.shape[1]).mT.contiguous()
    return lanes.view(-1, *values.shape[2:], kernels.LANES)


def _in_all_lanes(values: Tensor, samples: torch.Size) -> Tensor:
    """What each client's samples share, (C, ...) -> (B, ..., LANES); of a single client one block stands for all."""
    if len(values) == 1:
        return values[..., None].expand(*values.shape, kernels.LANES).contiguous()
    return _in_lanes(values[:, None].expand(*samples, *values.shape[1:]))


def _by_sample(lanes: Tensor, samples: torch.Size) -> Tensor:
    """(B, ..., LANES) -> (C, S, ...)."""
    flat = lanes.flatten(1, -2).mT.flatten(0, 1)[: samples.numel()]
    return flat.reshape(*samples, *lanes.shape[1:-1])


def _spread(
    kernel: Callable[..., None], given: list[Tensor], fixed: tuple[Any, ...], others: list[Tensor], size: int
) -> None:
    """Call a kernel on all blocks, in as many threads as torch may use where that is worth their start."""
    blocks, layers = len(given[-1]), given[-1].shape[1]
    work = blocks * size * kernels.LANES * layers
    threads = min(torch.get_num_threads(), blocks, 1 + work // WORTH_A_THREAD)
    bounds = [blocks * number // threads for number in range(threads + 1)] if threads > 1 else [0, blocks]

    def part(first: int, last: int) -> None:
        # a block that stands for all goes to every thread
        before = [tensor[first:last] if len(tensor) == blocks else tensor for tensor in given]
        kernel(*(tensor.numpy() for tensor in before), *fixed, *(tensor[first:last].numpy() for tensor in others))

    if threads <= 1:
        part(*bounds)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, bounds[:-1], bounds[1:]))
