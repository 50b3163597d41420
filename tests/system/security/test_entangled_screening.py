import numpy as np
import pennylane as qml
import pytest

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security import entangled_screening as screening


def bell_pair(first, second):
    """Mean outcome of the first device, and of both devices' product."""

    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit():
        qml.Hadamard(0)
        qml.CNOT([0, 1])
        qml.PhaseShift(first, 0)
        qml.PhaseShift(-second, 1)
        return qml.expval(qml.X(0)), qml.expval(qml.X(0) @ qml.X(1))

    return [float(value) for value in circuit()]


def test_products_of_outcomes_are_those_of_the_circuit_and_one_alone_says_nothing():
    angles = np.array([[[0.3], [2.1], [-1.4]]])
    exact = screening.projected(angles)[0]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        alone, product = bell_pair(angles[0, i, 0], angles[0, j, 0])
        assert alone == pytest.approx(0.0, abs=1e-12)
        assert product == pytest.approx(exact[i, j], abs=1e-12)


def test_measured_pairs_estimate_it_and_a_mixture_knows_nothing():
    angles = np.random.default_rng(0).normal(size=(2, 4, 3))
    generator = np.random.default_rng(1)
    found = screening.entangled(angles, 40_000, generator)
    assert found == pytest.approx(screening.projected(angles), abs=0.02)
    assert np.array_equal(found, found.transpose(0, 2, 1))
    half = screening.entangled(angles, 40_000, generator, visibility=0.5)
    off = ~np.eye(4, dtype=bool)
    assert half[:, off] == pytest.approx(0.5 * screening.projected(angles)[:, off], abs=0.02)
    mixture = screening.entangled(angles, 40_000, generator, visibility=0.0)
    assert mixture == pytest.approx(np.tile(np.eye(4), (2, 1, 1)), abs=0.02)


def test_one_shot_is_one_outcome_per_angle():
    angles = np.random.default_rng(0).normal(size=(1, 3, 1))
    assert set(screening.entangled(angles, 1, np.random.default_rng(0))[0][np.triu_indices(3, 1)]) <= {-1.0, 1.0}


def test_shared_bits_have_the_correlation_of_signs_under_a_secret_phase():
    angles = np.array([[[0.4], [3.5], [-2.9]]])
    phase = (np.arange(100_000) + 0.5) / 100_000 * 2 * np.pi
    signs = np.sign(np.cos(angles[0] + phase))
    assert np.abs(signs.mean(1)).max() < 1e-3
    found = screening.shared_bits(angles, 200_000, np.random.default_rng(0))
    assert found[0] == pytest.approx(signs @ signs.T / len(phase), abs=0.01)


def test_projections_estimate_a_kernel_of_the_cosine():
    change = np.random.default_rng(0).normal(size=(1, 5, 20)) * np.array([1.0, 9.0, 0.1, 2.0, 3.0])[:, None]
    projection = np.random.default_rng(1).standard_normal((20, 200_000))
    alike = screening.cosine(change)
    for scale in (1.0, 0.5):
        found = screening.projected(screening.encoded(change, projection, scale))
        assert found == pytest.approx(np.exp(-(scale**2) * (1 - alike)), abs=0.01)
    assert alike == pytest.approx(screening.cosine(7 * change))
    assert screening.unit(np.zeros((1, 1, 3))).tolist() == [[[0.0, 0.0, 0.0]]]


def test_the_one_who_is_unlike_the_others_stands_out():
    alike = np.full((1, 5, 5), 0.9) + 0.1 * np.eye(5)
    alike[0, 0, 1] = alike[0, 1, 0] = 0.7
    alike[0, 3, :3] = alike[0, :3, 3] = alike[0, 3, 4] = alike[0, 4, 3] = -0.2
    score = screening.typicality(alike)
    assert score[0] == pytest.approx([0.8, 0.8, 0.9, -0.2, 0.9])
    assert screening.outliers(score)[0].tolist() == [False, False, False, True, False]
    # median 0.8, median absolute deviation 0.1
    assert not screening.outliers(score, deviations=7.0).any()
    assert not screening.outliers(np.full((1, 4), 0.5)).any()


def test_what_it_takes():
    assert screening.pairs_needed(10, 32, 16) == 45 * 32 * 16
    with pytest.raises(InvalidValueError, match="shots"):
        screening.entangled(np.zeros((1, 2, 1)), 0, np.random.default_rng(0))
    with pytest.raises(InvalidValueError, match="visibility"):
        screening.entangled(np.zeros((1, 2, 1)), 1, np.random.default_rng(0), visibility=1.5)
    with pytest.raises(InvalidValueError, match="devices"):
        screening.typicality(np.ones((1, 1, 1)))
