"""Simulated quantum annealing: its distribution, its minima, its penalty form and the competitors made of it."""

import sys

import gymnasium as gym
import numpy as np
import pytest
from one_hot_problems import diagonal, random_quadratic
from scipy.linalg import expm

import agents
import qfl_envs  # noqa: F401  registers the environments
from agents.annealing.one_hot import UNDRIVEN, penalty_forms, penalty_sqa, sqa
from agents.annealing.samplers import SAMPLERS, sample
from qfl_envs.errors import InvalidValueError, MissingExtraError
from qfl_envs.system.annealing import Schedule, _energies, _fields, _run, path_integral

NAMES = ("sqa", "sqa-undriven", "sqa-penalty", "dwave-sa", "dwave-sqa")


def test_slices_follow_the_quantum_boltzmann_distribution():
    problem = random_quadratic(1, 2, 3, seed=1)
    linear, pair, slices, field, heat = problem.linear[0], problem.pair[0], 4, 0.8, 1.5
    rng = np.random.default_rng(0)
    choice = rng.integers(3, size=(slices, 2))
    fields = _fields(linear, pair, choice)
    energy = _energies(linear, fields, choice)
    bond = Schedule(slices=slices, sweeps=1, strong=field, weak=field, temperature=heat).bonds(3)
    seen, together, best = np.zeros((3, 3)), np.ascontiguousarray(pair.swapaxes(1, 2)), choice[0].copy()
    for _ in range(6000):
        _run(together, choice, fields, energy, 1 / heat, bond, True, rng.random((1, 2, slices + 2)), best)
        np.add.at(seen, (choice[:, 0], choice[:, 1]), 1)
    hop = expm(field / heat * (np.ones((3, 3)) - np.eye(3)))
    slice_matrix = np.exp(-diagonal(problem)[0].ravel() / heat)[:, None] * np.kron(hop, hop)
    expected = np.diag(np.linalg.matrix_power(slice_matrix, slices))
    np.testing.assert_allclose(seen.ravel() / seen.sum(), expected / expected.sum(), atol=0.02)
    np.testing.assert_allclose(energy, _energies(linear, _fields(linear, pair, choice), choice), atol=1e-9)


@pytest.mark.parametrize("solve", [sqa, penalty_sqa, lambda problem, rng: sqa(problem, rng, UNDRIVEN)])
def test_small_problems_are_solved_to_the_minimum(solve):
    problem = random_quadratic(10, 5, 3)
    least = diagonal(problem).reshape(10, -1).min(1)
    found = problem.energy(solve(problem, np.random.default_rng(0)))
    assert (found < least + 1e-9).mean() >= 0.9


def test_the_penalty_form_has_the_energy_of_every_one_hot_choice():
    problem = random_quadratic(1, 3, 3)
    (form,) = penalty_forms(problem)
    for choice in np.ndindex(3, 3, 3):
        bits = np.eye(3, dtype=bool)[list(choice)].ravel()
        np.testing.assert_allclose(form.energy(bits), problem.energy(np.array([choice])), atol=1e-9)
        np.testing.assert_array_equal(form.choice(bits), choice)


def test_no_broken_choice_has_less_energy_than_the_best_one_hot_choice():
    problem = random_quadratic(1, 3, 3)
    (form,) = penalty_forms(problem)
    everything = (np.arange(2**9)[:, None] >> np.arange(9)) & 1
    assert form.energy(everything).min() >= diagonal(problem).min() - 1e-9


@pytest.mark.parametrize("bits", [np.zeros(9, dtype=bool), np.ones(9, dtype=bool)])
def test_bits_that_are_no_choice_are_repaired(bits):
    problem = random_quadratic(1, 3, 3)
    (form,) = penalty_forms(problem)
    choice = form.choice(bits)
    fields = problem.fields(choice[None])[0]
    assert choice[-1] == fields[-1].argmin()


def test_too_many_bits_are_refused_with_the_limit():
    with pytest.raises(InvalidValueError, match="is 2100; allowed: at most 2000"):
        penalty_forms(random_quadratic(1, 105, 20))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slices": 0}, "slices is 0; allowed: at least 1"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"strong": 0.1, "weak": 0.2}, r"at least 0.2 \(weak\)"),
    ],
)
def test_what_is_no_schedule_is_refused(changes, message):
    with pytest.raises(InvalidValueError, match=message):
        Schedule(**changes)


def test_energies_of_other_shapes_are_refused():
    with pytest.raises(InvalidValueError, match="shapes of linear and pair"):
        path_integral(np.zeros((3, 2)), np.zeros((3, 2, 2)), Schedule(), np.random.default_rng(0))


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_of_dwave_find_good_choices(name):
    problem = random_quadratic(2, 4, 3)
    least = diagonal(problem).reshape(2, -1).min(1)
    found = problem.energy(sample(name, problem, 20, 200, np.random.default_rng(0)))
    assert (found < least + 0.5).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_annealer_answers_alike_under_one_seed(name):
    env = gym.make("qfl/Allocation-v0", scenario="tiny", learning={"model": "none"}, disable_env_checker=True)
    observation, _ = env.reset(seed=0)
    actions = []
    for _ in range(2):
        competitor = agents.make(name)
        competitor.reset(env, 1)
        actions.append(competitor.act(observation))
        assert env.action_space.contains(actions[-1])
        assert competitor.cost().decision_s > 0 and competitor.cost().shots == 0
    np.testing.assert_array_equal(*actions)


def test_a_sampler_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "dwave.samplers", None)
    env = gym.make("qfl/Allocation-v0", scenario="tiny", learning={"model": "none"}, disable_env_checker=True)
    env.reset(seed=0)
    with pytest.raises(MissingExtraError, match=r"'dwave-sa' needs the package 'dwave-samplers'.*\[anneal\]"):
        agents.make("dwave-sa").reset(env, 0)
