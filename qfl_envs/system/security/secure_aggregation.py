"""Secure aggregation: the server learns the sum of the updates and nothing else of them (Bonawitz et al. 2017, CCS).

Every client adds to its update a mask of its own and one per other client, which the two of a pair add with opposite
signs, all in arithmetic modulo a power of two. In the sum the masks of pairs cancel. What remains is masks of clients
who dropped out after the others had counted on them, and everybody's own masks; both follow from secrets of which
every client holds a share, so that any ``threshold`` of those who stay can uncover the one or the other, never both.

Server and clients follow the protocol and are curious, the model in which four rounds of messages suffice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security.pair_keys import PairKeys, fresh_secret
from qfl_envs.system.security.primitives import decrypt, encrypt, keystream
from qfl_envs.system.security.quantisation import modulus_bits
from qfl_envs.system.security.secret_sharing import SHARE_BYTES, combine, split


@dataclass(frozen=True)
class SecureSum:
    """What the server knows afterwards.

    Attributes:
        total: (m) sum of the whole numbers of the included clients, modulo 2^modulus_bits; None if the round failed.
        included: Whose numbers are in it.
        failure: Why there is no sum; None if there is one.
        sent_bits: Bits that went to and from each client, with tags of encryption and messages of pairs.
        published_bits: The part of them that the published formula counts: keys, shares and masked numbers.
    """

    total: np.ndarray | None
    included: tuple[int, ...]
    failure: str | None
    sent_bits: dict[int, int]
    published_bits: dict[int, int]


class Client:
    """One client; it answers the server's four messages."""

    def __init__(self, number: int, clients: int, threshold: int, exchange: str, bits: int) -> None:
        """Prepare.

        Args:
            number: From 0.
            clients: How many there are.
            threshold: Shares that give a secret.
            exchange: One of :data:`~qfl_envs.system.security.pair_keys.PAIR_EXCHANGES`.
            bits: Of the modulus.
        """
        self.number, self.clients, self.threshold, self.bits = number, clients, threshold, bits
        self._own_mask = fresh_secret()
        self._mask_keys = PairKeys(exchange, number, fresh_secret())
        self._share_keys = PairKeys(exchange, number, fresh_secret())
        self._publics: Mapping[int, tuple[bytes, bytes]] = {}
        self._offers: dict[int, tuple[bytes, bytes]] = {}
        self._held: dict[int, tuple[bytes, bytes]] = {}
        self._uncovered: dict[int, str] = {}

    def advertise(self) -> tuple[bytes, bytes]:
        """Round 0: public keys, for masks and for shares."""
        return self._mask_keys.public, self._share_keys.public

    def offer(self, publics: Mapping[int, tuple[bytes, bytes]]) -> dict[int, tuple[bytes, bytes]]:
        """Messages that pairs of ML-KEM need, by receiver."""
        self._publics = publics
        others = [other for other in publics if other != self.number]
        return {
            other: (self._mask_keys.offer(other, publics[other][0]), self._share_keys.offer(other, publics[other][1]))
            for other in others
        }

    def share(self, offers: Mapping[int, tuple[bytes, bytes]]) -> dict[int, bytes]:
        """Round 1: encrypted shares of the secret behind the masks of pairs and of the own mask, by receiver."""
        self._offers = dict(offers)
        of_pairs = split(self._mask_keys.secret, self.clients, self.threshold)
        of_own = split(self._own_mask, self.clients, self.threshold)
        self._held[self.number] = of_pairs[self.number], of_own[self.number]
        return {
            other: encrypt(self._channel(other), self._nonce(self.number), of_pairs[other] + of_own[other])
            for other in self._publics
            if other != self.number
        }

    def mask(self, numbers: np.ndarray, shares: Mapping[int, bytes]) -> np.ndarray:
        """Round 2: the masked numbers (m), from the shares of all others who are still there.

        Raises:
            InvalidValueError: For a share that was altered.
        """
        for other, sealed in shares.items():
            opened = decrypt(self._channel(other), self._nonce(other), sealed)
            if opened is None:
                raise InvalidValueError("share", f"an altered one of client {other}", "what that client sent")
            self._held[other] = opened[:SHARE_BYTES], opened[SHARE_BYTES:]
        masked = numbers.astype(np.uint64) + mask_of(self._own_mask, len(numbers))
        for other in shares:
            pair = self._mask_keys.with_other(other, self._publics[other][0], self._offers.get(other, (b"", b""))[0])
            masked += signed_mask(self.number, other, pair, len(numbers))
        return masked & _low(self.bits)

    def unmask(self, sent: Collection[int], dropped: Collection[int]) -> dict[int, bytes]:
        """Round 3: shares of the own masks of those who sent their numbers, and of the pairs' of those who did not.

        Raises:
            InvalidValueError: If both are asked for of one client, now or in two questions, which would uncover its
                numbers.
        """
        asked = [(client, "sent") for client in sent] + [(client, "dropped") for client in dropped]
        for client, of in asked:
            if self._uncovered.setdefault(client, of) != of:
                raise InvalidValueError("dropped", client, "clients that have not sent their numbers")
        return {client: self._held[client][1] for client in sent} | {c: self._held[c][0] for c in dropped}

    def _channel(self, other: int) -> bytes:
        return self._share_keys.with_other(other, self._publics[other][1], self._offers.get(other, (b"", b""))[1])

    def _nonce(self, sender: int) -> bytes:
        return sender.to_bytes(12, "big")


@dataclass
class _Traffic:
    """Bits to and from each client."""

    sent: dict[int, int] = field(default_factory=dict)
    published: dict[int, int] = field(default_factory=dict)

    def count(self, client: int, published: int, added: int = 0) -> None:
        self.published[client] = self.published.get(client, 0) + published
        self.sent[client] = self.sent.get(client, 0) + published + added


def secure_sum(
    numbers: np.ndarray,
    bits: int,
    threshold: int,
    exchange: str = "x25519",
    drop_before_sharing: Iterable[int] = (),
    drop_before_sending: Iterable[int] = (),
    drop_before_unmasking: Iterable[int] = (),
) -> SecureSum:
    """Play the protocol.

    Args:
        numbers: (n, m) whole numbers from 0 to 2^bits - 1 of every client.
        bits: Of each number.
        threshold: Clients that must stay to the end, at least 2.
        exchange: Key exchange of pairs.
        drop_before_sharing: Clients that only advertise keys.
        drop_before_sending: Clients that share secrets and send no numbers, whose masks must be uncovered.
        drop_before_unmasking: Clients that send numbers and help no more; their numbers count.

    Returns:
        The exact sum modulo the power of two that no sum reaches, or why there is none.

    Raises:
        InvalidValueError: For numbers or a threshold that do not fit.
    """
    count, length = numbers.shape
    if not 2 <= threshold <= count:
        raise InvalidValueError("threshold", threshold, f"from 2 to {count}, the number of clients")
    # written so that what is no number is refused, too
    if not ((numbers >= 0) & (numbers < 2**bits) & (numbers == np.floor(numbers))).all():
        raise InvalidValueError("numbers", "outside", f"whole numbers from 0 to 2^{bits} - 1")
    modulus = modulus_bits(count, bits)
    traffic = _Traffic()
    clients = {number: Client(number, count, threshold, exchange, modulus) for number in range(count)}

    publics = {number: client.advertise() for number, client in clients.items()}
    for number in clients:
        traffic.count(number, 8 * sum(len(key) for keys in publics.values() for key in keys))
    offers = {number: client.offer(publics) for number, client in clients.items()}
    for number in clients:
        own = sum(len(part) for pair in offers[number].values() for part in pair)
        taken = sum(len(part) for other in clients if other != number for part in offers[other][number])
        traffic.count(number, 0, 8 * (own + taken))

    stay = [number for number in clients if number not in set(drop_before_sharing)]
    if len(stay) < threshold:
        return _failed(f"{len(stay)} clients shared their secrets, fewer than the threshold of {threshold}", traffic)
    shares = {u: clients[u].share({v: offers[v][u] for v in clients if v != u}) for u in stay}
    for number in stay:
        # every client gives to all, and is given by those who did likewise; a share has a half of each secret
        exchanged = count - 1 + len(stay) - 1
        traffic.count(number, 8 * 2 * SHARE_BYTES * exchanged, 8 * 16 * exchanged)

    senders = [number for number in stay if number not in set(drop_before_sending)]
    masked = np.zeros(length, dtype=np.uint64)
    for number in senders:
        masked += clients[number].mask(numbers[number], {v: shares[v][number] for v in stay if v != number})
        traffic.count(number, length * modulus)
    helpers = [number for number in senders if number not in set(drop_before_unmasking)]
    if len(helpers) < threshold:
        return _failed(f"{len(helpers)} clients stayed to the end, fewer than the threshold of {threshold}", traffic)
    dropped = [number for number in stay if number not in senders]
    answers = {number: clients[number].unmask(senders, dropped) for number in helpers}
    for number in helpers:
        traffic.count(number, 8 * SHARE_BYTES * len(answers[number]))

    for number in senders:
        uncovered = combine({helper: answers[helper][number] for helper in helpers}, threshold)
        masked -= mask_of(uncovered, length)
    for number in dropped:
        secret = combine({helper: answers[helper][number] for helper in helpers}, threshold)
        keys = PairKeys(exchange, number, secret)
        for other in senders:
            pair = keys.with_other(other, publics[other][0], offers[other][number][0])
            # what the senders added for this pair is the opposite of what the one who left would have
            masked += signed_mask(number, other, pair, length)
    return SecureSum(masked & _low(modulus), tuple(senders), None, traffic.sent, traffic.published)


def mask_of(secret: bytes, length: int) -> np.ndarray:
    """(length) uint64 pseudo-random numbers that follow from a secret."""
    return np.frombuffer(keystream(secret, 8 * length), dtype=np.uint64)


def signed_mask(client: int, other: int, pair: bytes, length: int) -> np.ndarray:
    """What a client adds for a pair: the lower number the mask, the higher one its opposite."""
    mask = mask_of(pair, length)
    return mask if client < other else np.negative(mask)


def _low(bits: int) -> np.uint64:
    return np.uint64(2**bits - 1)


def _failed(reason: str, traffic: _Traffic) -> SecureSum:
    return SecureSum(None, (), reason, traffic.sent, traffic.published)
