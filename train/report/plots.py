"""The plots of one environment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup, escape

from train.report.content import Entry, Place
from train.report.svg import Axis, Picture, linear_axis, log_axis, marker, room_for, whisker
from train.statistics import Estimate

ROW_HEIGHT = 21.0
CURVE_POINTS = 70
PROFILE_POINTS = 80


class Plot(NamedTuple):
    """A picture with the words around it."""

    heading: str
    picture: Markup
    caption: str


def plots_of(place: Place) -> Iterator[Plot]:
    """Every plot for which there is something to show."""
    yield intervals(place)
    yield accuracy_over_time(place)
    yield profile(place)
    yield against_parameters(place)
    yield fairness(place)
    if any(_has_curve(entry) for entry in place.entries):
        yield learning(place)


def intervals(place: Place) -> Plot:
    """The result of everybody with its interval, best first."""
    entries, quantity = place.entries, place.quantity
    values = [value for entry in entries for value in (entry.result.low, entry.result.high)]
    ends = [0.0, 1.0] if place.about["scale"] is not None else []
    picture = Picture(
        f"{place.slug}-intervals",
        f"{quantity.capitalize()} in {place.env_id}",
        f"Interquartile mean and 95 % interval, best first: {_listed(entries)}.",
        linear_axis(quantity, [*values, *ends]),
        None,
        height=52.0 + ROW_HEIGHT * len(entries),
        left=room_for(entry.name for entry in entries),
    )
    for value in ends:
        picture.upright(value)
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
    if place.about["scale"] is not None:
        caption += f" 0 is random play, 1 is {place.about['scale']['name']}."
    return Plot(quantity.capitalize(), picture.markup(), caption)


def accuracy_over_time(place: Place) -> Plot:
    """Held-out accuracy against simulated time, median and middle half of the seeds."""
    ends = {entry.name: [one["simulated_s"] for one in entry.row["per_seed"]] for entry in place.entries}
    longest = max(float(np.median(of)) for of in ends.values())
    target = place.about["target_accuracy"]
    picture = Picture(
        f"{place.slug}-time",
        f"Accuracy against simulated time in {place.env_id}",
        f"Held-out accuracy, median over the seeds, up to {longest:.0f} simulated seconds; the target is {target:g}. "
        f"Mean accuracy at the end: {_listed(place.entries, _accuracy)}.",
        Axis("simulated time (s)", 0.0, longest),
        Axis("held-out accuracy", 0.0, 1.0),
    )
    picture.level(target, "target")
    times = np.linspace(0.0, longest, CURVE_POINTS)
    for entry in place.entries:
        curves = [_held(one["curve"], times) for one in entry.row["per_seed"]]
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


def profile(place: Place) -> Plot:
    """The share of episodes above every result (a performance profile, Agarwal et al. 2021, arXiv 2108.13264)."""
    results = {entry.name: np.sort(entry.results()) for entry in place.entries}
    everything = np.concatenate(list(results.values()))
    levels = np.linspace(everything.min(), everything.max(), PROFILE_POINTS)
    quantity = place.quantity
    picture = Picture(
        f"{place.slug}-profile",
        f"Performance profile in {place.env_id}",
        f"Share of episodes whose {quantity} is above a level. Share above the median of all episodes: "
        + _listed(place.entries, lambda one: f"{(results[one.name] > np.median(everything)).mean():.2f}")
        + ".",
        linear_axis(quantity, everything.tolist(), low=float(levels[0]), high=float(levels[-1])),
        Axis("share of episodes above", 0.0, 1.0),
    )
    for entry in place.entries:
        above = 1 - np.searchsorted(results[entry.name], levels, side="right") / len(results[entry.name])
        picture.series(entry.name, entry.style, entry.emphasised, picture.polyline(levels, above, entry.style))
    return Plot(
        "Performance profile",
        picture.markup(),
        f"Share of episodes whose {quantity} is above the value below. Higher and further right is better.",
    )


def against_parameters(place: Place) -> Plot:
    """The result against the number of trainable numbers."""
    quantity = place.quantity
    picture = Picture(
        f"{place.slug}-parameters",
        f"{quantity.capitalize()} against parameters in {place.env_id}",
        f"Interquartile mean and 95 % interval. Parameters: {_listed(place.entries, _parameters)}.",
        log_axis("trainable parameters", [float(entry.row["parameters"]) for entry in place.entries]),
        linear_axis(quantity, _ends(one.result for one in place.entries)),
    )
    for entry in place.entries:
        x = picture.at_x(entry.row["parameters"])
        low, middle, high = (picture.at_y(value) for value in (entry.result.low, entry.result.value, entry.result.high))
        picture.series(
            entry.name, entry.style, entry.emphasised, whisker(x, low, x, high), marker(x, middle, entry.style)
        )
    return Plot(
        f"{quantity.capitalize()} against parameters",
        picture.markup(),
        "Competitors that are not trained stand at 0.",
    )


def fairness(place: Place) -> Plot:
    """Fairness at the end of an episode against the simulated time that it took."""
    seconds = {entry.name: entry.mean("simulated_s") for entry in place.entries}
    jain = {entry.name: entry.mean("jain") for entry in place.entries}
    picture = Picture(
        f"{place.slug}-fairness",
        f"Fairness against efficiency in {place.env_id}",
        "Jain's index of the devices' accuracies at the end of an episode against its simulated seconds, means: "
        + _listed(place.entries, lambda one: f"{jain[one.name].value:.2f} after {seconds[one.name].value:.0f} s")
        + ".",
        linear_axis("simulated time of an episode (s)", _ends(seconds.values()), low=0.0),
        linear_axis("fairness (Jain's index)", _ends(jain.values())),
    )
    for entry in place.entries:
        spent, fair = seconds[entry.name], jain[entry.name]
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


def learning(place: Place) -> Plot:
    """How the returns of trainings rose."""
    trained = [entry for entry in place.entries if _has_curve(entry)]
    curves = {entry.name: entry.row["training"]["curve"] for entry in trained}
    picture = Picture(
        f"{place.slug}-learning",
        f"Learning curves in {place.env_id}",
        "Mean return of the last 100 episodes of training, first and last: "
        + "; ".join(f"{name} {one['returns'][0]:.2f} and {one['returns'][-1]:.2f}" for name, one in curves.items())
        + ".",
        linear_axis("environment steps", [], low=0.0, high=float(max(one["steps"][-1] for one in curves.values()))),
        linear_axis("return in training", [value for one in curves.values() for value in one["returns"]]),
    )
    for entry in trained:
        steps, returns = (np.array(curves[entry.name][of]) for of in ("steps", "returns"))
        chosen = np.unique(np.linspace(0, len(steps) - 1, CURVE_POINTS).round().astype(int))
        line = picture.polyline(steps[chosen], returns[chosen], entry.style)
        picture.series(entry.name, entry.style, entry.emphasised, line)
    return Plot(
        "Learning curves",
        picture.markup(),
        "Mean return of the last 100 episodes, with the learner and the reward weights of the training, so not to be "
        "compared with the table. One training each.",
    )


def _has_curve(entry: Entry) -> bool:
    return entry.row["training"] is not None and len(entry.row["training"]["curve"]["steps"]) > 0


def _held(curve: Mapping[str, Sequence[float]], times: np.ndarray) -> np.ndarray:
    """Accuracy of an episode at given times: that of the last round that had ended."""
    held = np.searchsorted(np.array(curve["seconds"]), times, side="right") - 1
    return np.array(curve["accuracy"])[held]


def _accuracy(entry: Entry) -> str:
    return f"{entry.mean('accuracy').value:.2f}"


def _ends(estimates: Iterable[Estimate]) -> list[float]:
    return [value for found in estimates for value in (found.low, found.high)]


def _parameters(entry: Entry) -> str:
    return f"{entry.row['parameters']:,}"


def _result(entry: Entry) -> str:
    return str(entry.result)


def _listed(entries: Sequence[Entry], shown: Callable[[Entry], str] = _result) -> str:
    return "; ".join(f"{entry.name} {shown(entry)}" for entry in entries)
