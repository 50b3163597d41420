"""How the server merges updates."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qfl_envs.scenario import Learning, Scenario
from qfl_envs.system.learning.aggregation import ADAM_BETAS, ADAM_EPSILON, server_step, weighted_mean_update
from qfl_envs.system.learning.models import Model
from qfl_envs.system.learning.training import Participants, local_training, mean_loss

modest = settings(deadline=None, max_examples=50, derandomize=True)


@st.composite
def arrivals(draw):
    """Updates, weights and rows of some participants of three systems."""
    m = draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.normal(size=(m, 4)), rng.integers(1, 100, m).astype(float), rng.integers(0, 3, m)


def test_the_mean_update_is_weighted_by_data_points():
    updates = np.array([[1.0, 0.0], [4.0, 2.0], [7.0, 7.0]])
    mean = weighted_mean_update(updates, np.array([2.0, 1.0, 5.0]), np.array([0, 0, 1]), 2)
    np.testing.assert_allclose(mean, [[2.0, 2 / 3], [7.0, 7.0]])


def test_updates_of_weight_zero_do_not_count():
    mean = weighted_mean_update(np.array([[1.0], [9.0]]), np.array([3.0, 0.0]), np.array([0, 0]), 1)
    np.testing.assert_allclose(mean, [[1.0]])


def test_a_system_where_nothing_arrives_has_a_mean_update_of_zero():
    mean = weighted_mean_update(np.array([[1.0], [9.0]]), np.array([3.0, 0.0]), np.array([0, 1]), 3)
    np.testing.assert_array_equal(mean[1:], 0.0)


@modest
@given(arrivals(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(arrived, random):
    order = list(range(len(arrived[0])))
    random.shuffle(order)
    expected = weighted_mean_update(*arrived, 3)
    np.testing.assert_allclose(weighted_mean_update(*(part[order] for part in arrived), 3), expected, atol=1e-12)


@modest
@given(arrivals(), st.floats(0.01, 100.0))
def test_only_the_proportion_of_the_weights_matters(arrived, factor):
    updates, weights, row = arrived
    expected = weighted_mean_update(updates, weights, row, 3)
    np.testing.assert_allclose(weighted_mean_update(updates, factor * weights, row, 3), expected, atol=1e-12)


@modest
@given(arrivals())
def test_the_mean_update_lies_between_the_updates(arrived):
    updates, weights, row = arrived
    mean = weighted_mean_update(updates, weights, row, 3)
    for system in np.unique(row):
        own = updates[row == system]
        assert ((own.min(0) - 1e-12 <= mean[system]) & (mean[system] <= own.max(0) + 1e-12)).all()


def test_fedavg_adds_the_update_times_the_rate_of_the_server():
    learning = Learning(server_rule="fedavg", server_rate=0.5)
    zeros = np.zeros((1, 2))
    parameters, _, _ = server_step(learning, np.array([[1.0, 2.0]]), np.array([[4.0, -2.0]]), zeros, zeros, np.zeros(1))
    np.testing.assert_allclose(parameters, [[3.0, 1.0]])


def test_fedadam_is_adam_with_the_update_as_its_negative_gradient():
    learning = Learning(server_rule="fedadam", server_rate=0.1)
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=(2, 5))
    leaf = torch.tensor(parameters, requires_grad=True)
    adam = torch.optim.Adam([leaf], lr=0.1, betas=ADAM_BETAS, eps=ADAM_EPSILON)
    first, second = np.zeros((2, 5)), np.zeros((2, 5))
    for step in range(6):
        update = rng.normal(size=(2, 5))
        leaf.grad = torch.from_numpy(-update)
        adam.step()
        parameters, first, second = server_step(learning, parameters, update, first, second, np.full(2, step))
    np.testing.assert_allclose(parameters, leaf.detach(), atol=1e-12)


def test_fedadam_corrects_the_bias_of_every_system_by_its_own_number_of_updates():
    learning = Learning(server_rule="fedadam")
    rng = np.random.default_rng(0)
    parameters, update, first = rng.normal(size=(3, 2, 5))
    second = rng.random((2, 5))
    together = server_step(learning, parameters, update, first, second, np.array([0, 7]))[0]
    alone = server_step(learning, parameters[1:], update[1:], first[1:], second[1:], np.array([7]))[0]
    np.testing.assert_array_equal(together[1:], alone)


@pytest.mark.parametrize("model", ["logistic", "mlp", "qnn"])
def test_full_participation_with_one_full_batch_step_equals_centralised_gradient_descent(model):
    scenario = Scenario().replace({"learning": {"model": model}, "quantum": {"num_qubits": 3, "num_layers": 2}})
    learner, rate, rng = Model(scenario), 0.3, np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(28, 3)))
    labels = torch.from_numpy(rng.integers(0, 10, 28))
    # devices of 4, 8 and 16 samples; repeating a device's data to one batch size leaves its mean loss as it is
    batches = np.stack([np.resize(held, (1, 16)) for held in np.split(np.arange(28), [4, 12])])
    num_samples = np.array([4.0, 8.0, 16.0])
    none, each = np.zeros(3, dtype=int), np.arange(3)
    start = torch.from_numpy(learner.initial(rng.random((1, learner.num_parameters)))).double()

    participants = Participants(none, each, np.ones(3, dtype=int), batches)
    trained = local_training(learner, start.expand(3, -1), features, labels, participants, rate)
    mean_update = weighted_mean_update((trained - start).numpy(), num_samples, none, 1)
    learning = Learning(server_rule="fedavg", server_rate=1.0)
    federated, _, _ = server_step(learning, start.numpy(), mean_update, *np.zeros((2, 1, 1)), np.zeros(1))

    leaf = start.clone().requires_grad_(True)
    mean_loss(learner, leaf, features[None], labels[None]).sum().backward()
    np.testing.assert_allclose(federated, start - rate * leaf.grad, atol=1e-10)


def trained_for(local_steps):
    """Parameters of logistic learners of the same data and start after their numbers of steps."""
    scenario = Scenario().replace({"learning": {"model": "logistic"}, "quantum": {"num_qubits": 3}})
    learner, rng = Model(scenario), np.random.default_rng(0)
    features, labels = torch.from_numpy(rng.normal(size=(20, 3))), torch.from_numpy(rng.integers(0, 10, 20))
    start = torch.from_numpy(rng.normal(size=(1, learner.num_parameters)))
    m = len(local_steps)
    batches = np.broadcast_to(rng.integers(0, 20, (1, max(local_steps), 4)), (m, max(local_steps), 4))
    participants = Participants(np.zeros(m, dtype=int), np.arange(m), np.array(local_steps), batches.copy())
    return local_training(learner, start.expand(m, -1), features, labels, participants, 0.1)


def test_a_participant_trains_as_long_as_it_was_told_beside_those_who_train_longer():
    together, alone = trained_for([1, 3, 2]), trained_for([3])
    torch.testing.assert_close(together[1], alone[0])


def test_participants_of_as_many_steps_train_alike():
    trained = trained_for([2, 1, 2])
    torch.testing.assert_close(trained[0], trained[2])


def test_participants_of_fewer_steps_end_elsewhere():
    trained = trained_for([2, 1, 2])
    assert not torch.allclose(trained[0], trained[1])
