"""What protecting the updates of a round costs, where every system has chosen its own protection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from qfl_envs.security import KEY_EXCHANGES, SIGNATURES, Security
from qfl_envs.system.security.aggregation_cost import ROUNDS, client_bits, client_cycles
from qfl_envs.system.security.key_pool import FreeSpace
from qfl_envs.system.security.protection import TAG_BYTES, Protection
from qfl_envs.system.security.quantisation import modulus_bits

SESSION_BITS = 256
"""Key that one update takes from a pool: of AES-256."""
NEVER_S = 1e9
"""Wait for key where none is coming: longer than any round."""
_MASK_EXCHANGE = {"none": "x25519", "x25519": "x25519", "qkd": "ml-kem-768"}
"""Pairs of devices have no quantum channel, so that their masks are agreed on otherwise."""


@dataclass(frozen=True)
class Groups:
    """Participants that mask their updates together.

    Attributes:
        number: (E, N) group of each participant, 0 for others.
        size: (E, N) participants of that group; 0 for others.
    """

    number: np.ndarray
    size: np.ndarray


@dataclass(frozen=True)
class RoundCost:
    """What protection adds, (E, N) each, zero for those who take no part.

    Attributes:
        seconds: Time before the upload.
        cycles: Of it, those of the processor.
        bits: Of the upload; below zero where masked numbers are shorter than plain ones by more than all else adds.
        keyless: bool, whose pool held too little key.
        key_bits: Key that is left; below zero what devices wait for.
    """

    seconds: np.ndarray
    cycles: np.ndarray
    bits: np.ndarray
    keyless: np.ndarray
    key_bits: np.ndarray


def groups_of_participants(participate: np.ndarray, group_size: int | None) -> Groups:
    """Participants (E, N) in order, in groups as equal as can be, none larger than asked for."""
    total = participate.sum(-1, keepdims=True)
    count = np.ones_like(total) if group_size is None else np.maximum(-(-total // group_size), 1)
    small, larger = total // count, total % count
    rank = participate.cumsum(-1) - 1
    in_larger = rank < larger * (small + 1)
    number = np.where(in_larger, rank // (small + 1), larger + (rank - larger * (small + 1)) // np.maximum(small, 1))
    size = np.where(in_larger, small + 1, small)
    return Groups(np.where(participate, number, 0), np.where(participate, size, 0))


def mask_exchange(key_exchange: str) -> str:
    """The exchange by which pairs of devices agree on masks, given that of devices and server."""
    return _MASK_EXCHANGE.get(key_exchange, key_exchange)


def round_cost(
    security: Security,
    signature: np.ndarray,
    key_exchange: np.ndarray,
    secure: np.ndarray,
    groups: Groups,
    numbers: np.ndarray,
    bits_per_number: int,
    cpu_hz: np.ndarray,
    key_bits: np.ndarray,
    key_bps: np.ndarray,
    uniform: np.ndarray,
) -> RoundCost:
    """What the choices cost the participants.

    Args:
        security: What is the same in all systems.
        signature: (E) places in :data:`qfl_envs.security.SIGNATURES`.
        key_exchange: (E) places in :data:`qfl_envs.security.KEY_EXCHANGES`.
        secure: (E) bool, where updates are masked.
        groups: Participants that mask together.
        numbers: (E) numbers of an update.
        bits_per_number: Bits of each of them in a plain upload.
        cpu_hz: (E, N) clock.
        key_bits: (E, N) key in the pools.
        key_bps: (E, N) what quantum channels yield now.
        uniform: (E, N) numbers in [0, 1), decide on attempts at a signature.
    """
    part = groups.size > 0
    cycles, bits, wait_s = np.zeros(part.shape), np.zeros(part.shape), np.zeros(part.shape)
    keyless = np.zeros(part.shape, dtype=bool)
    left_bits = key_bits
    for place, rows in _by_choice(signature):
        _add(_protection(SIGNATURES[place], "none", security.sends_key and place > 0), rows, uniform, cycles, bits)
    for place, rows in _by_choice(key_exchange):
        name = KEY_EXCHANGES[place]
        if name != "qkd":
            _add(_protection("none", name), rows, uniform, cycles, bits)
            continue
        asked = part & (key_exchange == place)[:, None]
        keyless = asked & (key_bits < SESSION_BITS)
        bits[rows] += 8 * TAG_BYTES
        if security.qkd_fallback == "wait":
            missing = np.where(keyless, SESSION_BITS - key_bits, 0.0)
            wait_s = np.where(missing > 0.0, np.minimum(missing / np.maximum(key_bps, 1e-9), NEVER_S), 0.0)
            left_bits = np.where(asked, key_bits - SESSION_BITS, key_bits)
        else:
            left_bits = np.where(asked & ~keyless, key_bits - SESSION_BITS, key_bits)
            instead = _protection("none", security.qkd_fallback)
            cycles += np.where(keyless, instead.cycles(uniform), 0.0)
            bits += np.where(keyless, 8.0 * instead.upload_bytes - 8 * TAG_BYTES, 0.0)
    masks = bool(secure.any())
    for place in set(key_exchange[secure].tolist()) if masks else ():
        rows = secure & (key_exchange == place)
        exchange = mask_exchange(KEY_EXCHANGES[place])
        size, sum_bits = np.maximum(groups.size[rows], 1), security.sum_bits
        bits[rows] += _by_size(partial(client_bits, parameters=0, bits=sum_bits, exchange=exchange), size)
        bits[rows] += numbers[rows, None] * (_by_size(partial(modulus_bits, bits=sum_bits), size) - bits_per_number)
        cycles[rows] += _by_size(partial(client_cycles, exchange=exchange), size)
    seconds = cycles / cpu_hz + wait_s
    if masks:
        seconds += np.where(secure, (ROUNDS - 1) * security.round_trip_s, 0.0)[:, None]
    return RoundCost(seconds * part, cycles * part, bits * part, keyless, left_bits)


def usual_protection(security: Security) -> Protection:
    """The scenario's signature and exchange; keys of quantum channels take no exchange."""
    key_exchange = "none" if security.key_exchange == "qkd" else security.key_exchange
    return _protection(security.signature, key_exchange, security.sends_key and security.signature != "none")


def usual_bits(security: Security) -> int:
    """Bits that the scenario's signature and exchange add to every upload; masks depend on who takes part."""
    tag_bits = 8 * TAG_BYTES if security.key_exchange == "qkd" else 0
    return 8 * usual_protection(security).upload_bytes + tag_bits


def usual_cycles(security: Security) -> float:
    """Mean cycles that protection costs a participant, the constant ones among them."""
    return security.protection_cycles + usual_protection(security).mean_cycles


@lru_cache
def _protection(signature: str, exchange: str, sends_key: bool = False) -> Protection:
    """One for each of the few there are."""
    return Protection(signature, exchange, sends_key)


def _by_choice(places: np.ndarray) -> Iterator[tuple[int, np.ndarray | slice]]:
    """Each choice but none at all, and the systems (E) that have made it; all are a slice, which takes no copies."""
    present = set(places.tolist())
    for place in sorted(present - {0}):
        yield place, slice(None) if len(present) == 1 else places == place


def _add(
    protection: Protection, rows: np.ndarray | slice, uniform: np.ndarray, cycles: np.ndarray, bits: np.ndarray
) -> None:
    """Add cycles and bits of a protection in some systems."""
    cycles[rows] += protection.cycles(uniform[rows])
    bits[rows] += 8 * protection.upload_bytes


def _by_size(cost: Callable[[int], float], clients: np.ndarray) -> np.ndarray:
    """What a client costs in groups of sizes (...), of which there are few."""
    sizes, place = np.unique(clients, return_inverse=True)
    return np.array([cost(int(size)) for size in sizes], dtype=float)[place.reshape(clients.shape)]


def air(security: Security) -> FreeSpace:
    """The quantum channels of the devices."""
    return FreeSpace(pulses_hz=security.qkd_pulses_hz, availability=security.qkd_availability)
