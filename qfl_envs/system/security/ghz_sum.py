"""Quantum-secure aggregation: a sum encoded in the phase of a shared GHZ state, of which nothing but the sum shows.

Each of n clients holds a qubit of (|0...0> + |1...1>) / sqrt 2, turns the phase of its |1> by an angle that encodes its
number, and measures in the X basis. The outcomes m have probability 2^-n (1 + (-1)^|m| v cos phi), where phi is the sum
of all angles and v the visibility of the state: every proper subset of the outcomes is uniform, and only their parity
knows of the sum. Angles 2 pi q 2^j / 2^k, j from k - 1 down to 0, show the sum modulo 2^k bit by bit, lowest first:
what is known already is turned back before the next bit, as in semi-classical phase estimation (Griffiths & Niu 1996).
"""

from __future__ import annotations

import numpy as np

from qfl_envs.errors import InvalidValueError

MOST_BITS = 52
"""Of whole numbers that floating point holds exactly, as angles are."""


def outcome_probabilities(angles: np.ndarray, visibility: float = 1.0) -> np.ndarray:
    """(2^n) probabilities of the outcomes of n clients who turn by angles (n), qubit 0 the highest bit."""
    count = len(angles)
    parity = np.array([bin(outcome).count("1") % 2 for outcome in range(2**count)])
    return (1 + (1 - 2 * parity) * visibility * np.cos(angles.sum())) / 2**count


def measure(phase: np.ndarray, clients: int, visibility: float, generator: np.random.Generator) -> np.ndarray:
    """Outcomes (..., n) bool of clients whose angles sum to phases (...)."""
    outcomes = generator.random((*phase.shape, clients)) < 0.5
    odd = generator.random(phase.shape) < (1 - visibility * np.cos(phase)) / 2
    outcomes[..., -1] ^= odd ^ (outcomes.sum(-1) % 2 == 1)
    return outcomes


def ghz_sum(
    numbers: np.ndarray,
    bits: int,
    generator: np.random.Generator,
    visibility: float = 1.0,
    repeats: int = 1,
) -> np.ndarray:
    """Sums of whole numbers modulo 2^bits, as the parities of measured outcomes show them.

    Args:
        numbers: (E, n, m) whole numbers; one GHZ state per system, coordinate, bit and repeat.
        bits: k.
        generator: Of the outcomes.
        visibility: Of the states; 1 for perfect ones.
        repeats: States per bit, of which the majority counts; odd.

    Returns:
        (E, m) int64: exact with perfect states.

    Raises:
        InvalidValueError: For an even number of repeats, a visibility outside 0 ... 1, numbers that are not whole, or
            more bits than angles tell apart.
    """
    if not 1 <= bits <= MOST_BITS:
        raise InvalidValueError("bits", bits, f"from 1 to {MOST_BITS}")
    if not ((numbers == np.floor(numbers)) & (np.abs(numbers) < 2**MOST_BITS)).all():
        raise InvalidValueError("numbers", "outside", f"whole numbers of at most {MOST_BITS} bits")
    if repeats < 1 or repeats % 2 == 0:
        raise InvalidValueError("repeats", repeats, "odd numbers")
    if not 0.0 <= visibility <= 1.0:
        raise InvalidValueError("visibility", visibility, "from 0 to 1")
    clients = numbers.shape[1]
    known = np.zeros((len(numbers), numbers.shape[2]), dtype=np.int64)
    for bit in range(bits):
        weight = 2.0 ** (bits - 1 - bit)
        angles = 2 * np.pi * (numbers * weight % 2.0**bits) / 2.0**bits
        phase = angles.sum(1) - 2 * np.pi * known * weight / 2.0**bits
        repeated = np.repeat(phase[..., None], repeats, axis=-1)
        odd = measure(repeated, clients, visibility, generator).sum(-1) % 2
        known += (odd.sum(-1) > repeats / 2).astype(np.int64) << bit
    return known


def states_needed(parameters: int, bits: int, repeats: int = 1) -> int:
    """GHZ states for one sum of vectors."""
    return parameters * bits * repeats
