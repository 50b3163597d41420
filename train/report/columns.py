"""The columns of the page's tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from train.competition.summaries import REFERENCE
from train.report.content import Entry, Place
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
        of_scores: Whether it exists only where there are scores.
        more_beside_scores: Whether it is shown only when asked for where there are scores.
        descending: Whether the first sorting puts the largest on top.
    """

    key: str
    label: str
    meaning: str
    value: Callable[[Entry], float | str | None]
    text: Callable[[Entry], str]
    more: bool = True
    of_scores: bool = False
    more_beside_scores: bool = False
    descending: bool = True


def columns_of(place: Place) -> list[Column]:
    """Those that have something to show in an environment."""
    if place.about["scale"] is None:
        return [column for column in COLUMNS if not column.of_scores]
    return [replace(column, more=column.more or column.more_beside_scores) for column in COLUMNS]


def number_text(value: float, digits: int, sign: str = "") -> str:
    """A number with a true minus; a dash where it is out of reach."""
    shown = f"{value:{sign},.{digits}f}" if math.isfinite(value) else "\N{EN DASH}"
    return shown.replace("-", "\N{MINUS SIGN}")


def interval_text(found: Estimate | None, digits: int = 2, sign: str = "") -> str:
    """An estimate with its interval, nothing for None."""
    if found is None:
        return ""
    value, low, high = (number_text(end, digits, sign) for end in (found.value, found.low, found.high))
    return value if value == low == high else f"{value} [{low}, {high}]"


def _interval(key: str, label: str, meaning: str, digits: int = 2, sign: str = "", **keywords: bool) -> Column:
    """A column of an interval of the row."""

    def value(entry: Entry) -> float | None:
        found = entry.interval(key)
        return None if found is None or not math.isfinite(found.value) else found.value

    return Column(
        key, label, meaning, value, lambda entry: interval_text(entry.interval(key), digits, sign), **keywords
    )


def _mean(key: str, label: str, meaning: str, digits: int, factor: float = 1.0, **keywords: bool) -> Column:
    """A column of one of the row's means."""
    return Column(
        key,
        label,
        meaning,
        lambda entry: factor * entry.mean(key).value,
        lambda entry: number_text(factor * entry.mean(key).value, digits),
        **keywords,
    )


def _of_training(key: str, label: str, meaning: str) -> Column:
    """A column of the training, empty where there was none."""

    def value(entry: Entry) -> float | None:
        training = entry.row["training"]
        return None if training is None else training[key]

    def text(entry: Entry) -> str:
        found = value(entry)
        return "" if found is None else number_text(found, 0)

    return Column(key, label, meaning, value, text, descending=False)


COLUMNS = (
    _interval(
        "score",
        "score [95 %]",
        "return between random play (0) and the reference (1), interquartile mean over seeds, with the scale taken as "
        "exact",
        more=False,
        of_scores=True,
    ),
    _interval(
        "return",
        "return [95 %]",
        "sum of rewards, interquartile mean over seeds with 95 % bootstrap interval",
        more=False,
        more_beside_scores=True,
    ),
    Column(
        "kind",
        "kind",
        "classical, quantum (simulated), or privileged where it knows more than the observation",
        lambda entry: entry.kind,
        lambda entry: entry.kind,
        more=False,
        descending=False,
    ),
    _interval("over_random", f"minus {REFERENCE}", "mean difference to random play on the same seeds", sign="+"),
    _interval("improvement", "P(better)", "probability of a higher return than random play's"),
    _interval("optimality_gap", "gap", "mean of what scores lack to 1", of_scores=True, descending=False),
    Column(
        "reached",
        "reached",
        "episodes that reached the target accuracy",
        lambda entry: entry.row["reached"] / entry.row["episodes"],
        lambda entry: f"{entry.row['reached']}/{entry.row['episodes']}",
        more=False,
    ),
    _interval(
        "to_target_s",
        "s to target",
        "simulated time with which half of the episodes had reached the target; a dash where they did not, or where an "
        "end of the interval is open",
        1,
        descending=False,
    ),
    _interval("to_target_j", "J to target", "the same of the energy of all devices", 0, descending=False),
    _mean("simulated_s", "seconds", "simulated time of an episode", 1, more=False, descending=False),
    _mean("energy_j", "joules", "energy of all devices in an episode", 0, more=False, descending=False),
    _mean("accuracy", "accuracy", "held-out, at the end of an episode", 3, more=False),
    _mean("jain", "fairness", "Jain's index of the devices' accuracies at the end of an episode", 3),
    _mean("sum_rate_bps", "Mbit/s", "sum-rate", 2, 1e-6),
    _mean("participants", "devices", "participants per round", 1),
    _mean("delivered", "delivered", "share of their updates that arrived in time", 2),
    _mean("devices_heard", "heard", "share of all devices that delivered at least once", 2),
    Column(
        "parameters",
        "parameters",
        "trainable numbers",
        lambda entry: entry.row["parameters"],
        lambda entry: number_text(entry.row["parameters"], 0),
        more=False,
        descending=False,
    ),
    Column(
        "quantum_parameters",
        "angles",
        "those of the parameters that belong to circuits",
        lambda entry: entry.row["quantum_parameters"],
        lambda entry: number_text(entry.row["quantum_parameters"], 0),
        descending=False,
    ),
    _mean("circuit_evaluations", "circuits", "of a decision", 1, descending=False),
    _mean("shots", "shots", "of a decision", 0, descending=False),
    _mean("quantum_s", "quantum ms", "of a decision on the modelled processors", 2, 1e3, descending=False),
    _mean("decision_s", "ms", "wall time of a decision on the machine that played", 2, 1e3, descending=False),
    _of_training("steps", "steps", "environment steps of the training"),
    _of_training("training_s", "training s", "wall time of the training"),
)
