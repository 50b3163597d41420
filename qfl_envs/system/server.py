"""The server: merges what arrives into the global models of many systems."""

from __future__ import annotations

import numpy as np

from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.adaptation import CANDIDATES, Adaptation, is_kind
from qfl_envs.system.learning.aggregation import (
    Updates,
    adam_in_place,
    mix,
    next_controls,
    normalised_update,
    q_fair_update,
    server_step,
    staleness_weight,
    weighted_mean_update,
)
from qfl_envs.system.learning.shapes import head_parameters, num_parameters
from qfl_envs.system.learning.work import LocalResult
from qfl_envs.system.state import SystemState


class Server:
    """The rule by which the servers of one scenario merge updates."""

    def __init__(self, scenario: Scenario) -> None:
        """Read the rule."""
        self.learning = scenario.learning
        surrogate = scenario.learning.model == "surrogate"
        self.body = 0 if surrogate else num_parameters(scenario) - head_parameters(scenario)

    def weights(self, state: SystemState, result: LocalResult) -> np.ndarray:
        """Weight (M) of each update in a mean: its data points, times its loss to the power of q if fairness asks."""
        updates = result.updates
        weights = state.num_samples[updates.row, updates.device].astype(float)
        if result.losses is not None:
            weights = weights * np.maximum(result.losses, 1e-10) ** self.learning.fairness_q
        return weights

    def take_off(self, state: SystemState, result: LocalResult) -> None:
        """Remember what devices will hand in, where they go on from round to round."""
        row, device = result.updates.row, result.updates.device
        change = result.updates.change
        if self.learning.server_rule == "fedasync":
            change = change + state.parameters[row]
        state.flight[row, device] = change
        state.flight_weight[row, device] = self.weights(state, result)

    def land(self, state: SystemState, arrived: np.ndarray) -> None:
        """Merge what arrives (E, N) of what was under way."""
        row, device = np.nonzero(arrived)
        flown = Updates(row, device, state.flight[row, device])
        behind = state.updates[row] - state.held_version[row, device]
        weight = staleness_weight(self.learning, behind)
        if self.learning.server_rule == "fedasync":
            self._mix_in_turn(state, flown)
            return
        weights = state.flight_weight[row, device]
        stale = Updates(row, device, weight[:, None] * flown.change)
        self._step(state, weighted_mean_update(stale, weights, len(state.parameters)), np.asarray(arrived.any(-1)))

    def _mix_in_turn(self, state: SystemState, flown: Updates) -> None:
        """FedAsync, one model after the other where several arrive at the same moment."""
        remaining = np.ones(len(flown), dtype=bool)
        while remaining.any():
            _, first = np.unique(flown.row[remaining], return_index=True)
            now = np.flatnonzero(remaining)[first]
            row, device = flown.row[now], flown.device[now]
            behind = state.updates[row] - state.held_version[row, device]
            share = self.learning.mixing * staleness_weight(self.learning, behind)
            state.parameters[row] = mix(state.parameters[row], flown.change[now], share)
            state.updates[row] += 1
            remaining[now] = False

    def merge(self, state: SystemState, result: LocalResult, adaptation: np.ndarray) -> None:
        """Merge the updates of a round.

        Args:
            state: Whose parameters, moments, control variates and settings of the local steps change.
            result: What the devices learned.
            adaptation: (E) kind of round.
        """
        systems, updates = len(state.parameters), result.updates
        heard = np.bincount(updates.row, minlength=systems) > 0
        if result.corrections is not None:
            corrected, change = result.corrections.row, result.corrections.change
            state.parameters[corrected, state.parameters.shape[1] - change.shape[1] :] += change
            state.updates[corrected] += 1
        if not adaptation.any():
            self._step(state, self._mean_update(state, result), heard)
            return
        forgets = heard & is_kind(adaptation, Adaptation.RETRAIN)
        if forgets.any():
            for moment in (state.first_moment, state.second_moment):
                moment[forgets] = 0.0
            state.adam_steps[forgets] = 0
        if result.chosen is not None:
            self.adopt(state, result.chosen)
        frozen = np.flatnonzero(heard & is_kind(adaptation, Adaptation.HEAD))
        controls, server_control = state.controls, state.server_control
        step = self._mean_update(state, result)
        # a body that was not trained has shown nothing of its gradient
        state.controls[frozen, :, : self.body] = controls[frozen, :, : self.body]
        state.server_control[frozen, : self.body] = server_control[frozen, : self.body]
        body = state.parameters[frozen, : self.body]
        self._step(state, step, heard)
        # the moments would go on moving what this round was not to touch
        state.parameters[frozen, : self.body] = body

    def _mean_update(self, state: SystemState, result: LocalResult) -> np.ndarray:
        """What the rule makes of the updates, (E, P); SCAFFOLD's control variates go on."""
        systems, updates = len(state.parameters), result.updates
        rule = self.learning.server_rule
        if rule == "q-fedavg":
            losses = np.ones(len(updates)) if result.losses is None else result.losses
            return q_fair_update(updates, losses, self.learning.fairness_q, result.rate, systems)
        if rule == "fednova":
            return normalised_update(updates, self.weights(state, result), result.steps, systems)
        if rule == "scaffold":
            state.controls, state.server_control = next_controls(
                state.controls, state.server_control, updates, result.steps, result.rate
            )
            return weighted_mean_update(updates, np.ones(len(updates)), systems)
        return weighted_mean_update(updates, self.weights(state, result), systems)

    def adopt(self, state: SystemState, chosen: np.ndarray) -> None:
        """Go on with other settings of the local steps: candidates (E), -1 to leave them."""
        for row in np.flatnonzero(chosen >= 0):
            candidate = CANDIDATES[chosen[row]]
            state.local_rate[row] = self.learning.local_rate * candidate.rate_factor
            state.dropout[row] = candidate.dropout
            state.activation_bits[row] = candidate.activation_bits

    def _step(self, state: SystemState, mean_update: np.ndarray, heard: np.ndarray) -> None:
        """Step where somebody was heard."""
        model = state.parameters, mean_update, state.first_moment, state.second_moment, state.adam_steps
        if self.learning.server_rule == "fedadam":
            adam_in_place(*model, self.learning.server_rate, heard)
        else:
            stepped, _, _ = server_step(self.learning, *model)
            np.copyto(state.parameters, stepped, where=heard[:, None], casting="same_kind")
        state.adam_steps += heard
        state.updates += heard
