"""The two pictures of the case study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from train.case_study.page import mean_of, modes_of, ordered
from train.case_study.settings import ALLOCATORS
from train.case_study.sum_rate import held
from train.statistics import MIN_SEEDS, estimate

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Of Okabe & Ito, told apart by colour-blind readers."""
LINES = ("-", "--", ":")
MARKERS = "osD^vPX*<>hp"
GRID_POINTS = 200


def draw_sum_rates(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Sum-rate against iterations and against the time that they took: mean and 95 % interval.

    Whoever has ended keeps what it has, as a dot at its end and no line beyond.

    Args:
        rows: Results of Figure 4a.
        path: PNG to write.
    """
    modes = modes_of(rows)
    figure = Figure(figsize=(13.5, 5.2 * len(modes)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(modes), 2, squeeze=False, sharey="row")
    for (by_iteration, by_time), mode in zip(panels, modes, strict=True):
        of_mode = [row for row in rows if row["mode"] == mode]
        highest = 0.0
        for name, played in ordered(of_mode):
            length = max(len(row["sum_rate_bps"]) for row in played)
            curves = np.stack([held(row, length) for row in played]) / 1e6
            mean = curves.mean(0)
            at_end = estimate(curves[:, -1].tolist())
            seconds = np.median([_elapsed(row, length) for row in played], axis=0)
            look = {**_look(name), "label": f"{mean_of(curves[:, -1].tolist())}  {name}"}
            for axes, x in ((by_iteration, np.arange(length)), (by_time, 1e3 * seconds)):
                axes.plot(x[1:], mean[1:], **look)
                axes.plot(x[-1:], mean[-1:], color=look["color"], marker=look["marker"], markersize=7)
                highest = max(highest, mean.max())
            if len(played) >= MIN_SEEDS:
                error = [[at_end.value - at_end.low], [at_end.high - at_end.value]]
                by_iteration.errorbar(length - 1, mean[-1], error, color=look["color"], capsize=3, linewidth=0.8)
        by_iteration.set_title(f"devices {mode}" if mode == "may idle" else mode)
        _dress(by_iteration, "iterations (log)", "sum-rate (Mbit/s), mean of the instances")
        _dress(by_time, "time of the iterations so far (ms, median, log)", "")
        by_iteration.set_ylim(0.0, 1.15 * highest)
        by_iteration.set_xscale("log")
        by_time.set_xscale("log")
        by_time.legend(
            fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5), title="Mbit/s at the end", frameon=False
        )
    figure.savefig(path)


def draw_learning(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Accuracy against rounds and simulated seconds, and whom the server has heard: a row of panels per learner.

    Means over the seeds, with the range of the seeds as a band.

    Args:
        rows: Results of Figure 4b.
        path: PNG to write.
    """
    learners = list(dict.fromkeys(row["learner"] for row in rows))
    labels = list(dict.fromkeys(row["series"] for row in rows))
    figure = Figure(figsize=(14.5, 3.9 * len(learners)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(learners), 3, squeeze=False)
    # a round always takes time, and learners differ in it by orders of magnitude
    shortest = 0.9 * min(row["seconds"][1] for row in rows)
    for (by_round, by_time, heard), learner in zip(panels, learners, strict=True):
        for index, label in enumerate(labels):
            played = [row for row in rows if (row["learner"], row["series"]) == (learner, label)]
            if not played:
                continue
            look = {"color": COLOURS[index % len(COLOURS)], "linestyle": LINES[index % 2], "label": label}
            accuracy = np.array([row["accuracy"] for row in played])
            _band(by_round, np.arange(accuracy.shape[1]), accuracy, look)
            times = np.geomspace(shortest, max(row["seconds"][-1] for row in played), GRID_POINTS)
            _band(by_time, times, np.stack([_held_at(row, times) for row in played]), look)
            _band(heard, np.arange(accuracy.shape[1]), np.array([row["heard_labels"] for row in played]), look)
        by_round.set_title(learner)
        _dress(by_round, "rounds", "held-out accuracy")
        _dress(by_time, "simulated time (s, log)", "held-out accuracy")
        by_time.set_xscale("log")
        _dress(heard, "rounds", "share of the labels ever delivered")
        for axes in (by_round, by_time, heard):
            axes.set_ylim(0, 1.03)
        heard.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.savefig(path)


def _look(name: str) -> dict[str, Any]:
    """The same for a name in every picture."""
    index = ALLOCATORS.index(name)
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": LINES[index // len(COLOURS) % len(LINES)],
        "marker": MARKERS[index % len(MARKERS)],
        "markevery": [0],
        "markersize": 5,
        "linewidth": 1.6,
    }


def _dress(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _band(axes: Axes, x: np.ndarray, curves: np.ndarray, look: dict[str, Any]) -> None:
    axes.plot(x, curves.mean(0), linewidth=1.7, **look)
    axes.fill_between(x, curves.min(0), curves.max(0), color=look["color"], alpha=0.10, linewidth=0)


def _elapsed(row: dict[str, Any], length: int) -> np.ndarray:
    """(length) seconds after each iteration; who has ended takes no more."""
    seconds = np.concatenate([[0.0], np.cumsum(row["iteration_s"])])
    return np.asarray(seconds[np.minimum(np.arange(length), len(seconds) - 1)])


def _held_at(row: dict[str, Any], times: np.ndarray) -> np.ndarray:
    """Accuracy at given times: that of the last round that had ended."""
    return np.asarray(np.array(row["accuracy"])[np.searchsorted(row["seconds"], times, side="right") - 1])
