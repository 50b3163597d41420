"""Secrets of pairs of clients, which follow from one secret of 32 bytes of either: what secure aggregation masks with.

With X25519 both compute the same secret from each other's public key. ML-KEM needs a message: the client of the lower
number derives the pair's secret from its own and sends it, encrypted to the other's public key. Either way, whoever
learns the one secret of a client, as the server does of one who dropped out, can compute all secrets of its pairs.
"""

from __future__ import annotations

import os

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security.primitives import SECRET_BYTES, ExchangeKey, decrypt, derive, encapsulate, encrypt
from qfl_envs.system.security.secret_sharing import PRIME

PAIR_EXCHANGES = ("x25519", "ml-kem-768", "ml-kem-1024")


def fresh_secret() -> bytes:
    """32 random bytes that the field of secret sharing holds."""
    while True:
        secret = os.urandom(SECRET_BYTES)
        if int.from_bytes(secret, "big") < PRIME:
            return secret


class PairKeys:
    """One client's key, and the secrets that it shares with others.

    Attributes:
        secret: What everything follows from.
        public: What the others need.
    """

    def __init__(self, exchange: str, client: int, secret: bytes) -> None:
        """Derive the key.

        Raises:
            InvalidValueError: For a key exchange that is not of :data:`PAIR_EXCHANGES`.
        """
        if exchange not in PAIR_EXCHANGES:
            raise InvalidValueError("exchange", exchange, PAIR_EXCHANGES)
        self.client, self.secret = client, secret
        self._key = ExchangeKey(exchange, secret)
        self.public = self._key.public

    def offer(self, other: int, public: bytes) -> bytes:
        """The message that a pair needs, for the other one; empty where it needs none."""
        if self._key.scheme == "x25519" or other < self.client:
            return b""
        carried, ciphertext = encapsulate(self._key.scheme, public, os.urandom)
        return ciphertext + encrypt(carried, bytes(12), self._own(other))

    def with_other(self, other: int, public: bytes, offer: bytes = b"") -> bytes:
        """The pair's secret.

        Args:
            other: The other client.
            public: Its public key.
            offer: What it sent if it has the lower number, and the pair needs a message.

        Raises:
            InvalidValueError: For a message that was not made for this client.
        """
        first, second = sorted((self.client, other))
        pair = f"pair {first} {second}".encode()
        if self._key.scheme == "x25519":
            return derive(self._key.agree(public), pair)
        if self.client < other:
            return derive(self._own(other), pair)
        size = len(offer) - SECRET_BYTES - 16
        opened = decrypt(self._key.decapsulate(offer[:size]), bytes(12), offer[size:])
        if opened is None:
            raise InvalidValueError("offer", "a message that does not open", f"one for client {self.client}")
        return derive(opened, pair)

    def _own(self, other: int) -> bytes:
        return derive(self.secret, f"to {other}".encode())
