"""A convergence model that stands for the quantum learner: the same laws on a few typical samples of each class.

A softmax regression is trained on prototypes, the centres of the clusters of each class. A device's update is that of
the mean gradient over its classes, times its local steps, so that only who delivers, how much, with which labels and
how stale decides what happens; the server's rules are those of the real learner. What makes it resemble the quantum
learner is calibrated on rounds of it: see ``qfl calibrate``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np

from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.adaptation import CANDIDATES, Adaptation
from qfl_envs.system.learning.aggregation import Updates, weighted_mean_update
from qfl_envs.system.learning.data import Dataset
from qfl_envs.system.learning.federated_data import FederatedData
from qfl_envs.system.learning.shapes import NUM_CLASSES, kept_parameters
from qfl_envs.system.learning.work import Evaluation, LocalResult, LocalWork, Shapes
from qfl_envs.system.state import SystemState

CALIBRATION_FILE = "surrogate.json"
WARM_START_RATE = 0.05
PROTOTYPES = 3
"""Per class."""


@dataclass(frozen=True)
class Calibration:
    """What makes the surrogate resemble the quantum learner.

    Attributes:
        speed: Factor of the prototypes' features: how far a step of the server moves the scores.
        sharpness: Factor of the scores in the accuracy of a class.
        best_accuracy: Accuracy of a model that is sure of every prototype.
        saturation: How much less each local step does than the one before, 0 for equally much.
        noise: Standard deviation of an update's random part, relative to the size of the update.
        start: Standard deviation of the untrained model's weights.
        head: Size of an update of the last layer alone, relative to that of all layers.
    """

    speed: float
    sharpness: float
    best_accuracy: float
    saturation: float
    noise: float
    start: float
    head: float


def calibration_key(scenario: Scenario) -> str:
    """Which calibration a scenario takes: those of its data set and number of features."""
    return f"{scenario.learning.dataset}-{scenario.num_features}"


@lru_cache(maxsize=1)
def calibrations() -> dict[str, Calibration]:
    """Shipped calibrations by key, each found by ``qfl calibrate``."""
    document = json.loads(files("qfl_envs.system.learning").joinpath(CALIBRATION_FILE).read_text())
    return {key: Calibration(**entry["parameters"]) for key, entry in document.items()}


def shipped_calibration(scenario: Scenario) -> Calibration:
    """The calibration of a scenario.

    Raises:
        InvalidValueError: If none was made for its data set and number of features.
    """
    key, known = calibration_key(scenario), calibrations()
    if key not in known:
        raise InvalidValueError(
            "learning.model 'surrogate' with data and features",
            key,
            f"one of {', '.join(known)}; or make another with qfl calibrate",
        )
    return known[key]


class Surrogate:
    """Data and convergence model of one scenario.

    Attributes:
        data: How the data are dealt out.
        calibration: What makes it resemble the quantum learner.
    """

    def __init__(self, scenario: Scenario, calibration: Calibration | None = None) -> None:
        """Load the data and find the prototypes.

        Args:
            scenario: What is learned.
            calibration: None for the shipped one.

        Raises:
            MissingDataError: If the data are not to be had.
            InvalidValueError: If there is no calibration for them.
        """
        self.scenario, self.learning = scenario, scenario.learning
        self.calibration = shipped_calibration(scenario) if calibration is None else calibration
        self.data = FederatedData(scenario)
        centres = np.stack([prototypes(world) for world in self.data.worlds])
        # (W, classes, M, F + 1): a constant feature takes the place of the bias
        points = np.concatenate([self.calibration.speed * centres, np.ones((*centres.shape[:3], 1))], axis=-1)
        self.points = points.astype(np.float32)

    def uniform_shapes(self, max_local_steps: int, adapts: bool) -> Shapes:
        """None."""
        return {}

    def normal_shapes(self) -> Shapes:
        """The random part of the update."""
        return {"update": (kept_parameters(self.scenario),)}

    def initial(self, uniform: np.ndarray) -> np.ndarray:
        """Small random weights, or those of central training, which are the same in every episode."""
        if self.learning.warm_start_steps > 0:
            return np.tile(self._warm_start(), (len(uniform), 1))
        return (self.calibration.start * np.sqrt(12) * (uniform - 0.5)).astype(np.float32)

    def train(self, state: SystemState, work: LocalWork) -> LocalResult:
        """Updates of all who should train, from the global models that they hold."""
        learning, calibration = self.learning, self.calibration
        row, device = np.nonzero(work.trains)
        number = work.trains.sum(-1)
        searches = work.adaptation == Adaptation.REOPTIMISE
        rate = np.where(searches, learning.local_rate, state.local_rate)
        effective = work.local_steps.astype(float)
        if calibration.saturation > 0.0:
            effective = (1 - (1 - calibration.saturation) ** work.local_steps) / calibration.saturation
        size = (rate * np.where(work.adaptation == Adaptation.HEAD, calibration.head, 1.0))[:, None] * effective
        held, gradient = self._held(state, work.drifted), self._class_gradients(state)
        # shares of classes add up to 1, so what is added to every class is added to every update
        spread = calibration.noise * np.sqrt((gradient**2).mean((1, 2)) / np.maximum(number, 1))
        noisy = gradient + (spread[:, None] * work.normal["update"]).astype(np.float32)[:, None]
        change = np.matmul((held * size[..., None]).astype(np.float32), noisy)[row, device]
        if learning.server_rule == "scaffold":
            change = change - size[row, device, None] * (state.server_control[row] - state.controls[row, device])
        rate = rate[row]
        chosen = np.full(len(state.parameters), -1)
        if searches.any():
            mean = weighted_mean_update(Updates(row, device, change), np.ones(len(row)), len(state.parameters))
            chosen = np.where(searches & (number > 0), self._best_candidates(state, held, mean, work.trains), -1)
            factors = np.array([candidate.rate_factor for candidate in CANDIDATES])[chosen]
            factor = np.where(chosen >= 0, factors, 1.0)[row]
            rate, change = rate * factor, change * factor[:, None]
        losses = None
        if learning.fairness_q > 0.0:
            of_class = self._class_quality(state.parameters, state.label_map)[1]
            losses = np.matmul(held, of_class[..., None])[row, device, 0]
        updates = Updates(row, device, change.astype(np.float32, copy=False))
        return LocalResult(updates, work.local_steps[row, device], rate, losses, chosen)

    def evaluate(self, state: SystemState, rows: np.ndarray, drifted: np.ndarray) -> Evaluation:
        """Measure global models."""
        every = len(rows) == len(state.parameters)
        label_map = state.label_map if every else state.label_map[rows]
        accuracy, loss = self._class_quality(state.parameters if every else state.parameters[rows], label_map)
        label_share = state.label_share if every else state.label_share[rows]
        worlds, classes = label_share.shape[1], label_share.shape[3]
        if worlds == 1:
            held, weight = label_share[:, 0], np.full((1, classes), 1 / classes)
        else:
            of_world = np.stack([1 - drifted, drifted], axis=1)
            held = (of_world[..., None] * label_share).transpose(0, 2, 1, 3).reshape(*drifted.shape, worlds * classes)
            weight = held.mean(1)
            if self.scenario.drift.moves != "label":
                weight = np.repeat(of_world.mean(2) / classes, classes, axis=1)
        return Evaluation(
            (weight * accuracy).sum(1),
            (weight * loss).sum(1),
            np.matmul(held, accuracy[..., None])[..., 0],
            np.matmul(held, loss[..., None])[..., 0],
        )

    def _held(self, state: SystemState, drifted: np.ndarray) -> np.ndarray:
        """Present share of every world and class among each device's data, (E, N, W * classes)."""
        if state.label_share.shape[1] == 1:
            return state.label_share[:, 0]
        both = np.stack([1 - drifted, drifted], axis=1)[..., None] * state.label_share
        return both.transpose(0, 2, 1, 3).reshape(*drifted.shape, -1)

    def _scores(self, parameters: np.ndarray) -> np.ndarray:
        """Log-probabilities before normalisation, (E, classes, points) with the points of all worlds, the highest 0.

        Points come last since sums over a short last axis take numpy long.
        """
        weights = parameters.reshape(len(parameters), NUM_CLASSES, -1)
        scores: np.ndarray = np.matmul(weights, self.points.reshape(-1, self.points.shape[-1]).T)
        scores -= scores.max(1, keepdims=True)
        return scores

    def _own_label(self, label_map: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Index of the score that each point should have most of, (E, points)."""
        labels = np.repeat(label_map.reshape(len(label_map), -1), self.points.shape[2], axis=1)
        return np.arange(len(labels))[:, None], labels, np.arange(labels.shape[1])

    def _class_quality(self, parameters: np.ndarray, label_map: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Accuracy and loss on every world and class, (E, W * classes) each."""
        scores = self._scores(parameters)
        own = scores[self._own_label(label_map)]
        loss = np.log(np.exp(scores).sum(1)) - own
        sharpness, best, chance = self.calibration.sharpness, self.calibration.best_accuracy, 1 / NUM_CLASSES
        likely = np.exp(sharpness * own) / np.exp(sharpness * scores).sum(1)
        accuracy = chance + (best - chance) * (likely - chance) / (1 - chance)
        per_class = (len(scores), -1, self.points.shape[2])
        return accuracy.reshape(per_class).mean(-1), loss.reshape(per_class).mean(-1)

    def _class_gradients(self, state: SystemState) -> np.ndarray:
        """Descent direction of the loss on every world and class, (E, W * classes, P)."""
        scores = self._scores(state.parameters)
        residual = np.exp(scores, out=scores)
        residual /= -residual.sum(1, keepdims=True)
        residual[self._own_label(state.label_map)] += 1.0
        worlds, classes, points, features = self.points.shape
        of_class = residual.reshape(len(scores), NUM_CLASSES, worlds * classes, points).transpose(0, 2, 1, 3)
        gradient = np.matmul(of_class, self.points.reshape(worlds * classes, points, features) / points)
        return gradient.reshape(len(scores), worlds * classes, -1)

    def _best_candidates(
        self, state: SystemState, held: np.ndarray, mean_update: np.ndarray, trains: np.ndarray
    ) -> np.ndarray:
        """Candidate whose rate lowers the loss of the participants' data most, (E)."""
        losses = np.empty((len(state.parameters), len(CANDIDATES)))
        for number, candidate in enumerate(CANDIDATES):
            stepped = (state.parameters + candidate.rate_factor * mean_update).astype(np.float32)
            of_class = self._class_quality(stepped, state.label_map)[1]
            losses[:, number] = np.where(trains, np.matmul(held, of_class[..., None])[..., 0], 0.0).sum(-1)
        return losses.argmin(-1)

    def _warm_start(self) -> np.ndarray:
        """Weights (P) after central training on the data before they drift, with Adam's step per parameter."""
        points = self.points[0].reshape(-1, self.points.shape[-1]).astype(float)
        weights = np.zeros((NUM_CLASSES, points.shape[1]))
        moment, square = np.zeros_like(weights), np.zeros_like(weights)
        wanted = np.repeat(np.eye(NUM_CLASSES), self.points.shape[2], axis=1)
        for step in range(1, self.learning.warm_start_steps + 1):
            scores = weights @ points.T
            likely = np.exp(scores - scores.max(0))
            gradient = (wanted - likely / likely.sum(0)) @ points / len(points)
            moment, square = 0.9 * moment + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
            direction = moment / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
            weights = weights + WARM_START_RATE * direction
        return weights.ravel().astype(np.float32)


@lru_cache(maxsize=8)
def prototypes(data: Dataset) -> np.ndarray:
    """Centres of the clusters of each class, (classes, M, F), by k-means."""
    from sklearn.cluster import KMeans

    of_class = [data.train_features[data.train_labels == label] for label in range(data.num_classes)]
    return np.stack([KMeans(PROTOTYPES, n_init=1, random_state=0).fit(held).cluster_centers_ for held in of_class])
