"""What a decision task adds to the system: batch-first spaces, decisions, masks and rewards, without Gymnasium's loop.

A :class:`Task` is stateless: the scalar environment calls it with a batch of one, a vector environment with many rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from qfl_envs.compiled import compiled
from qfl_envs.envs.features import Encoder, Feature, common_features
from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown
from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.devices import is_empty
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.learning.shapes import payload_bits
from qfl_envs.system.network.channel import serving_cell
from qfl_envs.system.report import RoundReport
from qfl_envs.system.security.round_cost import usual_bits
from qfl_envs.view import NetworkView


@dataclass(frozen=True)
class Outcome:
    """What a round did to E episodes: (E) each, the reward terms by name; the reward may be (E, terms)."""

    terms: dict[str, np.ndarray]
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


class Task:
    """Base of the tasks.

    Attributes:
        scenario: The system.
        features: Observed quantities by name.
        observation_space: Space of one system's observation.
        action_space: Space of one system's action.
        weights: Weight of each reward term.
        vector_reward: Whether the reward is the vector of the unweighted terms.
        reward_space: Where that vector lies.
        max_local_steps: Most local steps that a decision of this task asks for.
        time_share: Whether devices on one sub-channel take turns.
    """

    default_weights: ClassVar[Mapping[str, float]] = {"progress": 1.0, "time": 2.0, "energy": 1.0}
    """Reward terms of every task, with the weights that rank policies by time and energy to the target accuracy."""
    gain_per_subchannel: ClassVar[bool] = False
    """Whether the observation has the gain of every sub-channel, or its mean over sub-channels."""
    hidden: ClassVar[frozenset[str]] = frozenset()
    """Common features that this task does not show."""
    ends_at_target: ClassVar[bool] = True
    """Whether reaching the target accuracy ends the episode."""
    adapts: ClassVar[bool] = False
    """Whether decisions ask for other rounds than ordinary ones."""
    protects: ClassVar[bool] = False
    """Whether decisions choose how updates are protected."""
    scenario_changes: ClassVar[Mapping[str, Any]] = {}
    """What this task changes of a preset that is given by its name."""
    allow_idle: bool = True
    """Whether a device can be left out of a round; then 0 in the first of its choices is to idle."""

    action_space: spaces.Space[Any]

    def __init__(
        self, scenario: Scenario, reward_weights: Mapping[str, float] | None = None, vector_reward: bool = False
    ) -> None:
        """Prepare the task.

        Args:
            scenario: The system.
            reward_weights: Weights that differ from :attr:`default_weights`.
            vector_reward: Whether the reward is the vector of the unweighted terms.

        Raises:
            UnknownNameError: For the weight of a term that does not exist.
            InvalidValueError: For a weight that is no finite number.
        """
        self.scenario = scenario
        if not isinstance(vector_reward, bool):
            raise InvalidValueError("vector_reward", vector_reward, "true or false")
        self.vector_reward = vector_reward
        self.weights = dict(self.default_weights)
        if reward_weights is not None and not isinstance(reward_weights, Mapping):
            raise InvalidValueError("reward_weights", reward_weights, "an object of reward terms and their weights")
        reject_unknown(reward_weights or {}, self.weights, "reward term")
        for name, weight in (reward_weights or {}).items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not np.isfinite(weight):
                raise InvalidValueError(f"reward_weights[{name!r}]", weight, "a finite number")
            self.weights[name] = float(weight)
        self.gains_per_device = scenario.radio.num_cells * (
            scenario.radio.num_subchannels if self.gain_per_subchannel else 1
        )
        features = {**common_features(scenario, self.gains_per_device, self.num_shown), **self.more_features()}
        self.features: dict[str, Feature] = {name: one for name, one in features.items() if name not in self.hidden}
        self._encoder = Encoder(self.features)
        self.observation_space = spaces.Dict({name: feature.space for name, feature in self.features.items()})
        self.reward_space = spaces.Box(-np.inf, np.inf, (len(self.weights),), np.float64)
        self.max_local_steps = scenario.learning.local_steps
        self.time_share = scenario.radio.access == "time_share"
        self.payload_bits = payload_bits(scenario) + usual_bits(scenario.security)

    # what subclasses define

    @property
    def num_shown(self) -> int:
        """Devices that the observation has entries of, and that decisions in :meth:`encode` are about."""
        return self.scenario.num_devices

    def more_features(self) -> dict[str, Feature]:
        """What this task shows beside the common features; :meth:`more_values` has their values."""
        return {}

    def more_values(self, system: FederatedSystem) -> dict[str, np.ndarray]:
        """Values (E, size) of :meth:`more_features`."""
        return {}

    def decide(self, system: FederatedSystem, actions: np.ndarray) -> Decision:
        """The decision that actions (E, ...) stand for."""
        raise NotImplementedError

    def encode(self, decision: Decision) -> np.ndarray:
        """The actions (E, ...) that come closest to a decision; what the task does not control is left out.

        Args:
            decision: For the devices that a view of the task shows, in its order.
        """
        raise NotImplementedError

    def action_masks(self, system: FederatedSystem) -> np.ndarray:
        """(E, sum(nvec)) bool, which choices are open in this state, in the order of the action space.

        Raises:
            InvalidValueError: For a continuous action space, which has no choices.
        """
        raise InvalidValueError("action masks", str(self.action_space), "a discrete action space")

    # what all tasks share

    def observe(self, system: FederatedSystem, rows: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Observations (E, size) by name; of some systems where rows are given."""
        values = self.values(system)
        if rows is not None:
            values = {name: value[rows] for name, value in values.items()}
        return self._encoder.encode(values)

    def values(self, system: FederatedSystem) -> dict[str, np.ndarray]:
        """Values (E, size) of all features, in physical units."""
        state, offer = system.state, system.offer()
        gain = state.gain if self.gain_per_subchannel else state.mean_gain
        return self.more_values(system) | {
            "gain": gain.reshape(len(gain), -1),
            "step_s": offer.step_s,
            "cpu_hz": offer.cpu_hz,
            "battery_j": state.battery_j,
            "available": system.available(),
            "num_samples": state.num_samples,
            "loss": state.reported_loss,
            "age": state.age,
            "accuracy": state.accuracy,
            "best_accuracy": state.best_accuracy,
            "round_index": state.round_index,
            "last_round_s": state.last_round_s,
        }

    def view(self, observation: Mapping[str, np.ndarray]) -> NetworkView:
        """One system's observation in physical units."""
        return self._viewed(observation)

    def _viewed(self, observation: Mapping[str, np.ndarray], **more: Any) -> NetworkView:
        """The common part of a view, and what a task adds to it."""
        scenario, limits = self.scenario, self.scenario.radio
        more = {"device": np.arange(self.num_shown)} | more
        value = {name: feature.decode(observation[name]) for name, feature in self.features.items()}
        gain = value["gain"].reshape(self.num_shown, limits.num_cells, -1)
        gain = np.broadcast_to(gain, (*gain.shape[:2], limits.num_subchannels))
        return NetworkView(
            scenario=scenario,
            gain=gain,
            serving_cell=serving_cell(gain.mean(-1)),
            noise_w=limits.noise_w,
            subchannel_hz=limits.subchannel_hz,
            min_power_dbm=limits.min_power_dbm,
            max_power_dbm=limits.max_power_dbm,
            time_share=self.time_share,
            payload_bits=np.full(self.num_shown, self.payload_bits),
            num_samples=np.rint(value["num_samples"]).astype(np.int64),
            cpu_hz=value["cpu_hz"],
            step_s=value["step_s"],
            battery_j=value["battery_j"],
            available=value["available"] > 0.5,
            loss=value["loss"],
            age=np.rint(value["age"]).astype(np.int64),
            accuracy=float(value["accuracy"][0]) if "accuracy" in value else None,
            best_accuracy=float(value["best_accuracy"][0]) if "best_accuracy" in value else None,
            round_index=round(float(value["round_index"][0])),
            last_round_s=float(value["last_round_s"][0]),
            **more,
        )

    def judge(self, system: FederatedSystem, report: RoundReport) -> Outcome:
        """Reward and end of the episodes after a round."""
        state, scenario, systems = system.state, self.scenario, len(report.accuracy)
        terminated, truncated, failed = (np.empty(systems, dtype=np.bool_) for _ in range(3))
        _end(
            state.active,
            state.battery_j,
            state.full_battery_j,
            scenario.fleet.reserve,
            report.accuracy,
            scenario.target_accuracy if self.ends_at_target else math.inf,
            state.round_index,
            scenario.max_rounds,
            terminated,
            truncated,
            failed,
        )
        terms = self.reward_terms(system, report, failed)
        if self.vector_reward:
            reward = np.stack(list(terms.values()), axis=-1)
        else:
            reward = np.zeros(systems)
            for name, term in terms.items():
                reward += self.weights[name] * term
        return Outcome(terms, reward, terminated, truncated)

    def info(self, system: FederatedSystem, report: RoundReport, outcome: Outcome) -> dict[str, Any]:
        """What ``step`` returns beside the observation: arrays (E, ...) and one dict of reward terms."""
        state, guarded = system.state, report.guarded
        told = {} if guarded is None else {"protect_s": report.protect_s.max(-1), "security": guarded.told()}
        return told | {
            "reward_terms": dict(outcome.terms),
            "round_s": report.round_s,
            "energy_j": report.energy_j,
            "elapsed_s": state.elapsed_s.copy(),
            "total_energy_j": state.energy_j.copy(),
            "sum_rate_bps": report.sum_rate_bps,
            "bits_sent": report.bits_sent.sum(-1),
            "accuracy": report.accuracy,
            "best_accuracy": report.best_accuracy,
            "loss": report.loss,
            "device_loss": report.device_loss,
            "accuracy_variance": report.fairness.variance,
            "worst_accuracy": report.fairness.worst_accuracy,
            "jain": report.fairness.jain,
            "drifted": report.drifted,
            "participation": report.participation,
            "delivered": report.delivered,
            "late": report.late,
            "lost": report.lost,
            "depleted": report.depleted,
            "repaired": report.repaired,
            "target_reached": report.accuracy >= self.scenario.target_accuracy,
        }

    def reward_terms(self, system: FederatedSystem, report: RoundReport, failed: np.ndarray) -> dict[str, np.ndarray]:
        """Each term of the reward, (E), unweighted.

        ``progress`` adds up to the share of the way to the target accuracy that the best model made, ``time`` to minus
        the share of the longest possible episode that was used, ``energy`` to minus the share of the stored energy.
        An episode that ends without the target has used all of the time, so that giving up early saves none.
        """
        scenario, state = self.scenario, system.state
        terms = {name: np.empty(len(failed)) for name in ("progress", "time", "energy")}
        _terms(
            report.best_accuracy,
            report.best_accuracy_gain,
            state.start_accuracy,
            scenario.target_accuracy,
            report.round_s,
            state.elapsed_s,
            failed,
            scenario.longest_round_s * scenario.max_rounds,
            report.energy_j,
            state.full_battery_j,
            *terms.values(),
        )
        return terms


@compiled
def _end(
    active: np.ndarray,
    battery_j: np.ndarray,
    full_battery_j: np.ndarray,
    reserve: float,
    accuracy: np.ndarray,
    target: float,
    round_index: np.ndarray,
    max_rounds: int,
    terminated: np.ndarray,
    truncated: np.ndarray,
    failed: np.ndarray,
) -> None:
    """Fill the last three arrays (E): whose episode is over, who has no round left, and who ends without the target.

    An episode is over when it has reached the target, or when no device is left that has charge above the reserve.
    """
    for e in range(len(terminated)):
        reached, over = accuracy[e] >= target, True
        for n in range(active.shape[1]):
            if active[e, n] and not is_empty(battery_j[e, n], full_battery_j[e, n], reserve):
                over = False
        terminated[e] = reached or over
        truncated[e] = not terminated[e] and round_index[e] >= max_rounds
        failed[e] = (over or truncated[e]) and not reached


@compiled
def _terms(
    best: np.ndarray,
    gain: np.ndarray,
    start: np.ndarray,
    target: float,
    round_s: np.ndarray,
    elapsed_s: np.ndarray,
    failed: np.ndarray,
    longest_s: float,
    energy_j: np.ndarray,
    full_battery_j: np.ndarray,
    progress: np.ndarray,
    time: np.ndarray,
    energy: np.ndarray,
) -> None:
    """Fill the last three arrays (E) with the terms of :meth:`Task.reward_terms`."""
    for e in range(len(best)):
        made = min(best[e], target) - min(best[e] - gain[e], target)
        progress[e] = made / max(target - start[e], 1e-9)
        unused_s = max(longest_s - elapsed_s[e], 0.0) if failed[e] else 0.0
        time[e] = -(round_s[e] + unused_s) / longest_s
        energy[e] = -energy_j[e] / max(full_battery_j[e].sum(), 1e-9)
