"""A convergence model that stands for the quantum learner: the same laws on a few typical samples of each class.

A softmax regression is trained on prototypes, the centres of the clusters of each class. A device's update is that of
the mean gradient over its classes, times its local steps, so that only who delivers, how much, with which labels and
how stale decides what happens; the server's rules are those of the real learner. What makes it resemble the quantum
learner is calibrated on rounds of it: see ``qfl calibrate``.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from qfl_envs.compiled import compiled, ready, reordered
from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.adaptation import CANDIDATES, Adaptation, is_kind, leaves_body
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
        # in the precision of the scores, whose products would be doubles otherwise
        self.sharpness: Any = np.float32(self.calibration.sharpness)
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
        """Updates of all who should train, from the global models that they hold.

        Rounds that recalibrate the last layer from statistics are taken for long ones that train it: the calibration
        knows no others.
        """
        learning, calibration = self.learning, self.calibration
        number = np.count_nonzero(work.trains)
        row, device = np.empty(number, dtype=np.int64), np.empty(number, dtype=np.int64)
        steps, rate_of, size_of = np.empty(number, dtype=np.int64), np.empty(number), np.empty(number)
        ordinary = not work.adaptation.any()
        rate = state.local_rate
        reach, searches = rate, None
        if not ordinary:
            searches = is_kind(work.adaptation, Adaptation.REOPTIMISE)
            rate = np.where(searches, learning.local_rate, rate)
            reach = rate * np.where(leaves_body(work.adaptation), calibration.head, 1.0)
        held = self._held(state, work.drifted)
        change = np.empty((number, state.parameters.shape[1]), dtype=np.float32)
        _train(
            work.trains,
            work.local_steps,
            rate,
            reach,
            calibration.saturation,
            state.parameters,
            self.points,
            state.label_map,
            held,
            calibration.noise,
            work.normal["update"],
            row,
            device,
            steps,
            rate_of,
            size_of,
            change,
        )
        if learning.server_rule == "scaffold":
            change = change - size_of[:, None] * (state.server_control[row] - state.controls[row, device])
        rate, chosen = rate_of, None
        if searches is not None and searches.any():
            mean = weighted_mean_update(Updates(row, device, change), np.ones(len(row)), len(state.parameters))
            tried = searches & work.trains.any(-1)
            chosen = self._best_candidates(state, held, mean, work.trains, tried)
            factors = np.array([candidate.rate_factor for candidate in CANDIDATES])[chosen]
            factor = np.where(chosen >= 0, factors, 1.0)[row]
            rate, change = rate * factor, change * factor[:, None]
        losses = None
        if learning.fairness_q > 0.0 and len(self.data.worlds) == 1:
            # nothing has changed since the model was measured
            losses = state.device_loss[row, device]
        elif learning.fairness_q > 0.0:
            of_class = self._class_quality(state.parameters, state.label_map)[1]
            losses = _weighed(held, of_class)[row, device]
        updates = Updates(row, device, np.asarray(change, dtype=np.float32))
        return LocalResult(updates, steps, rate, losses, chosen)

    def evaluate(self, state: SystemState, rows: np.ndarray, drifted: np.ndarray) -> Evaluation:
        """Measure global models."""
        every = len(rows) == len(state.parameters)
        label_map = state.label_map if every else state.label_map[rows]
        parameters = state.parameters if every else state.parameters[rows]
        label_share = state.label_share if every else state.label_share[rows]
        worlds, classes = label_share.shape[1], label_share.shape[3]
        if worlds == 1:
            held, weight = ready(label_share[:, 0]), np.full((1, classes), 1 / classes)
        else:
            of_world = np.stack([1 - drifted, drifted], axis=1)
            held = (of_world[..., None] * label_share).transpose(0, 2, 1, 3).reshape(*drifted.shape, worlds * classes)
            weight = held.mean(1)
            if self.scenario.drift.moves != "label":
                weight = np.repeat(of_world.mean(2) / classes, classes, axis=1)
        systems, devices = held.shape[:2]
        measured = Evaluation(*np.empty((2, systems)), *np.empty((2, systems, devices)))
        _evaluate(
            parameters,
            self.points,
            label_map,
            self.sharpness,
            self.calibration.best_accuracy,
            held,
            weight,
            measured.accuracy,
            measured.loss,
            measured.device_accuracy,
            measured.device_loss,
        )
        return measured

    def _held(self, state: SystemState, drifted: np.ndarray) -> np.ndarray:
        """Present share of every world and class among each device's data, (E, N, W * classes)."""
        if state.label_share.shape[1] == 1:
            return ready(state.label_share[:, 0])
        both = np.stack([1 - drifted, drifted], axis=1)[..., None] * state.label_share
        return both.transpose(0, 2, 1, 3).reshape(*drifted.shape, -1)

    def _class_quality(self, parameters: np.ndarray, label_map: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Accuracy and loss on every world and class, (E, W * classes) each."""
        sharpness, best = self.sharpness, self.calibration.best_accuracy
        return _class_quality(parameters, self.points, label_map, sharpness, best)

    def _best_candidates(
        self, state: SystemState, held: np.ndarray, mean_update: np.ndarray, trains: np.ndarray, tried: np.ndarray
    ) -> np.ndarray:
        """Candidate whose rate lowers the loss of the participants' data most, (E), -1 where none is ``tried``.

        Here candidates differ in their rates alone; of those with the same the first stands for all.
        """
        rates = np.array([candidate.rate_factor for candidate in CANDIDATES])
        rows, (factors, first) = np.flatnonzero(tried), np.unique(rates, return_index=True)
        chosen = np.full(len(tried), -1)
        label_map, before, step = state.label_map[rows], state.parameters[rows], mean_update[rows]
        losses = np.empty((len(rows), len(factors)))
        for number, factor in enumerate(factors):
            of_class = self._class_quality((before + factor * step).astype(np.float32), label_map)[1]
            losses[:, number] = np.where(trains[rows], _weighed(held[rows], of_class), 0.0).sum(-1)
        chosen[rows] = first[losses.argmin(-1)]
        return chosen

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


@reordered
def _scores(weights: np.ndarray, point: np.ndarray, scores: np.ndarray) -> None:
    """Fill the last array (classes) with log-probabilities before normalisation, the highest 0, at a point (F).

    Args:
        weights: (P), class after class.
        point: (F).
        scores: (classes).
    """
    features, highest = len(point), np.float32(-np.inf)
    for label in range(NUM_CLASSES):
        score = np.float32(0.0)
        for feature in range(features):
            score += weights[label * features + feature] * point[feature]
        scores[label] = score
        highest = max(highest, score)
    for label in range(NUM_CLASSES):
        scores[label] -= highest


@reordered
def _class_quality(
    parameters: np.ndarray, points: np.ndarray, label_map: np.ndarray, sharpness: np.float32, best: float
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and loss on every class, means over its points.

    The accuracy grows with the probability of the own label, from that of a guess to the best; the scores behind this
    probability are multiplied by a sharpness.

    Args:
        parameters: (E, P) weights, class after class.
        points: (W, classes, M, F) prototypes of every world.
        label_map: (E, W, classes) label of each class.
        sharpness: Factor of the scores.
        best: Accuracy of a model that is sure of every point.

    Returns:
        (E, W * classes) each.
    """
    systems, (worlds, classes, number, _) = len(parameters), points.shape
    likely, loss = np.zeros((systems, worlds * classes)), np.zeros((systems, worlds * classes))
    scores = np.empty(NUM_CLASSES, dtype=parameters.dtype)
    for e in range(systems):
        for w in range(worlds):
            for c in range(classes):
                own = label_map[e, w, c]
                for m in range(number):
                    _scores(parameters[e], points[w, c, m], scores)
                    total, sharp = np.float32(0.0), np.float32(0.0)
                    for label in range(NUM_CLASSES):
                        total += math.exp(scores[label])
                    for label in range(NUM_CLASSES):
                        sharp += math.exp(sharpness * scores[label])
                    likely[e, w * classes + c] += math.exp(sharpness * scores[own]) / sharp
                    loss[e, w * classes + c] += math.log(total) - scores[own]
    chance = 1.0 / NUM_CLASSES
    return chance + (best - chance) * (likely / number - chance) / (1.0 - chance), loss / number


@compiled
def _evaluate(
    parameters: np.ndarray,
    points: np.ndarray,
    label_map: np.ndarray,
    sharpness: np.float32,
    best: float,
    held: np.ndarray,
    weight: np.ndarray,
    accuracy: np.ndarray,
    loss: np.ndarray,
    device_accuracy: np.ndarray,
    device_loss: np.ndarray,
) -> None:
    """Fill the last four arrays, the attributes of :class:`Evaluation`.

    Args:
        parameters: (E, P) weights.
        points: (W, classes, M, F) prototypes.
        label_map: (E, W, classes) label of each class.
        sharpness: Factor of the scores.
        best: Accuracy of a model that is sure of every point.
        held: (E, N, C) share of every class among each device's data, C = W * classes.
        weight: (E, C) or (1, C) share of every class among the held-out data.
        accuracy: (E).
        loss: (E).
        device_accuracy: (E, N).
        device_loss: (E, N).
    """
    of_class, loss_of_class = _class_quality(parameters, points, label_map, sharpness, best)
    for e in range(len(accuracy)):
        of_system = weight[min(e, len(weight) - 1)]
        accuracy[e], loss[e] = 0.0, 0.0
        for c in range(len(of_system)):
            accuracy[e] += of_system[c] * of_class[e, c]
            loss[e] += of_system[c] * loss_of_class[e, c]
    _weigh(held, of_class, device_accuracy)
    _weigh(held, loss_of_class, device_loss)


@reordered
def _class_gradients(
    parameters: np.ndarray, points: np.ndarray, label_map: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Descent direction of the loss on every world and class, (E, W * classes, P), and its root mean square (E).

    Arguments as above.
    """
    systems, (worlds, classes, number, features) = len(parameters), points.shape
    steepness = np.zeros(systems)
    gradient = np.zeros((systems, worlds * classes, NUM_CLASSES * features), dtype=np.float32)
    scores = np.empty(NUM_CLASSES, dtype=parameters.dtype)
    part = np.float32(1.0 / number)
    for e in range(systems):
        squares = 0.0
        for w in range(worlds):
            for c in range(classes):
                of_class = gradient[e, w * classes + c]
                for m in range(number):
                    point = points[w, c, m]
                    _scores(parameters[e], point, scores)
                    total = np.float32(0.0)
                    for label in range(NUM_CLASSES):
                        scores[label] = math.exp(scores[label])
                        total += scores[label]
                    share = part / total
                    for label in range(NUM_CLASSES):
                        scores[label] *= -share
                    scores[label_map[e, w, c]] += part
                    for label in range(NUM_CLASSES):
                        for feature in range(features):
                            of_class[label * features + feature] += scores[label] * point[feature]
                for p in range(len(of_class)):
                    squares += of_class[p] ** 2
        steepness[e] = math.sqrt(squares / (worlds * classes * gradient.shape[2]))
    return gradient, steepness


@compiled
def _train(
    trains: np.ndarray,
    local_steps: np.ndarray,
    rate: np.ndarray,
    reach: np.ndarray,
    saturation: float,
    parameters: np.ndarray,
    points: np.ndarray,
    label_map: np.ndarray,
    held: np.ndarray,
    noise: float,
    normal: np.ndarray,
    row: np.ndarray,
    device: np.ndarray,
    steps: np.ndarray,
    rate_of: np.ndarray,
    size_of: np.ndarray,
    change: np.ndarray,
) -> None:
    """Fill the last six arrays with what those who train learn.

    Args:
        trains: (E, N) bool, true for M devices in all.
        local_steps: (E, N).
        rate: (E) learning rate of the local steps.
        reach: (E) how far an effective step goes along the gradient.
        saturation: How much less each step does than the one before.
        parameters: (E, P) weights.
        points: (W, classes, M, F) prototypes.
        label_map: (E, W, classes) label of each class.
        held: (E, N, C) share of every class among each device's data, C = W * classes.
        noise: Standard deviation of the random part, relative to the root mean square of the gradients.
        normal: (E, P) standard normal numbers.
        row: (M) system of each.
        device: (M) index of each in its system.
        steps: (M) its local steps.
        rate_of: (M) its rate.
        size_of: (M) how far it goes along its gradient.
        change: (M, P) its update.
    """
    gradient, steepness = _class_gradients(parameters, points, label_map)
    m = 0
    for e in range(trains.shape[0]):
        for n in range(trains.shape[1]):
            if trains[e, n]:
                effective = float(local_steps[e, n])
                if saturation > 0.0:
                    effective = (1.0 - (1.0 - saturation) ** effective) / saturation
                row[m], device[m], steps[m] = e, n, local_steps[e, n]
                rate_of[m], size_of[m] = rate[e], reach[e] * effective
                m += 1
    _changes(row, device, held, size_of, gradient, noise * steepness, normal, change)


@compiled
def _changes(
    row: np.ndarray,
    device: np.ndarray,
    held: np.ndarray,
    size: np.ndarray,
    gradient: np.ndarray,
    noise: np.ndarray,
    normal: np.ndarray,
    change: np.ndarray,
) -> None:
    """Fill the last array with updates (M, P).

    Args:
        row: (M) system of each.
        device: (M) index of each in its system.
        held: (E, N, C) share of every class among each device's data.
        size: (M) how far each goes.
        gradient: (E, C, P) of every class.
        noise: (E) standard deviation of the random part of one device alone; of several it is the smaller in their sum.
        normal: (E, P) standard normal numbers. Shares of classes add up to 1, so all classes get the same of them.
        change: (M, P).
    """
    number = np.zeros(len(gradient))
    for m in range(len(row)):
        number[row[m]] += 1.0
    for m in range(len(row)):
        e, n = row[m], device[m]
        spread = size[m] * noise[e] / math.sqrt(number[e])
        for p in range(change.shape[1]):
            change[m, p] = spread * normal[e, p]
        for c in range(held.shape[2]):
            # most devices hold few classes
            if held[e, n, c] > 0.0:
                weight = np.float32(held[e, n, c] * size[m])
                for p in range(change.shape[1]):
                    change[m, p] += weight * gradient[e, c, p]


def _weighed(held: np.ndarray, of_class: np.ndarray) -> np.ndarray:
    """Mean (E, N) over the classes that each device holds, from shares (E, N, C) and values (E, C)."""
    mean = np.empty(held.shape[:2])
    _weigh(held, of_class, mean)
    return mean


@compiled
def _weigh(held: np.ndarray, of_class: np.ndarray, mean: np.ndarray) -> None:
    """Fill the last array with :func:`_weighed`."""
    mean[:] = 0.0
    for e in range(held.shape[0]):
        for n in range(held.shape[1]):
            for c in range(held.shape[2]):
                mean[e, n] += held[e, n, c] * of_class[e, c]


@lru_cache(maxsize=8)
def prototypes(data: Dataset) -> np.ndarray:
    """Centres of the clusters of each class, (classes, M, F), by k-means."""
    from sklearn.cluster import KMeans

    of_class = [data.train_features[data.train_labels == label] for label in range(data.num_classes)]
    return np.stack([KMeans(PROTOTYPES, n_init=1, random_state=0).fit(held).cluster_centers_ for held in of_class])
