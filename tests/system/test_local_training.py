"""Local steps of many devices side by side, against one device and one step after the other."""

import by_hand
import numpy as np
import pytest
import torch

from qfl_envs.scenario import Learning, Scenario
from qfl_envs.system.learning.aggregation import Updates, server_step, weighted_mean_update
from qfl_envs.system.learning.models import Model
from qfl_envs.system.learning.training import Clients, local_training, mean_loss

SOFTMAX = Model(Scenario().replace({"learning": {"model": "logistic"}, "quantum": {"num_qubits": 3}}))
RNG = np.random.default_rng(0)
FEATURES, LABELS = RNG.normal(size=(20, 3)), RNG.integers(0, 10, 20)
START = RNG.normal(size=SOFTMAX.num_parameters)
SAMPLES = RNG.integers(0, 20, (3, 3, 4))
PULL = RNG.normal(size=(3, SOFTMAX.num_parameters))


def clients(samples, labels, local_steps, rate, **others):
    m = len(samples)
    plain = {
        "proximal": 0.0,
        "correction": None,
        "head_only": np.zeros(m, dtype=bool),
        "activation_bits": np.zeros(m, dtype=int),
        "kept": None,
    }
    rates = np.broadcast_to(rate, m)
    return Clients(np.zeros(m, dtype=int), np.asarray(local_steps), samples, labels[samples], rates, **plain | others)


def trained_for(local_steps, rate=0.1, samples=SAMPLES, **others):
    """Parameters of softmax regressions of the same start after their numbers of steps."""
    who = clients(samples, LABELS, local_steps, rate, **others)
    start = torch.from_numpy(np.tile(START, (len(samples), 1)))
    return local_training(SOFTMAX, start, torch.from_numpy(FEATURES), who, None).numpy()


def by_hand_for(local_steps, rates=(0.1, 0.1, 0.1), proximal=0.0, corrections=(0.0, 0.0, 0.0)):
    return [
        by_hand.local_steps(
            START, [(FEATURES[batch], LABELS[batch]) for batch in samples[:steps]], rate, proximal, correction
        )
        for samples, steps, rate, correction in zip(SAMPLES, local_steps, rates, corrections, strict=True)
    ]


def test_every_device_takes_its_own_steps_at_its_own_rate():
    rates = np.array([0.1, 0.5, 0.3])
    trained = trained_for([2, 3, 1], rates)
    np.testing.assert_allclose(trained, by_hand_for([2, 3, 1], rates), atol=1e-7)


@pytest.mark.parametrize("steps", [1, 2])
def test_fedprox_pulls_the_steps_towards_the_received_model(steps):
    trained = trained_for([steps] * 3, proximal=2.0)
    np.testing.assert_allclose(trained, by_hand_for([steps] * 3, proximal=2.0), atol=1e-7)


def test_fedprox_pulls_every_device_towards_the_model_that_it_received_itself():
    starts = np.stack([START, 2 * START, -START])
    who = clients(SAMPLES, LABELS, [2, 3, 2], 0.1, proximal=2.0)
    trained = local_training(SOFTMAX, torch.from_numpy(starts), torch.from_numpy(FEATURES), who, None).numpy()
    for device, steps in enumerate([2, 3, 2]):
        batches = [(FEATURES[batch], LABELS[batch]) for batch in SAMPLES[device, :steps]]
        expected = by_hand.local_steps(starts[device], batches, 0.1, proximal=2.0)
        np.testing.assert_allclose(trained[device], expected, atol=1e-6)


def test_the_first_step_of_fedprox_is_a_plain_one():
    np.testing.assert_array_equal(trained_for([1, 1, 1], proximal=2.0), trained_for([1, 1, 1]))


def test_the_second_step_of_fedprox_is_no_plain_one():
    assert not np.allclose(trained_for([2, 2, 2], proximal=2.0), trained_for([2, 2, 2]), atol=1e-3)


def test_the_correction_of_scaffold_is_added_to_every_gradient():
    trained = trained_for([2, 3, 1], correction=PULL)
    np.testing.assert_allclose(trained, by_hand_for([2, 3, 1], corrections=PULL), atol=1e-6)


def test_who_trains_the_head_alone_changes_nothing_else():
    learner = Model(Scenario().replace({"learning": {"model": "mlp", "hidden": 5}, "quantum": {"num_qubits": 3}}))
    start = torch.from_numpy(np.random.default_rng(0).normal(size=(1, learner.num_parameters))).expand(2, -1)
    who = clients(SAMPLES[:2], LABELS, [3, 3], 0.1, head_only=np.array([True, False]))
    changed = (local_training(learner, start, torch.from_numpy(FEATURES), who, None) != start).numpy()
    head = np.arange(learner.num_parameters) >= 3 * 5 + 5
    assert not changed[0, ~head].any() and changed[0, head].any() and changed[1, ~head].any()


def test_who_trains_the_head_alone_trains_it_as_if_the_body_were_data():
    learner = Model(Scenario().replace({"learning": {"model": "mlp", "hidden": 5}, "quantum": {"num_qubits": 3}}))
    start = np.random.default_rng(0).normal(size=(1, learner.num_parameters))
    who = clients(SAMPLES[:1], LABELS, [3], 0.1, head_only=np.array([True]))
    trained = local_training(learner, torch.from_numpy(start), torch.from_numpy(FEATURES), who, None).numpy()
    body, head = start[0, :20], start[0, 20:]
    hidden = np.maximum(FEATURES @ body[:15].reshape(3, 5) + body[15:], 0.0)
    expected = by_hand.local_steps(head, [(hidden[batch], LABELS[batch]) for batch in SAMPLES[0]], 0.1)
    np.testing.assert_allclose(trained[0, 20:], expected, atol=1e-7)


@pytest.mark.parametrize("model", ["logistic", "mlp", "qnn", "tensor_network"])
def test_full_participation_with_one_full_batch_step_equals_centralised_gradient_descent(model):
    scenario = Scenario().replace({"learning": {"model": model}, "quantum": {"num_qubits": 3, "num_layers": 2}})
    learner, rate, rng = Model(scenario), 0.25, np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(28, 3)))
    labels = rng.integers(0, 10, 28)
    # devices of 4, 8 and 16 samples; repeating a device's data to one batch size leaves its mean loss as it is
    batches = np.stack([np.resize(held, (1, 16)) for held in np.split(np.arange(28), [4, 12])])
    num_samples = np.array([4.0, 8.0, 16.0])
    none, each = np.zeros(3, dtype=int), np.arange(3)
    start = torch.from_numpy(learner.initial(rng.random((1, learner.num_parameters)))).double()

    who = clients(batches, labels, [1, 1, 1], rate)
    trained = local_training(learner, start.expand(3, -1), features, who, None)
    mean_update = weighted_mean_update(Updates(none, each, (trained - start).numpy()), num_samples, 1)
    learning = Learning(server_rule="fedavg", server_rate=1.0)
    federated, _, _ = server_step(learning, start.numpy(), mean_update, *np.zeros((2, 1, 1)), np.zeros(1))

    leaf = start.clone().requires_grad_(True)
    mean_loss(learner, leaf, features[None], torch.from_numpy(labels)[None]).sum().backward()
    np.testing.assert_allclose(federated, start - rate * leaf.grad, atol=1e-10)


def test_a_participant_trains_as_long_as_it_was_told_beside_those_who_train_longer():
    together, alone = trained_for([1, 3, 2]), trained_for([3], samples=SAMPLES[1:2])
    np.testing.assert_allclose(together[1], alone[0], rtol=1e-12)


def test_participants_of_as_many_steps_train_alike():
    trained = trained_for([2, 1, 2], samples=SAMPLES[[0, 0, 0]])
    np.testing.assert_allclose(trained[0], trained[2])


def test_participants_of_fewer_steps_end_elsewhere():
    trained = trained_for([2, 1, 2], samples=SAMPLES[[0, 0, 0]])
    assert not np.allclose(trained[0], trained[1])
