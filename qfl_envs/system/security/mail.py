"""Updates as messages: what devices really sign, seal and send, what attackers make of it, what the server takes.

Devices sign side by side, in threads: the library lets go of the interpreter while it signs by ML-DSA. Keys are made
when a device first sends, and forgotten when the systems are copied or written to a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

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
        exchange: What the device encrypts by; ``"qkd"`` for a key that it has already.
    """

    row: int
    device: int
    round_index: int
    honest: np.ndarray
    forged: np.ndarray | None
    has_keys: bool
    exchange: str


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
        parcels = [self._packed(choices.names(one.row), one) for one in sent]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            messages = list(pool.map(_Parcel.message, parcels))
        return [parcel.received(message) for parcel, message in zip(parcels, messages, strict=True)]

    def _packed(self, names: dict[str, str], one: Sent) -> _Parcel:
        """An update as bytes, and who seals and who receives it."""
        text, forged = _bytes(one.honest), None if one.forged is None else _bytes(one.forged)
        key, signature = None, names["signature"]
        if one.exchange == "qkd":
            # both have it from the pool, and nobody else has
            key = os.urandom(32)
            text = encrypt(key, _NONCE, text)
            forged = None if forged is None else _altered(text)
        exchange = "none" if key is not None else one.exchange
        protection = Protection(signature, exchange, self._security.sends_key and signature != "none")
        if protection.signs is None:
            return _Parcel(one, text, forged, key, None, None)
        receiver = self._receiver(one.row, protection, len(text))
        return _Parcel(one, text, forged, key, self._sealer(one, protection, receiver, len(text)), receiver)

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


@dataclass(frozen=True)
class _Parcel:
    """An update on its way, as bytes.

    Attributes:
        sent: Which.
        text: What the device sends, encrypted where the key is of a quantum channel.
        forged: What an attacker puts in its place, if anything.
        key: That of the quantum channel; None without.
        sealer: Who signs; None without a signature.
        receiver: Who verifies; None without a signature.
    """

    sent: Sent
    text: bytes
    forged: bytes | None
    key: bytes | None = field(repr=False)
    sealer: Sealer | None
    receiver: Receiver | None

    def message(self) -> bytes:
        """What arrives."""
        text, forged, round_index = self.text, self.forged, self.sent.round_index
        if self.sealer is None:
            return text if forged is None else forged
        if forged is not None and self.sent.has_keys:
            return self.sealer.seal(round_index, forged)
        message = self.sealer.seal(round_index, text)
        if forged is None:
            return message
        if self.sealer.protection.exchanges is None:
            return message[:HEADER_BYTES] + forged + message[HEADER_BYTES + len(text) :]
        return _altered(message)

    def received(self, message: bytes) -> np.ndarray | None:
        """The update that a message carries, None where it is refused."""
        payload: bytes | None = message
        if self.receiver is not None:
            payload = self.receiver.receive(message, self.sent.round_index).payload
        if payload is not None and self.key is not None:
            payload = decrypt(self.key, _NONCE, payload)
        return None if payload is None else np.frombuffer(payload, dtype=np.float32)


def _bytes(change: np.ndarray) -> bytes:
    return np.asarray(change, dtype=np.float32).tobytes()


def _altered(message: bytes) -> bytes:
    """A message with a bit flipped in the middle, which is all that can be done to what cannot be read."""
    middle = max(len(message) // 2, min(HEADER_BYTES, len(message) - 1))
    return message[:middle] + bytes([message[middle] ^ 1]) + message[middle + 1 :]
