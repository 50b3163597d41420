"""Pictures of several panels, in rows that a page has room for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLUMNS = 3
COLOURS, DASHES = 10, ("-", "--", ":", "-.")


def panels(count: int, width: float, height: float, dpi: int, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure and its panels, of a size in inches each, at most :data:`COLUMNS` side by side."""
    # four are two rows of two, not three and one
    columns = min(count, 2 if count == 4 else COLUMNS)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * rows), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    grid = iter(figure.subplots(rows, columns, squeeze=False, sharey=sharey).flat)
    chosen = list(islice(grid, count))
    for axes in grid:
        axes.remove()
    return figure, chosen


def line_styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and dashes of a line for each name, up to 40 of which differ."""
    return {
        name: {
            "color": colormaps["tab10"](index % COLOURS),
            "linestyle": DASHES[index // COLOURS % len(DASHES)],
        }
        for index, name in enumerate(names)
    }
