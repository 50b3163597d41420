"""The SEA concepts: what they are, and how a model that has learned one meets another."""

import numpy as np
import pytest
from by_hand import reliable

from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.learning.data import FEATURE_SCALE, SEA_THRESHOLDS, load_dataset

SEA = {"dataset": "sea", "partition": "iid"}
AT_ONCE = {"kind": "abrupt", "moves": "concept", "onset_round": [0.0, 0.0], "stagger_rounds": 0.0}
NOBODY = Decision(np.zeros((1, 6), dtype=bool))


def sums(features):
    """Where samples are on the scale from 0 to 20 of the first two features."""
    return (features[:, :2] / FEATURE_SCALE * 10 / np.sqrt(12) + 5.0).sum(1)


@pytest.mark.parametrize(("number", "threshold"), [*enumerate(SEA_THRESHOLDS)])
def test_the_second_label_is_that_above_the_threshold(number, threshold):
    data = load_dataset("sea", 4)
    concept = np.array(data.concepts[number])
    np.testing.assert_array_equal(concept[data.train_labels], sums(data.train_features) > threshold)
    np.testing.assert_array_equal(concept[data.test_labels], sums(data.test_features) > threshold)


def test_features_are_uniform_and_as_large_as_those_of_images():
    features = load_dataset("sea", 6).train_features
    assert features.shape == (2000, 6)
    np.testing.assert_allclose(features.std(0), FEATURE_SCALE, rtol=0.03)
    assert np.abs(features).max() <= 5 / (10 / np.sqrt(12)) * FEATURE_SCALE


def test_an_episode_begins_with_the_first_threshold_and_drifts_to_any_other(begin):
    concepts, later = load_dataset("sea", 4).concepts, set()
    for seed in range(12):
        label_map = begin(reliable(SEA, drift=AT_ONCE), (seed,)).state.label_map[0, :, :5]
        assert tuple(label_map[0]) == concepts[0]
        later.add(tuple(label_map[1]))
    assert later == set(concepts[1:])


def test_what_was_learned_is_wrong_for_the_samples_between_the_thresholds(begin):
    learning = {**SEA, "model": "logistic", "warm_start_steps": 300, "eval_samples": 500}
    system = begin(reliable(learning, drift={**AT_ONCE, "onset_round": [1.0, 1.0]}))
    test = sums(load_dataset("sea", 4).test_features)
    later = SEA_THRESHOLDS[load_dataset("sea", 4).concepts.index(tuple(system.state.label_map[0, 1, :5]))]
    between = (np.minimum(8.0, later) < test) & (test <= np.maximum(8.0, later))
    learned = system.state.accuracy[0]
    assert learned > 0.93
    for _ in range(2):
        system.step(NOBODY)
    drop = learned - system.state.accuracy[0]
    # mistakes near the old threshold are right by chance, and devices hold classes in other shares than the test set
    assert drop == pytest.approx(between.mean(), abs=0.05)
    assert drop > 0.02


def test_training_follows_the_threshold(begin):
    learning = {
        **SEA,
        "model": "logistic",
        "warm_start_steps": 300,
        "eval_samples": 500,
        "server_rule": "fedadam",
        "server_rate": 0.1,
    }
    system = begin(reliable(learning, drift=AT_ONCE))
    start = system.state.accuracy[0]
    for _ in range(40):
        system.step(Decision(np.ones((1, 6), dtype=bool)))
    assert system.state.accuracy[0] > start + 0.02


def test_where_the_labels_move_two_of_the_five_intervals_are_left(begin):
    system = begin(reliable(SEA, drift={**AT_ONCE, "moves": "label"}))
    assert (system.state.label_share[0, 0].sum(0) > 0).sum() == 5
    assert (system.state.label_share[0, 1].sum(0) > 0).sum() == 2
    np.testing.assert_array_equal(*system.state.label_map[0])


def test_there_are_no_images_that_data_drift_could_change():
    changes = {"learning": {"dataset": "sea"}, "drift": {"kind": "abrupt", "moves": "data"}}
    with pytest.raises(InvalidValueError, match="drift.moves is 'data'; allowed: 'label' or 'concept'"):
        Scenario.preset("tiny").replace(changes)


def test_one_feature_is_not_enough():
    with pytest.raises(InvalidValueError, match="learning.num_features is 1; allowed: from 2 to 64"):
        Scenario.preset("tiny").replace({"learning": {"dataset": "sea", "num_features": 1, "model": "logistic"}})


def test_the_surrogate_is_not_calibrated_for_it():
    scenario = Scenario.preset("tiny").replace({"learning": {"dataset": "sea", "model": "surrogate"}})
    with pytest.raises(InvalidValueError, match="sea"):
        FederatedSystem(scenario).reset([np.random.default_rng(0)])
