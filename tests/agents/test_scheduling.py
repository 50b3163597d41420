"""QAOA that chooses participants: its energy, its shots, and its controls."""

from itertools import product

import gymnasium as gym
import numpy as np
import pytest

import agents
import qfl_envs  # noqa: F401  registers the environments
from agents.qaoa.angles import Angles, transferred
from agents.qaoa.one_hot import OneHotQAOA
from agents.qaoa.projection import project
from agents.qaoa.scheduling import IDLE, WORK, SelectionProblem, best_by_price, best_of, probabilities
from baselines.selection.age_and_speed import most_per_second

NAMES = ("qaoa-scheduling", "uniform-scheduling", "greedy-scheduling")
EASY = {"scenario": "tiny", "learning": {"model": "none"}, "disable_env_checker": True}


def random_selection(devices=7, most=3, seed=0):
    """Values of ages, and seconds that spread tenfold."""
    rng = np.random.default_rng(seed)
    value = (1.0 + rng.geometric(0.2, devices)) ** 2 * np.sqrt(rng.uniform(0.5, 3, devices))
    return SelectionProblem(value, 0.2 * 10 ** rng.uniform(0, 1, devices), most)


def everything(devices):
    return np.array(list(product([False, True], repeat=devices)))


def test_the_price_is_the_ratio_of_the_best_set_so_far_and_the_best_of_all_is_kept():
    problem = random_selection()
    sets = everything(7)[1:]
    order = np.argsort(problem.ratio(sets))
    given, asked = [sets[order[place]] for place in (len(sets) // 2, -1, 0)], []

    def set_at(price):
        asked.append(price)
        return given[len(asked) - 1]

    best = best_by_price(problem, set_at, 3)
    prices = np.maximum.accumulate([problem.guessed_price(), *problem.ratio(np.array(given[:2]))])
    np.testing.assert_allclose(asked, prices)
    assert prices[-1] > prices[0] and np.array_equal(best, given[1])


def test_pairs_say_the_duration_as_well_as_they_can():
    seconds, present = np.random.default_rng(0).uniform(0.2, 2.0, 5), 0.3
    alone, both = project(seconds[:, None], present)
    sets = everything(5)
    weight = np.where(sets, present, 1 - present).prod(-1)
    longest = np.where(sets, seconds, 0.0).max(-1)
    pairs = [sets[:, i] & sets[:, j] for i in range(5) for j in range(i)]
    columns = np.column_stack([np.ones(len(sets)), sets, *pairs])
    root = np.sqrt(weight)[:, None]
    fitted, *_ = np.linalg.lstsq(root * columns, root[:, 0] * longest, rcond=None)
    np.testing.assert_allclose(-alone[:, 0], fitted[1:6], atol=1e-9)
    np.testing.assert_allclose([-both[i, j, 0] for i in range(5) for j in range(i)], fitted[6:], atol=1e-9)


def test_the_energy_is_price_times_duration_less_value_with_about_so_many():
    problem, price = random_selection(devices=2, most=1), 0.7
    unit = problem.value.max()
    quadratic = problem.qubo(price)
    for chosen in product([WORK, IDLE], repeat=2):
        working = np.array(chosen) == WORK
        longest = np.where(working, problem.seconds, 0.0).max()
        expected = (price * longest - problem.value @ working) / unit + 0.5 * (working.sum() - 1) ** 2 - 0.5
        assert quadratic.energy(np.array([chosen]))[0] == pytest.approx(expected)


def test_marginals_are_those_of_the_whole_state():
    problem, angles = random_selection(devices=5), Angles(np.array([0.7]), np.array([-0.6]))
    quadratic, price = problem.qubo(1.1), 1.1
    cost = np.array([quadratic.energy(np.array([c]))[0] for c in product([0, 1], repeat=5)]).reshape(1, *[2] * 5)
    start = np.array([[problem.probability, 1 - problem.probability]])
    from agents.qaoa.marginals import spread

    scale = spread(quadratic, np.broadcast_to(start, (1, 5, 2)))
    circuit = OneHotQAOA(cost, start=[start] * 5, scale=scale, precision="double")
    whole = circuit.probabilities(angles)[0]
    expected = [whole.sum(tuple(axis for axis in range(5) if axis != i))[WORK] for i in range(5)]
    np.testing.assert_allclose(probabilities(problem, price, angles), expected, atol=1e-9)


def test_sets_are_trimmed_to_the_most_valuable_and_never_empty():
    problem = SelectionProblem(np.array([1.0, 3.0, 2.0]), np.array([2.0, 1.0, 0.5]), 2)
    sets = np.array([[True, True, True], [False, False, False], [True, False, False]])
    assert problem.trimmed(sets).tolist() == [[False, True, True], [False, False, True], [True, False, False]]


def test_circuits_choose_better_than_uniform_shots_and_never_better_than_the_exact_set():
    angles, shares = transferred("scheduling", 1, 2), {"circuit": [], "uniform": []}
    for seed in range(30):
        problem, rng = random_selection(devices=16, most=4, seed=seed), np.random.default_rng(seed)
        exact = problem.ratio(most_per_second(problem.value, problem.seconds, problem.most)[None])[0]
        working = {
            "circuit": probabilities(problem, problem.guessed_price(), angles),
            "uniform": np.full(16, problem.probability),
        }
        for name, of in working.items():
            shares[name].append(problem.ratio(best_of(problem, of, 50, rng)[None])[0] / exact)
    assert max(shares["circuit"]) <= 1 + 1e-9
    assert np.mean(shares["circuit"]) > np.mean(shares["uniform"]) + 0.02


@pytest.mark.parametrize("arguments", [{}, {"num_devices": 1}, {"radio": {"link_drop": 1.0, "link_recover": 0.0}}])
@pytest.mark.parametrize("name", NAMES)
def test_every_scheduler_plays_and_says_what_it_took(name, arguments):
    env = gym.make("qfl/Scheduling-v0", **EASY, **arguments)
    observation, _ = env.reset(seed=0)
    competitor = agents.make(name)
    competitor.reset(env, 0)
    for _ in range(3):
        action = competitor.act(observation)
        assert env.action_space.contains(action)
        observation, *_ = env.step(action)
    cost = competitor.cost()
    if name == "qaoa-scheduling" and "radio" not in arguments:
        assert (cost.circuit_evaluations, cost.shots, cost.quantum_parameters) == (2, 100, 2)
        fleet = env.unwrapped.scenario.fleet
        shot_s = np.sqrt(np.prod(fleet.shot_s))
        assert cost.quantum_s == pytest.approx(fleet.queue_s + 100 * shot_s)
    elif name != "qaoa-scheduling":
        assert (cost.circuit_evaluations, cost.shots, cost.quantum_s) == (0, 0, 0)
