import numpy as np
import pytest
import torch

from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.models import Model
from qfl_envs.system.security import inference, leakage


def learner(kind="qnn"):
    scenario = Scenario.preset("tiny").replace({"learning": {"model": kind}, "quantum": {"gradient": "backprop"}})
    model = Model(scenario)
    rng = np.random.default_rng(0)
    return model, model.initial(rng.random(model.num_parameters)).astype(float), rng


def parts(model, gradient):
    names = dict(zip(model.shapes, np.split(gradient, np.cumsum(model.sizes)[:-1]), strict=True))
    return {name: part.reshape(model.shapes[name]) for name, part in names.items()}


def test_a_biased_dense_layer_gives_a_single_sample_away_exactly():
    model, parameters, rng = learner("logistic")
    sample = rng.normal(size=(1, 4))
    named = parts(model, leakage.gradient(model, parameters, sample, np.array([3])))
    assert leakage.dense_input(named["head"], named["bias"]) == pytest.approx(sample[0], abs=1e-12)
    assert leakage.single_label(named["bias"]) == 3
    assert leakage.dense_input(np.zeros((4, 2)), np.zeros(2)).tolist() == [0.0] * 4


def test_a_circuit_gives_a_single_sample_away_and_a_sum_of_many_does_not():
    model, parameters, rng = learner()
    samples, labels = 0.5 * rng.normal(size=(8, 4)), rng.integers(10, size=8)
    start = 0.5 * rng.normal(size=(3, 8, 4))
    alone = leakage.gradient(model, parameters, samples[:1], labels[:1])
    found = leakage.reconstruct(model, parameters, alone, labels[:1], start[:, :1], 100)
    assert leakage.similarity(samples[:1], found.samples) > 0.99 and found.mismatch < 1e-6
    together = leakage.gradient(model, parameters, samples, labels)
    # who knows only the sum takes it for what it wants to know
    found = leakage.reconstruct(model, parameters, together, labels[:1], start[:, :1], 100)
    assert leakage.similarity(samples[:1], found.samples) < 0.9 and found.mismatch > 1e-2


def test_similarity_matches_samples_in_any_order():
    true = np.eye(3)
    assert leakage.similarity(true, 2 * true[[2, 0, 1]]) == pytest.approx(1.0)
    assert leakage.similarity(true, -true) == pytest.approx(0.0)


def test_membership_by_hand():
    assert inference.membership_auc(np.array([0.0, 2.0]), np.array([1.0, 3.0])) == 0.75
    assert inference.membership_advantage(np.array([0.0, 2.0]), np.array([1.0, 3.0])) == 0.5
    assert inference.membership_auc(np.ones(4), np.ones(3)) == 0.5
    assert inference.membership_advantage(np.array([2.0]), np.array([1.0])) == 0.0


def test_pushed_samples_stay_within_the_bound_and_raise_the_loss():
    model, parameters, rng = learner()
    samples, labels = 0.5 * rng.normal(size=(20, 4)), rng.integers(10, size=20)
    pushed = inference.adversarial(model, parameters, samples, labels, 0.1)
    assert np.abs(pushed - samples).max() == pytest.approx(0.1, abs=1e-6)
    before, after = (inference.losses(model, parameters, x, labels) for x in (samples, pushed))
    assert (after > before).mean() > 0.9 and torch.is_grad_enabled()


def test_the_output_with_the_largest_gradient_is_the_one_to_divide_by():
    sample = np.array([1.0, -2.0])
    bias = np.array([1e-200, -3.0])
    assert leakage.dense_input(np.outer(sample, bias) + np.array([[9.0, 0.0], [9.0, 0.0]]), bias).tolist() == [1, -2]


def test_the_search_that_comes_closest_counts():
    model, parameters, rng = learner()
    sample, labels = 0.5 * rng.normal(size=(1, 4)), np.array([3])
    observed = leakage.gradient(model, parameters, sample, labels)
    good, bad = sample + 1e-3, sample + 2.0
    found = leakage.reconstruct(model, parameters, observed, labels, np.stack([good, bad]), 2)
    assert found.samples == pytest.approx(sample, abs=0.1)
    again = leakage.reconstruct(model, parameters, observed, labels, np.stack([bad, good]), 2)
    assert again.mismatch == found.mismatch


def test_no_search_begins_after_one_has_found_it():
    model, parameters, rng = learner("logistic")
    sample, labels = rng.normal(size=(1, 4)), np.array([3])
    observed = leakage.gradient(model, parameters, sample, labels)
    impossible = np.full((1, 4), np.nan)
    found = leakage.reconstruct(model, parameters, observed, labels, np.stack([sample, impossible]), 5)
    assert found.mismatch < leakage.FOUND
