"""What a round can do to the model beside an ordinary one: adapt a part of it, all of it, or how it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.shapes import head_parameters, head_statistics, num_parameters


class Adaptation(IntEnum):
    """Kinds of rounds.

    ``FINE_TUNE`` is an ordinary round. ``HEAD`` trains and uploads the last layer alone, whose gradient needs one
    circuit per sample. ``RETRAIN`` trains :data:`RETRAIN_FACTOR` times as long and makes the server forget the
    direction that it was moving in. ``REOPTIMISE`` trains every candidate of :data:`CANDIDATES` on every participant,
    keeps the one with the least loss on the samples that they measure models by, and merges its updates.
    ``ANNEAL_HEAD`` and ``SOLVE_HEAD`` train nothing: devices send statistics of what the last layer sees on as many
    samples as a retraining takes, and the server changes its weights by the quadratic problem of
    :mod:`qfl_envs.system.learning.recalibration`, which it anneals, or solves and rounds.
    """

    FINE_TUNE = 0
    HEAD = 1
    RETRAIN = 2
    REOPTIMISE = 3
    ANNEAL_HEAD = 4
    SOLVE_HEAD = 5


RETRAIN_FACTOR = 4


def is_kind(adaptation: np.ndarray, kind: Adaptation) -> np.ndarray:
    """Which rounds (...) are of a kind; NumPy takes long to compare arrays with members of an enumeration."""
    return np.asarray(adaptation == int(kind))


def recalibrates(adaptation: np.ndarray) -> np.ndarray:
    """In which rounds (...) devices send statistics for the last layer."""
    return is_kind(adaptation, Adaptation.ANNEAL_HEAD) | is_kind(adaptation, Adaptation.SOLVE_HEAD)


def leaves_body(adaptation: np.ndarray) -> np.ndarray:
    """Which rounds (...) touch the last layer alone, so that a sample takes one circuit."""
    return is_kind(adaptation, Adaptation.HEAD) | recalibrates(adaptation)


@dataclass(frozen=True)
class Hyperparameters:
    """How local steps are made: rate as a multiple of ``learning.local_rate``, dropout, and bits of each readout."""

    rate_factor: float
    dropout: float
    activation_bits: int


FULL_PRECISION = 0
CANDIDATES = tuple(
    Hyperparameters(rate, dropout, bits) for rate in (0.5, 1.0, 2.0) for dropout in (0.0, 0.2) for bits in (0, 4)
)
"""The discrete choices of ``REOPTIMISE``; 0 bits are full precision."""


def step_factor(adaptation: np.ndarray) -> np.ndarray:
    """How many times as long as in an ordinary round a model is trained, or seen, per kind (...)."""
    return np.array([1, 1, RETRAIN_FACTOR, 1, RETRAIN_FACTOR, RETRAIN_FACTOR])[adaptation]


def num_trained(adaptation: np.ndarray) -> np.ndarray:
    """How many models a participant trains, per kind (...)."""
    return np.array([1, 1, 1, len(CANDIDATES), 1, 1])[adaptation]


def uploaded_bits(scenario: Scenario, adaptation: np.ndarray) -> np.ndarray:
    """Bits of an upload, without what protects it, per kind (...)."""
    full, head, statistics = num_parameters(scenario), head_parameters(scenario), head_statistics(scenario)
    numbers = np.array([full, head, full, full + len(CANDIDATES), statistics, statistics])
    return numbers[adaptation] * scenario.learning.bits_per_parameter
