import numpy as np
import pytest

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.learning.aggregation import Updates
from qfl_envs.system.security.attacks import (
    DATA_ATTACKS,
    UPDATE_ATTACKS,
    USUAL_STRENGTH,
    attack_success,
    attacker_mask,
    flipped,
    honest_moments,
    poisoned,
    tamper,
)

CHANGE = np.array([[1.0, 2.0], [3.0, 6.0], [5.0, 5.0], [2.0, 0.0], [9.0, 9.0]])
UPDATES = Updates(np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 1]), CHANGE)
HOSTILE = np.array([False, False, True, False, True])


def sent(kind, strength, hostile=HOSTILE):
    return tamper(kind, UPDATES, hostile, 2, strength, np.full((5, 2), 0.5)).change


def test_what_hostile_devices_send_by_hand():
    assert sent("sign-flip", 4.0)[2].tolist() == [-20.0, -20.0]
    assert sent("boost", 10.0)[4].tolist() == [90.0, 90.0]
    assert sent("gaussian", 3.0)[2].tolist() == [1.5, 1.5]
    assert sent("ipm", 2.0)[[2, 4]].tolist() == [[-4.0, -8.0], [-4.0, 0.0]]
    assert sent("alie", 1.5)[2].tolist() == [2.0 - 1.5, 4.0 - 3.0]


@pytest.mark.parametrize("kind", ["none", "sign-flip", "gaussian", "ipm", "alie", "boost"])
def test_honest_updates_stay_what_they_are(kind):
    assert np.array_equal(sent(kind, 2.0)[~HOSTILE], CHANGE[~HOSTILE])
    assert tamper(kind, UPDATES, np.zeros(5, dtype=bool), 2, 2.0, CHANGE) is UPDATES


def test_without_honest_updates_there_is_nothing_to_imitate():
    mean, std = honest_moments(UPDATES, np.array([True, True, True, False, False]), 2)
    assert mean[0].tolist() == [0.0, 0.0] and std[0].tolist() == [0.0, 0.0] and mean[1].tolist() == [5.5, 4.5]


def test_as_many_are_hostile_as_the_share_says():
    uniform = np.random.default_rng(0).random((50, 10))
    mask = attacker_mask(uniform, 0.3)
    assert (mask.sum(1) == 3).all() and mask.any(0).all()
    assert not attacker_mask(uniform, 0.0).any() and attacker_mask(uniform, 1.0).all()


def test_poisoned_data_by_hand():
    assert flipped(np.array([0, 3, 9]), 10).tolist() == [9, 6, 0]
    features, labels = poisoned(np.zeros((2, 3)), np.array([4, 5]), np.array([True, False]), np.array([1, 0, 2]), 7)
    assert features.tolist() == [[1, 0, 2], [0, 0, 0]] and labels.tolist() == [7, 5]


def test_attack_success_counts_no_sample_of_the_target():
    assert attack_success(np.array([7, 7, 1, 7]), np.array([7, 2, 3, 4]), 7) == pytest.approx(2 / 3)
    assert np.isnan(attack_success(np.array([7]), np.array([7]), 7))


def test_an_unknown_attack_is_refused():
    with pytest.raises(InvalidValueError, match="sign-flip"):
        sent("shout", 1.0)


def test_a_share_of_the_devices_is_rounded_down_and_not_by_rounding_errors():
    assert attacker_mask(np.random.default_rng(0).random((1, 10)), 0.29).sum() == 2
    # 0.29 * 100 is below 29 in floating point
    assert attacker_mask(np.random.default_rng(0).random((1, 100)), 0.29).sum() == 29


def test_updates_keep_their_precision():
    single = Updates(UPDATES.row, UPDATES.device, CHANGE.astype(np.float32))
    assert tamper("alie", single, HOSTILE, 2, 1.5, np.zeros((5, 2))).change.dtype == np.float32


def test_usual_strengths_are_the_published_ones():
    # Xie et al. 2020, Baruch et al. 2019, Bagdasaryan et al. 2020
    assert (USUAL_STRENGTH["ipm"], USUAL_STRENGTH["alie"], USUAL_STRENGTH["boost"]) == (2.0, 1.5, 10.0)
    assert {*USUAL_STRENGTH} == {*UPDATE_ATTACKS, *DATA_ATTACKS}
