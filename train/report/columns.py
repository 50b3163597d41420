"""The columns of the page's tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from train import table
from train.report.board import Entry, Standings
from train.statistics import Estimate


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: Its name in the page.
        label: Its head.
        meaning: What it holds, for the legend.
        value: What rows are sorted by; None for no value.
        text: What is shown.
        more: Whether it is shown only when asked for.
        wants_scale: Whether it exists only where there are scores.
        more_beside_scores: Whether it is shown only when asked for where there are scores.
        descending: Whether the first sorting puts the largest on top.
    """

    key: str
    label: str
    meaning: str
    value: Callable[[Entry], float | str | None]
    text: Callable[[Entry], str]
    more: bool = False
    wants_scale: bool = False
    more_beside_scores: bool = False
    descending: bool = True


def columns_of(standings: Standings) -> list[Column]:
    """Those that have something to show in an environment."""
    if standings.scale is None:
        return [column for column in COLUMNS if not column.wants_scale]
    return [replace(column, more=column.more or column.more_beside_scores) for column in COLUMNS]


def _shown(found: Estimate | None, sign: str = "") -> str:
    return "" if found is None else f"{found:{sign}}".replace("-", "\N{MINUS SIGN}")


def _of(found: Estimate | None) -> float | None:
    return None if found is None else found.value


def _number(key: str, label: str, meaning: str, digits: int, factor: float = 1.0, **keywords: bool) -> Column:
    """A column of an attribute of :class:`train.table.Row`."""
    return Column(
        key,
        label,
        meaning,
        lambda entry: factor * getattr(entry.row, key),
        lambda entry: f"{factor * getattr(entry.row, key):,.{digits}f}",
        **keywords,
    )


COLUMNS = (
    Column(
        "score",
        "score [95 %]",
        "return between random play (0) and the reference (1), interquartile mean over seeds, with the scale taken as "
        "exact",
        lambda entry: _of(entry.row.score),
        lambda entry: _shown(entry.row.score),
        wants_scale=True,
    ),
    Column(
        "return",
        "return [95 %]",
        "sum of rewards, interquartile mean over seeds with 95 % bootstrap interval",
        lambda entry: entry.row.episode_return.value,
        lambda entry: _shown(entry.row.episode_return),
        more_beside_scores=True,
    ),
    Column(
        "kind",
        "kind",
        "classical, quantum, or privileged where it knows more than the observation",
        lambda entry: entry.row.kind,
        lambda entry: entry.row.kind,
        descending=False,
    ),
    Column(
        "over-random",
        f"minus {table.REFERENCE} [95 %]",
        "mean difference to random play on the same seeds",
        lambda entry: _of(entry.row.over_random),
        lambda entry: _shown(entry.row.over_random, "+"),
        more=True,
    ),
    Column(
        "reached",
        "reached",
        "episodes that reached the target accuracy",
        lambda entry: entry.row.reached / entry.row.episodes,
        lambda entry: f"{entry.row.reached}/{entry.row.episodes}",
    ),
    _number("simulated_s", "seconds", "simulated time of an episode", 1, descending=False),
    _number("energy_j", "joules", "energy of all devices in an episode", 0, descending=False),
    _number("accuracy", "accuracy", "held-out, at the end of an episode", 3),
    Column(
        "jain",
        "fairness",
        "Jain's index of the devices' accuracies at the end of an episode",
        lambda entry: entry.jain.value,
        lambda entry: f"{entry.jain.value:.3f}",
        more=True,
    ),
    _number("sum_rate_bps", "Mbit/s", "sum-rate", 2, 1e-6, more=True),
    _number("participants", "devices", "participants per round", 1, more=True),
    _number("delivered", "delivered", "share of their updates that arrived in time", 2, more=True),
    _number("devices_heard", "heard", "share of all devices that delivered at least once", 2, more=True),
    _number("parameters", "parameters", "trainable numbers", 0, descending=False),
    _number("decision_s", "ms", "wall time of a decision", 2, 1e3, more=True, descending=False),
)
