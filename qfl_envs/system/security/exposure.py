"""Who reads what: updates that are overheard, recorded until classical encryption falls, or read on the server."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qfl_envs.security import KEY_EXCHANGES, SIGNATURES
from qfl_envs.system.security.choices import Choices
from qfl_envs.system.security.round_cost import mask_exchange
from qfl_envs.system.security.schemes import KEY_EXCHANGES as EXCHANGE_SCHEMES
from qfl_envs.system.security.schemes import SIGNATURES as SIGNATURE_SCHEMES

OPEN, CLASSICAL, QUANTUM_SAFE = 0, 1, 2
"""How updates are kept from those who listen."""


def _level(quantum_safe: bool) -> int:
    return QUANTUM_SAFE if quantum_safe else CLASSICAL


_SIGNED = np.array([OPEN, *(_level(SIGNATURE_SCHEMES[name].quantum_safe) for name in SIGNATURES[1:])])
_SAFE = {name: scheme.quantum_safe for name, scheme in EXCHANGE_SCHEMES.items()} | {"qkd": True}
_ENCRYPTED = np.array([OPEN, *(_level(_SAFE[name]) for name in KEY_EXCHANGES[1:])])
_MASKED = np.array([_level(_SAFE[mask_exchange(name)]) for name in KEY_EXCHANGES])


def used_exchange(choices: Choices, keyless: np.ndarray, fallback: str) -> np.ndarray:
    """(E, N) places in KEY_EXCHANGES of what each device encrypts by.

    Args:
        choices: What was chosen.
        keyless: (E, N) bool, whose pool held too little key for a quantum one.
        fallback: What these take instead; ``"wait"`` for a quantum key that comes later.
    """
    chosen = np.broadcast_to(choices.key_exchange[:, None], keyless.shape)
    return chosen if fallback == "wait" else np.where(keyless, KEY_EXCHANGES.index(fallback), chosen)


def secrecy(choices: Choices, exchange: np.ndarray) -> np.ndarray:
    """(E, N) level at which single updates are hidden on the air, by encryption (E, N) or by masks."""
    encrypted = _ENCRYPTED[exchange]
    masked = _MASKED[choices.key_exchange][:, None]
    return np.where(choices.secure[:, None], np.maximum(encrypted, masked), encrypted)


def forgeable(choices: Choices, broken: np.ndarray) -> np.ndarray:
    """(E) bool, where somebody who breaks classical schemes can sign as any device."""
    return (_SIGNED[choices.signature] == CLASSICAL) & broken


def authentic(choices: Choices, exchange: np.ndarray, broken: np.ndarray) -> np.ndarray:
    """(E, N) bool, where nobody can replace an update without being noticed.

    A signature that is not broken tells, and so does encryption under a key that only device and server can have.

    Args:
        choices: How updates are protected.
        exchange: (E, N) what each device encrypts by, see :func:`used_exchange`.
        broken: (E) bool, where classical schemes have fallen.
    """
    level = _SIGNED[choices.signature]
    stands = (level == QUANTUM_SAFE) | ((level == CLASSICAL) & ~broken)
    return stands[:, None] | (exchange == KEY_EXCHANGES.index("qkd"))


@dataclass(frozen=True)
class Exposure:
    """Updates of a round, (E, N) bool each.

    Attributes:
        read: That somebody has read.
        recorded: That somebody keeps until classical encryption falls.
    """

    read: np.ndarray
    recorded: np.ndarray


def expose(
    choices: Choices,
    exchange: np.ndarray,
    sent: np.ndarray,
    overheard: np.ndarray,
    intruded: np.ndarray,
    broken: np.ndarray,
) -> Exposure:
    """What those who listen get.

    Args:
        choices: How updates are protected.
        exchange: (E, N) what each device encrypts by, see :func:`used_exchange`.
        sent: (E, N) bool, updates that arrive.
        overheard: (E, N) bool, updates that are listened to.
        intruded: (E) bool, where somebody reads on the server, who sees all but masked updates.
        broken: (E) bool, where classical schemes have fallen.
    """
    level, fallen = secrecy(choices, exchange), broken[:, None]
    legible = (level == OPEN) | ((level == CLASSICAL) & fallen)
    on_server = (intruded & ~choices.secure)[:, None]
    read = sent & ((overheard & legible) | on_server)
    later = (level == CLASSICAL) & ~fallen
    return Exposure(read, sent & overheard & later & ~read)
