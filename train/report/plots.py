"""The plots of one environment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup, escape

from train.plots import held_accuracy
from train.report.board import Board, Entry, Standings
from train.report.svg import Axis, Picture, linear_axis, log_axis, marker, room_for, whisker
from train.statistics import Estimate, estimate

ROW_HEIGHT = 21.0
CURVE_POINTS = 70
PROFILE_POINTS = 80


class Plot(NamedTuple):
    """A picture with the words around it."""

    heading: str
    picture: Markup
    caption: str


def plots_of(board: Board, standings: Standings) -> Iterator[Plot]:
    """Every plot for which there is something to show."""
    yield intervals(standings)
    yield accuracy_over_time(board, standings)
    yield profile(standings)
    yield against_parameters(standings)
    yield fairness(standings)
    if standings.curves:
        yield learning(standings)


def intervals(standings: Standings) -> Plot:
    """The result of everybody with its interval, best first."""
    entries, quantity = standings.entries, standings.quantity
    values = [value for entry in entries for value in (entry.result.low, entry.result.high)]
    ends = [0.0, 1.0] if standings.scale is not None else []
    picture = Picture(
        f"{standings.slug}-intervals",
        f"{quantity.capitalize()} in {standings.env_id}",
        f"Interquartile mean and 95 % interval, best first: {_listed(entries)}.",
        linear_axis(quantity, [*values, *ends]),
        None,
        height=52.0 + ROW_HEIGHT * len(entries),
        left=room_for(entry.name for entry in entries),
    )
    for value in ends:
        picture.guide(value, "", vertical=True)
    for index, entry in enumerate(entries):
        y = 8.0 + ROW_HEIGHT * (index + 0.5)
        low, middle, high = (picture.at_x(value) for value in (entry.result.low, entry.result.value, entry.result.high))
        name = f'<text class="name" x="{picture.left - 10:.1f}" y="{y + 4:.1f}" text-anchor="end">{escape(entry.name)}'
        picture.series(
            entry.name,
            entry.style,
            entry.emphasised,
            name + "</text>",
            whisker(low, y, high, y),
            marker(middle, y, entry.style),
        )
    caption = "Interquartile mean over the seeds, with 95 % bootstrap interval."
    if standings.scale is not None:
        caption += f" 0 is random play, 1 is {standings.scale.name}."
    return Plot(quantity.capitalize(), picture.markup(), caption)


def accuracy_over_time(board: Board, standings: Standings) -> Plot:
    """Held-out accuracy against simulated time, median and middle half of the seeds."""
    longest = max(float(np.median([episode.simulated_s for episode in one.episodes])) for one in standings.entries)
    target = board.scenario.target_accuracy
    picture = Picture(
        f"{standings.slug}-time",
        f"Accuracy against simulated time in {standings.env_id}",
        f"Held-out accuracy, median over the seeds, up to {longest:.0f} simulated seconds; the target is {target:g}. "
        f"Mean accuracy at the end: {_listed(standings.entries, lambda one: f'{one.row.accuracy:.2f}')}.",
        Axis("simulated time (s)", 0.0, longest),
        Axis("held-out accuracy", 0.0, 1.0),
    )
    picture.guide(target, "target")
    times = np.linspace(0.0, longest, CURVE_POINTS)
    for entry in standings.entries:
        curves = [held_accuracy(episode, times) for episode in entry.episodes]
        low, middle, high = np.percentile(curves, [25, 50, 75], axis=0)
        picture.series(
            entry.name,
            entry.style,
            entry.emphasised,
            picture.band(times, low, high),
            picture.polyline(times, middle, entry.style),
        )
    return Plot(
        "Accuracy against simulated time",
        picture.markup(),
        "Median over the seeds, and their middle half. An episode that has ended keeps its last accuracy.",
    )


def profile(standings: Standings) -> Plot:
    """The share of episodes above every result (a performance profile, Agarwal et al. 2021, arXiv 2108.13264)."""
    results = {entry.name: np.sort(standings.results(entry)) for entry in standings.entries}
    everything = np.concatenate(list(results.values()))
    levels = np.linspace(everything.min(), everything.max(), PROFILE_POINTS)
    quantity = standings.quantity
    picture = Picture(
        f"{standings.slug}-profile",
        f"Performance profile in {standings.env_id}",
        f"Share of episodes whose {quantity} is above a level. Share above the median of all episodes: "
        + _listed(standings.entries, lambda one: f"{(results[one.name] > np.median(everything)).mean():.2f}")
        + ".",
        linear_axis(quantity, everything.tolist(), low=float(levels[0]), high=float(levels[-1])),
        Axis("share of episodes above", 0.0, 1.0),
    )
    for entry in standings.entries:
        above = 1 - np.searchsorted(results[entry.name], levels, side="right") / len(results[entry.name])
        picture.series(entry.name, entry.style, entry.emphasised, picture.polyline(levels, above, entry.style))
    return Plot(
        "Performance profile",
        picture.markup(),
        f"Share of episodes whose {quantity} is above the value below. Higher and further right is better.",
    )


def against_parameters(standings: Standings) -> Plot:
    """The result against the number of trainable numbers."""
    quantity = standings.quantity
    picture = Picture(
        f"{standings.slug}-parameters",
        f"{quantity.capitalize()} against parameters in {standings.env_id}",
        f"Interquartile mean and 95 % interval. Parameters: {_listed(standings.entries, _parameters)}.",
        log_axis("trainable parameters", [float(entry.row.parameters) for entry in standings.entries]),
        linear_axis(quantity, _ends(one.result for one in standings.entries)),
    )
    for entry in standings.entries:
        x = picture.at_x(entry.row.parameters)
        low, middle, high = (picture.at_y(value) for value in (entry.result.low, entry.result.value, entry.result.high))
        picture.series(
            entry.name, entry.style, entry.emphasised, whisker(x, low, x, high), marker(x, middle, entry.style)
        )
    return Plot(
        f"{quantity.capitalize()} against parameters",
        picture.markup(),
        "Competitors that are not trained stand at 0.",
    )


def fairness(standings: Standings) -> Plot:
    """Fairness at the end of an episode against the simulated time that it took."""
    seconds = {entry.name: estimate([episode.simulated_s for episode in entry.episodes]) for entry in standings.entries}
    picture = Picture(
        f"{standings.slug}-fairness",
        f"Fairness against efficiency in {standings.env_id}",
        "Jain's index of the devices' accuracies at the end of an episode against its simulated seconds, means: "
        + _listed(standings.entries, lambda one: f"{one.jain.value:.2f} after {seconds[one.name].value:.0f} s")
        + ".",
        linear_axis("simulated time of an episode (s)", _ends(seconds.values()), low=0.0),
        linear_axis("fairness (Jain's index)", _ends(one.jain for one in standings.entries)),
    )
    for entry in standings.entries:
        spent, fair = seconds[entry.name], entry.jain
        x, y = picture.at_x(spent.value), picture.at_y(fair.value)
        picture.series(
            entry.name,
            entry.style,
            entry.emphasised,
            whisker(picture.at_x(spent.low), y, picture.at_x(spent.high), y),
            whisker(x, picture.at_y(fair.low), x, picture.at_y(fair.high)),
            marker(x, y, entry.style),
        )
    return Plot(
        "Fairness against efficiency",
        picture.markup(),
        "Means with 95 % intervals. Upper left is fair and fast; who misses the target is there for long, or gives up.",
    )


def learning(standings: Standings) -> Plot:
    """How the returns of trainings rose."""
    curves = standings.curves
    entries = {entry.name: entry for entry in standings.entries}
    returns = [float(value) for curve in curves for value in curve.returns]
    picture = Picture(
        f"{standings.slug}-learning",
        f"Learning curves in {standings.env_id}",
        "Mean return of the last 100 episodes of training, first and last: "
        + "; ".join(f"{one.plan.agent} {one.returns[0]:.2f} and {one.returns[-1]:.2f}" for one in curves)
        + ".",
        linear_axis("environment steps", [], low=0.0, high=float(max(one.steps[-1] for one in curves))),
        linear_axis("return in training", returns),
    )
    for curve in curves:
        chosen = np.unique(np.linspace(0, len(curve.steps) - 1, CURVE_POINTS).round().astype(int))
        entry = entries.get(curve.plan.agent)
        if entry is not None:
            line = picture.polyline(curve.steps[chosen], curve.returns[chosen], entry.style)
            picture.series(entry.name, entry.style, entry.emphasised, line)
    return Plot(
        "Learning curves",
        picture.markup(),
        "Mean return of the last 100 episodes, with the learner and the reward weights of the training, so not to be "
        "compared with the table. One training each.",
    )


def _ends(estimates: Iterable[Estimate]) -> list[float]:
    return [value for found in estimates for value in (found.low, found.high)]


def _parameters(entry: Entry) -> str:
    return f"{entry.row.parameters:,}"


def _result(entry: Entry) -> str:
    return str(entry.result)


def _listed(entries: Sequence[Entry], shown: Callable[[Entry], str] = _result) -> str:
    return "; ".join(f"{entry.name} {shown(entry)}" for entry in entries)
