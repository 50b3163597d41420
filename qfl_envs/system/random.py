"""Random numbers of many systems side by side: one generator per row, so that a row never depends on its neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np


class RowRandom:
    """Draws for E systems, each from its own generator."""

    def __init__(self, generators: Sequence[np.random.Generator]) -> None:
        """Wrap one generator per system."""
        self.generators = list(generators)

    def normal(self, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Standard normal numbers.

        Args:
            shapes: Shape of each named array without the leading axis. All are drawn in one call per row, in the order
                of the arguments.

        Returns:
            Arrays of shape (E, *shape).
        """
        return self._draw("standard_normal", shapes)

    def uniform(self, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Numbers uniform in [0, 1); arguments and result as in :meth:`normal`."""
        return self._draw("random", shapes)

    def _draw(self, method: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        rows, where = len(self.generators), _slices(tuple(shapes.values()))
        block = np.empty((rows, where[-1].stop))
        for row, generator in zip(block, self.generators, strict=True):
            getattr(generator, method)(out=row)
        return {
            name: np.ascontiguousarray(block[:, part]).reshape(rows, *shape)
            for (name, shape), part in zip(shapes.items(), where, strict=True)
        }


@lru_cache
def _slices(shapes: tuple[tuple[int, ...], ...]) -> list[slice]:
    """Where arrays of these shapes lie, one after the other."""
    ends = list(accumulate(math.prod(shape) for shape in shapes))
    return [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]
