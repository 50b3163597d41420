"""BB84, pulse by pulse (Bennett & Brassard 1984): preparation, eavesdropping, sifting, error estimation, privacy.

A pulse is a bit in one of two bases; who measures in the other basis finds a fair coin.
The eavesdropper measures a share of the pulses in a basis of her choice and sends on what she found.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.signal import fftconvolve

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security.key_rate import binary_entropy

LIMIT = 0.11
"""QBER from which on no key is made: 1 - 2 h2(e) is zero at 0.1100."""


@dataclass(frozen=True)
class Session:
    """One run between two parties.

    Attributes:
        sent: Pulses.
        detected: Pulses that arrived.
        sifted: Of these, with equal bases.
        compared: Of these, compared in public and thrown away.
        error_rate: Errors among the compared ones, the estimate of the QBER.
        true_error_rate: Errors among those that were kept.
        leaked: Bits that correcting the errors tells everybody.
        key: Secret bits, the same for both; empty where the session was given up.
        aborted: Why it was given up; None if it was not.
    """

    sent: int
    detected: int
    sifted: int
    compared: int
    error_rate: float
    true_error_rate: float
    leaked: int
    key: np.ndarray = field(repr=False)
    aborted: str | None


def run(
    pulses: int,
    generator: np.random.Generator,
    intercepted: float = 0.0,
    device_error: float = 0.0,
    transmittance: float = 1.0,
    compared: float = 0.2,
    inefficiency: float = 1.0,
) -> Session:
    """Play one session.

    Args:
        pulses: How many are sent.
        generator: Of all choices and outcomes.
        intercepted: Share of the pulses that an eavesdropper measures and sends on.
        device_error: Chance that the receiver's bit is flipped.
        transmittance: Chance that a pulse is detected.
        compared: Share of the sifted bits that estimate the error rate.
        inefficiency: Bits that error correction tells, over the least possible number.

    Raises:
        InvalidValueError: For a share outside 0 ... 1, fewer than one pulse, or a correction that tells too little.
    """
    if pulses < 1:
        raise InvalidValueError("pulses", pulses, "at least 1")
    if not inefficiency >= 1.0:
        raise InvalidValueError("inefficiency", inefficiency, "at least 1")
    shares = {"intercepted": intercepted, "device_error": device_error, "transmittance": transmittance}
    for name, share in {**shares, "compared": compared}.items():
        if not 0.0 <= share <= 1.0:
            raise InvalidValueError(name, share, "from 0 to 1")
    sender_bits, sender_bases, receiver_bases = generator.random((3, pulses)) < 0.5
    bits, bases = sender_bits, sender_bases
    if intercepted > 0.0:
        taken = generator.random(pulses) < intercepted
        her_bases = generator.random(pulses) < 0.5
        found = measured(bits, bases, her_bases, generator.random(pulses))
        bits, bases = np.where(taken, found, bits), np.where(taken, her_bases, bases)
    got = measured(bits, bases, receiver_bases, generator.random(pulses))
    got ^= generator.random(pulses) < device_error
    detected = generator.random(pulses) < transmittance
    sifted = np.flatnonzero(detected & (sender_bases == receiver_bases))
    wrong = (sender_bits != got)[sifted]
    shown = generator.random(len(sifted)) < compared
    kept = sifted[~shown]
    estimate = float(wrong[shown].mean()) if shown.any() else 0.5
    true = float(wrong[~shown].mean()) if len(kept) else 0.0
    leaked = int(np.ceil(inefficiency * len(kept) * float(binary_entropy(min(estimate, 0.5)))))
    length = int(len(kept) * (1 - float(binary_entropy(min(estimate, 0.5))))) - leaked
    aborted = None
    if estimate >= LIMIT:
        aborted = f"{estimate:.1%} of the compared bits are wrong, at least the {LIMIT:.0%} that leave no key"
    elif length < 1:
        aborted = f"{len(kept)} sifted bits leave no key"
    key = np.zeros(0, dtype=bool) if aborted else hashed(sender_bits[kept], length, generator)
    return Session(
        pulses,
        int(detected.sum()),
        len(sifted),
        int(shown.sum()),
        estimate,
        true,
        0 if aborted else leaked,
        key,
        aborted,
    )


def measured(bits: np.ndarray, bases: np.ndarray, chosen: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Bits that a measurement in the chosen bases finds: the prepared one in its own basis, else a fair coin."""
    return np.where(bases == chosen, bits, uniform < 0.5)


def hashed(bits: np.ndarray, length: int, generator: np.random.Generator) -> np.ndarray:
    """Privacy amplification by a random Toeplitz matrix (Bennett et al. 1995): (n) bool -> (length) bool.

    Raises:
        InvalidValueError: For more bits than there are.
    """
    if not 1 <= length <= len(bits):
        raise InvalidValueError("length", length, f"from 1 to {len(bits)}, the number of bits")
    diagonals = generator.random(len(bits) + length - 1) < 0.5
    product = fftconvolve(diagonals.astype(float), bits.astype(float))[len(bits) - 1 : len(bits) - 1 + length]
    return np.rint(product).astype(np.int64) % 2 == 1
