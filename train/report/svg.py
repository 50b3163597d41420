"""Small pictures as SVG: axes, and what stands in them.

Text and marks take their colours from the style sheet of the page, so that a picture follows it into the dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

WIDTH = 380.0
"""Of every picture, in its own units; about the pixels of a phone, so that text is as large there as everywhere."""
TICK_LENGTH = 4.0
CHARACTER_WIDTH = 6.6
"""Mean width of a character of labels, for margins that hold them."""
COLOURS = 6
"""Colours that the style sheet has as ``--s0``, ``--s1``, ..., for light and for dark pages."""
MARKERS = 7
"""Shapes that the page defines as ``#m0``, ``#m1``, ..."""
DASHES = ("", "7 3", "2 3", "9 3 2 3")


@dataclass(frozen=True)
class Axis:
    """One direction of a picture.

    Attributes:
        label: What is shown, with its unit.
        low: Value at its beginning.
        high: Value at its end.
        scale: ``"linear"``, or ``"log"``, where 0 stands at the beginning, apart from all others.
    """

    label: str
    low: float
    high: float
    scale: str = "linear"

    def share(self, value: float) -> float:
        """Where a value stands: 0 at the beginning, 1 at the end."""
        if self.scale == "log":
            if value <= 0:
                return 0.0
            return 0.12 + 0.88 * (math.log10(value) - math.log10(self.low)) / (
                math.log10(self.high) - math.log10(self.low)
            )
        return (value - self.low) / (self.high - self.low)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values on the axis."""
        if self.scale == "log":
            powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            return [0.0, *(10.0**power for power in powers)]
        margin = 1e-9 * (self.high - self.low)
        values = MaxNLocator(count).tick_values(self.low, self.high)
        return [float(value) for value in values if self.low - margin <= value <= self.high + margin]


def linear_axis(label: str, values: Iterable[float], *, low: float | None = None, high: float | None = None) -> Axis:
    """An axis around values, with a little room where no end is given."""
    values = list(values)
    least, most = min(values, default=0.0), max(values, default=1.0)
    room = 0.05 * (most - least) or 0.5
    return Axis(label, least - room if low is None else low, most + room if high is None else high)


def log_axis(label: str, values: Iterable[float]) -> Axis:
    """An axis of magnitudes from 0 up, over whole powers of ten."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    return Axis(label, 10.0**low, 10.0 ** max(high, low + 1), "log")


@dataclass
class Picture:
    """A plot in the making.

    Attributes:
        name: Id of the picture in the page.
        title: What it is, for those who cannot see it and as a tooltip.
        description: What can be seen.
        x: Axis from left to right.
        y: Axis from bottom to top; None for rows that carry names.
        height: Of the whole picture.
        left: Room for labels at the left.
    """

    name: str
    title: str
    description: str
    x: Axis
    y: Axis | None
    height: float = 250.0
    left: float = 46.0
    _parts: list[str] = field(default_factory=list)
    _top: list[str] = field(default_factory=list)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the area between the axes."""
        return self.left, 8.0, WIDTH - 12.0, self.height - 40.0

    def at_x(self, value: float) -> float:
        """Where a value stands from the left."""
        left, _, right, _ = self.box
        return left + self.x.share(value) * (right - left)

    def at_y(self, value: float) -> float:
        """Where a value stands from the top."""
        assert self.y is not None
        _, top, _, bottom = self.box
        return bottom - self.y.share(value) * (bottom - top)

    def add(self, markup: str) -> None:
        """Draw something."""
        self._parts.append(markup)

    def series(self, name: str, style: int, on: bool, *parts: str) -> None:
        """Draw what belongs to one competitor; those that are on are drawn above the others."""
        text = (
            f'<g class="series{" on" if on else ""}" data-c="{escape(name)}" style="--c:var(--s{style % COLOURS})">'
            f"<title>{escape(name)}</title>{''.join(parts)}</g>"
        )
        (self._top if on else self._parts).append(text)

    def polyline(self, xs: np.ndarray, ys: np.ndarray, style: int) -> str:
        """Markup of a line through points."""
        points = " ".join(f"{_n(self.at_x(x))},{_n(self.at_y(y))}" for x, y in zip(xs, ys, strict=True))
        return f'<polyline class="line" points="{points}" stroke-dasharray="{dashes(style)}"/>'

    def band(self, xs: np.ndarray, lows: np.ndarray, highs: np.ndarray) -> str:
        """Markup of the area between two lines."""
        there = [(self.at_x(x), self.at_y(y)) for x, y in zip(xs, highs, strict=True)]
        back = [(self.at_x(x), self.at_y(y)) for x, y in zip(xs, lows, strict=True)]
        points = " ".join(f"{_n(x)},{_n(y)}" for x, y in [*there, *reversed(back)])
        return f'<polygon class="band" points="{points}"/>'

    def upright(self, value: float) -> None:
        """A dotted line at a value of the axis from left to right."""
        _, top, _, bottom = self.box
        self.add(f'<path class="guide" d="M{_n(self.at_x(value))} {_n(top)}V{_n(bottom)}"/>')

    def level(self, value: float, text: str) -> None:
        """A dotted line at a value of the axis from bottom to top, with a word on it."""
        left, _, right, _ = self.box
        y = self.at_y(value)
        self.add(f'<path class="guide" d="M{_n(left)} {_n(y)}H{_n(right)}"/>')
        self.add(f'<text class="note" x="{_n(right)}" y="{_n(y - 4)}" text-anchor="end">{escape(text)}</text>')

    def markup(self) -> Markup:
        """The picture."""
        head = (
            f'<svg class="plot" viewBox="0 0 {_n(WIDTH)} {_n(self.height)}" role="img" '
            f'aria-labelledby="{self.name}-t {self.name}-d"><title id="{self.name}-t">{escape(self.title)}</title>'
            f'<desc id="{self.name}-d">{escape(self.description)}</desc>'
        )
        return Markup(head + "".join([*self._axes(), *self._parts, *self._top]) + "</svg>")

    def _axes(self) -> list[str]:
        left, top, right, bottom = self.box
        parts = []
        for value in self.x.ticks():
            x = _n(self.at_x(value))
            parts.append(f'<path class="grid" d="M{x} {_n(top)}V{_n(bottom + TICK_LENGTH)}"/>')
            text = tick_text(value)
            parts.append(f'<text class="tick" x="{x}" y="{_n(bottom + 15)}" text-anchor="middle">{text}</text>')
        middle = _n((left + right) / 2)
        parts.append(
            f'<text class="label" x="{middle}" y="{_n(self.height - 6)}" text-anchor="middle">'
            f"{escape(self.x.label)}</text>"
        )
        if self.y is not None:
            for value in self.y.ticks():
                y = self.at_y(value)
                parts.append(f'<path class="grid" d="M{_n(left - TICK_LENGTH)} {_n(y)}H{_n(right)}"/>')
                text = tick_text(value)
                parts.append(f'<text class="tick" x="{_n(left - 7)}" y="{_n(y + 4)}" text-anchor="end">{text}</text>')
            parts.append(
                f'<text class="label" transform="translate(11 {_n((top + bottom) / 2)}) rotate(-90)" '
                f'text-anchor="middle">{escape(self.y.label)}</text>'
            )
            parts.append(f'<path class="axis" d="M{_n(left)} {_n(top)}V{_n(bottom)}H{_n(right)}"/>')
        return parts


def marker(x: float, y: float, style: int) -> str:
    """Markup of a point in the shape of a style."""
    return f'<use class="mark" href="#m{style % MARKERS}" x="{_n(x)}" y="{_n(y)}"/>'


def whisker(x1: float, y1: float, x2: float, y2: float) -> str:
    """Markup of an interval, across or upright."""
    return f'<path class="whisker" d="M{_n(x1)} {_n(y1)}L{_n(x2)} {_n(y2)}"/>'


def dashes(style: int) -> str:
    """How the line of a style is broken."""
    return DASHES[style // COLOURS % len(DASHES)]


def key(style: int) -> Markup:
    """The line and marker of a style, for a legend."""
    return Markup(
        f'<svg class="key" viewBox="0 0 30 14" aria-hidden="true" style="--c:var(--s{style % COLOURS})">'
        f'<path class="line" d="M1 7H29" stroke-dasharray="{dashes(style)}"/>{marker(15, 7, style)}</svg>'
    )


def tick_text(value: float) -> str:
    """A number on an axis, as short as possible."""
    if abs(value) >= 1e4:
        for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if abs(value) >= size:
                return f"{value / size:g}{letter}"
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")


def room_for(names: Iterable[str]) -> float:
    """Width that the longest of some names needs."""
    return 12.0 + CHARACTER_WIDTH * max(map(len, names), default=0)


def _n(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")
