"""Loops over systems, devices, sub-channels and amplitudes, compiled to machine code.

A round is a few numbers per device. In NumPy each formula is several passes over small arrays, and calling them takes
longer than computing; a compiled loop is one call. Every system is computed by itself and in the same order, so that a
batch of any size gives the numbers of a batch of one to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit, vectorize

Function = TypeVar("Function", bound=Callable[..., Any])
REORDERED = {"reassoc", "nsz", "arcp", "contract", "afn"}
"""What LLVM may do with floating point then; infinities and nan stay what they are."""


def compiled(function: Function) -> Function:
    """The function as machine code, made when it is first called and kept on disk; division by zero gives inf or nan.

    Arrays that it is given must be C-contiguous and always of the same types: others compile it anew.
    """
    return cast(Function, njit(cache=True, error_model="numpy", nogil=True)(function))


def reordered(function: Function) -> Function:
    """As :func:`compiled`, for sums that may be taken in any order, the same in every call, several terms at once."""
    return cast(Function, njit(cache=True, error_model="numpy", fastmath=REORDERED, nogil=True)(function))


def elementwise(function: Function) -> Function:
    """A function of numbers that takes arrays too, and can be called in compiled loops."""
    return cast(Function, vectorize(cache=True)(function))


def ready(array: np.ndarray, kind: type = float) -> np.ndarray:
    """The array as compiled loops take it: contiguous, of numbers of one type; itself if it is so already."""
    return np.ascontiguousarray(array, dtype=kind)
