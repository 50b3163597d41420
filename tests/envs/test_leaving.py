"""Agents that leave: a device whose battery is empty is gone for good, and its agent with it."""

import gymnasium as gym
import numpy as np
import pytest
from multi_agent import ALLOCATION, ENDURING, FORMS, drain, make, make_sibling, stay

from qfl_envs.errors import InvalidValueError

every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def recharge(env, *devices):
    env.system.state.battery_j[0, list(devices)] = env.system.state.full_battery_j[0, list(devices)] = 50.0


def after_leaving(form, *devices, **arguments):
    """An environment, and what the step returned in which some devices left."""
    env = make(form, **{**ENDURING, **arguments})
    env.reset(seed=0)
    drain(env, *devices)
    return env, env.step(stay(env))


@every_form
def test_a_device_whose_battery_is_empty_after_a_round_terminates_alone_and_is_gone(form):
    env, (observations, _, terminations, truncations, infos) = after_leaving(form, 2)
    assert [agent for agent, ended in terminations.items() if ended] == ["device_2"]
    assert not any(truncations.values())
    assert observations.keys() == infos.keys() == terminations.keys() == set(env.possible_agents)
    assert "device_2" not in env.agents
    assert env.system.state.active[0].tolist() == [True, True, False, True, True, True]


@every_form
def test_who_leaves_is_shown_a_mask_in_which_only_idling_is_open(form):
    _, (observations, *_) = after_leaving(form, 2)
    assert observations["device_2"]["action_mask"].tolist()[:3] == [1, 0, 0]


@every_form
def test_who_leaves_gets_the_reward_of_the_round_like_all_others(form):
    _, (_, rewards, *_) = after_leaving(form, 2)
    assert len(set(rewards.values())) == 1 and len(rewards) == 6


@every_form
def test_who_has_left_gets_nothing_more(form):
    env, _ = after_leaving(form, 2)
    for returned in env.step(stay(env)):
        assert list(returned) == env.agents


@every_form
def test_who_has_left_does_not_come_back_with_a_full_battery(form):
    env, _ = after_leaving(form, 2)
    recharge(env, 2)
    env.step(dict.fromkeys(env.agents, 1))
    assert "device_2" not in env.agents
    assert not env.system.available()[0, 2]


@every_form
def test_in_the_sibling_a_device_comes_back_with_its_charge(form):
    env = make_sibling(form, **ENDURING)
    env.reset(seed=0)
    env.system.state.link_up[:] = True
    env.system.state.battery_j[0, 2] = 0.0
    env.step(np.zeros(env.action_space.shape, dtype=int))
    env.system.state.battery_j[0, 2], env.system.state.link_up[:] = 1e4, True
    assert env.system.available()[0].all()


@every_form
def test_the_next_episode_has_all_agents_again(form):
    env, _ = after_leaving(form, 2)
    env.reset()
    assert env.agents == env.possible_agents
    assert env.system.state.active.all()


@every_form
def test_the_episode_terminates_for_all_when_the_last_ones_leave(form):
    env, _ = after_leaving(form, 0, 1)
    drain(env, 2, 3, 4, 5)
    _, _, terminations, truncations, _ = env.step(stay(env))
    assert list(terminations.values()) == [True] * 4 and not any(truncations.values())
    assert env.agents == []


def test_an_episode_in_which_all_have_left_is_charged_with_the_time_left_though_some_have_charge_again():
    env, (*_, first) = after_leaving(ALLOCATION, 0, 1)
    recharge(env, 0, 1)
    drain(env, 2, 3, 4, 5)
    *_, last = env.step(stay(env))
    assert sum(infos["device_2"]["reward_terms"]["time"] for infos in (first, last)) == pytest.approx(-1.0)


@every_form
def test_an_agent_that_leaves_in_the_last_round_is_not_truncated(form):
    _, (_, _, terminations, truncations, _) = after_leaving(form, 2, max_rounds=1)
    assert [agent for agent in terminations if terminations[agent]] == ["device_2"]
    assert [agent for agent in truncations if not truncations[agent]] == ["device_2"]


@every_form
def test_an_action_of_who_has_left_is_refused(form):
    env, _ = after_leaving(form, 2)
    with pytest.raises(InvalidValueError, match="device_2"):
        env.step(dict.fromkeys(env.possible_agents, 0))


@every_form
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda actions: {name: actions[name] for name in list(actions)[1:]}, "action of device_0 is 'missing'"),
        (lambda actions: {**actions, "device_9": 0}, "'device_9'.*env.agents"),
        (lambda actions: {**actions, "device_1": 99}, "action of device_1 is 99.*Discrete"),
        (lambda actions: {**actions, "device_1": 0.5}, "action of device_1 is 0.5.*Discrete"),
        (lambda actions: list(actions.values()), "actions is .*dict"),
    ],
    ids=["missing", "of a stranger", "too large", "fractional", "list"],
)
def test_a_wrong_dict_of_actions_is_refused_and_leaves_the_episode_as_it_was(form, wrong, words):
    env = make(form, **ENDURING)
    env.reset(seed=0)
    with pytest.raises(InvalidValueError, match=words):
        env.step(wrong(stay(env)))
    assert env.system.state.round_index[0] == 0


@every_form
def test_a_step_or_state_without_an_episode_asks_for_a_reset(form):
    env = make(form, max_rounds=1)
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.step({})
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.state()
    env.reset(seed=0)
    env.step(stay(env))
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.step({})
