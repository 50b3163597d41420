"""Recalibration of the last layer from statistics: the quadratic problem, its bits, and the round that it takes."""

import by_hand
import numpy as np
import pytest
from by_hand import reliable

from qfl_envs.system.decision import Decision
from qfl_envs.system.learning.adaptation import CANDIDATES, RETRAIN_FACTOR, Adaptation
from qfl_envs.system.learning.recalibration import BITS, RIDGE, QuadraticLoss

EVERYBODY = np.ones((1, 6), dtype=bool)
QUANTUM = {"model": "qnn", "batch_size": 2, "local_steps": 2, "eval_samples": 20}
NUM_HEAD = 4 * 10 + 10
RECALIBRATIONS = pytest.mark.parametrize("kind", [Adaptation.ANNEAL_HEAD, Adaptation.SOLVE_HEAD])


def random_loss(weights=3, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    seen = rng.normal(size=(20, weights))
    return QuadraticLoss.of(seen.T @ seen / 20, rng.normal(size=(weights, classes)))


def all_bits(count):
    return (np.arange(2**count)[:, None] >> np.arange(count)) & 1


def round_of(kind, setting=None, who=EVERYBODY):
    return Decision(who, adaptation=np.array([kind]), setting=None if setting is None else np.array([setting]))


def test_the_curvature_is_that_of_a_guess():
    rng = np.random.default_rng(0)
    features, labels, small = rng.normal(size=(30, 2)), rng.integers(10, size=30), 1e-3
    seen = np.column_stack([features, np.ones(30)])
    loss = QuadraticLoss.of(seen.T @ seen / 30, by_hand.gradient(np.zeros(30), features, labels).reshape(3, 10))
    change = np.zeros((3, 10))
    change[:, 4] = small * rng.normal(size=3)
    true = [by_hand.loss(sign * change.ravel(), features, labels) for sign in (1, 0, -1)]
    curved = true[0] - 2 * true[1] + true[2]
    ridge = 0.1 * 0.9 * RIDGE * (change**2).sum()
    assert curved == pytest.approx(loss.value(change) + loss.value(-change) - ridge, rel=1e-4)
    assert true[0] - true[2] == pytest.approx(loss.value(change) - loss.value(-change), rel=1e-4)


def test_the_bits_of_a_class_have_the_value_of_its_changes():
    loss = random_loss(weights=2, classes=2)
    linear, quadratic = loss.qubo(1)
    bits = all_bits(2 * BITS)
    energy = bits @ linear + 0.5 * (bits * (bits @ quadratic)).sum(-1)
    values = []
    for change in loss.decoded(bits):
        whole = np.zeros((2, 2))
        whole[:, 1] = change
        values.append(loss.value(whole))
    np.testing.assert_allclose(energy - energy[0], np.array(values) - values[0], atol=1e-12)


def test_changes_are_whole_numbers_of_steps_none_among_them():
    loss = random_loss(weights=1)
    steps = np.unique(loss.decoded(all_bits(BITS)) / loss.step)
    np.testing.assert_allclose(steps, np.arange(-4, 4))


def test_annealing_finds_the_best_changes_of_all():
    loss = random_loss()
    found = loss.annealed(np.random.default_rng(0))
    bits = all_bits(3 * BITS)
    for label in range(4):
        linear, quadratic = loss.qubo(label)
        energy = bits @ linear + 0.5 * (bits * (bits @ quadratic)).sum(-1)
        np.testing.assert_allclose(found[:, label], loss.decoded(bits[energy.argmin()]))


def test_the_solution_is_stationary_and_rounded_to_the_nearest_step():
    loss = random_loss()
    np.testing.assert_allclose(loss.gradient + loss.curvature @ loss.solved(), 0.0, atol=1e-12)
    inside = np.abs(loss.solved()) < 3 * loss.step
    assert inside.any() and (np.abs(loss.rounded() - loss.solved())[inside] <= loss.step / 2 + 1e-12).all()


def test_a_round_changes_the_layer_by_the_statistics_of_all_who_delivered(begin):
    system = begin(reliable({"local_steps": 2, "size_spread": 0.5}), adapts=True)
    seen = by_hand.watch(system)
    before = system.state.parameters[0].copy()
    system.step(round_of(Adaptation.SOLVE_HEAD))
    state, work = seen[0]
    gram, gradient = np.zeros((5, 5)), np.zeros(50)
    data = state.num_samples[0] / state.num_samples[0].sum()
    for device, share in enumerate(data):
        batches = by_hand.batches_of(system, state, work, device)
        assert len(batches) == 2 * RETRAIN_FACTOR
        features, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
        with_bias = np.column_stack([features, np.ones(len(features))])
        gram += share * with_bias.T @ with_bias / len(features)
        gradient += share * by_hand.gradient(before, features, labels)
    expected = QuadraticLoss.of(gram, gradient.reshape(5, 10)).rounded().ravel()
    assert data.std() > 0 and expected.any()
    np.testing.assert_allclose(system.state.parameters[0] - before, expected, atol=1e-5)


@RECALIBRATIONS
def test_a_round_touches_the_last_layer_and_nothing_else(begin, kind):
    system = begin(reliable(QUANTUM), adapts=True)
    system.step(round_of(Adaptation.FINE_TUNE))
    before = system.state.copy()
    system.step(round_of(kind))
    after = system.state
    changed = after.parameters[0] != before.parameters[0]
    assert changed[-NUM_HEAD:].any() and not changed[:-NUM_HEAD].any()
    for name in ("first_moment", "second_moment", "adam_steps", "local_rate"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    assert after.updates[0] == before.updates[0] + 1


@RECALIBRATIONS
def test_devices_send_a_gradient_and_a_gram_matrix(begin, kind):
    report = begin(reliable(QUANTUM, security={"protection_bits": 7}), adapts=True).step(round_of(kind))
    np.testing.assert_allclose(report.bits_sent, 32 * (NUM_HEAD + 5 * 6 // 2) + 7)


def test_the_loss_on_the_participants_falls(begin):
    system = begin(reliable({**QUANTUM, "batch_size": 16}), adapts=True)
    before = system.state.loss.copy()
    for _ in range(3):
        system.step(round_of(Adaptation.ANNEAL_HEAD))
    assert system.state.loss[0] < before[0] - 0.3


def test_a_round_in_which_nobody_takes_part_recalibrates_nothing(begin):
    system = begin(reliable({}), adapts=True)
    before = system.state.parameters.copy()
    system.step(round_of(Adaptation.ANNEAL_HEAD, who=~EVERYBODY))
    np.testing.assert_array_equal(system.state.parameters, before)


def test_a_setting_is_taken_on_in_its_round_and_kept(begin):
    system = begin(reliable({}), adapts=True)
    seen = by_hand.watch(system)
    system.step(round_of(Adaptation.FINE_TUNE, setting=11))
    system.step(round_of(Adaptation.FINE_TUNE))
    for state, _ in seen:
        assert state.local_rate[0] == pytest.approx(0.1 * CANDIDATES[11].rate_factor)
        assert (state.dropout[0], state.activation_bits[0]) == (CANDIDATES[11].dropout, CANDIDATES[11].activation_bits)


def test_a_setting_changes_nothing_where_nobody_trains(begin):
    system = begin(reliable({}), adapts=True)
    system.step(round_of(Adaptation.FINE_TUNE, setting=11, who=~EVERYBODY))
    assert system.state.local_rate[0] == 0.1
