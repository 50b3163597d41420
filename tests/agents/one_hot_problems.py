"""Random quadratic problems, and circuits computed the long way."""

import numpy as np
from scipy.linalg import expm

from baselines.allocation.one_hot import OneHotQuadratic


def random_quadratic(instances, devices, options, seed=0):
    rng = np.random.default_rng(seed)
    pair = rng.normal(size=(instances, devices, devices, options))
    pair = pair + pair.transpose(0, 2, 1, 3)
    pair[:, np.arange(devices), np.arange(devices)] = 0.0
    return OneHotQuadratic(rng.normal(size=(instances, devices, options)), pair)


def diagonal(problem):
    """Energies (B, A, ..., A), one choice after the other."""
    instances, devices, options = problem.linear.shape
    cost = np.empty((instances, *[options] * devices))
    for choice in np.ndindex(cost.shape[1:]):
        cost[(slice(None), *choice)] = problem.energy(np.tile(choice, (instances, 1)))
    return cost


def xy_hamiltonian(options):
    """Sum over pairs of qubits of (XX + YY) / 2, on 2^A states."""
    size = 2**options
    hamiltonian = np.zeros((size, size))
    for state in range(size):
        for a in range(options):
            for b in range(a):
                # one of the two qubits is excited: they change places
                if (state >> a & 1) != (state >> b & 1):
                    hamiltonian[state ^ (1 << a) ^ (1 << b), state] = 1.0
    return hamiltonian


def full_statevector(cost, angles, scale):
    """State of the qubits (2^A, ..., 2^A) after the circuit, for one system; costs elsewhere are arbitrary."""
    options = cost.shape
    one_hot = [1 << np.arange(size) for size in options]
    anything = np.random.default_rng(9).normal(size=[2**size for size in options])
    anything[np.ix_(*one_hot)] = cost
    state = np.zeros(anything.shape, dtype=complex)
    state[np.ix_(*one_hot)] = 1 / np.sqrt(cost.size)
    for gamma, beta in zip(angles.gamma, angles.beta, strict=True):
        state = np.exp(-1j * gamma * anything / scale) * state
        for axis, size in enumerate(options):
            mixer = expm(-1j * beta * xy_hamiltonian(size))
            state = np.moveaxis(np.tensordot(mixer, state, (1, axis)), 0, axis)
    return state
