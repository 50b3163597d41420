"""The learning side of many systems: local training and evaluation of real models on numpy state."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from qfl_envs.errors import InvalidValueError
from qfl_envs.quantum.shots import Shots
from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.adaptation import CANDIDATES, Adaptation, is_kind, recalibrates
from qfl_envs.system.learning.aggregation import Updates
from qfl_envs.system.learning.federated_data import FederatedData
from qfl_envs.system.learning.models import Model
from qfl_envs.system.learning.recalibration import QuadraticLoss
from qfl_envs.system.learning.training import (
    Clients,
    cross_entropy,
    draw_batches,
    kept_readouts,
    local_training,
    mean_loss,
)
from qfl_envs.system.learning.work import Corrections, Evaluation, LocalResult, LocalWork, Shapes
from qfl_envs.system.state import SystemState

WARM_START_BATCH, WARM_START_RATE = 64, 0.05


def _torch_device(name: str) -> torch.device:
    """A device of this machine.

    Raises:
        InvalidValueError: For any other.
    """
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # a name that torch does not know; a build without CUDA
        raise InvalidValueError("device", name, "a torch device of this machine, such as 'cpu'") from error


class Learner:
    """Data and model of one scenario.

    Attributes:
        data: How the data are dealt out.
        model: The learner.
    """

    def __init__(self, scenario: Scenario, device: str = "cpu") -> None:
        """Load the data.

        Args:
            scenario: What is learned.
            device: Torch device of all computations.

        Raises:
            MissingDataError: If the data are not to be had.
            InvalidValueError: For a torch device that this machine does not have.
        """
        self.scenario, self.learning = scenario, scenario.learning
        self.device = _torch_device(device)
        self.data = FederatedData(scenario)
        self.model = Model(scenario)
        self.model.is_head = self.model.is_head.to(self.device)
        worlds, held_out = self.data.worlds, slice(scenario.learning.eval_samples)
        # one table of the training samples of all worlds, one world after the other
        self.features = torch.from_numpy(np.concatenate([world.train_features for world in worlds])).to(self.device)
        self.test_features = torch.from_numpy(np.stack([world.test_features[held_out] for world in worlds])).to(
            self.device
        )
        self.test_labels = worlds[0].test_labels[held_out]

    def uniform_shapes(self, max_local_steps: int, adapts: bool) -> Shapes:
        """Mini-batches, worlds of their samples where data drift, shots, and readouts that dropout may leave out."""
        n, learning = self.data.num_devices, self.learning
        shapes: Shapes = {"batch": (n, max_local_steps, learning.batch_size)}
        if len(self.data.worlds) > 1:
            shapes["world"] = shapes["batch"]
        if self.scenario.quantum.sampled:
            shapes["shots"] = (1,)
        if adapts or learning.dropout > 0.0:
            shapes["dropout"] = (n, max_local_steps, self.model.num_readouts)
        return shapes

    def normal_shapes(self) -> Shapes:
        """None."""
        return {}

    def initial(self, uniform: np.ndarray) -> np.ndarray:
        """Random parameters, or those of central training, which are the same in every episode."""
        if self.learning.warm_start_steps == 0:
            return self.model.initial(uniform)
        # nothing else of the scenario matters, so scenarios that differ in it share the training
        trained = central_training(Scenario(learning=self.learning, quantum=self.scenario.quantum))
        return np.tile(trained, (len(uniform), 1))

    def train(self, state: SystemState, work: LocalWork) -> LocalResult:
        """Local training of all who should, from the global models that they hold."""
        senders = work.trains & recalibrates(work.adaptation)[:, None]
        row, device = np.nonzero(work.trains & ~senders)
        searches = is_kind(work.adaptation[row], Adaptation.REOPTIMISE)
        # those who search train every candidate, one client each; all others one
        member = np.concatenate([np.arange(len(row)), np.repeat(np.flatnonzero(searches), len(CANDIDATES) - 1)])
        candidate = np.where(searches, 0, -1)[member]
        candidate[len(row) :] = np.tile(np.arange(1, len(CANDIDATES)), searches.sum())
        clients = self._clients(state, work, row[member], device[member], candidate)
        start = torch.from_numpy(state.parameters).to(self.device)[torch.from_numpy(clients.row).to(self.device)]
        trained = local_training(self.model, start, self.features, clients, self._shots(work, clients.row))
        change = (trained - start).cpu().numpy()
        taken, chosen = np.arange(len(row)), np.full(len(state.parameters), -1)
        if searches.any():
            tried = np.flatnonzero(candidate >= 0)
            afterwards = np.zeros(len(member))
            # by the samples that also measure the global model: all data would take more circuits than the training
            afterwards[tried] = self._losses(
                trained[tried],
                state,
                clients.row[tried],
                device[member[tried]],
                work.drifted,
                self._num_measured(state),
            )
            taken, chosen = _best_candidates(row, member, candidate, afterwards, chosen)
        losses: np.ndarray | None = None
        if self.learning.fairness_q > 0.0:
            received = torch.from_numpy(state.parameters).to(self.device)[torch.from_numpy(row).to(self.device)]
            losses = self._losses(received, state, row, device, work.drifted, state.sample_index.shape[3])
        return LocalResult(
            Updates(row, device, change[taken]),
            clients.local_steps[taken],
            clients.rate[taken],
            losses,
            chosen,
            self._corrections(state, work, senders) if senders.any() else None,
        )

    def _corrections(self, state: SystemState, work: LocalWork, senders: np.ndarray) -> Corrections:
        """Changes of the last layers, from the statistics of those who send them (E, N)."""
        losses, changes = self.head_losses(state, work, senders), []
        for system, loss in losses.items():
            if is_kind(work.adaptation[system], Adaptation.ANNEAL_HEAD):
                # nobody drops readouts in such a round, so that its first number is free to seed the annealer
                change = loss.annealed(np.random.default_rng(int(work.uniform["dropout"][system].flat[0] * 2**53)))
            else:
                change = loss.rounded()
            changes.append(change.ravel())
        return Corrections(np.array(list(losses)), np.stack(changes).astype(np.float32))

    @torch.no_grad()
    def head_losses(self, state: SystemState, work: LocalWork, senders: np.ndarray) -> dict[int, QuadraticLoss]:
        """How the loss of each system changes with its last layer, by the statistics of those who send them (E, N)."""
        row, device = np.nonzero(senders)
        clients = self._clients(state, work, row, device, np.full(len(row), -1))
        received = torch.from_numpy(state.parameters[row]).to(self.device)
        samples, labels = (
            torch.from_numpy(part).flatten(1).to(self.device) for part in (clients.samples, clients.labels)
        )
        seen = self.model.readouts(received, self.features[samples], self._shots(work, row)).double()
        seen = torch.cat([seen, torch.ones_like(seen[..., :1])], dim=-1)
        weights, bias = self.model.head(received.double())
        likely = torch.softmax(seen @ torch.cat([weights, bias[:, None]], dim=1), dim=-1)
        wrong = likely - torch.nn.functional.one_hot(labels, likely.shape[-1])
        # of the samples, those of the steps that a device makes; of the devices, all by their data
        made = np.arange(clients.samples.shape[1]) < clients.local_steps[:, None]
        share = (
            np.repeat(made / made.sum(1, keepdims=True), clients.samples.shape[2], axis=1) / clients.samples.shape[2]
        )
        share = torch.from_numpy(share * state.num_samples[row, device, None])[..., None].to(self.device)
        grams = (seen.transpose(1, 2) @ (share * seen)).cpu().numpy()
        gradients = (seen.transpose(1, 2) @ (share * wrong)).cpu().numpy()
        losses = {}
        for system in np.unique(row):
            own = row == system
            data = state.num_samples[row[own], device[own]].sum()
            losses[int(system)] = QuadraticLoss.of(grams[own].sum(0) / data, gradients[own].sum(0) / data)
        return losses

    def _clients(
        self, state: SystemState, work: LocalWork, row: np.ndarray, device: np.ndarray, candidate: np.ndarray
    ) -> Clients:
        """Clients with their mini-batches and settings; ``candidate`` (M) is -1 for the system's own settings."""
        learning, first = self.learning, state.sample_index[:, 0]
        batches = draw_batches(first[row, device], state.num_samples[row, device], work.uniform["batch"][row, device])
        world = np.zeros((), dtype=np.int64)
        if "world" in work.uniform:
            world = (work.uniform["world"][row, device] < work.drifted[row, device, None, None]).astype(np.int64)
            later = state.sample_index[row, 1, device]
            drawn = draw_batches(later, state.num_samples[row, device], work.uniform["batch"][row, device])
            batches = np.where(world == 1, drawn, batches)
        labels = state.label_map[row[:, None, None], world, self.data.labels[batches]]
        own = candidate < 0
        rates, dropouts, bits = (
            np.array([getattr(one, name) for one in CANDIDATES])[candidate]
            for name in ("rate_factor", "dropout", "activation_bits")
        )
        dropout = np.where(own, state.dropout[row], dropouts)
        correction = None
        if learning.server_rule == "scaffold":
            correction = state.server_control[row] - state.controls[row, device]
        return Clients(
            row=row,
            local_steps=work.local_steps[row, device],
            samples=batches.astype(np.int64) + world * len(self.data.labels),
            labels=labels,
            rate=np.where(own, state.local_rate[row], learning.local_rate * rates),
            proximal=learning.proximal,
            correction=correction,
            head_only=is_kind(work.adaptation[row], Adaptation.HEAD),
            activation_bits=np.where(own, state.activation_bits[row], bits),
            kept=kept_readouts(dropout, work.uniform["dropout"][row, device]) if "dropout" in work.uniform else None,
        )

    def _shots(self, work: LocalWork, row: np.ndarray) -> Shots | None:
        if "shots" not in work.uniform:
            return None
        seeds = (work.uniform["shots"][:, 0] * 2**53).astype(np.int64)
        return Shots(self.scenario.quantum.shots, [np.random.default_rng(seed) for seed in seeds], row)

    @torch.no_grad()
    def _losses(
        self,
        parameters: torch.Tensor,
        state: SystemState,
        row: np.ndarray,
        device: np.ndarray,
        drifted: np.ndarray,
        most: int,
    ) -> np.ndarray:
        """Mean loss (M) of models (M, P) on at most so many samples of each device, in the present distribution."""
        total = np.zeros(len(row))
        valid = np.arange(most) < state.num_samples[row, device, None]
        for world in range(len(self.data.worlds)):
            share = drifted[row, device] if world else 1 - drifted[row, device]
            held = state.sample_index[row, world, device, :most].astype(np.int64)
            labels = state.label_map[row[:, None], world, self.data.labels[held]]
            inputs = self.features[torch.from_numpy(held + world * len(self.data.labels)).to(self.device)]
            loss = cross_entropy(self.model.logits(parameters, inputs), torch.from_numpy(labels).to(self.device))
            total += share * (loss.double().cpu().numpy() * valid).sum(1) / valid.sum(1)
        return total

    def _num_measured(self, state: SystemState) -> int:
        """Samples of each device that a model is measured on."""
        return min(self.learning.device_eval_samples, state.sample_index.shape[3])

    @torch.no_grad()
    def evaluate(self, state: SystemState, rows: np.ndarray, drifted: np.ndarray) -> Evaluation:
        """Measure global models on the held-out samples and on the first samples of each device."""
        worlds, tests = len(self.data.worlds), len(self.test_labels)
        taken = self._num_measured(state)
        held = state.sample_index[rows][..., :taken].astype(np.int64)
        devices = held.shape[2]
        table = held + np.arange(worlds)[:, None, None] * len(self.data.labels)
        systems = len(rows)
        inputs = torch.cat(
            [
                self.test_features.flatten(0, 1).expand(systems, -1, -1),
                self.features[torch.from_numpy(table.reshape(systems, -1)).to(self.device)],
            ],
            dim=1,
        )
        each_system, each_world = rows[:, None], np.repeat(np.arange(worlds), tests)
        test_labels = state.label_map[each_system, each_world, np.tile(self.test_labels, worlds)]
        held_labels = state.label_map[
            rows[:, None, None, None], np.arange(worlds)[:, None, None], self.data.labels[held]
        ].reshape(systems, -1)
        labels = torch.from_numpy(np.concatenate([test_labels, held_labels], axis=1)).to(self.device)
        logits = self.model.logits(torch.from_numpy(state.parameters[rows]).to(self.device), inputs)
        loss = cross_entropy(logits, labels).double().cpu().numpy()
        correct = (logits.argmax(-1) == labels).double().cpu().numpy()
        weight = self._test_weight(state, rows, drifted)
        valid = np.arange(taken) < state.num_samples[rows][..., None]
        share = np.stack([1 - drifted, drifted], axis=1)[:, :worlds]

        def held_out(values: np.ndarray) -> np.ndarray:
            return (values[:, : worlds * tests] * weight).sum(1)

        def per_device(values: np.ndarray) -> np.ndarray:
            of_device = values[:, worlds * tests :].reshape(systems, worlds, devices, taken)
            return (share * (of_device * valid[:, None]).sum(-1) / valid.sum(-1)[:, None]).sum(1)

        return Evaluation(held_out(correct), held_out(loss), per_device(correct), per_device(loss))

    def _test_weight(self, state: SystemState, rows: np.ndarray, drifted: np.ndarray) -> np.ndarray:
        """Weight (rows, W * tests) of every held-out sample in the present distribution, 1 in sum."""
        tests = len(self.test_labels)
        if len(self.data.worlds) == 1:
            return np.full((len(rows), tests), 1 / tests)
        of_world = np.stack([1 - drifted.mean(1), drifted.mean(1)], axis=1)
        if self.scenario.drift.moves != "label":
            return np.repeat(of_world / tests, tests, axis=1)
        # both worlds have the same samples; classes weigh as on the devices
        of_device = np.stack([1 - drifted, drifted], axis=1)
        of_class = (of_device[..., None] * state.label_share[rows]).mean(2)
        counts = np.bincount(self.test_labels, minlength=of_class.shape[2])
        weight = (of_class / np.maximum(counts, 1))[:, :, self.test_labels].reshape(len(rows), -1)
        # less than 1 in sum where the devices have labels that no held-out sample has
        return weight / np.maximum(weight.sum(1, keepdims=True), 1e-300)


def _best_candidates(
    row: np.ndarray, member: np.ndarray, candidate: np.ndarray, losses: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The client whose update each member hands in, and the best candidate of every system.

    Args:
        row: (M) system of each member.
        member: (C) member of each client.
        candidate: (C) candidate of each client, -1 for none.
        losses: (C) loss after training.
        chosen: (E) of -1.
    """
    taken = np.arange(len(row))
    for system in np.unique(row[member[candidate >= 0]]):
        of_system = (row[member] == system) & (candidate >= 0)
        means = [losses[of_system & (candidate == number)].mean() for number in range(len(CANDIDATES))]
        chosen[system] = int(np.argmin(means))
        best = np.flatnonzero(of_system & (candidate == chosen[system]))
        taken[member[best]] = best
    return taken, chosen


@lru_cache(maxsize=16)
def central_training(scenario: Scenario, seed: int = 0) -> np.ndarray:
    """Parameters (P) float32 after ``learning.warm_start_steps`` of Adam on the data before they drift."""
    data, model, rng = FederatedData(scenario), Model(scenario), np.random.default_rng(seed)
    parameters = torch.from_numpy(model.initial(rng.random(model.num_parameters))).requires_grad_(True)
    optimiser = torch.optim.Adam([parameters], lr=WARM_START_RATE)
    features, labels = torch.from_numpy(data.worlds[0].train_features), torch.from_numpy(data.first_map[data.labels])
    for _ in range(scenario.learning.warm_start_steps):
        batch = torch.from_numpy(rng.integers(len(labels), size=WARM_START_BATCH))
        optimiser.zero_grad()
        loss = mean_loss(model, parameters[None], features[batch][None], labels[batch][None]).sum()
        loss.backward()
        optimiser.step()
    return parameters.detach().numpy()
