"""What the devices are asked to learn in a round, and what comes of it: the interface of all learners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from qfl_envs.system.learning.aggregation import Updates
from qfl_envs.system.learning.federated_data import FederatedData
from qfl_envs.system.state import SystemState

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class LocalWork:
    """Local training of one round of E systems.

    Attributes:
        trains: (E, N) bool, whose update is computed.
        local_steps: (E, N).
        adaptation: (E) kind of round, see :class:`qfl_envs.system.learning.adaptation.Adaptation`.
        drifted: (E, N) share of each device's data that comes from the second distribution.
        uniform: Numbers uniform in [0, 1) of the shapes that the learner asked for, after a leading axis E.
        normal: Standard normal numbers, likewise.
    """

    trains: np.ndarray
    local_steps: np.ndarray
    adaptation: np.ndarray
    drifted: np.ndarray
    uniform: dict[str, np.ndarray]
    normal: dict[str, np.ndarray]


@dataclass(frozen=True)
class Corrections:
    """Changes of last layers that the server makes itself, from statistics of R systems.

    Attributes:
        row: (R) systems.
        change: (R, H) change of the last H parameters.
    """

    row: np.ndarray
    change: np.ndarray


@dataclass(frozen=True)
class LocalResult:
    """What M devices learned.

    Attributes:
        updates: Their updates.
        steps: (M) local steps behind each.
        rate: (M) learning rate of these steps.
        losses: (M) loss of the received model on all data of each device, in nats; None where no rule needs it.
        chosen: (E) candidate that re-optimisation found best, -1 where there was none; None if nobody searched.
        corrections: Of rounds that recalibrate the last layer from statistics; None if there were none.
    """

    updates: Updates
    steps: np.ndarray
    rate: np.ndarray
    losses: np.ndarray | None
    chosen: np.ndarray | None
    corrections: Corrections | None = None


@dataclass(frozen=True)
class Evaluation:
    """Quality of E global models: (E) on held-out data, (E, N) on each device's own, in the present distribution."""

    accuracy: np.ndarray
    loss: np.ndarray
    device_accuracy: np.ndarray
    device_loss: np.ndarray


class LocalLearner(Protocol):
    """Data and model of one scenario."""

    data: FederatedData

    def uniform_shapes(self, max_local_steps: int, adapts: bool) -> Shapes:
        """Numbers uniform in [0, 1) that a round takes, per system, by name."""

    def normal_shapes(self) -> Shapes:
        """Standard normal numbers that a round takes, per system, by name."""

    def initial(self, uniform: np.ndarray) -> np.ndarray:
        """Parameters (E, P) float32 at the start, from (E, P) numbers uniform in [0, 1)."""

    def train(self, state: SystemState, work: LocalWork) -> LocalResult:
        """Local training of all who should."""

    def evaluate(self, state: SystemState, rows: np.ndarray, drifted: np.ndarray) -> Evaluation:
        """Measure the global models of some systems, where (rows, N) shares of the data have drifted."""
