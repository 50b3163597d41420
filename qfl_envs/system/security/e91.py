"""E91 (Ekert 1991): entangled pairs whose violation of the CHSH inequality says that nobody listens.

Both measure their half of (|00> + |11>) / sqrt 2 along one of three directions of the X-Z plane. Equal directions give
key; of the others, four combinations give S = E(a1, b1) - E(a1, b3) + E(a3, b1) + E(a3, b3), which is 2 sqrt 2 for
perfect pairs and at most 2 for whatever an eavesdropper has measured before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security.bb84 import LIMIT, hashed
from qfl_envs.system.security.key_rate import secret_fraction

SENDER_ANGLES = np.array([0.0, np.pi / 4, np.pi / 2])
RECEIVER_ANGLES = np.array([np.pi / 4, np.pi / 2, 3 * np.pi / 4])
"""Directions in rad; a1 = 0, a3 = pi / 2, b1 = pi / 4 and b3 = 3 pi / 4 test the inequality."""

CLASSICAL_BOUND, QUANTUM_BOUND = 2.0, 2 * np.sqrt(2)


@dataclass(frozen=True)
class PairSession:
    """One run between two parties.

    Attributes:
        pairs: Measured pairs.
        sifted: Those whose directions were equal.
        error_rate: Unequal outcomes among these.
        chsh: Estimate of S.
        key: Secret bits; empty where the session was given up.
        aborted: Why it was given up; None if it was not.
    """

    pairs: int
    sifted: int
    error_rate: float
    chsh: float
    key: np.ndarray = field(repr=False)
    aborted: str | None


def correlation(sender: np.ndarray | float, receiver: np.ndarray | float, visibility: float = 1.0) -> np.ndarray:
    """E(a, b) = v cos(a - b), mean product of outcomes of a pair of visibility v."""
    return np.asarray(visibility * np.cos(np.asarray(sender) - np.asarray(receiver)))


def chsh(visibility: float = 1.0) -> float:
    """S of pairs of that visibility, 2 sqrt 2 at most."""
    a, b = SENDER_ANGLES, RECEIVER_ANGLES
    terms = (correlation(a[i], b[j], visibility) for i, j in ((0, 0), (0, 2), (2, 0), (2, 2)))
    first, second, third, fourth = (float(term) for term in terms)
    return first - second + third + fourth


def run(pairs: int, generator: np.random.Generator, intercepted: float = 0.0, visibility: float = 1.0) -> PairSession:
    """Play one session.

    Args:
        pairs: How many are measured.
        generator: Of all choices and outcomes.
        intercepted: Share of the pairs whose receiver's half an eavesdropper measures along one of the receiver's
            directions, and replaces by what she found.
        visibility: Of the pairs.

    Raises:
        InvalidValueError: For a share outside 0 ... 1, or fewer than one pair.
    """
    if pairs < 1:
        raise InvalidValueError("pairs", pairs, "at least 1")
    for name, share in {"intercepted": intercepted, "visibility": visibility}.items():
        if not 0.0 <= share <= 1.0:
            raise InvalidValueError(name, share, "from 0 to 1")
    first, second, hers = generator.integers(0, 3, (3, pairs))
    a, b = SENDER_ANGLES[first], RECEIVER_ANGLES[second]
    sender = np.where(generator.random(pairs) < 0.5, 1, -1)
    listened = generator.random(pairs) < intercepted
    her_angle = RECEIVER_ANGLES[hers]
    her_outcome = _partner(sender, correlation(a, her_angle, visibility), generator)
    untouched = _partner(sender, correlation(a, b, visibility), generator)
    replaced = _partner(her_outcome, correlation(her_angle, b), generator)
    receiver = np.where(listened, replaced, untouched)
    equal = np.isclose(a, b)
    sifted = int(equal.sum())
    wrong = float((sender != receiver)[equal].mean()) if sifted else 0.5
    value = _estimate(first, second, sender * receiver)
    aborted = None
    if value <= CLASSICAL_BOUND:
        aborted = f"CHSH value of {value:.2f}, not above the classical bound of 2"
    elif wrong >= LIMIT:
        aborted = f"{wrong:.1%} of the bits are wrong, at least the {LIMIT:.0%} that leave no key"
    length = int(sifted * float(secret_fraction(wrong)))
    if aborted is None and length < 1:
        aborted = f"{sifted} sifted bits leave no key"
    key = np.zeros(0, dtype=bool) if aborted else hashed(sender[equal] > 0, length, generator)
    return PairSession(pairs, sifted, wrong, value, key, aborted)


def _partner(outcome: np.ndarray, expected: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Outcomes +1 or -1 whose product with given ones has an expected value."""
    return np.where(generator.random(len(outcome)) < (1 + expected) / 2, outcome, -outcome)


def _estimate(first: np.ndarray, second: np.ndarray, product: np.ndarray) -> float:
    """S from products of outcomes; 0 where a combination was never measured."""
    total = 0.0
    for i, j, sign in ((0, 0, 1), (0, 2, -1), (2, 0, 1), (2, 2, 1)):
        of_both = product[(first == i) & (second == j)]
        if not len(of_both):
            return 0.0
        total += sign * float(of_both.mean())
    return total
