"""What protecting updates costs: bytes on the air, cycles, seconds and joules, with the random signing time of ML-DSA.

A protected update is a header, the update itself, and, where they are asked for, a fresh public key of the signer, the
signature, the ciphertext of a key exchange with the server and the tag of an authenticated encryption under the secret
that both then have. :mod:`qfl_envs.system.security.sealed` makes such messages in earnest, of the same sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.devices import Work
from qfl_envs.system.security.schemes import (
    KEY_EXCHANGES,
    NONE,
    SIGNATURES,
    KeyExchange,
    SignatureScheme,
    key_exchange,
    signature_scheme,
)

HEADER_BYTES = 52
"""Sender, round and length of the payload (4 bytes each), sequence number (8), and SHA-256 of the payload (32)."""

TAG_BYTES = 16
"""Tag of AES-256-GCM; its nonce is made of numbers that the header has anyway."""


@dataclass(frozen=True)
class Protection:
    """How updates are protected.

    Attributes:
        signature: Name in :data:`~qfl_envs.system.security.schemes.SIGNATURES`, or ``"none"``.
        exchange: Name in :data:`~qfl_envs.system.security.schemes.KEY_EXCHANGES`, or ``"none"`` for no encryption.
        sends_key: Whether the signer's public key travels with every update.
    """

    signature: str = NONE
    exchange: str = NONE
    sends_key: bool = False

    def __post_init__(self) -> None:
        """Refuse names that nobody knows, and a key without a signature.

        Raises:
            UnknownNameError: Naming what exists.
            InvalidValueError: If a key should be sent that nothing is signed with.
        """
        if self.signature != NONE:
            signature_scheme(self.signature)
        if self.exchange != NONE:
            key_exchange(self.exchange)
        if self.sends_key and self.signature == NONE:
            raise InvalidValueError("sends_key", True, f"false without a signature, or one of {', '.join(SIGNATURES)}")

    @cached_property
    def signs(self) -> SignatureScheme | None:
        """The scheme of the signature."""
        return None if self.signature == NONE else signature_scheme(self.signature)

    @cached_property
    def exchanges(self) -> KeyExchange | None:
        """The key exchange."""
        return None if self.exchange == NONE else key_exchange(self.exchange)

    @cached_property
    def upload_bytes(self) -> int:
        """Bytes that a device sends beside the update itself."""
        size = 0
        if self.signs is not None:
            size += HEADER_BYTES + self.signs.signature_bytes
            size += self.signs.public_key_bytes if self.sends_key else 0
        if self.exchanges is not None:
            size += self.exchanges.ciphertext_bytes + TAG_BYTES
        return size

    @property
    def quantum_safe(self) -> bool:
        """Whether no part of it falls to a large quantum computer; false where nothing protects."""
        parts = [part.quantum_safe for part in (self.signs, self.exchanges) if part is not None]
        return bool(parts) and all(parts)

    def expansion(self, payload_bits: float) -> float:
        """Bits sent per bit of update.

        Raises:
            InvalidValueError: For an update of no bits.
        """
        if not payload_bits > 0.0:
            raise InvalidValueError("payload_bits", payload_bits, "a number above 0")
        return (payload_bits + 8 * self.upload_bytes) / payload_bits

    def cycles(self, uniform: np.ndarray) -> np.ndarray:
        """Cycles of a device for one update, from numbers uniform in [0, 1) of any shape, which decide on attempts.

        Raises:
            InvalidValueError: For a scheme whose cycles nobody has measured.
        """
        total = np.zeros(np.shape(uniform))
        if self.signs is not None:
            total += signing_cycles(self.signature, uniform)
        if self.exchanges is not None:
            total += _measured(self.exchange, self.exchanges.encapsulate_cycles)
        return total

    @property
    def mean_cycles(self) -> float:
        """Their mean.

        Raises:
            InvalidValueError: For a scheme whose cycles nobody has measured.
        """
        signing = 0.0 if self.signs is None else _measured(self.signature, self.signs.sign_cycles)
        exchanging = 0.0 if self.exchanges is None else _measured(self.exchange, self.exchanges.encapsulate_cycles)
        return signing + exchanging

    def server_cycles(self, updates: np.ndarray) -> np.ndarray:
        """Cycles of the server for so many updates: it verifies and decapsulates.

        Raises:
            InvalidValueError: For a scheme whose cycles nobody has measured.
        """
        each = 0.0
        if self.signs is not None:
            each += _measured(self.signature, self.signs.verify_cycles)
        if self.exchanges is not None:
            each += _measured(self.exchange, self.exchanges.decapsulate_cycles)
        return each * np.asarray(updates, dtype=float)

    def work(self, participate: np.ndarray, cpu_hz: np.ndarray, capacitance: float, uniform: np.ndarray) -> Work:
        """Seconds and joules of the devices.

        Args:
            participate: (E, N) bool.
            cpu_hz: (E, N) clock.
            capacitance: Energy of a cycle over the square of the clock, in J s^2.
            uniform: (E, N) in [0, 1), decides on the attempts at a signature.

        Returns:
            Arrays (E, N), zero for those who take no part.
        """
        cycles = np.where(participate, self.cycles(uniform), 0.0)
        return Work(cycles / cpu_hz, capacitance * cycles * cpu_hz**2)


def signing_cycles(name: str, uniform: np.ndarray) -> np.ndarray:
    """Cycles of signatures, from numbers uniform in [0, 1).

    ML-DSA runs its loop until a signature passes: a geometric number of attempts, whose expectation FIPS 204 gives.
    Each attempt after the first costs what makes the mean the measured one.

    Raises:
        InvalidValueError: For a scheme whose cycles nobody has measured.
    """
    scheme = signature_scheme(name)
    mean = _measured(name, scheme.sign_cycles)
    if scheme.first_attempt_cycles is None:
        return np.full(np.shape(uniform), mean)
    again = (mean - scheme.first_attempt_cycles) / (scheme.attempts - 1)
    return scheme.first_attempt_cycles + again * (attempts(scheme.attempts, uniform) - 1)


def attempts(expected: float, uniform: np.ndarray) -> np.ndarray:
    """Geometric numbers, at least 1, of that expectation, by inversion of numbers uniform in [0, 1)."""
    if expected == 1.0:
        return np.ones(np.shape(uniform))
    return 1.0 + np.floor(np.log1p(-np.asarray(uniform)) / math.log1p(-1.0 / expected))


def _measured(name: str, cycles: float | None) -> float:
    if cycles is None:
        known = [*(n for n, one in SIGNATURES.items() if one.sign_cycles), *KEY_EXCHANGES]
        raise InvalidValueError("scheme", name, f"one with known cycles: {', '.join(n for n in known if n != name)}")
    return cycles
