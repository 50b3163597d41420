"""The solvers as competitors of the environment."""

import gymnasium as gym
import numpy as np
import pytest

import baselines
import qfl_envs  # noqa: F401  registers the environments
from baselines.allocation.problem import AllocationProblem
from baselines.allocation.proportional_fair import share_fairly
from baselines.allocation.solvers import NEEDS_IDLE, SOLVERS
from qfl_envs.errors import InvalidValueError


def make(**arguments):
    return gym.make(
        "qfl/Allocation-v0",
        disable_env_checker=True,
        scenario="tiny",
        **{"learning": {"model": "none"}, "max_rounds": 20, **arguments},
    )


def start(name, env, seed=0):
    observation, _ = env.reset(seed=seed)
    competitor = baselines.make(name)
    competitor.reset(env, seed)
    return competitor, observation


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("num_cells", [1, 2])
def test_every_solver_plays_under_its_name(name, num_cells):
    if name == "sca-random":
        # the same solver from another start, which competes from the most power
        assert name not in baselines.names()
        return
    env = make(radio={"num_cells": num_cells})
    competitor, observation = start(name, env)
    action = competitor.act(observation)
    *_, info = env.step(action)
    assert info["sum_rate_bps"] > 0
    assert competitor.name == name


@pytest.mark.parametrize(
    "name", ["hungarian", "greedy", "best-response", "sca", "wmmse", "fp", "proportional-fair-matching"]
)
def test_the_literal_mode_has_an_answer(name):
    env = make(allow_idle=False, num_devices=8)
    competitor, observation = start(name, env)
    action = competitor.act(observation)
    assert env.action_space.contains(action)
    *_, info = env.step(action)
    assert info["sum_rate_bps"] > 0


@pytest.mark.parametrize("name", sorted(NEEDS_IDLE))
def test_who_must_leave_devices_out_says_so_in_the_literal_mode(name):
    competitor, observation = start(name, make(allow_idle=False))
    with pytest.raises(InvalidValueError, match="may_idle is False"):
        competitor.act(observation)


def test_the_round_has_the_sum_rate_that_the_allocation_promised():
    env = make(num_devices=8, radio={"num_subchannels": 3, "link_drop": 0.0, "link_recover": 1.0})
    competitor, observation = start("hungarian", env)
    problem = AllocationProblem.from_view(env.unwrapped.view(observation), may_idle=True)
    promised = problem.sum_rate_bps(competitor.allocate(problem))[0]
    *_, info = env.step(competitor.act(observation))
    # the observation is in single precision
    assert info["sum_rate_bps"] == pytest.approx(promised, rel=1e-3)


def test_best_response_has_the_powers_of_the_environment():
    env = make(num_power_levels=1, num_devices=8)
    competitor, observation = start("best-response", env)
    decision = competitor.decide(env.unwrapped.view(observation))
    sends = decision.participate[0]
    np.testing.assert_allclose(decision.power_dbm[0, sends], env.unwrapped.scenario.radio.max_power_dbm)


# proportional fairness


def served(name, env, rounds=20):
    competitor, observation = start(name, env)
    times = np.zeros(env.unwrapped.scenario.num_devices)
    for _ in range(rounds):
        decision = competitor.decide(env.unwrapped.view(observation))
        times += decision.participate[0]
        observation, *_ = env.step(env.unwrapped.task.encode(decision)[0])
    return times


def test_proportional_fairness_reaches_everyone_where_sum_rate_does_not():
    always = {"link_drop": 0.0, "link_recover": 1.0, "num_subchannels": 2}
    arguments = {"radio": always, "fleet": {"battery_j": [1e6, 1e6], "speed_mps": 0.0}, "num_devices": 8}
    assert (served("proportional-fair-matching", make(**arguments)) > 0).all()
    assert (served("hungarian", make(**arguments)) == 0).any()


def test_proportional_fairness_begins_anew_with_every_episode():
    env = make()
    competitor, observation = start("proportional-fair-matching", env)
    first = competitor.act(observation)
    for _ in range(3):
        observation, *_ = env.step(competitor.act(observation))
    observation, _ = env.reset(seed=0)
    competitor.reset(env, 0)
    np.testing.assert_array_equal(competitor.act(observation), first)


def test_a_rate_counts_by_its_weight():
    env = make(num_devices=6, radio={"num_subchannels": 1, "link_drop": 0.0, "link_recover": 1.0})
    observation, _ = env.reset(seed=0)
    problem = AllocationProblem.from_view(env.unwrapped.view(observation), may_idle=True)
    favoured = np.ones((1, 6))
    favoured[0, 3] = 1e6
    assert np.flatnonzero(share_fairly(problem, favoured).participate[0]).tolist() == [3]
