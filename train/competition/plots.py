"""Pictures of a competition."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from train.evaluation import Episode
from train.panels import line_styles, panels
from train.runs import write_atomically

GRID_POINTS = 200


def accuracy_over_time(episodes: Mapping[str, Sequence[Episode]], targets: Mapping[str, float], path: Path) -> None:
    """Held-out accuracy against simulated time: median and middle half of the seeds, one panel an environment.

    An episode that has ended keeps its last accuracy.

    Args:
        episodes: Those of each environment.
        targets: Accuracy that ends an episode in each.
        path: PNG to write.
    """
    names = sorted({episode.competitor for played in episodes.values() for episode in played})
    styles = line_styles(names)
    figure, all_axes = panels(len(episodes), 6.4, 4.8, dpi=120, sharey=True)
    for axes, (env_id, played) in zip(all_axes, episodes.items(), strict=True):
        times = np.linspace(0.0, max((episode.simulated_s for episode in played), default=1.0), GRID_POINTS)
        for name in names:
            curves = [_held(episode, times) for episode in played if episode.competitor == name]
            if not curves:
                continue
            low, middle, high = np.percentile(curves, [25, 50, 75], axis=0)
            axes.plot(times, middle, label=name, linewidth=1.6, **styles[name])
            axes.fill_between(times, low, high, color=styles[name]["color"], alpha=0.12, linewidth=0)
        axes.axhline(targets[env_id], color="#666666", linewidth=1, linestyle=":")
        axes.set_title(env_id)
        axes.set_xlabel("simulated time (s)")
        axes.set_ylim(0, 1)
        axes.grid(alpha=0.25)
        if played:
            axes.legend(fontsize=8, loc="lower right")
    figure.supylabel("held-out accuracy, median and middle half of the seeds", fontsize="medium")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    write_atomically(path, drawn.getvalue())


def _held(episode: Episode, times: np.ndarray) -> np.ndarray:
    """Accuracy of an episode at given times: that of the last round that had ended."""
    ends, accuracies = np.array(episode.curve).T
    return np.asarray(accuracies[np.searchsorted(ends, times, side="right") - 1])
