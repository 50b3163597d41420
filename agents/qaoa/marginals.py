"""What a depth-one circuit measures of each device, at full scale. Classically simulated, and exact.

After one phase layer the reduced state of device i couples to every other device only through the options that both
may share. With h = linear and J = pair of the quadratic problem, A options and a uniform start, its off-diagonal is

    rho_i[a, b] = 1/A e^(-i gamma (h_ia - h_ib)) prod_{j != i} [A - 2 + e^(-i gamma J_ij^a) + e^(i gamma J_ij^b)] / A

and its diagonal 1/A; the mixer then acts on A x A matrices. So no state of M A qubits is ever held. What this cannot
say is how the outcomes of several devices are correlated: that is left to the processor.
"""

from __future__ import annotations

import numpy as np

from agents.qaoa.angles import Angles
from baselines.allocation.one_hot import OneHotQuadratic
from qfl_envs.errors import InvalidValueError


def spread(problem: OneHotQuadratic, start: np.ndarray | None = None) -> np.ndarray:
    """Standard deviation (B) of the energy of independent random choices, exactly; 1 where the energy is flat.

    The energy splits into effects of one device and of two (an analysis of variance), which are uncorrelated.

    Args:
        problem: The energies.
        start: (B, M, A) probabilities of each device's choice; None is uniform.
    """
    options = problem.num_options
    start = np.full(problem.linear.shape, 1 / options) if start is None else start
    single = problem.linear + np.einsum("bija,bja->bia", problem.pair, start)
    variance = _variance(single, start).sum(-1)
    both = start[:, :, None] * start[:, None]
    square, mean = (both * problem.pair**2).sum(-1), (both * problem.pair).sum(-1)
    # the part of a pair's variance that is no effect of one of the two
    ours = _variance(start[:, None] * problem.pair, start[:, :, None])
    theirs = _variance(start[:, :, None] * problem.pair, start[:, None])
    variance = variance + (square - mean**2 - ours - theirs).sum((1, 2)) / 2
    return np.sqrt(np.where(variance > 1e-18, variance, 1.0))


def _variance(value: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Variance over the last axis."""
    mean = (weight * value).sum(-1, keepdims=True)
    spread_: np.ndarray = (weight * (value - mean) ** 2).sum(-1)
    return spread_


def marginals(
    problem: OneHotQuadratic, angles: Angles, start: np.ndarray | None = None, scale: np.ndarray | None = None
) -> np.ndarray:
    """Probability of every option of every device after a depth-one circuit.

    Args:
        problem: Of B instances, M devices and A options.
        angles: One layer, (1) or (B, 1).
        start: (B, M, A) probabilities of a warm start, about which the mixer then turns; None is uniform.
        scale: (B) what the phase layer divides energies by; None is :func:`spread`.

    Returns:
        (B, M, A).

    Raises:
        InvalidValueError: For more layers than one: no formula of this size is known then.
    """
    if angles.depth != 1:
        raise InvalidValueError("depth of marginals at full scale", angles.depth, "1")
    instances, devices, options = problem.linear.shape
    start = np.full(problem.linear.shape, 1 / options) if start is None else start / start.sum(-1, keepdims=True)
    scale = spread(problem, start) if scale is None else scale
    gamma, beta = (np.broadcast_to(part.reshape(-1), instances) for part in (angles.gamma, angles.beta))
    left, right = np.triu_indices(options, 1)
    found = np.empty((instances, devices, options))
    for b in range(instances):
        turn = gamma[b] / scale[b]
        amplitude = np.sqrt(start[b])
        alone = amplitude * np.exp(-1j * turn * problem.linear[b])
        # the sum over an option of another device, less 1: (M, M, A)
        beside = start[b] * np.expm1(-1j * turn * problem.pair[b])
        factor = np.expm1(-1j * beta[b] * options)
        for i in range(devices):
            coherence = np.zeros((options, options), dtype=np.complex128)
            coherence[left, right] = (1 + beside[i][:, left] + beside[i][:, right].conj()).prod(0)
            coherence += coherence.conj().T
            np.fill_diagonal(coherence, 1.0)
            state = coherence * alone[i][:, None] * alone[i].conj()
            turned = amplitude[i] @ state
            whole = (turned @ amplitude[i]).real
            found[b, i] = start[b, i] * (1 + abs(factor) ** 2 * whole) + 2 * (factor * amplitude[i] * turned).real
    # rounding may leave a probability a hair below 0
    found = np.maximum(found, 0.0)
    return found / found.sum(-1, keepdims=True)
