"""What a scenario is like to schedule: the calibration of its times, limits and learning, as played and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

import baselines
import qfl_envs  # noqa: F401  registers the environments
from qfl_envs.envs.base import make_scenario
from qfl_envs.scenario import Scenario
from qfl_envs.system.devices import wait_seconds
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.network.radio import alone_rate_bps
from train.evaluation import make_env, play

ENV_ID = "qfl/Scheduling-v0"
POLICIES = ("round-robin", "random", "everyone", "deadline-greedy", "channel-greedy")
MEASURED = "round-robin"
"""Whose rounds show the times of the fleet; they hardly depend on who takes part."""
CURVE_STEP = 10
BINS = 10
BAR_WIDTH = 24


class Spread(NamedTuple):
    """How a time differs over the fleet, as ratios in a round; medians over the rounds.

    Attributes:
        deciles: 90th over 10th percentile.
        extremes: Slowest over quickest device.
    """

    deciles: float
    extremes: float


@dataclass(frozen=True)
class PolicyRecord:
    """How a policy fared, over all episodes.

    What binds is counted in the rounds before the target is reached.

    Attributes:
        name: The policy.
        accuracy: Mean held-out accuracy after 0, 10, 20, ... rounds and the last one; the target ends no episode here.
        reached: Share of the episodes that reached the target.
        rounds: Median rounds to the target among them, NaN without any.
        simulated_s: Median simulated seconds to the target among them.
        participants: Mean number of devices that take part in a round.
        late: Share of participants who miss the deadline.
        lost: Share of participants whose packet is in error.
        depleted: Share of participants whose battery ends before their upload.
        unavailable: Share of device-rounds without enough charge to take part.
        late_rounds: Share of rounds in which somebody is late.
        battery_rounds: Share of rounds in which some device lacks charge or runs out of it.
    """

    name: str
    accuracy: tuple[float, ...]
    reached: float
    rounds: float
    simulated_s: float
    participants: float
    late: float
    lost: float
    depleted: float
    unavailable: float
    late_rounds: float
    battery_rounds: float


@dataclass(frozen=True)
class Calibration:
    """What a scenario is like.

    Attributes:
        scenario: What was played.
        episodes: Instances that every policy played.
        compute_s: Seconds of a round's local work, one number per device-round.
        upload_s: Seconds of an upload at full power on a sub-channel of one's own, in the same order.
        compute_spread: How ``compute_s`` differs over the fleet.
        upload_spread: How ``upload_s`` does.
        total_spread: How their sum does.
        link_down: Share of device-rounds without a link.
        curve_rounds: Rounds at which the accuracy of :class:`PolicyRecord` is given.
        policies: One record per policy.
    """

    scenario: Scenario
    episodes: int
    compute_s: np.ndarray
    upload_s: np.ndarray
    compute_spread: Spread
    upload_spread: Spread
    total_spread: Spread
    link_down: float
    curve_rounds: tuple[int, ...]
    policies: tuple[PolicyRecord, ...]

    @property
    def compute_per_upload(self) -> float:
        """Median compute time over median upload time."""
        return float(np.median(self.compute_s) / np.median(self.upload_s))

    def text(self) -> str:
        """Everything as aligned text with histograms."""
        scenario = self.scenario
        header = (
            f"Scenario {scenario.name}: {scenario.num_devices} devices, {scenario.radio.num_subchannels} sub-channels "
            f"per cell, deadline {scenario.deadline_s:g} s, target accuracy {scenario.target_accuracy:g} in "
            f"{scenario.max_rounds} rounds\n{self.episodes} episodes of {ENV_ID} per policy"
        )
        parts = [header, self._times(), self._limits()]
        if scenario.learning.model != "none":
            parts.append(self._learning())
        return "\n\n".join(parts)

    def _times(self) -> str:
        rows = [
            _quantiles("compute", self.compute_s, self.compute_spread),
            _quantiles("upload", self.upload_s, self.upload_spread),
            _quantiles("sum", self.compute_s + self.upload_s, self.total_spread),
        ]
        return "\n".join(
            [
                "Times of a device in s (local work of a round; upload on a sub-channel of its own at full power)",
                "",
                *_histograms({"compute": self.compute_s, "upload": self.upload_s}),
                "",
                *_table(["", "10 %", "median", "90 %", "90 % / 10 %", "slowest / quickest"], rows),
                "",
                "  the ratios are those over the fleet in the median round; "
                f"compute / upload: {self.compute_per_upload:.2g} (medians)",
            ]
        )

    def _limits(self) -> str:
        rows = [
            [
                policy.name,
                f"{policy.participants:.1f}",
                *(_percent(share) for share in (policy.late, policy.lost, policy.depleted, policy.unavailable)),
                *(_percent(share) for share in (policy.late_rounds, policy.battery_rounds)),
            ]
            for policy in self.policies
        ]
        heads = ["", "participants", "late", "lost", "depleted", "no charge", "any late", "any battery"]
        return "\n".join(
            [
                "Limits that bind before the target is reached",
                "",
                *_table(heads, rows),
                "",
                "  late, lost, depleted: of the participants; no charge: of all device-rounds; any: of the rounds",
                f"  links down: {_percent(self.link_down)} of device-rounds",
            ]
        )

    def _learning(self) -> str:
        rows = [
            [
                policy.name,
                *(f"{accuracy:.2f}" for accuracy in policy.accuracy),
                _percent(policy.reached),
                *(f"{value:.0f}" if np.isfinite(value) else "-" for value in (policy.rounds, policy.simulated_s)),
            ]
            for policy in self.policies
        ]
        heads = ["", *(str(count) for count in self.curve_rounds), "reached", "rounds", "seconds"]
        return "\n".join(
            [
                f"Accuracy after so many rounds, and the way to {self.scenario.target_accuracy:g}",
                "",
                *_table(heads, rows),
            ]
        )


def describe(
    preset: str,
    overrides: Mapping[str, Any] | None = None,
    episodes: int = 4,
    policies: Sequence[str] = POLICIES,
) -> str:
    """The calibration of a scenario as text; arguments as in :func:`calibrate`."""
    return calibrate(preset, overrides, episodes, policies).text()


def calibrate(
    preset: str,
    overrides: Mapping[str, Any] | None = None,
    episodes: int = 4,
    policies: Sequence[str] = POLICIES,
) -> Calibration:
    """Play a scenario with a few rules, and look at what happens.

    Args:
        preset: Name of the scenario.
        overrides: Fields of it that differ, as plain JSON values.
        episodes: Instances of the validation split that every rule plays.
        policies: Names of baselines; the first is played for the times of the fleet if it is not "round-robin".

    Raises:
        UnknownNameError: For an unknown preset, field or policy.
        InvalidValueError: For a value that is not allowed.
    """
    scenario = make_scenario(preset, overrides or {})
    # the curves need whole episodes: nobody has all right
    endless = {**(overrides or {}), "target_accuracy": 1.0}
    env = _Recorder(make_env(ENV_ID, "val", {"scenario": preset, **endless}))
    records: dict[str, list[_Rounds]] = {}
    for name in policies:
        records[name] = []
        for seed in range(episodes):
            curve = play(env, baselines.make(name), seed).curve
            records[name].append(env.rounds(curve, scenario.target_accuracy))
    env.close()
    measured = records[MEASURED if MEASURED in records else policies[0]]
    compute_s = np.concatenate([rounds.compute_s for rounds in measured])
    upload_s = np.concatenate([rounds.upload_s for rounds in measured])
    curve_rounds = tuple(sorted({*range(0, scenario.max_rounds, CURVE_STEP), scenario.max_rounds}))
    return Calibration(
        scenario=scenario,
        episodes=episodes,
        compute_s=compute_s.ravel(),
        upload_s=upload_s.ravel(),
        compute_spread=_spread(compute_s),
        upload_spread=_spread(upload_s),
        total_spread=_spread(compute_s + upload_s),
        link_down=float(np.mean(np.concatenate([rounds.link_down for rounds in measured]))),
        curve_rounds=curve_rounds,
        policies=tuple(_summary(name, rounds, curve_rounds) for name, rounds in records.items()),
    )


@dataclass(frozen=True)
class _Rounds:
    """One episode of T rounds: arrays (T, N), of which only the first ``to_target`` rounds precede the target."""

    compute_s: np.ndarray
    upload_s: np.ndarray
    link_down: np.ndarray
    empty: np.ndarray
    participation: np.ndarray
    late: np.ndarray
    lost: np.ndarray
    depleted: np.ndarray
    curve: np.ndarray
    """(T + 1, 2) simulated time and accuracy, from the start."""
    reached: bool
    to_target: int


class _Recorder(gym.Wrapper[Any, Any, Any, Any]):
    """Remembers of every round what its devices were like before, and what became of them."""

    def reset(self, **keywords: Any) -> tuple[Any, dict[str, Any]]:
        """Begin with an empty record."""
        result = self.env.reset(**keywords)
        self._rows: list[dict[str, np.ndarray]] = []
        return result

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Play the round and record it."""
        before = self._before(self.get_wrapper_attr("system"))
        result = self.env.step(action)
        after = {name: result[-1][name] for name in ("participation", "late", "lost", "depleted")}
        self._rows.append({**before, **after})
        return result

    def rounds(self, curve: Sequence[tuple[float, float]], target: float) -> _Rounds:
        """The episode, with its curve."""
        reached = np.flatnonzero(np.array(curve)[1:, 1] >= target)
        return _Rounds(
            **{name: np.stack([row[name] for row in self._rows]) for name in self._rows[0]},
            curve=np.array(curve),
            reached=len(reached) > 0,
            to_target=int(reached[0]) + 1 if len(reached) else len(self._rows),
        )

    @staticmethod
    def _before(system: FederatedSystem) -> dict[str, np.ndarray]:
        """State of the devices (N) at the moment of the decision."""
        scenario, state = system.scenario, system.state
        compute_s = wait_seconds(scenario) + scenario.learning.local_steps * system.offer().step_s
        rates = alone_rate_bps(scenario.radio, state.gain, system.serving_cell())
        return {
            "compute_s": compute_s[0],
            "upload_s": (system.payload_bits / rates.mean(-1))[0],
            "link_down": ~state.link_up[0],
            "empty": system.empty()[0],
        }


def _summary(name: str, episodes: Sequence[_Rounds], curve_rounds: Sequence[int]) -> PolicyRecord:
    """One policy's episodes as numbers."""

    def joined(field: str) -> np.ndarray:
        return np.concatenate([getattr(episode, field)[: episode.to_target] for episode in episodes])

    part, late, depleted, empty = (joined(field) for field in ("participation", "late", "depleted", "empty"))
    participations = max(int(part.sum()), 1)
    arrived = [episode for episode in episodes if episode.reached]
    last = [len(episode.curve) - 1 for episode in episodes]
    return PolicyRecord(
        name=name,
        accuracy=tuple(
            float(np.mean([episode.curve[min(count, end), 1] for episode, end in zip(episodes, last, strict=True)]))
            for count in curve_rounds
        ),
        reached=len(arrived) / len(episodes),
        rounds=float(np.median([episode.to_target for episode in arrived])) if arrived else np.nan,
        simulated_s=float(np.median([episode.curve[episode.to_target, 0] for episode in arrived]))
        if arrived
        else np.nan,
        participants=float(part.sum(-1).mean()),
        late=late.sum() / participations,
        lost=joined("lost").sum() / participations,
        depleted=depleted.sum() / participations,
        unavailable=float(empty.mean()),
        late_rounds=float(late.any(-1).mean()),
        battery_rounds=float((empty | depleted).any(-1).mean()),
    )


def _spread(seconds: np.ndarray) -> Spread:
    """Of times (T, N)."""
    least, low, high, most = np.percentile(seconds, [0, 10, 90, 100], axis=1)
    return Spread(float(np.median(high / low)), float(np.median(most / least)))


def _histograms(values: Mapping[str, np.ndarray]) -> list[str]:
    """Several quantities in the same logarithmic bins, side by side."""
    everything = np.concatenate(list(values.values()))
    # few outliers would leave no bins for the others: the outer bins take what lies beyond
    low, high = np.percentile(everything, [0.5, 99.5])
    edges = np.geomspace(low, max(high, low * 1.01), BINS + 1)
    shares = {
        name: np.histogram(np.clip(value, edges[0], edges[-1]), edges)[0] / len(value) for name, value in values.items()
    }
    most = max(float(share.max()) for share in shares.values())
    label = [f"{edges[i]:.3g} to {edges[i + 1]:.3g}" for i in range(BINS)]
    width = max(map(len, label))
    column = BAR_WIDTH + 10
    lines = [" " * (width + 4) + "".join(f"{name:<{column}}" for name in shares).rstrip()]
    for i in range(BINS):
        bars = (f"{_bar(share[i] / most):<{BAR_WIDTH}}{_percent(share[i]):>8}  " for share in shares.values())
        lines.append(f"  {label[i]:>{width}}  " + "".join(bars).rstrip())
    return lines


def _bar(share: float) -> str:
    """A bar of that share of the full width, in eighths of a character."""
    full, eighths = divmod(round(share * BAR_WIDTH * 8), 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[eighths] if eighths else "")


def _quantiles(name: str, values: np.ndarray, spread: Spread) -> list[str]:
    quantiles = (f"{value:.3f}" for value in np.percentile(values, [10, 50, 90]))
    return [name, *quantiles, *(f"{ratio:.1f}" for ratio in spread)]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns aligned to the right, the first to the left."""
    widths = [max(len(line[i]) for line in (heads, *rows)) for i in range(len(heads))]
    lines = []
    for first, *others in (heads, *rows):
        cells = [f"{first:<{widths[0]}}", *(f"{cell:>{w}}" for cell, w in zip(others, widths[1:], strict=True))]
        lines.append("  " + "  ".join(cells))
    return lines
