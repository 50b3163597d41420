"""Sealed messages: what a device really sends, and a receiver that refuses whatever is not fresh, whole and its own.

    header: sender (4) | round (4) | sequence number (8) | length of the payload (4) | SHA-256 of the payload (32)
    payload: [ciphertext of the key exchange |] update, encrypted and with a tag if keys are exchanged
    [public key of the signer |] signature of header (and key)

Who signs is known by a key that the receiver was given beforehand; a key inside a message is compared with it, never
believed.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security.primitives import (
    ExchangeKey,
    SigningKey,
    VerifyingKey,
    decrypt,
    derive,
    encapsulate,
    encrypt,
)
from qfl_envs.system.security.protection import HEADER_BYTES, TAG_BYTES, Protection

_HEADER = struct.Struct(">IIQI32s")
assert _HEADER.size == HEADER_BYTES
_WINDOW = 64
"""Sequence numbers behind the last one that are told apart as repeated or merely overtaken; older ones are repeated."""


class Reason(StrEnum):
    """Why a message is refused."""

    WRONG_SIZE = "wrong size"
    UNKNOWN_SENDER = "unknown sender"
    FORGED = "signature does not verify"
    WRONG_ROUND = "of another round"
    REPLAYED = "replayed"
    REORDERED = "overtaken by a later message"
    ALTERED = "payload does not match its hash"
    UNREADABLE = "does not decrypt"


@dataclass(frozen=True)
class Received:
    """What became of a message: a payload from a sender, or a reason for having none.

    Attributes:
        sender: Who signed; None if refused.
        payload: What was sealed; None if refused.
        reason: Why it was refused; None if accepted.
    """

    sender: int | None
    payload: bytes | None = field(repr=False)
    reason: Reason | None


class Sealer:
    """A device: it signs, and encrypts for the server."""

    def __init__(self, sender: int, protection: Protection, server_public: bytes = b"") -> None:
        """Make a key.

        Args:
            sender: Number of the device.
            protection: With a signature, one that can be executed.
            server_public: Key of the server for the key exchange, if there is one.

        Raises:
            InvalidValueError: Without a signature, for one that cannot be executed, or a number that does not fit.
        """
        if protection.signs is None:
            raise InvalidValueError("signature", protection.signature, "a signature scheme")
        if not 0 <= sender < 2**32:
            raise InvalidValueError("sender", sender, "a number of 32 bits")
        self.protection, self.sender = protection, sender
        self._key = SigningKey(protection.signature)
        self._server_public = server_public
        self._sequence = 0

    @property
    def public(self) -> bytes:
        """Key that verifies."""
        return self._key.public

    def seal(self, round_index: int, payload: bytes) -> bytes:
        """The message that carries a payload in a round; each has the next sequence number.

        Raises:
            InvalidValueError: For a round that does not fit into 32 bits.
        """
        if not 0 <= round_index < 2**32:
            raise InvalidValueError("round", round_index, "a number of 32 bits")
        self._sequence += 1
        if self.protection.exchanges is not None:
            secret, ciphertext = encapsulate(self.protection.exchange, self._server_public, os.urandom)
            nonce = _nonce(self.sender, self._sequence)
            payload = ciphertext + encrypt(_update_key(secret), nonce, payload, _place(self.sender, round_index))
        digest = hashlib.sha256(payload).digest()
        header = _HEADER.pack(self.sender, round_index, self._sequence, len(payload), digest)
        signed_key = self.public if self.protection.sends_key else b""
        return header + payload + signed_key + self._key.sign(header + signed_key)


class Receiver:
    """The server: it knows the devices' keys, and accepts each message once, in order, in its round.

    Attributes:
        accepted: Number of messages that were.
        refused: Numbers of those that were not, by reason.
    """

    def __init__(self, protection: Protection, payload_bytes: int) -> None:
        """Make a key for the key exchange; :meth:`register` the devices next.

        Args:
            protection: As the devices'.
            payload_bytes: Size of an update, the only one that is accepted.

        Raises:
            InvalidValueError: Without a signature, or for a key exchange that cannot be executed.
        """
        if protection.signs is None:
            raise InvalidValueError("signature", protection.signature, "a signature scheme")
        self.protection, self.accepted = protection, 0
        self.refused: Counter[Reason] = Counter()
        self._keys: dict[int, VerifyingKey] = {}
        self._publics: dict[int, bytes] = {}
        self._exchange = None if protection.exchanges is None else ExchangeKey(protection.exchange)
        added = 0 if protection.exchanges is None else protection.exchanges.ciphertext_bytes + TAG_BYTES
        self._body = payload_bytes + added
        self._size = payload_bytes + protection.upload_bytes
        self._last: dict[int, int] = {}
        self._seen: dict[int, set[int]] = {}

    def register(self, sender: int, public: bytes) -> None:
        """Know the key of a device from now on.

        Raises:
            InvalidValueError: For bytes that are no key.
        """
        self._keys[sender] = VerifyingKey(self.protection.signature, public)
        self._publics[sender] = public

    @property
    def public(self) -> bytes:
        """Key of the server for the key exchange; empty if there is none."""
        return b"" if self._exchange is None else self._exchange.public

    def receive(self, message: bytes, round_index: int) -> Received:
        """Accept or refuse a message, and count it.

        Args:
            message: Any bytes.
            round_index: Of the round that is being played.

        Returns:
            The payload, or the reason for having none.
        """
        outcome = self._judge(message, round_index)
        if outcome.reason is None:
            self.accepted += 1
        else:
            self.refused[outcome.reason] += 1
        return outcome

    def _judge(self, message: bytes, round_index: int) -> Received:
        if len(message) != self._size:
            return _refuse(Reason.WRONG_SIZE)
        header, payload = message[:HEADER_BYTES], message[HEADER_BYTES : HEADER_BYTES + self._body]
        sender, of_round, sequence, length, digest = _HEADER.unpack(header)
        if length != self._body:
            return _refuse(Reason.WRONG_SIZE)
        if sender not in self._keys:
            return _refuse(Reason.UNKNOWN_SENDER)
        rest = message[HEADER_BYTES + self._body :]
        public_bytes = len(self._publics[sender]) if self.protection.sends_key else 0
        signed_key, signature = rest[:public_bytes], rest[public_bytes:]
        if signed_key not in (b"", self._publics[sender]):
            return _refuse(Reason.FORGED)
        # nothing that the header says is believed before its signature has been verified
        if not self._keys[sender].verify(signature, header + signed_key):
            return _refuse(Reason.FORGED)
        if hashlib.sha256(payload).digest() != digest:
            return _refuse(Reason.ALTERED)
        order = self._out_of_order(sender, sequence)
        if order is not None:
            return _refuse(order)
        if of_round != round_index:
            return _refuse(Reason.WRONG_ROUND)
        opened = self._opened(sender, of_round, sequence, payload)
        if opened is None:
            return _refuse(Reason.UNREADABLE)
        self._remember(sender, sequence)
        return Received(sender, opened, None)

    def _out_of_order(self, sender: int, sequence: int) -> Reason | None:
        last = self._last.get(sender, 0)
        if sequence > last:
            return None
        repeated = sequence in self._seen[sender] or sequence <= last - _WINDOW if last else True
        return Reason.REPLAYED if repeated else Reason.REORDERED

    def _remember(self, sender: int, sequence: int) -> None:
        seen = self._seen.setdefault(sender, set())
        seen.add(sequence)
        self._last[sender] = sequence
        seen.difference_update([number for number in seen if number <= sequence - _WINDOW])

    def _opened(self, sender: int, of_round: int, sequence: int, payload: bytes) -> bytes | None:
        if self._exchange is None or self.protection.exchanges is None:
            return payload
        size = self.protection.exchanges.ciphertext_bytes
        try:
            secret = self._exchange.decapsulate(payload[:size])
        except InvalidValueError:
            return None
        return decrypt(_update_key(secret), _nonce(sender, sequence), payload[size:], _place(sender, of_round))


def _refuse(reason: Reason) -> Received:
    return Received(None, None, reason)


def _update_key(secret: bytes) -> bytes:
    return derive(secret, b"update")


def _nonce(sender: int, sequence: int) -> bytes:
    return struct.pack(">IQ", sender, sequence)


def _place(sender: int, round_index: int) -> bytes:
    return struct.pack(">II", sender, round_index)
