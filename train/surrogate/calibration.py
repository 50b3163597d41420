"""Fitting the surrogate to the quantum learner: rounds of the real one are recorded and played again by the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from qfl_envs.errors import MissingDataError
from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.learning.surrogate import CALIBRATION_FILE, Calibration, Surrogate, calibration_key
from qfl_envs.system.learning.work import LocalWork
from train.runs import write_atomically

SHIPPED = Path(__file__).parents[2] / "qfl_envs" / "system" / "learning" / CALIBRATION_FILE
RECORDS = Path(__file__).with_name("records")
START = Calibration(speed=1.0, sharpness=1.0, best_accuracy=0.85, saturation=0.05, noise=0.5, start=0.1, head=0.7)
BOUNDS = {
    "speed": (0.05, 20.0),
    "sharpness": (0.2, 5.0),
    "best_accuracy": (0.3, 1.0),
    "saturation": (1e-3, 0.9),
    "noise": (1e-2, 5.0),
    "start": (1e-3, 2.0),
}
"""What is fitted, and where it may lie; all but the size of head updates."""
SIMPLEX_STEP = 0.7
SIZES = {"tiny": (30, 60), "small": (30, 80), "paper": (12, 60)}
"""Systems and rounds of the shipped records, by preset."""


@dataclass(frozen=True)
class Record:
    """Rounds of E real systems of N devices.

    Attributes:
        preset: Scenario.
        label_share: (E, N, classes) share of each class on the devices.
        num_samples: (E, N).
        delivered: (T, E, N) bool, who delivered in each round.
        local_steps: (T, E, N).
        accuracy: (T + 1, E) held-out accuracy, before the first round and after each.
        loss: (T + 1, E) held-out cross-entropy.
    """

    preset: str
    label_share: np.ndarray
    num_samples: np.ndarray
    delivered: np.ndarray
    local_steps: np.ndarray
    accuracy: np.ndarray
    loss: np.ndarray

    def rows(self, chosen: slice) -> Record:
        """Some of the systems."""
        return Record(
            self.preset,
            self.label_share[chosen],
            self.num_samples[chosen],
            self.delivered[:, chosen],
            self.local_steps[:, chosen],
            self.accuracy[:, chosen],
            self.loss[:, chosen],
        )

    def save(self, folder: Path) -> Path:
        """Write the record into a folder, as one compressed file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.preset}.npz"
        arrays = {name: value for name, value in asdict(self).items() if name != "preset"}
        packed = {"label_share": np.float32, "local_steps": np.uint8, "accuracy": np.float32, "loss": np.float32}
        np.savez_compressed(
            path, **{name: value.astype(packed.get(name, value.dtype)) for name, value in arrays.items()}
        )
        return path

    @classmethod
    def load(cls, preset: str, folder: Path = RECORDS) -> Record:
        """The record of a preset in a folder.

        Raises:
            MissingDataError: If there is none.
        """
        path = folder / f"{preset}.npz"
        if not path.exists():
            raise MissingDataError(
                f"no recorded rounds of {preset!r} in {folder}; record them with: qfl calibrate --record"
            )
        with np.load(path) as file:
            return cls(preset, **{name: file[name] for name in file.files})


def record(
    preset: str, systems: int, rounds: int, seed: int = 0, progress: Callable[[], object] | None = None
) -> Record:
    """Play real systems whose participants are chosen in many ways.

    Each system has a number of participants and a number of local steps of its own. In a third of them participants are
    drawn anew in every round, in a third they take turns, in a third they stay the same.

    Args:
        preset: Scenario; every update arrives, whatever it says about the radio.
        systems: How many, E.
        rounds: Rounds of each, T.
        seed: Of the systems and of the choices.
        progress: Called after every round.
    """
    scenario = Scenario.preset(preset).replace(
        {
            "deadline_s": 1e9,
            "radio": {"waterfall": 0.0, "link_drop": 0.0, "link_recover": 1.0},
            "fleet": {"battery_j": [1e9, 1e9]},
        }
    )
    n = scenario.num_devices
    system = FederatedSystem(scenario, systems, max_local_steps=4)
    system.reset([np.random.default_rng([seed, row]) for row in range(systems)])
    rng = np.random.default_rng(seed)
    count = np.maximum(1, np.rint(n * rng.uniform(0.05, 1.0, systems) ** 1.5)).astype(int)
    steps = rng.choice([1, 2, 4], systems)
    order = np.stack([rng.permutation(n) for _ in range(systems)])
    quality = [(system.state.accuracy.copy(), system.state.loss.copy())]
    chosen = np.zeros((rounds, systems, n), dtype=bool)
    for number in range(rounds):
        for row in range(systems):
            kind = row % 3
            first = number * count[row] if kind == 1 else 0
            line = rng.permutation(n) if kind == 0 else order[row]
            chosen[number, row, line[(first + np.arange(count[row])) % n]] = True
        local_steps = np.tile(steps[:, None], (1, n))
        time_share = np.ones(systems, dtype=bool)
        report = system.step(Decision(chosen[number], local_steps=local_steps, time_share=time_share))
        chosen[number] = report.delivered
        quality.append((report.accuracy, report.loss))
        if progress is not None:
            progress()
    accuracy, loss = (np.stack(values) for values in zip(*quality, strict=True))
    return Record(
        preset,
        system.state.label_share[:, 0],
        system.state.num_samples,
        chosen,
        np.tile(steps[:, None], (rounds, 1, n)).astype(np.int64),
        accuracy,
        loss,
    )


def replay(recorded: Record, calibration: Calibration, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and loss (T + 1, E) of surrogates that hear from the same devices in every round."""
    scenario = Scenario.preset(recorded.preset).replace({"learning": {"model": "surrogate"}})
    rounds, systems, n = recorded.delivered.shape
    learner = Surrogate(scenario, calibration)
    system = FederatedSystem(scenario, systems, max_local_steps=4)
    system._learner = learner
    system.reset([np.random.default_rng([seed, row]) for row in range(systems)])
    state, rng = system.state, np.random.default_rng(seed)
    state.label_share = recorded.label_share[:, None].astype(float)
    state.num_samples = recorded.num_samples
    no_drift, every = np.zeros((systems, n)), np.arange(systems)
    shape = learner.normal_shapes()["update"]
    ordinary = np.zeros(systems, dtype=np.int64)
    quality = [learner.evaluate(state, every, no_drift)]
    for number in range(rounds):
        work = LocalWork(
            recorded.delivered[number],
            recorded.local_steps[number],
            ordinary,
            no_drift,
            {},
            {"update": rng.standard_normal((systems, *shape))},
        )
        system.server.merge(state, learner.train(state, work), ordinary)
        quality.append(learner.evaluate(state, every, no_drift))
    return np.stack([one.accuracy for one in quality]), np.stack([one.loss for one in quality])


@dataclass(frozen=True)
class Fit:
    """How well a surrogate agrees with a record, as root mean squares over rounds and systems.

    Attributes:
        accuracy_error: Of the accuracy.
        loss_error: Of the loss, in nats.
        roughness_ratio: Change of the accuracy from round to round, the surrogate's over the real one's.
        correlation: Of the accuracies at the end over systems.
    """

    accuracy_error: float
    loss_error: float
    roughness_ratio: float
    correlation: float


def compare(recorded: Record, accuracy: np.ndarray, loss: np.ndarray) -> Fit:
    """Agreement of replayed accuracies and losses (T + 1, E) with the record's."""
    real = recorded.accuracy

    def roughness(values: np.ndarray) -> float:
        return float(np.sqrt((np.diff(values, axis=0) ** 2).mean()))

    return Fit(
        accuracy_error=float(np.sqrt(((accuracy - real) ** 2).mean())),
        loss_error=float(np.sqrt(((loss - recorded.loss) ** 2).mean())),
        roughness_ratio=roughness(accuracy) / max(roughness(real), 1e-12),
        correlation=float(np.corrcoef(accuracy[-10:].mean(0), real[-10:].mean(0))[0, 1]),
    )


def fit(recorded: Sequence[Record], iterations: int = 250) -> Calibration:
    """The calibration with the least error on records of one data set and number of features.

    The error is the root mean square of the accuracy, plus a tenth of that of the loss, plus how far the roughness of
    the accuracy is off, in the logarithm. It is minimised by the simplex method in the logarithms of the parameters.
    """
    names = list(BOUNDS)
    low, high = np.log(np.array(list(BOUNDS.values()))).T

    def calibration(point: np.ndarray) -> Calibration:
        values = np.exp(np.clip(point, low, high)).tolist()
        return Calibration(**(asdict(START) | dict(zip(names, values, strict=True))))

    def error(point: np.ndarray) -> float:
        total = 0.0
        for one in recorded:
            found = compare(one, *replay(one, calibration(point)))
            total += found.accuracy_error + 0.1 * found.loss_error + 0.01 * abs(np.log(found.roughness_ratio + 1e-9))
        return total + 0.1 * float((np.maximum(low - point, 0.0) + np.maximum(point - high, 0.0)).sum())

    starts = [
        np.log([getattr(START, name) * (factor if name == "speed" else 1.0) for name in names])
        for factor in (0.3, 1, 3)
    ]
    begin = min(starts, key=error)
    # the corners of the first simplex lie a factor apart in every parameter
    corners = np.vstack([begin, begin + SIMPLEX_STEP * np.eye(len(names))])
    found = minimize(error, begin, method="Nelder-Mead", options={"maxfev": iterations, "initial_simplex": corners})
    best = calibration(found.x)
    return Calibration(**{name: round(value, 5) for name, value in asdict(best).items()})


def calibrate(records: Sequence[Record], iterations: int = 250) -> dict[str, Any]:
    """Fit on two thirds of every record, measure on the rest.

    Returns:
        One entry of the calibration file: ``parameters``, ``records`` (which, how many), and the ``fit`` and
        ``held_out`` errors of each preset.
    """
    sizes = ("rounds", "systems", "devices")
    training = [one.rows(slice(0, 2 * one.label_share.shape[0] // 3)) for one in records]
    held_out = [one.rows(slice(2 * one.label_share.shape[0] // 3, None)) for one in records]
    best = fit(training, iterations)
    return {
        "parameters": asdict(best),
        "fit": {one.preset: asdict(compare(one, *replay(one, best))) for one in training},
        "held_out": {one.preset: asdict(compare(one, *replay(one, best))) for one in held_out},
        "records": {one.preset: dict(zip(sizes, one.delivered.shape, strict=True)) for one in records},
    }


def write(entries: dict[str, dict[str, Any]], path: Path = SHIPPED) -> None:
    """Put entries into the calibration file, beside those of other data that are there."""
    known = json.loads(path.read_text()) if path.exists() else {}
    write_atomically(path, json.dumps(dict(sorted((known | entries).items())), indent=1) + "\n")


def key_of(preset: str) -> str:
    """Which calibration a preset takes."""
    return calibration_key(Scenario.preset(preset))
