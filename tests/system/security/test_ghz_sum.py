from itertools import combinations

import numpy as np
import pennylane as qml
import pytest

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security.ghz_sum import ghz_sum, measure, outcome_probabilities, states_needed


def circuit_probabilities(angles):
    count = len(angles)

    @qml.qnode(qml.device("default.qubit", wires=count))
    def circuit():
        qml.Hadamard(0)
        for wire in range(1, count):
            qml.CNOT([0, wire])
        for wire, angle in enumerate(angles):
            qml.PhaseShift(angle, wire)
            qml.Hadamard(wire)
        return qml.probs(wires=range(count))

    return circuit()


def test_outcomes_have_the_probabilities_of_the_circuit():
    angles = np.array([0.3, 1.1, -0.4, 2.0])
    assert np.allclose(outcome_probabilities(angles), circuit_probabilities(angles), atol=1e-12)


def test_any_proper_subset_of_messages_is_uniform_and_their_parity_is_not():
    probabilities = circuit_probabilities(np.array([0.9, 0.2, -0.5, 0.1])).reshape((2,) * 4)
    for size in range(1, 4):
        for kept in combinations(range(4), size):
            rest = tuple(wire for wire in range(4) if wire not in kept)
            assert np.allclose(probabilities.sum(rest), 0.5**size, atol=1e-12)
    parity = np.array([bin(outcome).count("1") % 2 for outcome in range(16)])
    assert probabilities.ravel()[parity == 0].sum() == pytest.approx((1 + np.cos(0.7)) / 2)


def test_measured_outcomes_follow_the_probabilities():
    angles = np.array([0.9, 0.2, -0.5])
    outcomes = measure(np.full(40_000, angles.sum()), 3, 0.8, np.random.default_rng(0))
    seen = np.bincount(outcomes @ np.array([4, 2, 1]), minlength=8) / 40_000
    assert np.abs(seen - outcome_probabilities(angles, 0.8)).max() < 5 * np.sqrt(0.25 / 40_000)


def test_sums_are_exact_with_perfect_states():
    numbers = np.random.default_rng(1).integers(0, 2**16, (2, 5, 30))
    assert np.array_equal(ghz_sum(numbers, 19, np.random.default_rng(2)), numbers.sum(1))


def test_repeats_win_back_what_imperfect_states_lose():
    numbers = np.random.default_rng(1).integers(0, 2**4, (1, 3, 200))
    wrong = [(ghz_sum(numbers, 6, np.random.default_rng(2), 0.7, n) != numbers.sum(1)).mean() for n in (1, 31)]
    assert wrong[0] > 0.3 and wrong[1] < 0.02
    assert states_needed(142, 19, 31) == 142 * 19 * 31


def test_bad_arguments_are_refused():
    with pytest.raises(InvalidValueError, match="odd"):
        ghz_sum(np.zeros((1, 2, 1), dtype=int), 2, np.random.default_rng(0), repeats=2)
    for bits, numbers, word in ((0, [[0]], "bits"), (53, [[0]], "bits"), (4, [[0.5]], "whole"), (4, [[2**52]], "52")):
        with pytest.raises(InvalidValueError, match=word):
            ghz_sum(np.array([numbers]), bits, np.random.default_rng(0))
    with pytest.raises(InvalidValueError, match="visibility"):
        ghz_sum(np.zeros((1, 2, 1), dtype=int), 2, np.random.default_rng(0), visibility=1.5)
