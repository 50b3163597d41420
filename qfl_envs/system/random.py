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
        length, parts = _layout(len(self.generators), tuple(shapes.items()))
        block = np.empty((len(self.generators), length))
        for row, generator in zip(block, self.generators, strict=True):
            getattr(generator, method)(out=row)
        # of several rows a copy, of one a view
        return {name: block[:, part].reshape(shape) for name, part, shape in parts}


@lru_cache
def _layout(
    rows: int, shapes: tuple[tuple[str, tuple[int, ...]], ...]
) -> tuple[int, list[tuple[str, slice, tuple[int, ...]]]]:
    """How arrays of these shapes lie one after the other: length of a row; name, place in it and shape of each."""
    ends = list(accumulate(math.prod(shape) for _, shape in shapes))
    begins = [0, *ends[:-1]]
    parts = [
        (name, slice(begin, end), (rows, *shape))
        for (name, shape), begin, end in zip(shapes, begins, ends, strict=True)
    ]
    return ends[-1], parts
