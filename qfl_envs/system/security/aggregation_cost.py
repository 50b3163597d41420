"""What secure aggregation costs: bits by the published formula, and what groups save against its square law."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security.protection import TAG_BYTES
from qfl_envs.system.security.quantisation import modulus_bits
from qfl_envs.system.security.schemes import KEY_EXCHANGES

SHARE_BITS = 256
ROUNDS = 4
"""Advertise keys, share keys, send masked numbers, unmask."""


def client_bits(clients: int, parameters: int, bits: int = 16, exchange: str = "x25519") -> int:
    """Bits to and from a client: 2 n keys, 5 n - 4 shares, and the masked numbers (Bonawitz et al. 2017, section 7.1).

    The published formula has keys of 256 bits, which are those of X25519. Keys of ML-KEM are longer, and every pair
    needs a message, for masks and for shares.

    Args:
        clients: n.
        parameters: m numbers of an update.
        bits: Of each number.
        exchange: By which pairs agree on secrets.

    Raises:
        InvalidValueError: For no client at all.
    """
    if clients < 1:
        raise InvalidValueError("clients", clients, "at least 1")
    scheme = KEY_EXCHANGES[exchange]
    # of every pair one for masks and one for shares, each with an encrypted secret behind the ciphertext
    messages = 0 if exchange == "x25519" else 2 * (clients - 1)
    message_bytes = scheme.ciphertext_bytes + SHARE_BITS // 8 + TAG_BYTES
    keys = 8 * (2 * clients * scheme.public_key_bytes + messages * message_bytes)
    return keys + (5 * clients - 4) * SHARE_BITS + parameters * modulus_bits(clients, bits)


def expansion(clients: int, parameters: int, bits: int = 16) -> float:
    """Bits per bit of a plain update: [256 (7n - 4) + m ceil(log2 R)] / (b m), R = n (2^b - 1) + 1."""
    return client_bits(clients, parameters, bits) / (bits * parameters)


@dataclass(frozen=True)
class GroupedCost:
    """Cost of aggregating in groups, whose sums the server adds.

    Attributes:
        groups: How many.
        largest: Clients of the largest one: among so many an update hides.
        client_bits: Bits to and from a client of it.
        client_agreements: Secrets that such a client agrees on: one per other client for masks, one for shares.
        server_masks: Masks that the server expands at most if one client in each group drops out.
    """

    groups: int
    largest: int
    client_bits: int
    client_agreements: int
    server_masks: int


def grouped_cost(clients: int, parameters: int, group_size: int, bits: int = 16) -> GroupedCost:
    """Cost where clients are split into groups of about a size.

    Raises:
        InvalidValueError: For groups in which one client would be alone.
    """
    sizes = np.array([len(group) for group in groups_of(clients, group_size)])
    largest = int(sizes.max())
    return GroupedCost(
        groups=len(sizes),
        largest=largest,
        client_bits=client_bits(largest, parameters, bits),
        client_agreements=2 * (largest - 1),
        server_masks=int((2 * sizes - 1).sum()),
    )


def groups_of(clients: int, group_size: int) -> list[np.ndarray]:
    """Clients in groups as equal as can be, none of which is larger than asked for.

    Raises:
        InvalidValueError: For groups in which one client would be alone.
    """
    if not 2 <= group_size <= clients:
        raise InvalidValueError("group_size", group_size, f"from 2 to {clients}, the number of clients")
    groups = np.array_split(np.arange(clients), math.ceil(clients / group_size))
    if min(len(group) for group in groups) < 2:
        raise InvalidValueError("group_size", group_size, f"a size that leaves nobody of {clients} alone")
    return groups


def client_cycles(clients: int, exchange: str = "x25519") -> float:
    """Cycles of a client for keys and secrets with all others, which outweigh those of masks of a compact model.

    It makes two pairs of keys and agrees with every other twice.

    Raises:
        InvalidValueError: For a key exchange without known cycles.
    """
    scheme = KEY_EXCHANGES[exchange]
    if scheme.keygen_cycles is None or scheme.decapsulate_cycles is None:
        raise InvalidValueError("exchange", exchange, "one with known cycles")
    return 2 * scheme.keygen_cycles + 2 * (clients - 1) * scheme.decapsulate_cycles
