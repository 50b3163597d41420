"""The convergence model that stands for the quantum learner, against softmax regression by hand."""

import copy
import dataclasses
import subprocess
import sys

import by_hand
import numpy as np
import pytest
import torch
from by_hand import reliable

from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.learning import surrogate as module
from qfl_envs.system.learning.adaptation import CANDIDATES, Adaptation
from qfl_envs.system.learning.data import load_dataset, load_transformed
from qfl_envs.system.learning.surrogate import Calibration, Surrogate, calibrations, prototypes
from qfl_envs.system.learning.work import LocalWork

PLAIN = Calibration(speed=1.5, sharpness=1.0, best_accuracy=0.9, saturation=0.0, noise=0.0, start=0.2, head=0.7)
EVERYBODY = np.ones((1, 6), dtype=bool)
RATE = 0.1
DRIFT = {"kind": "abrupt", "onset_round": [0.0, 0.0]}
MOVES = ("data", "label", "concept")


@pytest.fixture
def calibrated(begin, monkeypatch):
    """Systems of a surrogate with a calibration of our own: ``calibrated(learning, seeds=(0,), noise=0.3)``."""

    def begin_calibrated(learning=None, seeds=(0,), scenario=None, adapts=False, **calibration):
        mine = dataclasses.replace(PLAIN, **calibration)
        monkeypatch.setattr(module, "shipped_calibration", lambda scenario: mine)
        learned = {"model": "surrogate", "server_rule": "fedavg", "server_rate": 1.0, **(learning or {})}
        return begin(reliable(learned, **(scenario or {})), seeds, adapts=adapts)

    return begin_calibrated


def asked(system, steps=2, kind=Adaptation.FINE_TUNE, drifted=0.0, trains=None, normal=None):
    """Work of all devices of one system, the random part zero if not given."""
    shape = (1, 6)
    parameters = system.state.parameters.shape[1]
    return LocalWork(
        trains=EVERYBODY if trains is None else trains,
        local_steps=np.broadcast_to(steps, shape),
        adaptation=np.array([kind]),
        drifted=np.broadcast_to(drifted, shape).astype(float),
        uniform={},
        normal={"update": np.zeros((1, parameters)) if normal is None else normal},
    )


def points_of(label, speed=PLAIN.speed, data=None):
    """Features of the prototypes of a class."""
    return speed * prototypes(load_dataset("digits", 4) if data is None else data)[label]


def as_head(parameters):
    """Weights of the surrogate, class after class, as a layer and its biases, feature after feature."""
    return np.asarray(parameters).reshape(10, -1).T.ravel()


def class_loss(parameters, label, called=None, **points):
    features = points_of(label, **points)
    return by_hand.loss(as_head(parameters), features, [label if called is None else called] * len(features))


def class_gradient(parameters, label, called=None, **points):
    features = points_of(label, **points)
    gradient = by_hand.gradient(as_head(parameters), features, [label if called is None else called] * len(features))
    return gradient.reshape(-1, 10).T.ravel()


def moved_data(scenario):
    return load_transformed("digits", 4, scenario.drift.transform, scenario.drift.strength)


# the model


def test_prototypes_are_the_means_of_the_samples_next_to_them():
    data = load_dataset("digits", 4)
    for label, centres in enumerate(prototypes(data)):
        held = data.train_features[data.train_labels == label]
        nearest = np.linalg.norm(held[:, None] - centres, axis=-1).argmin(1)
        means = [held[nearest == number].mean(0) for number in range(len(centres))]
        np.testing.assert_allclose(centres, means, atol=0.02)


def test_the_loss_of_a_device_is_that_of_its_labels_on_their_prototypes(calibrated):
    state = calibrated().state
    losses = [class_loss(state.parameters[0], label) for label in range(10)]
    np.testing.assert_allclose(state.device_loss[0], state.label_share[0, 0] @ losses, rtol=1e-5)


def test_the_held_out_loss_is_the_mean_over_all_labels(calibrated):
    state = calibrated().state
    expected = np.mean([class_loss(state.parameters[0], label) for label in range(10)])
    assert state.loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("sharpness", [1.0, 3.0])
def test_accuracy_rises_with_the_sharpened_chance_of_the_label_from_a_guess_to_the_best(calibrated, sharpness):
    state = calibrated(sharpness=sharpness, best_accuracy=0.8).state
    accuracies = []
    for label in range(10):
        likely = np.exp(by_hand.log_chances(as_head(state.parameters[0]), points_of(label))) ** sharpness
        sure = (likely / likely.sum(-1, keepdims=True))[:, label]
        accuracies.append(np.mean(0.1 + 0.7 * (sure - 0.1) / 0.9))
    assert state.accuracy.item() == pytest.approx(np.mean(accuracies), rel=1e-5)
    np.testing.assert_allclose(state.device_accuracy[0], state.label_share[0, 0] @ accuracies, rtol=1e-5)


def test_a_model_that_knows_nothing_guesses(calibrated):
    assert calibrated(start=0.0).state.accuracy.item() == pytest.approx(0.1)


def test_the_untrained_weights_have_the_spread_of_the_calibration(calibrated):
    weights = calibrated(seeds=range(50), start=0.3).state.parameters
    assert (weights.mean(), weights.std()) == (pytest.approx(0.0, abs=0.02), pytest.approx(0.3, rel=0.03))


def test_a_scenario_without_a_calibration_is_refused_with_those_that_there_are():
    scenario = Scenario().replace({"learning": {"model": "surrogate"}, "quantum": {"num_qubits": 3}})
    with pytest.raises(InvalidValueError, match="is 'digits-3'; allowed: one of digits-4, .*qfl calibrate"):
        Surrogate(scenario)


@pytest.mark.parametrize("key", calibrations())
def test_shipped_calibrations_are_possible(key):
    shipped = calibrations()[key]
    assert 0.1 < shipped.best_accuracy <= 1.0 and 0.0 <= shipped.saturation < 1.0
    assert (
        shipped.speed > 0 and shipped.sharpness > 0 and shipped.noise >= 0 and shipped.start >= 0 and shipped.head > 0
    )


# updates


def test_the_update_of_a_device_of_one_label_is_the_gradient_of_that_label(calibrated):
    system = calibrated({"partition": "one_label"})
    updates = system.learner.train(system.state, asked(system)).updates
    for device, change in enumerate(updates.change):
        label = system.state.label_share[0, 0, device].argmax()
        gradient = class_gradient(system.state.parameters[0], label)
        np.testing.assert_allclose(change, -RATE * 2 * gradient, atol=1e-6)


def test_the_update_of_a_device_of_one_label_lowers_its_loss_as_finite_differences_say(calibrated):
    system = calibrated({"partition": "one_label"})
    change = system.learner.train(system.state, asked(system)).updates.change
    start, step = system.state.parameters.astype(float), 1e-5
    slopes = np.empty((6, start.shape[1]))
    for number in range(start.shape[1]):
        losses = []
        for sign in (1, -1):
            system.state.parameters = start.copy()
            system.state.parameters[0, number] += sign * step
            losses.append(system.learner.evaluate(system.state, np.array([0]), np.zeros((1, 6))).device_loss[0])
        slopes[:, number] = (losses[0] - losses[1]) / (2 * step)
    np.testing.assert_allclose(change, -RATE * 2 * slopes, atol=1e-6)


def test_the_update_of_a_device_of_many_labels_is_that_of_their_mixture(calibrated):
    system = calibrated({"partition": "dirichlet"})
    updates = system.learner.train(system.state, asked(system)).updates
    gradients = [class_gradient(system.state.parameters[0], label) for label in range(10)]
    assert (system.state.label_share[0, 0] > 0).sum(-1).min() > 1
    np.testing.assert_allclose(updates.change, -RATE * 2 * system.state.label_share[0, 0] @ gradients, atol=1e-6)


def test_devices_that_do_not_train_have_no_update(calibrated):
    system = calibrated()
    trains = np.array([[True, False, True, False, False, True]])
    updates = system.learner.train(system.state, asked(system, trains=trains)).updates
    assert (updates.row.tolist(), updates.device.tolist(), len(updates.change)) == ([0, 0, 0], [0, 2, 5], 3)


def test_later_local_steps_do_less_where_they_saturate(calibrated):
    # with a saturation of a fifth: 1, 1 + 0.8, 1 + 0.8 + 0.64
    system = calibrated({"partition": "one_label"}, saturation=0.2)
    system.state.label_share[:] = system.state.label_share[:, :, :1]
    change = system.learner.train(system.state, asked(system, steps=[[1, 2, 3, 1, 1, 1]])).updates.change
    np.testing.assert_allclose(change[1] / change[0], 1.8, rtol=1e-4)
    np.testing.assert_allclose(change[2] / change[0], 2.44, rtol=1e-4)


def test_an_update_of_the_head_is_a_share_of_an_ordinary_one(calibrated):
    system = calibrated(head=0.25)
    ordinary, head = (
        system.learner.train(system.state, asked(system, kind=kind)).updates.change
        for kind in (Adaptation.FINE_TUNE, Adaptation.HEAD)
    )
    np.testing.assert_allclose(head, 0.25 * ordinary, rtol=1e-5, atol=1e-9)


def test_updates_grow_with_the_rate_that_the_system_has(calibrated):
    system = calibrated()
    before = system.learner.train(system.state, asked(system)).updates.change
    system.state.local_rate[:] = 3 * RATE
    np.testing.assert_allclose(
        system.learner.train(system.state, asked(system)).updates.change, 3 * before, rtol=1e-4, atol=1e-7
    )


@pytest.mark.parametrize("who", [range(6), [2]], ids=["six", "one"])
def test_the_random_part_is_as_large_as_the_calibration_says_and_averages_out_over_devices(calibrated, who):
    trains = np.isin(np.arange(6), list(who))[None]
    normal = np.random.default_rng(0).normal(size=(1, 50))
    loud, silent = (calibrated(noise=noise) for noise in (0.4, 0.0))
    changes = [
        system.learner.train(system.state, asked(system, trains=trains, normal=normal)).updates.change
        for system in (loud, silent)
    ]
    gradients = np.array([class_gradient(loud.state.parameters[0], label) for label in range(10)])
    expected = RATE * 2 * 0.4 * np.sqrt((gradients**2).mean()) * normal[0] / np.sqrt(len(who))
    np.testing.assert_allclose(changes[0] - changes[1], np.tile(expected, (len(who), 1)), atol=1e-6)


def test_permuting_devices_permutes_their_updates(calibrated):
    system = calibrated({"partition": "dirichlet"}, noise=0.4)
    steps, order = np.array([[1, 2, 3, 4, 5, 6]]), np.array([3, 5, 0, 1, 4, 2])
    normal = np.random.default_rng(0).normal(size=(1, 50))
    trains = np.array([[True, True, False, True, True, True]])
    before = system.learner.train(system.state, asked(system, steps, trains=trains, normal=normal)).updates
    system.state.label_share = system.state.label_share[:, :, order]
    after = system.learner.train(
        system.state, asked(system, steps[:, order], trains=trains[:, order], normal=normal)
    ).updates
    changes = dict(zip(before.device, before.change, strict=True))
    assert set(order[after.device]) == set(before.device)
    for device, change in zip(after.device, after.change, strict=True):
        np.testing.assert_allclose(change, changes[order[device]], atol=1e-7)


def test_permuting_devices_permutes_their_losses(calibrated):
    system, order = calibrated({"partition": "dirichlet"}), np.array([3, 5, 0, 1, 4, 2])
    before = system.state.device_loss[0]
    system.state.label_share = system.state.label_share[:, :, order]
    after = system.learner.evaluate(system.state, np.array([0]), np.zeros((1, 6))).device_loss[0]
    np.testing.assert_allclose(after, before[order])


def test_scaffold_corrects_the_updates_of_the_surrogate(calibrated):
    system = calibrated({"server_rule": "scaffold"})
    plain = system.learner.train(system.state, asked(system)).updates.change
    rng = np.random.default_rng(0)
    system.state.controls = rng.normal(size=system.state.controls.shape)
    system.state.server_control = rng.normal(size=system.state.server_control.shape)
    corrected = system.learner.train(system.state, asked(system)).updates.change
    expected = plain - RATE * 2 * (system.state.server_control[0] - system.state.controls[0])
    np.testing.assert_allclose(corrected, expected, atol=1e-6)


def test_fair_rules_hear_the_loss_of_the_received_model(calibrated):
    system = calibrated({"server_rule": "q-fedavg", "fairness_q": 1.0, "partition": "dirichlet"})
    losses = [class_loss(system.state.parameters[0], label) for label in range(10)]
    heard = system.learner.train(system.state, asked(system)).losses
    np.testing.assert_allclose(heard, system.state.label_share[0, 0] @ losses, rtol=1e-5)


@pytest.mark.parametrize("rate", [0.1, 100.0])
def test_reoptimisation_finds_the_rate_whose_mean_update_has_the_least_loss(calibrated, rate):
    system = calibrated({"local_rate": rate, "partition": "dirichlet"}, adapts=True)
    state = system.state
    ordinary = system.learner.train(state, asked(system)).updates.change
    result = system.learner.train(state, asked(system, kind=Adaptation.REOPTIMISE))
    losses = []
    for candidate in CANDIDATES:
        model = state.parameters[0] + candidate.rate_factor * ordinary.mean(0)
        losses.append(state.label_share[0, 0].mean(0) @ [class_loss(model, label) for label in range(10)])
    factor = CANDIDATES[int(np.argmin(losses))].rate_factor
    assert CANDIDATES[result.chosen[0]].rate_factor == factor == {0.1: 2.0, 100.0: 0.5}[rate]
    np.testing.assert_allclose(result.rate, rate * factor)
    np.testing.assert_allclose(result.updates.change, factor * ordinary, rtol=1e-5)


def test_reoptimisation_looks_at_the_data_of_those_who_train_alone(calibrated):
    # the larger the step for the only label that trains, the better for it and the worse for all others
    system = calibrated({"local_rate": 3.0, "partition": "one_label"}, adapts=True)
    trains = np.arange(6)[None] == 2
    result = system.learner.train(system.state, asked(system, kind=Adaptation.REOPTIMISE, trains=trains))
    assert CANDIDATES[result.chosen[0]].rate_factor == 2.0


@pytest.mark.parametrize("moves", MOVES)
def test_some_systems_are_measured_as_they_are_among_all(calibrated, moves):
    scenario = {"drift": {**DRIFT, "moves": moves, "swapped_labels": 10}}
    system = calibrated({"partition": "dirichlet"}, seeds=(0, 1, 2), scenario=scenario)
    drifted, some = np.random.default_rng(0).random((3, 6)), np.array([0, 2])
    every = system.learner.evaluate(system.state, np.arange(3), drifted)
    measured = system.learner.evaluate(system.state, some, drifted[some])
    for name, value in vars(every).items():
        np.testing.assert_allclose(getattr(measured, name), value[some], err_msg=name)


# drift


def drifting(calibrated, moves, **learning):
    return calibrated({"partition": "dirichlet", **learning}, scenario={"drift": {**DRIFT, "moves": moves}})


def gradients_of_worlds(system, moves):
    """Gradient and loss of each class in each distribution, by hand."""
    start, label_map = system.state.parameters[0], system.state.label_map[0]
    later = {"data": moved_data(system.scenario)} if moves == "data" else {}
    worlds = ({}, later)
    gradients = [
        [class_gradient(start, label, label_map[world, label], **points) for label in range(10)]
        for world, points in enumerate(worlds)
    ]
    losses = [
        [class_loss(start, label, label_map[world, label], **points) for label in range(10)]
        for world, points in enumerate(worlds)
    ]
    return np.array(gradients), np.array(losses)


@pytest.mark.parametrize("moves", MOVES)
def test_updates_are_those_of_the_present_mixture_of_both_distributions(calibrated, moves):
    system, drifted = drifting(calibrated, moves), np.linspace(0.0, 1.0, 6)
    gradients, _ = gradients_of_worlds(system, moves)
    change = system.learner.train(system.state, asked(system, drifted=drifted)).updates.change
    share = system.state.label_share[0]
    mixture = (1 - drifted[:, None]) * (share[0] @ gradients[0]) + drifted[:, None] * (share[1] @ gradients[1])
    np.testing.assert_allclose(change, -RATE * 2 * mixture, atol=1e-6)


@pytest.mark.parametrize("moves", MOVES)
def test_devices_are_measured_on_the_present_mixture_of_both_distributions(calibrated, moves):
    system, drifted = drifting(calibrated, moves), np.linspace(0.0, 1.0, 6)
    _, losses = gradients_of_worlds(system, moves)
    measured = system.learner.evaluate(system.state, np.array([0]), drifted[None]).device_loss[0]
    share = system.state.label_share[0]
    np.testing.assert_allclose(
        measured, (1 - drifted) * (share[0] @ losses[0]) + drifted * (share[1] @ losses[1]), rtol=1e-5
    )


@pytest.mark.parametrize("moves", MOVES)
def test_the_held_out_loss_is_that_of_the_present_distribution(calibrated, moves):
    system, drifted = drifting(calibrated, moves), np.linspace(0.0, 0.6, 6)
    _, losses = gradients_of_worlds(system, moves)
    measured = system.learner.evaluate(system.state, np.array([0]), drifted[None]).loss[0]
    expected = 0.0
    for device, late in enumerate(drifted):
        for world, part in enumerate((1 - late, late)):
            weight = system.state.label_share[0, world, device] if moves == "label" else np.full(10, 0.1)
            expected += part / 6 * (weight @ losses[world])
    assert measured == pytest.approx(expected, rel=1e-5)


# many rounds


def test_a_surrogate_loads_no_torch():
    code = """
import sys
import numpy as np
from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
system = FederatedSystem(Scenario.preset("tiny").replace({"learning": {"model": "surrogate", "warm_start_steps": 2}}))
system.reset([np.random.default_rng(0)])
system.step(Decision(np.ones((1, 6), dtype=bool)))
print(system.state.updates.item(), "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]


@pytest.mark.parametrize("moves", [None, *MOVES])
def test_a_row_of_surrogates_learns_what_it_learns_alone(calibrated, moves):
    scenario = {"drift": {**DRIFT, "kind": "gradual", "moves": moves}} if moves else {}
    options = {"scenario": scenario, "noise": 0.4, "saturation": 0.1}
    together = calibrated(seeds=(5, 6, 7), **options)
    alone = calibrated(seeds=(6,), **options)
    rng = np.random.default_rng(0)
    for _ in range(4):
        chosen = rng.random((3, 6)) < 0.6
        together.step(Decision(chosen)), alone.step(Decision(chosen[1:2]))
    for name in ("parameters", "accuracy", "loss", "device_loss", "device_accuracy"):
        np.testing.assert_allclose(getattr(together.state, name)[1], getattr(alone.state, name)[0], atol=1e-6)


def test_kinds_of_rounds_do_not_mix_between_surrogates(calibrated):
    together = calibrated(seeds=range(3, 9), adapts=True, noise=0.4)
    together.step(Decision(np.ones((6, 6), dtype=bool), adaptation=np.array(Adaptation)))
    for row, kind in enumerate(Adaptation):
        alone = calibrated(seeds=(3 + row,), adapts=True, noise=0.4)
        alone.step(Decision(EVERYBODY, adaptation=np.array([kind])))
        np.testing.assert_allclose(together.state.parameters[row], alone.state.parameters[0], atol=1e-6)


def test_the_more_labels_deliver_the_better_the_model_after_thirty_rounds(begin, monkeypatch):
    # ten devices of one label each; those who deliver are drawn anew in every episode, and deliver every time
    monkeypatch.setattr(module, "shipped_calibration", lambda scenario: dataclasses.replace(PLAIN, noise=0.3))
    learning = {"model": "surrogate", "partition": "one_label", "server_rule": "fedadam", "server_rate": 0.1}
    seeds, accuracies = range(30), []
    for labels in (1, 2, 4, 7, 10):
        system = begin(reliable(learning, num_devices=10), seeds)
        order = np.stack([np.random.default_rng(seed).permutation(10) for seed in seeds])
        for _ in range(30):
            system.step(Decision(order < labels))
        accuracies.append(system.state.accuracy.mean())
    assert (np.diff(accuracies) > 0).all()


AGGREGATIONS = [
    *(("deadline", rule) for rule in ("fedadam", "fedavg", "q-fedavg", "fednova", "scaffold")),
    ("synchronous", "fedadam"),
    ("asynchronous", "fedasync"),
    ("buffered", "fedavg"),
    ("buffered", "fedadam"),
]


@pytest.mark.parametrize(("aggregation", "rule"), AGGREGATIONS)
def test_a_surrogate_learns_under_every_rule(calibrated, aggregation, rule):
    system = calibrated({"aggregation": aggregation, "server_rule": rule, "server_rate": 0.5, "buffer_size": 3})
    for _ in range(40):
        system.step(Decision(EVERYBODY))
    assert system.state.accuracy.item() > system.state.start_accuracy.item() + 0.1


# warm start


def test_a_warm_start_is_central_training_with_adam(calibrated):
    system = calibrated({"warm_start_steps": 20})
    features = torch.from_numpy(np.concatenate([points_of(label) for label in range(10)])).double()
    labels = torch.arange(10).repeat_interleave(3)
    weights = torch.zeros(5, 10, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([weights], lr=0.05)
    for _ in range(20):
        adam.zero_grad()
        torch.nn.functional.cross_entropy(features @ weights[:4] + weights[4], labels).backward()
        adam.step()
    np.testing.assert_allclose(system.state.parameters[0], weights.detach().T.flatten(), atol=1e-5)


def test_a_warm_start_knows_nothing_of_what_data_will_drift_to(calibrated):
    drifted, plain = (
        calibrated({"warm_start_steps": 5}, scenario={"drift": {"kind": kind}}) for kind in ("abrupt", "none")
    )
    np.testing.assert_array_equal(drifted.state.parameters, plain.state.parameters)


@pytest.mark.parametrize("model", ["surrogate", "logistic"])
def test_a_warm_start_is_the_same_in_every_episode(begin, model):
    system = begin(reliable({"model": model, "warm_start_steps": 5}), seeds=(0, 1))
    np.testing.assert_array_equal(*system.state.parameters)


@pytest.mark.parametrize("model", ["surrogate", "logistic"])
def test_a_warm_start_knows_more_than_an_untrained_model(begin, monkeypatch, model):
    monkeypatch.setattr(module, "shipped_calibration", lambda scenario: PLAIN)
    warm, cold = (begin(reliable({"model": model, "warm_start_steps": steps})) for steps in (50, 0))
    assert warm.state.accuracy.item() > cold.state.accuracy.item() + 0.2


def test_a_surrogate_sends_and_computes_what_the_quantum_learner_does(begin):
    reports = [
        begin(reliable({"model": model})).step(Decision(EVERYBODY)) for model in ("surrogate", "qnn", "logistic")
    ]
    for name in ("bits_sent", "compute_s"):
        surrogate, quantum, classical = (getattr(report, name) for report in reports)
        np.testing.assert_array_equal(surrogate, quantum)
        assert (classical < quantum).all()


def test_a_surrogate_in_the_middle_of_an_episode_can_be_copied(calibrated):
    system = calibrated(noise=0.4)
    system.step(Decision(EVERYBODY))
    twin = copy.deepcopy(system)
    assert isinstance(twin, FederatedSystem)
    for each in (system, twin):
        each.step(Decision(EVERYBODY))
    np.testing.assert_array_equal(twin.state.parameters, system.state.parameters)
