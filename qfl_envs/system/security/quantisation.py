"""Real numbers as whole ones, so that they can be masked and summed in modular arithmetic without any error."""

from __future__ import annotations

import math

import numpy as np

from qfl_envs.errors import InvalidValueError


def modulus_bits(clients: int, bits: int) -> int:
    """Bits of the least power of two that no sum of so many numbers of so many bits reaches.

    It is ceil(log2 R) for the R = n (2^b - 1) + 1 of Bonawitz et al. 2017.

    Raises:
        InvalidValueError: For sums that do not fit into 63 bits.
    """
    needed = math.ceil(math.log2(clients * (2**bits - 1) + 1))
    if bits < 1 or needed > 63:
        raise InvalidValueError("bits", bits, f"at least 1, and at most 63 in a sum of {clients}")
    return needed


def encode(values: np.ndarray, bound: float, bits: int) -> np.ndarray:
    """Whole numbers from 0 to 2^bits - 1 for values from -bound to bound; values outside are clipped.

    Raises:
        InvalidValueError: For a value that is no number, which no clipping mends, or for a bound or bits without codes.
    """
    if not bound > 0.0:
        raise InvalidValueError("bound", bound, "a number above 0")
    if not 1 <= bits <= 52:
        raise InvalidValueError("bits", bits, "from 1 to 52, which floating point holds exactly")
    if not np.isfinite(values).all():
        raise InvalidValueError("values", "not finite", "finite numbers")
    levels = 2**bits - 1
    return np.rint((np.clip(values, -bound, bound) + bound) / (2 * bound) * levels).astype(np.int64)


def decode_sum(total: np.ndarray, clients: int, bound: float, bits: int) -> np.ndarray:
    """The sum of the values of so many clients from the sum of their whole numbers."""
    return total * (2 * bound / (2**bits - 1)) - clients * bound
