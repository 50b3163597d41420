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


def measure(circuit: Circuit, rotations: Tensor, angles: Tensor, z_only: bool) -> Tensor:
    """Pauli-Z expectations or probabilities, with adjoint gradients, once differentiable.

    Args:
        circuit: What to run.
        rotations: (C, num_layers + 1, n) RY angles in rad, one set per client, float32 or float64, on the CPU.
        angles: (C, S, num_layers, n) RZ angles in rad of the samples of each client, inputs included.
        z_only: Whether to give the expectation of each qubit's Pauli-Z, and not the probability of every basis state.

    Returns:
        (C, S, n or 2**n) in the dtype of the arguments.
    """
    found: Tensor = _Adjoint.apply(_plan(circuit, rotations.dtype), z_only, rotations, angles)
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
    def forward(ctx: Any, plan: _Plan, z_only: bool, rotations: Tensor, angles: Tensor) -> Tensor:
        samples, size = angles.shape[:2], len(plan.signs)
        half = rotations / 2
        of_samples = [part[:, None].expand(*samples, *part.shape[1:]) for part in (half.cos(), half.sin())]
        cosines, sines = map(_in_lanes, of_samples)
        phases = torch.cat([_in_lanes(angles.cos()), _in_lanes(angles.sin())], dim=-1)
        blocks = len(phases)
        final = angles.new_empty((blocks if any(ctx.needs_input_grad) else 0, size, kernels.WIDTH))
        measured = angles.new_empty((blocks, angles.shape[3] if z_only else size, kernels.LANES))
        _spread(kernels.run, [cosines, sines, phases], (plan.signs, plan.gather, z_only), [final, measured], size)
        ctx.plan, ctx.z_only, ctx.samples = plan, z_only, samples
        ctx.save_for_backward(cosines, sines, phases, final)
        return _by_sample(measured, samples)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[None, None, Tensor, Tensor]:
        """Run the circuits backwards."""
        plan: _Plan = ctx.plan
        cosines, sines, phases, final = ctx.saved_tensors
        grads = torch.empty_like(cosines), cosines.new_empty((*phases.shape[:-1], kernels.LANES))
        _spread(
            kernels.differentiate,
            [cosines, sines, phases],
            (plan.signs, plan.scatter, ctx.z_only),
            [final, _in_lanes(upstream), *grads],
            final.shape[1],
        )
        rotations, angles = (_by_sample(grad, ctx.samples) for grad in grads)
        return None, None, rotations.sum(1), angles


def _in_lanes(values: Tensor) -> Tensor:
    """(C, S, ...) -> (B, ..., LANES), the last block padded with zeros."""
    flat = values.reshape(values.shape[0] * values.shape[1], -1)
    padded = torch.nn.functional.pad(flat, (0, 0, 0, -len(flat) % kernels.LANES))
    lanes = padded.view(-1, kernels.LANES, flat.shape[1]).mT.contiguous()
    return lanes.view(-1, *values.shape[2:], kernels.LANES)


def _by_sample(lanes: Tensor, samples: torch.Size) -> Tensor:
    """(B, ..., LANES) -> (C, S, ...)."""
    flat = lanes.flatten(1, -2).mT.flatten(0, 1)[: samples.numel()]
    return flat.reshape(*samples, *lanes.shape[1:-1])


def _spread(
    kernel: Callable[..., None], given: list[Tensor], fixed: tuple[Any, ...], others: list[Tensor], size: int
) -> None:
    """Call a kernel on all blocks, in as many threads as torch may use where that is worth their start."""
    blocks, layers = len(given[0]), given[0].shape[1]
    work = blocks * size * kernels.LANES * layers
    threads = min(torch.get_num_threads(), blocks, 1 + work // WORTH_A_THREAD)
    bounds = [blocks * number // threads for number in range(threads + 1)] if threads > 1 else [0, blocks]

    def part(first: int, last: int) -> None:
        before, after = ([tensor[first:last].numpy() for tensor in tensors] for tensors in (given, others))
        kernel(*before, *fixed, *after)

    if threads <= 1:
        part(*bounds)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, bounds[:-1], bounds[1:]))
