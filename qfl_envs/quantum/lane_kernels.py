"""Compiled loops of circuits: forwards, and backwards by the adjoint method.

Amplitudes of a few samples, :data:`LANES` of them, lie side by side, so that every operation is one on vectors and the
states stay in the processor's cache from the first gate to the last. A row of a state is the real parts of one
amplitude of all samples, then the imaginary parts. Every lane has angles of its own. An RZ gate by the angle a is taken
as diag(1, exp(i a)): a phase that all amplitudes share is not seen.
"""

from __future__ import annotations

import numpy as np

from qfl_envs.compiled import reordered

LANES = 32
"""Samples that are computed side by side."""
WIDTH = 2 * LANES
"""Numbers in a row of a state."""


@reordered
def run(
    cosines: np.ndarray,
    sines: np.ndarray,
    phases: np.ndarray,
    signs: np.ndarray,
    gather: np.ndarray,
    z_only: bool,
    final: np.ndarray,
    measured: np.ndarray,
) -> None:
    """Measurements and final states of all samples.

    Args:
        cosines: (B, num_layers + 1, n, LANES) of half of each RY angle of all samples, in B blocks; or a single block,
            which stands for all.
        sines: Likewise.
        phases: (B, num_layers, n, WIDTH) cosines and sines of the RZ angles.
        signs: (2**n,) diagonal of the CZ layer, ones where there is none.
        gather: (2**n,) permutation of the CNOT layer, empty where there is none.
        z_only: Whether to measure each qubit's Pauli-Z, and not the probability of every basis state.
        final: (B, 2**n, WIDTH) states; written, unless it is empty.
        measured: (B, n or 2**n, LANES); written.
    """
    blocks, layers, n, _ = phases.shape
    size = 1 << n
    state = np.empty((size, WIDTH), measured.dtype)
    factor = np.empty_like(state)
    for block in range(blocks):
        own = min(block, len(cosines) - 1)
        _start(cosines[own, 0], sines[own, 0], state)
        for layer in range(layers):
            _phase_factors(phases[block, layer], factor)
            for k in range(size):
                sign = signs[k]
                for t in range(LANES):
                    x, y = sign * state[k, t], sign * state[k, LANES + t]
                    state[k, t] = x * factor[k, t] - y * factor[k, LANES + t]
                    state[k, LANES + t] = x * factor[k, LANES + t] + y * factor[k, t]
            if len(gather) > 0:
                _permute(state, gather, factor)
            _rotate(state, cosines[own, layer + 1], sines[own, layer + 1], 1)
        if len(final) > 0:
            _copy(state, final[block])
        for k in range(size):
            for t in range(LANES):
                factor[k, t] = state[k, t] ** 2 + state[k, LANES + t] ** 2
        if z_only:
            _sums_of_ones(factor, measured[block])
            for q in range(n):
                for t in range(LANES):
                    measured[block, q, t] = 1 - 2 * measured[block, q, t]
        else:
            _copy(factor[:, :LANES], measured[block])


@reordered
def differentiate(
    cosines: np.ndarray,
    sines: np.ndarray,
    phases: np.ndarray,
    signs: np.ndarray,
    scatter: np.ndarray,
    z_only: bool,
    final: np.ndarray,
    upstream: np.ndarray,
    grad_rotations: np.ndarray,
    grad_phases: np.ndarray,
) -> None:
    """Derivative of a weighted sum of all measurements by every angle: layer after layer is undone.

    Args:
        cosines: As in :func:`run`, like all up to ``signs``.
        sines: Likewise.
        phases: Likewise.
        signs: Likewise.
        scatter: The inverse of the permutation.
        z_only: As in :func:`run`.
        final: (B, 2**n, WIDTH) final states.
        upstream: (B, n or 2**n, LANES) weight of each measurement.
        grad_rotations: (B, num_layers + 1, n, LANES) by the RY angles; written.
        grad_phases: (B, num_layers, n, LANES) by the RZ angles; written.
    """
    blocks, layers, n, _ = phases.shape
    size = 1 << n
    state = np.empty((size, WIDTH), final.dtype)
    cotangent, factor, sums = np.empty_like(state), np.empty_like(state), np.empty((n, WIDTH), final.dtype)
    for block in range(blocks):
        own = min(block, len(cosines) - 1)
        if z_only:
            _sums_of_signs(upstream[block], factor)
        else:
            _copy(upstream[block], factor[:, :LANES])
        for k in range(size):
            for t in range(LANES):
                x, y = final[block, k, t], final[block, k, LANES + t]
                state[k, t], state[k, LANES + t] = x, y
                cotangent[k, t], cotangent[k, LANES + t] = factor[k, t] * x, factor[k, t] * y
        for layer in range(layers, -1, -1):
            _rotation_derivatives(state, cotangent, sums)
            for q in range(n):
                for t in range(LANES):
                    grad_rotations[block, layer, q, t] = sums[q, t] + sums[q, LANES + t]
            if layer == 0:
                break
            _rotate(state, cosines[own, layer], sines[own, layer], -1)
            _rotate(cotangent, cosines[own, layer], sines[own, layer], -1)
            if len(scatter) > 0:
                _permute(state, scatter, factor)
                _permute(cotangent, scatter, factor)
            _phase_factors(phases[block, layer - 1], factor)
            for k in range(size):
                _undo_phases(state[k], cotangent[k], factor[k], signs[k])
            _sums_of_ones(factor, grad_phases[block, layer - 1])


@reordered
def _start(cosines: np.ndarray, sines: np.ndarray, state: np.ndarray) -> None:
    """State, all real, after one RY per qubit on |0...0>."""
    n = len(cosines)
    state[:, LANES:] = 0.0
    state[0, :LANES] = 1.0
    for place in range(n):
        bit = 1 << place
        for k in range(bit):
            for t in range(LANES):
                state[k + bit, t] = state[k, t] * sines[n - 1 - place, t]
                state[k, t] *= cosines[n - 1 - place, t]


@reordered
def _phase_factors(phases: np.ndarray, factor: np.ndarray) -> None:
    """Phase of every amplitude after one RZ per qubit, (2**n, WIDTH): the product of those of its ones."""
    n = len(phases)
    factor[0, :LANES] = 1.0
    factor[0, LANES:] = 0.0
    for place in range(n):
        bit = 1 << place
        for k in range(bit):
            for t in range(LANES):
                x, y = phases[n - 1 - place, t], phases[n - 1 - place, LANES + t]
                factor[k + bit, t] = factor[k, t] * x - factor[k, LANES + t] * y
                factor[k + bit, LANES + t] = factor[k, t] * y + factor[k, LANES + t] * x


@reordered
def _undo_phases(state: np.ndarray, cotangent: np.ndarray, factor: np.ndarray, sign: float) -> None:
    """Take phases and sign off one amplitude of both; the first half of the factor becomes the derivative by its phase.

    The derivative is -2 Im(conj(cotangent) state), which no diagonal changes.
    """
    for t in range(LANES):
        x, y, p, q = state[t], state[LANES + t], cotangent[t], cotangent[LANES + t]
        u, v = sign * factor[t], sign * factor[LANES + t]
        factor[t] = 2 * (q * x - p * y)
        state[t], state[LANES + t] = x * u + y * v, y * u - x * v
        cotangent[t], cotangent[LANES + t] = p * u + q * v, q * u - p * v


@reordered
def _rotate(state: np.ndarray, cosines: np.ndarray, sines: np.ndarray, way: int) -> None:
    """One RY per qubit, in place, or its inverse for the way -1; two qubits at a time."""
    size, n = len(state), len(cosines)
    cosine, sine = np.empty((2, WIDTH), state.dtype), np.empty((2, WIDTH), state.dtype)
    for q in range(0, n, 2):
        both = q + 1 < n
        for t in range(LANES):
            cosine[0, t] = cosine[0, LANES + t] = cosines[q, t]
            sine[0, t] = sine[0, LANES + t] = way * sines[q, t]
            if both:
                cosine[1, t] = cosine[1, LANES + t] = cosines[q + 1, t]
                sine[1, t] = sine[1, LANES + t] = way * sines[q + 1, t]
        high = 1 << (n - 1 - q)
        low = high >> 1
        for base in range(0, size, 2 * high):
            if not both:
                for t in range(WIDTH):
                    x, y = state[base, t], state[base + 1, t]
                    state[base, t] = cosine[0, t] * x - sine[0, t] * y
                    state[base + 1, t] = sine[0, t] * x + cosine[0, t] * y
            for k in range(base, base + low):
                for t in range(WIDTH):
                    w, x, y, z = state[k, t], state[k + low, t], state[k + high, t], state[k + high + low, t]
                    w, y = cosine[0, t] * w - sine[0, t] * y, sine[0, t] * w + cosine[0, t] * y
                    x, z = cosine[0, t] * x - sine[0, t] * z, sine[0, t] * x + cosine[0, t] * z
                    state[k, t] = cosine[1, t] * w - sine[1, t] * x
                    state[k + low, t] = sine[1, t] * w + cosine[1, t] * x
                    state[k + high, t] = cosine[1, t] * y - sine[1, t] * z
                    state[k + high + low, t] = sine[1, t] * y + cosine[1, t] * z


@reordered
def _permute(values: np.ndarray, source: np.ndarray, scratch: np.ndarray) -> None:
    """Gather of amplitudes, in place."""
    for k in range(len(values)):
        for t in range(WIDTH):
            scratch[k, t] = values[source[k], t]
    _copy(scratch, values)


@reordered
def _copy(source: np.ndarray, target: np.ndarray) -> None:
    """Number by number: an assignment of arrays takes seconds to compile, for what it says when shapes differ."""
    for k in range(target.shape[0]):
        for t in range(target.shape[1]):
            target[k, t] = source[k, t]


@reordered
def _rotation_derivatives(state: np.ndarray, cotangent: np.ndarray, sums: np.ndarray) -> None:
    """Re <cotangent| -iY |state> of every qubit, (n, WIDTH): the part of the real parts, then of the imaginary ones."""
    size, n = len(state), len(sums)
    sums[:, :] = 0.0
    for q in range(n):
        bit = 1 << (n - 1 - q)
        for base in range(0, size, 2 * bit):
            for k in range(base, base + bit):
                for t in range(WIDTH):
                    sums[q, t] += cotangent[k + bit, t] * state[k, t] - cotangent[k, t] * state[k + bit, t]


@reordered
def _sums_of_ones(values: np.ndarray, result: np.ndarray) -> None:
    """Sum of the first LANES columns over the amplitudes in which a qubit is one, for every qubit; folds them up."""
    n = len(result)
    for q in range(n):
        bit = 1 << (n - 1 - q)
        for t in range(LANES):
            result[q, t] = 0.0
        for k in range(bit):
            for t in range(LANES):
                result[q, t] += values[k + bit, t]
                values[k, t] += values[k + bit, t]


@reordered
def _sums_of_signs(weights: np.ndarray, result: np.ndarray) -> None:
    """For every basis state the weights (n, LANES) of qubits that are zero, minus those of others; LANES columns."""
    n = len(weights)
    for t in range(LANES):
        result[0, t] = 0.0
        for q in range(n):
            result[0, t] += weights[q, t]
    for place in range(n):
        bit = 1 << place
        for k in range(bit):
            for t in range(LANES):
                result[k + bit, t] = result[k, t] - 2 * weights[n - 1 - place, t]
