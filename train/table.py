"""The table of a competition: one row per competitor, with intervals, for the console and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tabulate import tabulate

from train.evaluation import Episode
from train.scores import Scale
from train.statistics import Estimate, estimate, interquartile_mean, paired_difference

REFERENCE = "random"
"""The competitor that all others are compared with, seed by seed."""

HEADERS = (
    "competitor",
    "kind",
    "return (IQM) [95 %]",
    "score (IQM) [95 %]",
    f"minus {REFERENCE} [95 %]",
    "reached",
    "seconds",
    "joules",
    "accuracy",
    "Mbit/s",
    "devices",
    "delivered",
    "heard",
    "parameters",
    "ms",
)
LEGEND = """\
return: sum of rewards, interquartile mean over seeds with 95 % bootstrap interval; score: the same between random
play (0) and the reference of the environment (1), with the scale taken as exact; minus random: mean difference on the
same seeds; reached: episodes that reached the target accuracy; seconds, joules: simulated time and energy of
an episode; accuracy: held-out, at its end; Mbit/s: sum-rate; devices: participants per round; delivered: share of
their updates that arrived in time; heard: share of all devices that delivered at least once; ms: wall time of a
decision."""


@dataclass(frozen=True)
class Row:
    """One competitor in one environment; means over its episodes unless said otherwise.

    Attributes:
        competitor: Name.
        kind: ``classical``, ``quantum`` or ``privileged``.
        episodes: How many were played.
        episode_return: Interquartile mean.
        score: The same between random and the reference; None where no scale was measured.
        over_random: Mean difference to random play on the same seeds; None for random itself.
        reached: Episodes that reached the target accuracy.
        simulated_s: Simulated time.
        energy_j: Energy of all devices.
        accuracy: Held-out accuracy at the end.
        sum_rate_bps: Sum-rate.
        participants: Devices per round.
        delivered: Share of the participants whose update arrived in time.
        devices_heard: Share of the devices that delivered at least once.
        parameters: Trainable numbers.
        decision_s: Wall time of a decision.
    """

    competitor: str
    kind: str
    episodes: int
    episode_return: Estimate
    score: Estimate | None
    over_random: Estimate | None
    reached: int
    simulated_s: float
    energy_j: float
    accuracy: float
    sum_rate_bps: float
    participants: float
    delivered: float
    devices_heard: float
    parameters: int
    decision_s: float

    def cells(self) -> list[str]:
        """The row as text, in the order of :data:`HEADERS`."""
        return [
            self.competitor,
            self.kind,
            str(self.episode_return),
            "" if self.score is None else str(self.score),
            "" if self.over_random is None else f"{self.over_random:+}",
            f"{self.reached}/{self.episodes}",
            f"{self.simulated_s:.1f}",
            f"{self.energy_j:.0f}",
            f"{self.accuracy:.3f}",
            f"{self.sum_rate_bps / 1e6:.2f}",
            f"{self.participants:.1f}",
            f"{self.delivered:.2f}",
            f"{self.devices_heard:.2f}",
            f"{self.parameters}",
            f"{1e3 * self.decision_s:.2f}",
        ]


def rows(episodes: Sequence[Episode], scale: Scale | None = None) -> list[Row]:
    """Summaries of one environment's episodes, best first; with scores if there is a scale."""
    by_name: dict[str, list[Episode]] = {}
    for episode in episodes:
        by_name.setdefault(episode.competitor, []).append(episode)
    reference = {episode.seed: episode.episode_return for episode in by_name.get(REFERENCE, [])}
    summaries = [_row(name, played, {} if name == REFERENCE else reference, scale) for name, played in by_name.items()]
    return sorted(summaries, key=lambda row: -row.episode_return.value)


def _row(name: str, episodes: list[Episode], reference: dict[int, float], scale: Scale | None) -> Row:
    def mean(attribute: str) -> float:
        return float(np.mean([getattr(episode, attribute) for episode in episodes]))

    episode_return = estimate([episode.episode_return for episode in episodes], interquartile_mean)
    return Row(
        competitor=name,
        kind=episodes[0].kind,
        episodes=len(episodes),
        episode_return=episode_return,
        score=None if scale is None else scale.estimate(episode_return),
        over_random=paired_difference({episode.seed: episode.episode_return for episode in episodes}, reference),
        reached=sum(episode.target_reached for episode in episodes),
        simulated_s=mean("simulated_s"),
        energy_j=mean("energy_j"),
        accuracy=mean("accuracy"),
        sum_rate_bps=mean("sum_rate_bps"),
        participants=mean("participants"),
        delivered=mean("delivered"),
        devices_heard=mean("devices_heard"),
        parameters=max(episode.parameters for episode in episodes),
        decision_s=mean("decision_s"),
    )


def render(summaries: Sequence[Row], style: str) -> str:
    """The table in one of tabulate's styles, e.g. ``"simple"`` or ``"github"``."""
    return tabulate(
        [row.cells() for row in summaries],
        HEADERS,
        tablefmt=style,
        disable_numparse=True,
        colalign=("left", "left", *["right"] * (len(HEADERS) - 2)),
    )
