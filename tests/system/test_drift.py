"""How the data of the devices change: when, what, and what it does to training and to what is measured."""

import copy

import by_hand
import numpy as np
import pytest
from by_hand import reliable
from scipy import stats

from qfl_envs.scenario import Drift
from qfl_envs.system.decision import Decision
from qfl_envs.system.difficulty import Difficulty
from qfl_envs.system.learning.data import TRANSFORMS, _digits, load_dataset, load_transformed
from qfl_envs.system.learning.drift import onset_round, severity

EVERYBODY, NOBODY = Decision(np.ones((1, 6), dtype=bool)), Decision(np.zeros((1, 6), dtype=bool))
AT_ONCE = {"kind": "abrupt", "onset_round": [0.0, 0.0], "stagger_rounds": 0.0}
UNEVEN = {
    "kind": "gradual",
    "onset_round": [0.0, 0.0],
    "stagger_rounds": 5.0,
    "duration_rounds": 10.0,
    "swapped_labels": 10,
}
MOVES = ("data", "label", "concept")
every_move = pytest.mark.parametrize("moves", MOVES)


def drifting(begin, drift, learning=None, seeds=(0,), difficulty=None, **options):
    scenario = reliable({"server_rule": "fedavg", "server_rate": 1.0, **(learning or {})}, drift=drift)
    if difficulty is None:
        return begin(scenario, seeds, **options)
    system = begin(scenario, seeds, **options)
    system.difficulty = difficulty
    system.reset([np.random.default_rng(seed) for seed in seeds])
    return system


# when


def severities(drift, onset, rounds, scale=1.0):
    onset = np.atleast_1d(np.asarray(onset, dtype=float))[None]
    return [severity(drift, np.array([number]), onset, np.array([scale]))[0].tolist() for number in rounds]


def test_without_drift_the_severity_is_zero():
    assert severities(Drift(kind="none"), 0, range(3)) == [[0.0]] * 3


def test_abrupt_drift_is_there_at_once():
    assert severities(Drift(kind="abrupt"), 2.5, range(5)) == [[0], [0], [0], [1], [1]]


def test_abrupt_drift_begins_in_the_round_of_its_onset():
    assert severities(Drift(kind="abrupt"), 2.0, range(4)) == [[0], [0], [1], [1]]


def test_gradual_drift_rises_evenly_over_its_duration():
    drift = Drift(kind="gradual", duration_rounds=4.0)
    assert severities(drift, 1.0, range(7)) == [[0], [0], [0.25], [0.5], [0.75], [1], [1]]


def test_recurring_drift_is_there_in_the_first_half_of_every_cycle():
    drift = Drift(kind="recurring", period_rounds=4.0)
    assert severities(drift, 3.0, range(11)) == [[0], [0], [0], [1], [1], [0], [0], [1], [1], [0], [0]]


@pytest.mark.parametrize("kind", ["abrupt", "gradual", "recurring"])
def test_the_scale_is_the_severity_at_its_strongest(kind):
    drift = Drift(kind=kind, duration_rounds=2.0, period_rounds=8.0)
    assert severities(drift, 0.0, [2], scale=0.25) == [[0.25]]


def test_every_device_drifts_from_its_own_onset_on():
    assert severities(Drift(kind="abrupt"), [0, 1, 2], range(3)) == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_devices_follow_the_onset_of_the_episode_by_delays_of_their_own():
    drift = Drift(onset_round=(10.0, 20.0), stagger_rounds=4.0)
    np.testing.assert_allclose(onset_round(drift, np.array([[0.5, 0.0, 0.25, 0.75]])), [[15.0, 16.0, 18.0]])


def test_devices_train_with_the_severity_of_the_round(begin):
    system = drifting(begin, {**UNEVEN, "moves": "concept"})
    seen, onset = by_hand.watch(system), system.state.onset_round[0]
    for _ in range(4):
        system.step(EVERYBODY)
    expected = [np.clip((number - onset) / 10.0, 0.0, 1.0) for number in range(4)]
    np.testing.assert_allclose([work.drifted[0] for _, work in seen], expected)


# what


def holding(begin, drift, seed=0, **learning):
    system = drifting(begin, drift, learning, seeds=(seed,))
    return system.learner.data, system.state


def labels_held(data, state, world):
    """Labels of each device's samples before they are mapped."""
    return [data.labels[state.sample_index[0, world, device, : state.num_samples[0, device]]] for device in range(6)]


@pytest.mark.parametrize("moves", ["data", "concept"])
def test_devices_keep_their_samples_unless_labels_move(begin, moves):
    _, state = holding(begin, {**AT_ONCE, "moves": moves})
    np.testing.assert_array_equal(state.sample_index[:, 0], state.sample_index[:, 1])


@pytest.mark.parametrize("moves", ["data", "label"])
def test_labels_mean_what_they_did_unless_the_concept_moves(begin, moves):
    _, state = holding(begin, {**AT_ONCE, "moves": moves})
    np.testing.assert_array_equal(state.label_map[0], [np.arange(10)] * 2)


@pytest.mark.parametrize("moves", ["label", "concept"])
def test_samples_look_as_they_did_unless_the_data_move(begin, moves):
    data, _ = holding(begin, {**AT_ONCE, "moves": moves})
    np.testing.assert_array_equal(data.worlds[0].train_features, data.worlds[1].train_features)
    np.testing.assert_array_equal(data.worlds[0].test_features, data.worlds[1].test_features)


def test_where_the_data_move_all_samples_look_different(begin):
    data, _ = holding(begin, {**AT_ONCE, "moves": "data"})
    for name in ("train_features", "test_features"):
        assert (getattr(data.worlds[0], name) != getattr(data.worlds[1], name)).any(-1).all()


@every_move
def test_the_first_distribution_is_the_one_without_drift(begin, moves):
    data, state = holding(begin, {**AT_ONCE, "moves": moves})
    without, before = holding(begin, {"kind": "none"})
    np.testing.assert_array_equal(data.worlds[0].train_features, without.worlds[0].train_features)
    np.testing.assert_array_equal(state.sample_index[:, :1], before.sample_index)
    np.testing.assert_array_equal(state.label_map[:, :1], before.label_map)


@pytest.mark.parametrize("partition", ["iid", "dirichlet", "shards", "one_label"])
def test_where_labels_move_half_of_them_vanish(begin, partition):
    data, state = holding(begin, {**AT_ONCE, "moves": "label"}, partition=partition)
    later = np.unique(np.concatenate(labels_held(data, state, 1)))
    assert 0 < len(later) <= 5


def test_where_labels_move_devices_hold_other_samples(begin):
    _, state = holding(begin, {**AT_ONCE, "moves": "label"})
    assert (state.sample_index[0, 0] != state.sample_index[0, 1]).any(-1).all()


def test_where_labels_move_another_episode_may_keep_others(begin):
    kept = {
        tuple(np.unique(np.concatenate(labels_held(*holding(begin, {**AT_ONCE, "moves": "label"}, seed), 1))))
        for seed in range(3)
    }
    assert len(kept) > 1


def test_where_labels_move_devices_hold_as_many_samples_as_before(begin):
    # every index is written; a device whose row were too short would hold sample 0 more than once
    _, state = holding(begin, {**AT_ONCE, "moves": "label"}, partition="iid", samples_per_device=50)
    later = [state.sample_index[0, 1, device, : state.num_samples[0, device]] for device in range(6)]
    assert [len(np.unique(samples)) for samples in later] == state.num_samples[0].tolist()


def test_where_labels_move_the_partition_stays_the_same_kind(begin):
    data, state = holding(begin, {**AT_ONCE, "moves": "label"}, partition="one_label")
    assert [len(np.unique(labels)) for labels in labels_held(data, state, 1)] == [1] * 6


@pytest.mark.parametrize("swapped", [2, 3, 10])
def test_where_the_concept_moves_some_labels_change_places(begin, swapped):
    _, state = holding(begin, {**AT_ONCE, "moves": "concept", "swapped_labels": swapped})
    later = state.label_map[0, 1]
    assert sorted(later) == list(range(10)) and (later != np.arange(10)).sum() == swapped


def test_where_the_concept_moves_another_episode_swaps_others(begin):
    maps = {tuple(holding(begin, {**AT_ONCE, "moves": "concept"}, seed)[1].label_map[0, 1]) for seed in range(3)}
    assert len(maps) == 3


@every_move
def test_the_share_of_each_label_is_counted_in_both_distributions(begin, moves):
    data, state = holding(begin, {**AT_ONCE, "moves": moves})
    for world in (0, 1):
        expected = [np.bincount(labels, minlength=10) / len(labels) for labels in labels_held(data, state, world)]
        np.testing.assert_allclose(state.label_share[0, world], expected)


@every_move
def test_an_episode_drifts_as_its_seed_says(begin, moves):
    first, second = (drifting(begin, {"kind": "gradual", "moves": moves}).state for _ in range(2))
    for name in ("onset_round", "sample_index", "label_map"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_another_seed_drifts_at_another_time(begin):
    onset = drifting(begin, {"kind": "gradual"}, seeds=(0, 1)).state.onset_round
    assert not np.isclose(*onset).any()


def test_a_row_drifts_as_it_does_alone(begin):
    drift = {**UNEVEN, "moves": "label"}
    together, alone = drifting(begin, drift, seeds=(5, 6, 7)), drifting(begin, drift, seeds=(6,))
    for _ in range(3):
        together.step(Decision(np.ones((3, 6), dtype=bool))), alone.step(EVERYBODY)
    for name in ("parameters", "accuracy", "loss", "device_loss"):
        np.testing.assert_allclose(getattr(together.state, name)[1], getattr(alone.state, name)[0], atol=1e-5)


# images


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_transform_of_no_strength_leaves_the_data_as_they_are(transform):
    moved, plain = load_transformed("digits", 4, transform, 0.0), load_dataset("digits", 4)
    for name in ("train_features", "test_features", "train_labels", "test_labels"):
        np.testing.assert_allclose(getattr(moved, name), getattr(plain, name), atol=1e-5, err_msg=name)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_transform_keeps_the_labels(transform):
    moved, plain = load_transformed("digits", 4, transform, 0.7), load_dataset("digits", 4)
    np.testing.assert_array_equal(moved.train_labels, plain.train_labels)
    np.testing.assert_array_equal(moved.test_labels, plain.test_labels)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transformed_images_are_seen_through_the_components_of_the_plain_ones(transform):
    train, _, test, _ = _digits()
    plain, moved = load_dataset("digits", 4), load_transformed("digits", 4, transform, 0.3)
    # features are affine in the pixels; find the map from the plain images
    affine, *_ = np.linalg.lstsq(np.column_stack([train, np.ones(len(train))]), plain.train_features, rcond=None)
    for images, features in ((train, moved.train_features), (test, moved.test_features)):
        changed = TRANSFORMS[transform](images, 0.3)
        expected = np.column_stack([changed, np.ones(len(images))]) @ affine
        np.testing.assert_allclose(features, expected, atol=1e-4)


def test_the_whole_rotation_is_a_quarter_turn():
    images = np.random.default_rng(0).random((3, 16))
    turned = TRANSFORMS["rotation"](images, 1.0)
    expected = np.stack([np.rot90(image.reshape(4, 4)).ravel() for image in images])
    np.testing.assert_allclose(turned, expected, atol=1e-12)


def test_half_a_rotation_keeps_what_is_symmetric_about_the_centre():
    centre = np.zeros((1, 5, 5))
    centre[0, 2, 2] = 1.0
    turned = TRANSFORMS["rotation"](centre.reshape(1, 25), 0.5).reshape(5, 5)
    assert np.unravel_index(turned.argmax(), (5, 5)) == (2, 2) and turned[2, 2] == pytest.approx(1.0)


def test_brightness_is_added_up_to_the_largest():
    brighter = TRANSFORMS["brightness"](np.array([[0.0, 4.0, 7.0, 8.0]]), 0.25)
    np.testing.assert_allclose(brighter, [[2.0, 6.0, 8.0, 8.0]])


def test_noise_is_normal_between_dark_and_the_largest_brightness():
    plain = np.full((100, 100), 8.0)
    plain[0, :50], plain[0, 50:] = 0.0, 16.0
    noisy = TRANSFORMS["noise"](plain, 0.1)
    assert (noisy.min() >= 0.0) and (noisy.max() <= 16.0)
    assert stats.kstest((noisy[1:] - 8.0).ravel() / 1.6, "norm").pvalue > 0.01


def test_noise_is_always_the_same():
    plain = np.random.default_rng(0).random((5, 4))
    np.testing.assert_array_equal(TRANSFORMS["noise"](plain, 0.5), TRANSFORMS["noise"](plain, 0.5))


# training and measuring


MEASURES = (by_hand.loss, by_hand.accuracy)


def severity_of_last_round(system):
    return np.clip((system.state.round_index[0] - 1 - system.state.onset_round[0]) / 10.0, 0.0, 1.0)


@every_move
def test_every_sample_of_a_batch_comes_from_the_second_distribution_with_the_probability_of_the_severity(begin, moves):
    # the reference takes it from there where its uniform number is below the severity
    system = drifting(begin, {**UNEVEN, "moves": moves})
    system.state.round_index[:] = 7
    seen = by_hand.watch(system)
    system.step(EVERYBODY)
    ((state, work),) = seen
    assert 0.2 < (work.uniform["world"] < work.drifted[..., None, None]).mean() < 0.8
    start = state.parameters[0].astype(float)
    changes = [
        by_hand.local_steps(start, by_hand.batches_of(system, state, work, device), 0.1) - start for device in range(6)
    ]
    expected = start + np.average(changes, axis=0, weights=state.num_samples[0])
    np.testing.assert_allclose(system.state.parameters[0], expected, atol=1e-5)


@every_move
def test_held_out_accuracy_is_that_of_the_present_distribution(begin, moves):
    system = drifting(begin, {**UNEVEN, "moves": moves}, {"eval_samples": 60, "partition": "shards"})
    for _ in range(4):
        system.step(EVERYBODY)
    state, drifted = system.state, severity_of_last_round(system)
    parameters, accuracy, loss = state.parameters[0].astype(float), 0.0, 0.0
    for device in range(6):
        for world, share in enumerate((1 - drifted[device], drifted[device])):
            data = system.learner.data.worlds[world]
            features, original = data.test_features[:60].astype(float), data.test_labels[:60]
            labels = state.label_map[0, world, original]
            log_chances = by_hand.log_chances(parameters, features)
            correct, losses = log_chances.argmax(1) == labels, -log_chances[np.arange(60), labels]
            weight = np.full(60, 1 / 60)
            if moves == "label":
                held = labels_held(system.learner.data, state, world)[device]
                weight = np.array([(held == label).mean() / (original == label).sum() for label in original])
            accuracy += share / 6 * (weight * correct).sum()
            loss += share / 6 * (weight * losses).sum()
    assert drifted.min() < drifted.max() < 1
    np.testing.assert_allclose((state.accuracy[0], state.loss[0]), (accuracy, loss), rtol=1e-5)


def test_labels_without_a_held_out_sample_do_not_lower_what_is_measured(begin):
    # four samples cannot have all labels of the devices; a model of no weights guesses uniformly whatever they are
    system = drifting(begin, {**UNEVEN, "moves": "label"}, {"eval_samples": 4, "partition": "iid"})
    system.state.parameters[:] = 0.0
    system.step(NOBODY)
    assert system.state.loss[0] == pytest.approx(np.log(10))


@every_move
def test_a_device_is_measured_on_the_present_mixture_of_its_data(begin, moves):
    system = drifting(begin, {**UNEVEN, "moves": moves}, {"device_eval_samples": 5})
    for _ in range(4):
        system.step(EVERYBODY)
    state, drifted = system.state, severity_of_last_round(system)
    parameters = state.parameters[0].astype(float)
    for device in range(6):
        both = [by_hand.data_of(system, state, device, world, first=5) for world in (0, 1)]
        losses, accuracies = ([measure(parameters, *data) for data in both] for measure in MEASURES)
        mixture = [1 - drifted[device], drifted[device]]
        measured = state.device_loss[0, device], state.device_accuracy[0, device]
        np.testing.assert_allclose(measured, (np.dot(mixture, losses), np.dot(mixture, accuracies)), rtol=1e-4)


@every_move
def test_the_loss_of_the_received_model_is_that_on_the_present_mixture_of_all_data(begin, moves):
    system = drifting(
        begin, {**UNEVEN, "moves": moves}, {"server_rule": "q-fedavg", "fairness_q": 1.0, "device_eval_samples": 1}
    )
    system.step(EVERYBODY), system.step(EVERYBODY)
    seen = by_hand.watch(system)
    system.step(EVERYBODY)
    ((state, work),) = seen
    losses = system.learner.train(state, work).losses
    for device, share in enumerate(work.drifted[0]):
        both = [by_hand.loss(state.parameters[0], *by_hand.data_of(system, state, device, world)) for world in (0, 1)]
        assert losses[device] == pytest.approx((1 - share) * both[0] + share * both[1], rel=1e-5)


def test_where_data_drift_a_model_is_measured_again_in_a_round_in_which_nothing_arrives(begin):
    system = drifting(begin, {**AT_ONCE, "moves": "concept", "onset_round": [1.0, 1.0]})
    losses = []
    for _ in range(2):
        system.step(NOBODY)
        losses.append(system.state.loss.item())
    assert losses[0] != losses[1]


# difficulty


@pytest.mark.parametrize("kind", ["abrupt", "gradual", "recurring"])
def test_the_easiest_episodes_do_not_drift(begin, kind):
    system = drifting(begin, {**AT_ONCE, "kind": kind}, difficulty=Difficulty(drift=0.0))
    for _ in range(3):
        system.step(NOBODY)
        assert not system.drifted().any()


@every_move
def test_the_easiest_episodes_train_as_without_drift(begin, moves):
    easy = drifting(begin, {**AT_ONCE, "moves": moves}, difficulty=Difficulty(drift=0.0))
    without = drifting(begin, {"kind": "none"})
    easy.generators = copy.deepcopy(without.generators)  # where drift deals more, it has drawn more at the reset
    for system in (easy, without):
        system.step(EVERYBODY)
    np.testing.assert_allclose(easy.state.parameters, without.state.parameters, atol=1e-6)


@pytest.mark.parametrize("moves", ["data", "concept"])
def test_the_easiest_episodes_are_measured_as_without_drift(begin, moves):
    easy = drifting(begin, {**AT_ONCE, "moves": moves}, difficulty=Difficulty(drift=0.0))
    without = drifting(begin, {"kind": "none"})
    for name in ("accuracy", "loss", "device_accuracy", "device_loss"):
        np.testing.assert_allclose(getattr(easy.state, name), getattr(without.state, name), atol=1e-6)


def test_half_the_difficulty_is_half_the_severity(begin):
    system = drifting(begin, AT_ONCE, difficulty=Difficulty(drift=0.5))
    np.testing.assert_array_equal(system.drifted(), 0.5)
