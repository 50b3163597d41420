"""Gradients as a quantum processor obtains them: by running shifted circuits.

For a gate exp(-i theta G / 2) with G**2 = 1 the derivative of an expectation is exactly
[f(theta + pi/2) - f(theta - pi/2)] / 2 (Mitarai et al. 2018, Phys. Rev. A 98, 032309; Schuld et al. 2019, Phys. Rev. A
99, 032331). With finite shots every shifted circuit is measured with its own shots. All shifted circuits of all clients
and samples run side by side on the batched executor.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from qfl_envs.quantum import batched
from qfl_envs.quantum.circuits import Circuit, z_signs
from qfl_envs.quantum.shots import Shots


def expectations(
    circuit: Circuit,
    rotations: Tensor,
    phases: Tensor,
    scales: Tensor,
    inputs: Tensor,
    *,
    shots: Shots | None = None,
) -> Tensor:
    """Pauli-Z expectation of every qubit, with the parameter-shift rule as derivative in all four tensors.

    Arguments, shapes and errors are those of :func:`qfl_envs.quantum.batched.expectations`; ``shots`` samples the
    values and the gradients, None computes both exactly.
    """
    batched.check_shapes(circuit, rotations, phases, scales, inputs)
    return _ParameterShift.apply(circuit, shots, rotations, phases, scales, inputs)


class _ParameterShift(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        circuit: Circuit,
        shots: Shots | None,
        rotations: Tensor,
        phases: Tensor,
        scales: Tensor,
        inputs: Tensor,
    ) -> Tensor:
        ctx.circuit, ctx.shots = circuit, shots
        ctx.save_for_backward(rotations, phases, scales, inputs)
        return _run(circuit, shots, rotations[None], phases[None], scales, inputs)[0]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[None, None, Tensor, Tensor, Tensor, Tensor]:
        """Derivative by every gate angle of every sample, chained to parameters and inputs."""
        circuit: Circuit = ctx.circuit
        rotations, phases, scales, inputs = ctx.saved_tensors
        by_rotation = _shift(
            rotations, lambda r: _run(circuit, ctx.shots, r, phases.expand(len(r), *phases.shape), scales, inputs)
        )
        by_phase = _shift(
            phases, lambda p: _run(circuit, ctx.shots, rotations.expand(len(p), *rotations.shape), p, scales, inputs)
        )
        grad_rotations = torch.einsum("gcsq,csq->cg", by_rotation, upstream).view(rotations.shape)
        # the shifted angle of an upload is phase + scale * input, sample by sample
        by_angle = torch.einsum("gcsq,csq->cgs", by_phase, upstream).unflatten(1, phases.shape[1:])
        uploads = by_angle[:, : circuit.num_uploads]
        grad_scales = torch.einsum("clqs,csq->clq", uploads, inputs)
        grad_inputs = torch.einsum("clqs,clq->csq", uploads, scales)
        return None, None, grad_rotations, by_angle.sum(-1), grad_scales, grad_inputs


def _shift(angles: Tensor, run: Any) -> Tensor:
    """Parameter-shift derivative by each of the G angles of a client.

    Args:
        angles: (C, layers, n).
        run: (2 * G, C, layers, n) angles -> (2 * G, C, S, n) expectations.

    Returns:
        (G, C, S, n).
    """
    gates = angles[0].numel()
    shift = (math.pi / 2) * torch.eye(gates, dtype=angles.dtype, device=angles.device).view(gates, 1, *angles.shape[1:])
    plus, minus = run(torch.cat([angles + shift, angles - shift])).chunk(2)
    return (plus - minus) / 2


def _run(
    circuit: Circuit, shots: Shots | None, rotations: Tensor, phases: Tensor, scales: Tensor, inputs: Tensor
) -> Tensor:
    """Expectations (V, C, S, n) of V variants of the angles: rotations and phases (V, C, layers, n)."""
    variants, clients = rotations.shape[:2]
    arguments = (
        rotations.flatten(0, 1),
        phases.flatten(0, 1),
        scales.repeat(variants, 1, 1),
        inputs.repeat(variants, 1, 1),
    )
    with torch.no_grad():
        if shots is None:
            return batched.expectations(circuit, *arguments).unflatten(0, (variants, clients))
        exact = batched.probabilities(circuit, *arguments).unflatten(0, (variants, clients))
        return shots.frequencies(exact) @ torch.tensor(z_signs(circuit.num_qubits)).to(exact)
