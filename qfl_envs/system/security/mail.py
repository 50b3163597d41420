"""Updates as messages: what devices really sign, seal and send, what attackers make of it, what the server takes.

Keys are made when a device first sends, and forgotten when the systems are copied or written to a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from qfl_envs.security import Security
from qfl_envs.system.security.choices import Choices
from qfl_envs.system.security.primitives import decrypt, encrypt
from qfl_envs.system.security.protection import HEADER_BYTES, Protection
from qfl_envs.system.security.sealed import Receiver, Sealer

_NONCE = bytes(12)
"""Of the encryption under quantum keys, each of which encrypts one update."""


@dataclass(frozen=True)
class Sent:
    """An update on its way.

    Attributes:
        row: System.
        device: Device.
        round_index: Round.
        honest: What the device sends.
        forged: What an attacker wants in its place; None where there is none.
        has_keys: Whether the attacker has broken the schemes that sign.
    """

    row: int
    device: int
    round_index: int
    honest: np.ndarray
    forged: np.ndarray | None
    has_keys: bool


class Mail:
    """Keys of the devices and servers of many systems, by the protection that they are for."""

    def __init__(self, security: Security) -> None:
        """Make no key yet."""
        self._security = security
        self._receivers: dict[tuple[int, Protection, int], Receiver] = {}
        self._sealers: dict[tuple[int, int, Protection, int], Sealer] = {}

    def __reduce__(self) -> tuple[type[Mail], tuple[Security]]:
        """Secret keys stay where they were made."""
        return Mail, (self._security,)

    def deliver(self, choices: Choices, sent: Iterator[Sent]) -> list[np.ndarray | None]:
        """What the servers accept: each update as it arrives, None where it is refused."""
        return [self._deliver(choices.names(one.row), one) for one in sent]

    def _deliver(self, names: dict[str, str], one: Sent) -> np.ndarray | None:
        by_quantum_key = names["key_exchange"] == "qkd"
        text, forged = _bytes(one.honest), None if one.forged is None else _bytes(one.forged)
        key = b""
        if by_quantum_key:
            # both have it from the pool, and nobody else has
            key = os.urandom(32)
            text = encrypt(key, _NONCE, text)
            forged = None if forged is None else _altered(text)
        exchange = "none" if by_quantum_key else names["key_exchange"]
        protection = Protection(names["signature"], exchange, self._security.sends_key)
        if protection.signs is None:
            received: bytes | None = text if forged is None else forged
        else:
            received = self._by_signed(protection, one, text, forged)
        if received is not None and by_quantum_key:
            received = decrypt(key, _NONCE, received)
        return None if received is None else np.frombuffer(received, dtype=np.float32)

    def _by_signed(self, protection: Protection, one: Sent, text: bytes, forged: bytes | None) -> bytes | None:
        receiver = self._receiver(one.row, protection, len(text))
        sealer = self._sealer(one, protection, receiver, len(text))
        if forged is not None and one.has_keys:
            message = sealer.seal(one.round_index, forged)
        else:
            message = sealer.seal(one.round_index, text)
            if forged is not None and protection.exchanges is None:
                message = message[:HEADER_BYTES] + forged + message[HEADER_BYTES + len(text) :]
            elif forged is not None:
                message = _altered(message)
        return receiver.receive(message, one.round_index).payload

    def _receiver(self, row: int, protection: Protection, size: int) -> Receiver:
        place = row, protection, size
        if place not in self._receivers:
            self._receivers[place] = Receiver(protection, size)
        return self._receivers[place]

    def _sealer(self, one: Sent, protection: Protection, receiver: Receiver, size: int) -> Sealer:
        place = one.row, one.device, protection, size
        if place not in self._sealers:
            self._sealers[place] = Sealer(one.device, protection, receiver.public)
            receiver.register(one.device, self._sealers[place].public)
        return self._sealers[place]


def _bytes(change: np.ndarray) -> bytes:
    return np.asarray(change, dtype=np.float32).tobytes()


def _altered(message: bytes) -> bytes:
    """A message with a bit flipped in the middle, which is all that can be done to what cannot be read."""
    middle = max(len(message) // 2, min(HEADER_BYTES, len(message) - 1))
    return message[:middle] + bytes([message[middle] ^ 1]) + message[middle + 1 :]
