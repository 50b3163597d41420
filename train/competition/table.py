"""Tables of a competition as text, for the console and for Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from train.competition.results import Failure, Training
from train.competition.summaries import REFERENCE, Overall, Row
from train.statistics import Estimate

LEGEND = """\
return: sum of rewards, interquartile mean over seeds with 95 % bootstrap interval; score: the same between random
play (0) and the reference of the environment (1), with the scale taken as exact; gap: mean of what scores lack to 1;
minus random: mean difference on the same seeds; P(better): probability of a higher return than random play's;
reached: episodes that reached the target accuracy; s, J to target: simulated time and energy with which half of the
episodes had reached it; seconds, joules: of an episode; accuracy: held-out, at its end; Mbit/s: sum-rate; devices:
participants per round; delivered: share of their updates that arrived in time; heard: share of all devices that
delivered at least once; Jain: index of the devices' accuracies at the end; parameters: trainable numbers, angles: those
of circuits among them; circuits, shots: of a decision; quantum ms: of a decision on the modelled processors; ms: wall
time of a decision (IQM); steps, training s: environment steps and wall time of the training."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        header: Above it.
        cell: Its text, from a row and the training behind it, if there was one.
        everywhere: Whether it is shown on a console, too, which has less room than a page.
    """

    header: str
    cell: Callable[[Row, Training | None], str]
    everywhere: bool = False


def _mean(header: str, name: str, digits: int, factor: float = 1.0, everywhere: bool = False) -> Column:
    return Column(header, lambda row, _: f"{factor * row.means[name].value:.{digits}f}", everywhere)


COLUMNS = (
    Column("competitor", lambda row, _: row.competitor, True),
    Column("kind", lambda row, _: row.kind, True),
    Column("return (IQM) [95 %]", lambda row, _: str(row.episode_return), True),
    Column("score (IQM) [95 %]", lambda row, _: _or_nothing(row.score), True),
    Column("gap [95 %]", lambda row, _: _or_nothing(row.gap)),
    Column(f"minus {REFERENCE} [95 %]", lambda row, _: _or_nothing(row.over_random, "+"), True),
    Column("P(better) [95 %]", lambda row, _: _or_nothing(row.improvement)),
    Column("reached", lambda row, _: f"{row.reached}/{row.episodes}", True),
    Column("s to target [95 %]", lambda row, _: _to_target(row.to_target_s, 1)),
    Column("J to target [95 %]", lambda row, _: _to_target(row.to_target_j, 0)),
    _mean("seconds", "simulated_s", 1, everywhere=True),
    _mean("joules", "energy_j", 0, everywhere=True),
    _mean("accuracy", "accuracy", 3, everywhere=True),
    _mean("Mbit/s", "sum_rate_bps", 2, 1e-6),
    _mean("devices", "participants", 1),
    _mean("delivered", "delivered", 2),
    _mean("heard", "devices_heard", 2),
    _mean("Jain", "jain", 3),
    Column("parameters", lambda row, _: f"{row.parameters}", True),
    Column("angles", lambda row, _: f"{row.quantum_parameters}"),
    _mean("circuits", "circuit_evaluations", 1, everywhere=True),
    _mean("shots", "shots", 0),
    _mean("quantum ms", "quantum_s", 2, 1e3),
    _mean("ms", "decision_s", 2, 1e3, everywhere=True),
    Column("steps", lambda _, training: "" if training is None else f"{training.steps}"),
    Column("training s", lambda _, training: "" if training is None else f"{training.training_s:.0f}", True),
)


def render(
    summaries: Sequence[Row],
    style: str,
    trainings: Mapping[str, Training] | None = None,
    failures: Sequence[Failure] = (),
    everything: bool = False,
) -> str:
    """A table, with those at the end that failed.

    Args:
        summaries: Rows.
        style: One of tabulate's, e.g. ``"simple"`` or ``"github"``.
        trainings: Those behind the rows, by competitor.
        failures: The first of each entry that has no row.
        everything: Whether to show all columns, or those for a console.
    """
    columns = [column for column in COLUMNS if everything or column.everywhere]
    known = trainings or {}
    cells = [[column.cell(row, known.get(row.competitor)) for column in columns] for row in summaries]
    cells += [[failure.competitor, "", "failed", *[""] * (len(columns) - 3)] for failure in failures]
    return _text(cells, [column.header for column in columns], style)


def render_overall(summaries: Sequence[Overall], style: str) -> str:
    """The table over all environments."""
    headers = ["competitor", "kind", "score (IQM) [95 %]", "gap [95 %]", "P(better) [95 %]", "environments"]
    cells = [
        [
            row.competitor,
            row.kind,
            str(row.score),
            str(row.gap),
            _or_nothing(row.improvement),
            ", ".join(env_id.removeprefix("qfl/") for env_id in row.environments),
        ]
        for row in summaries
    ]
    return _text(cells, headers, style)


def _text(cells: list[list[str]], headers: Sequence[str], style: str) -> str:
    if style == "github":
        cells = [[cell.replace("|", "\\|") for cell in row] for row in cells]
    alignment = ("left", "left", *["right"] * (len(headers) - 2))
    return tabulate(cells, headers, tablefmt=style, disable_numparse=True, colalign=alignment if cells else None)


def _or_nothing(found: Estimate | None, sign: str = "") -> str:
    return "" if found is None else format(found, sign)


def _to_target(found: Estimate, digits: int) -> str:
    """With a dash where an end is open or the target out of reach."""
    value, low, high = (f"{end:.{digits}f}" if math.isfinite(end) else "-" for end in vars(found).values())
    return value if value == low == high else f"{value} [{low}, {high}]"
