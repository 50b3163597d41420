"""What the rules of the server do to the model, over rounds of softmax regressions that are trained again by hand."""

import by_hand
import numpy as np
import pytest
from by_hand import reliable

from qfl_envs.system.decision import Decision
from qfl_envs.system.learning.aggregation import ADAM_EPSILON

WHO = np.array([[True, False, True, False, True, False]])
STEPS = np.array([[1, 2, 3, 1, 2, 3]])


def played(begin, scenario, rounds=1, who=(WHO,), steps=STEPS, **options):
    """A system after some rounds, and what its devices were asked to learn in each."""
    system = begin(scenario, max_local_steps=3, **options)
    seen = by_hand.watch(system)
    for number in range(rounds):
        system.step(Decision(who[number % len(who)], local_steps=steps))
    return system, seen


def trained_by_hand(system, state, work, device, **local):
    """Parameters of a device after its local steps."""
    batches = by_hand.batches_of(system, state, work, device)
    return by_hand.local_steps(state.parameters[0], batches, system.scenario.learning.local_rate, **local)


def updates_by_hand(system, state, work, **local):
    """Devices that train, their updates, data points and steps, one after the other."""
    who = np.flatnonzero(work.trains[0])
    changes = [trained_by_hand(system, state, work, device, **local) - state.parameters[0] for device in who]
    return who, np.array(changes), state.num_samples[0, who], work.local_steps[0, who]


def assert_learned(system, expected):
    np.testing.assert_allclose(system.state.parameters[0], expected, atol=1e-5)


# rounds that end for everybody


def test_fedavg_adds_the_mean_of_the_updates_by_data_points(begin):
    system, seen = played(begin, reliable({"server_rule": "fedavg", "server_rate": 0.5}))
    (state, work), *_ = seen
    _, changes, points, _ = updates_by_hand(system, state, work)
    assert len(set(points)) > 1
    assert_learned(system, state.parameters[0] + 0.5 * np.average(changes, axis=0, weights=points))


def test_fedprox_is_fedavg_of_devices_that_are_pulled_back(begin):
    system, seen = played(begin, reliable({"server_rule": "fedavg", "server_rate": 1.0, "proximal": 3.0}))
    (state, work), *_ = seen
    _, changes, points, _ = updates_by_hand(system, state, work, proximal=3.0)
    assert_learned(system, state.parameters[0] + np.average(changes, axis=0, weights=points))


def test_fednova_adds_the_mean_direction_times_the_mean_number_of_steps(begin):
    system, seen = played(begin, reliable({"server_rule": "fednova", "server_rate": 1.0}))
    (state, work), *_ = seen
    _, changes, points, steps = updates_by_hand(system, state, work)
    assert len(set(steps)) > 1
    direction = np.average(changes / steps[:, None], axis=0, weights=points)
    assert_learned(system, state.parameters[0] + np.average(steps, weights=points) * direction)


def test_q_fedavg_takes_the_step_of_its_article_with_the_losses_of_the_received_model(begin):
    # one evaluation sample per device: the loss on it is not that on all of a device's data
    system, seen = played(begin, reliable({"server_rule": "q-fedavg", "fairness_q": 2.0, "device_eval_samples": 1}))
    (state, work), *_ = seen
    who, changes, _, _ = updates_by_hand(system, state, work)
    numerator, denominator, lipschitz = 0.0, 0.0, 1 / 0.1
    for device, change in zip(who, changes, strict=True):
        loss = by_hand.loss(state.parameters[0], *by_hand.data_of(system, state, device))
        dw = -lipschitz * change
        numerator = numerator + loss**2 * dw
        denominator += 2 * loss * (dw @ dw) + lipschitz * loss**2
    assert_learned(system, state.parameters[0] - numerator / denominator)


def test_q_fedavg_without_fairness_is_the_plain_mean_of_the_updates(begin):
    system, seen = played(begin, reliable({"server_rule": "q-fedavg", "fairness_q": 0.0}))
    (state, work), *_ = seen
    _, changes, _, _ = updates_by_hand(system, state, work)
    assert_learned(system, state.parameters[0] + changes.mean(0))


@pytest.mark.parametrize("fairness_q", [0.0, 2.0])
def test_fairness_weighs_updates_by_data_points_and_a_power_of_the_received_loss(begin, fairness_q):
    learning = {"server_rule": "fedadam", "server_rate": 0.2, "fairness_q": fairness_q, "device_eval_samples": 1}
    system, seen = played(begin, reliable(learning))
    (state, work), *_ = seen
    who, changes, points, _ = updates_by_hand(system, state, work)
    losses = [by_hand.loss(state.parameters[0], *by_hand.data_of(system, state, device)) for device in who]
    mean = np.average(changes, axis=0, weights=points * np.power(losses, fairness_q))
    # the first step of Adam is the sign of the gradient, but for its epsilon
    expected = state.parameters[0] + 0.2 * mean / (np.abs(mean) + ADAM_EPSILON)
    np.testing.assert_allclose(system.state.parameters[0], expected, atol=1e-4)


def test_scaffold_plays_rounds_as_its_algorithm_does(begin):
    others = np.array([[True, True, False, False, True, False]])
    scenario = reliable({"server_rule": "scaffold", "server_rate": 0.7})
    system, seen = played(begin, scenario, rounds=3, who=(WHO, others))
    parameters = seen[0][0].parameters[0].astype(float)
    controls, of_server = np.zeros((6, len(parameters))), np.zeros(len(parameters))
    for state, work in seen:
        moved, learned = [], []
        for device in np.flatnonzero(work.trains[0]):
            batches = by_hand.batches_of(system, state, work, device)
            trained = by_hand.local_steps(parameters, batches, 0.1, correction=of_server - controls[device])
            after = controls[device] - of_server + (parameters - trained) / (len(batches) * 0.1)
            moved.append(trained - parameters)
            learned.append(after - controls[device])
            controls[device] = after
        parameters = parameters + 0.7 * np.mean(moved, axis=0)
        of_server = of_server + np.sum(learned, axis=0) / 6
    assert_learned(system, parameters)
    np.testing.assert_allclose(system.state.controls[0], controls, atol=1e-4)
    np.testing.assert_allclose(system.state.server_control[0], of_server, atol=1e-4)


def test_scaffold_of_equal_control_variates_is_plain_gradient_descent(begin):
    system = begin(reliable({"server_rule": "scaffold", "server_rate": 1.0}), max_local_steps=3)
    seen = by_hand.watch(system)
    same = np.random.default_rng(0).normal(size=system.state.server_control.shape)
    system.state.server_control, system.state.controls = same, np.repeat(same[:, None], 6, axis=1)
    system.step(Decision(WHO, local_steps=STEPS))
    (state, work), *_ = seen
    _, changes, _, _ = updates_by_hand(system, state, work)
    assert_learned(system, state.parameters[0] + changes.mean(0))


# updates under way


def under_way(begin, learning, models, versions, **state):
    """A system of five versions whose devices 0, 1, ... have something under way; what does not matter is zero."""
    system = begin(reliable({"partition": "iid", "size_spread": 0.0, **learning}))
    now = system.state
    now.parameters[:], now.updates[:] = 0.0, 5
    now.flight[0, : len(models)] = np.array(models)[:, None]
    now.held_version[0, : len(models)] = versions
    now.flight_weight[:] = 1.0
    for name, value in state.items():
        getattr(now, name)[0, : len(value)] = value
    return system


def land(system, *devices):
    """The first parameter after some devices' updates arrive."""
    arrived = np.zeros((1, 6), dtype=bool)
    arrived[0, list(devices)] = True
    system.server.land(system.state, arrived)
    assert (system.state.parameters[0] == system.state.parameters[0, 0]).all()
    return system.state.parameters[0, 0]


ASYNCHRONOUS = {"aggregation": "asynchronous", "server_rule": "fedasync", "mixing": 0.5}
BUFFERED = {"aggregation": "buffered", "server_rule": "fedavg", "server_rate": 0.5}


@pytest.mark.parametrize(
    ("law", "weight"),
    [
        ({"staleness": "constant"}, 1.0),
        ({"staleness": "polynomial", "staleness_exponent": 2.0}, 1 / 16),
        ({"staleness": "hinge", "hinge_slope": 7.0, "hinge_delay": 1}, 1 / 15),
    ],
    ids=["constant", "polynomial", "hinge"],
)
def test_fedasync_mixes_in_a_model_by_its_staleness(begin, law, weight):
    # version 2 of 5 is 3 behind
    system = under_way(begin, {**ASYNCHRONOUS, **law}, [8.0], [2])
    assert land(system, 0) == pytest.approx(0.5 * weight * 8.0)


def test_the_share_of_a_fresh_model_is_the_same_in_every_round(begin):
    system = under_way(begin, ASYNCHRONOUS, [8.0, 8.0], [5, 6])
    assert [land(system, 0), land(system, 1)] == [pytest.approx(4.0), pytest.approx(6.0)]


def test_fedasync_makes_a_version_of_every_model(begin):
    system = under_way(begin, ASYNCHRONOUS, [8.0, 8.0], [5, 5])
    land(system, 0, 1)
    assert system.state.updates.tolist() == [7]


def test_models_that_arrive_together_are_mixed_in_one_after_the_other(begin):
    # the second one is a version behind by then: 4, then 4 + 0.5 / sqrt(2) (-2 - 4)
    system = under_way(begin, ASYNCHRONOUS, [8.0, -2.0], [5, 5])
    assert land(system, 0, 1) == pytest.approx(4 - 3 / np.sqrt(2))


def test_fedbuff_adds_the_mean_of_the_updates_by_their_staleness(begin):
    # 0, 3 and 8 versions behind weigh 1, 1/2 and 1/3; the mean divides by the number of updates, not by these weights
    system = under_way(begin, BUFFERED, [6.0, 8.0, -3.0], [5, 2, -3])
    assert land(system, 0, 1, 2) == pytest.approx(0.5 * (6 + 4 - 1) / 3)


def test_fedbuff_makes_one_version_of_all_that_arrives_together(begin):
    system = under_way(begin, BUFFERED, [6.0, 8.0], [5, 5])
    land(system, 0, 1)
    assert system.state.updates.tolist() == [6]


def test_fedbuff_weighs_updates_by_what_they_took_off_with(begin):
    system = under_way(begin, BUFFERED, [6.0, 8.0], [5, 5], flight_weight=[3.0, 1.0])
    assert land(system, 0, 1) == pytest.approx(0.5 * (18 + 8) / 4)


def test_updates_take_off_with_their_data_points_and_the_power_of_their_loss(begin):
    learning = {"aggregation": "buffered", "buffer_size": 6, "fairness_q": 2.0, "device_eval_samples": 1}
    system, seen = played(begin, reliable(learning))
    (state, work), *_ = seen
    for device in np.flatnonzero(work.trains[0]):
        loss = by_hand.loss(state.parameters[0], *by_hand.data_of(system, state, device))
        weight = state.num_samples[0, device] * loss**2
        assert system.state.flight_weight[0, device] == pytest.approx(weight, rel=1e-5)


def test_fedadam_steps_by_what_the_buffer_holds(begin):
    # the mean 3 of what is stale: the first step of Adam is the rate, but for its epsilon
    system = under_way(begin, {"aggregation": "buffered", "server_rate": 0.1}, [2.0, 8.0], [5, 2])
    assert land(system, 0, 1) == pytest.approx(0.1 * 3 / (3 + ADAM_EPSILON))


def test_a_system_where_nothing_lands_keeps_its_model(begin):
    system = begin(reliable({**BUFFERED}), seeds=(0, 1))
    system.state.flight[:], system.state.flight_weight[:] = 1.0, 1.0
    before = system.state.parameters.copy()
    system.server.land(system.state, np.array([[True] * 6, [False] * 6]))
    assert (system.state.parameters != before).any(-1).tolist() == [True, False]
