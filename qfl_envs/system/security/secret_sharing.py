"""Shamir's secret sharing (1979) over a prime field: any ``threshold`` shares give the secret, fewer say nothing."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from qfl_envs.errors import InvalidValueError

PRIME = 2**256 - 189
"""The largest prime of 256 bits, so that a share has the 256 bits that published costs assume."""

SHARE_BYTES = 32


def split(
    secret: bytes, holders: int, threshold: int, below: Callable[[int], int] = secrets.randbelow
) -> dict[int, bytes]:
    """Shares of a secret, by holder from 0.

    Args:
        secret: 32 bytes that are less than the prime, as all but one in 2^248 are.
        holders: How many get a share.
        threshold: How many shares give the secret.
        below: Draws numbers from 0 below its argument.

    Raises:
        InvalidValueError: For a threshold that no number of holders meets, or a secret that does not fit.
    """
    if not 1 <= threshold <= holders:
        raise InvalidValueError("threshold", threshold, f"from 1 to {holders}, the number of holders")
    number = int.from_bytes(secret, "big")
    if len(secret) != SHARE_BYTES or number >= PRIME:
        raise InvalidValueError("secret", f"{len(secret)} bytes", "32 bytes below the prime of the field")
    coefficients = [number, *(below(PRIME) for _ in range(threshold - 1))]
    return {holder: _value(coefficients, holder + 1).to_bytes(SHARE_BYTES, "big") for holder in range(holders)}


def combine(shares: Mapping[int, bytes], threshold: int) -> bytes:
    """The secret, by Lagrange interpolation at zero.

    Raises:
        InvalidValueError: For fewer shares than the threshold, or one that is no element of the field.
    """
    for holder, share in shares.items():
        if len(share) != SHARE_BYTES or int.from_bytes(share, "big") >= PRIME:
            raise InvalidValueError("share", f"a wrong one of holder {holder}", "32 bytes below the prime of the field")
    if len(shares) < threshold:
        raise InvalidValueError("shares", len(shares), f"at least {threshold}, the threshold")
    points = [(holder + 1, int.from_bytes(share, "big")) for holder, share in list(shares.items())[:threshold]]
    total = 0
    for x, y in points:
        above, beneath = 1, 1
        for other, _ in points:
            if other != x:
                above = above * other % PRIME
                beneath = beneath * (other - x) % PRIME
        total = (total + y * above * pow(beneath, -1, PRIME)) % PRIME
    return total.to_bytes(SHARE_BYTES, "big")


def _value(coefficients: list[int], x: int) -> int:
    total = 0
    for coefficient in reversed(coefficients):
        total = (total * x + coefficient) % PRIME
    return total
