"""Compiled loops of circuits that share one set of weights: forwards, and backwards by the adjoint method.

Amplitudes of a few samples, :data:`LANES` of them, lie side by side, so that every operation is one on vectors and the
states stay in the processor's cache from the first gate to the last. An RZ gate by the angle a is taken as
diag(1, exp(i a)): a phase that all amplitudes share is not seen.
"""

from __future__ import annotations

import numpy as np

from qfl_envs.compiled import reordered

LANES = 32
"""Samples that are computed side by side."""


@reordered
def run(
    cosines: np.ndarray,
    sines: np.ndarray,
    real_phases: np.ndarray,
    imaginary_phases: np.ndarray,
    signs: np.ndarray,
    gather: np.ndarray,
    real: np.ndarray,
    imaginary: np.ndarray,
) -> None:
    """Final states of all samples.

    Args:
        cosines: (num_layers + 1, n) of half of each RY angle.
        sines: Likewise.
        real_phases: (B, num_layers, n, LANES) cosines of the RZ angles of all samples, in B blocks.
        imaginary_phases: Their sines.
        signs: (2**n,) diagonal of the CZ layer, ones where there is none.
        gather: (2**n,) permutation of the CNOT layer, empty where there is none.
        real: (B, 2**n, LANES) real parts of the amplitudes; written.
        imaginary: Imaginary parts; written.
    """
    blocks, layers, n, _ = real_phases.shape
    size = 1 << n
    a = np.empty((size, LANES), real.dtype)
    b, u, v = np.empty_like(a), np.empty_like(a), np.empty_like(a)
    start = np.ones(size, real.dtype)
    for q in range(n):
        bit = 1 << (n - 1 - q)
        for k in range(size):
            start[k] *= sines[0, q] if k & bit else cosines[0, q]
    for block in range(blocks):
        for layer in range(layers):
            _phases(real_phases[block, layer], imaginary_phases[block, layer], u, v)
            if layer == 0:
                for k in range(size):
                    amplitude = start[k] * signs[k]
                    for t in range(LANES):
                        a[k, t] = amplitude * u[k, t]
                        b[k, t] = amplitude * v[k, t]
            else:
                for k in range(size):
                    sign = signs[k]
                    for t in range(LANES):
                        x, y = a[k, t], b[k, t]
                        a[k, t] = sign * (x * u[k, t] - y * v[k, t])
                        b[k, t] = sign * (x * v[k, t] + y * u[k, t])
            if len(gather) > 0:
                _permute(a, gather, u)
                _permute(b, gather, u)
            _rotate(a, b, cosines[layer + 1], sines[layer + 1], False)
        real[block] = a
        imaginary[block] = b


@reordered
def differentiate(
    cosines: np.ndarray,
    sines: np.ndarray,
    real_phases: np.ndarray,
    imaginary_phases: np.ndarray,
    signs: np.ndarray,
    scatter: np.ndarray,
    real: np.ndarray,
    imaginary: np.ndarray,
    upstream: np.ndarray,
    grad_rotations: np.ndarray,
    grad_angles: np.ndarray,
) -> None:
    """Derivative of a sum of all probabilities, weighted, by every angle: layer after layer is undone.

    Args:
        cosines: As in :func:`run`, like all up to ``signs``.
        sines: Likewise.
        real_phases: Likewise.
        imaginary_phases: Likewise.
        signs: Likewise.
        scatter: The inverse of the permutation.
        real: (B, 2**n, LANES) real parts of the final amplitudes.
        imaginary: Their imaginary parts.
        upstream: (B, 2**n, LANES) weight of each probability.
        grad_rotations: (num_layers + 1, n) by the RY angles, summed over the samples; written.
        grad_angles: (B, num_layers, n, LANES) by the RZ angles; written.
    """
    blocks, layers, n, _ = real_phases.shape
    size = 1 << n
    a = np.empty((size, LANES), real.dtype)
    b, c, d = np.empty_like(a), np.empty_like(a), np.empty_like(a)
    u, v, w = np.empty_like(a), np.empty_like(a), np.empty_like(a)
    sums = np.zeros((layers + 1, n, LANES), real.dtype)
    for block in range(blocks):
        for k in range(size):
            for t in range(LANES):
                weight = upstream[block, k, t]
                a[k, t], b[k, t] = real[block, k, t], imaginary[block, k, t]
                c[k, t], d[k, t] = weight * a[k, t], weight * b[k, t]
        for layer in range(layers, -1, -1):
            _rotation_derivatives(a, b, c, d, sums[layer])
            if layer == 0:
                break
            _rotate(a, b, cosines[layer], sines[layer], True)
            _rotate(c, d, cosines[layer], sines[layer], True)
            if len(scatter) > 0:
                for part in (a, b, c, d):
                    _permute(part, scatter, w)
            _phases(real_phases[block, layer - 1], imaginary_phases[block, layer - 1], u, v)
            for k in range(size):
                sign = signs[k]
                for t in range(LANES):
                    x, y, p, q = a[k, t], b[k, t], c[k, t], d[k, t]
                    # -2 Im(conj(cotangent) state); no diagonal changes it
                    w[k, t] = 2 * (q * x - p * y)
                    a[k, t] = sign * (x * u[k, t] + y * v[k, t])
                    b[k, t] = sign * (y * u[k, t] - x * v[k, t])
                    c[k, t] = sign * (p * u[k, t] + q * v[k, t])
                    d[k, t] = sign * (q * u[k, t] - p * v[k, t])
            _sums_of_ones(w, grad_angles[block, layer - 1])
    for layer in range(layers + 1):
        for q in range(n):
            grad_rotations[layer, q] = sums[layer, q].sum()


@reordered
def _phases(real_phases: np.ndarray, imaginary_phases: np.ndarray, u: np.ndarray, v: np.ndarray) -> None:
    """Phase of every amplitude after one RZ per qubit, (2**n, LANES): the product of those of its ones."""
    n = len(real_phases)
    u[0, :] = 1.0
    v[0, :] = 0.0
    for place in range(n):
        bit = 1 << place
        for k in range(bit):
            for t in range(LANES):
                x = real_phases[n - 1 - place, t]
                y = imaginary_phases[n - 1 - place, t]
                u[k + bit, t] = u[k, t] * x - v[k, t] * y
                v[k + bit, t] = u[k, t] * y + v[k, t] * x


@reordered
def _rotate(a: np.ndarray, b: np.ndarray, cosines: np.ndarray, sines: np.ndarray, undo: bool) -> None:
    """One RY per qubit, in place."""
    size, n = len(a), len(cosines)
    for q in range(n):
        bit = 1 << (n - 1 - q)
        cosine = cosines[q]
        sine = -sines[q] if undo else sines[q]
        for base in range(0, size, 2 * bit):
            for k in range(base, base + bit):
                for t in range(LANES):
                    x, y = a[k, t], a[k + bit, t]
                    a[k, t] = cosine * x - sine * y
                    a[k + bit, t] = sine * x + cosine * y
                    x, y = b[k, t], b[k + bit, t]
                    b[k, t] = cosine * x - sine * y
                    b[k + bit, t] = sine * x + cosine * y


@reordered
def _permute(values: np.ndarray, source: np.ndarray, scratch: np.ndarray) -> None:
    """Gather of amplitudes, in place."""
    for k in range(len(values)):
        for t in range(LANES):
            scratch[k, t] = values[source[k], t]
    values[:, :] = scratch


@reordered
def _rotation_derivatives(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray, sums: np.ndarray) -> None:
    """Add Re <cotangent| -iY |state> of every qubit."""
    size, n = len(a), len(sums)
    for q in range(n):
        bit = 1 << (n - 1 - q)
        for base in range(0, size, 2 * bit):
            for k in range(base, base + bit):
                m = k + bit
                for t in range(LANES):
                    sums[q, t] += c[m, t] * a[k, t] + d[m, t] * b[k, t] - c[k, t] * a[m, t] - d[k, t] * b[m, t]


@reordered
def _sums_of_ones(values: np.ndarray, result: np.ndarray) -> None:
    """Sum over the amplitudes in which a qubit is one, for every qubit; folds the values up."""
    n = len(result)
    for q in range(n):
        bit = 1 << (n - 1 - q)
        for t in range(LANES):
            result[q, t] = 0.0
        for k in range(bit):
            for t in range(LANES):
                result[q, t] += values[k + bit, t]
                values[k, t] += values[k + bit, t]
