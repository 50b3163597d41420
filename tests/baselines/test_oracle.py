"""The oracle plans with the true future, gets what it planned, and leaves no trace."""

import pickle

import gymnasium as gym
import numpy as np
import pytest

import baselines
import qfl_envs  # noqa: F401  (registers the environments)
from baselines.oracle import Oracle, try_out
from baselines.selection.age_and_speed import AgeAndSpeed
from train.evaluation import play

SURROGATE = {"learning": {"model": "surrogate"}, "max_rounds": 12}
ENV_IDS = ["qfl/Allocation-v0", "qfl/Scheduling-v0", "qfl/StragglerFairness-v0", "qfl/Drift-v0"]


@pytest.fixture(autouse=True)
def few_plans(monkeypatch):
    monkeypatch.setattr(Oracle, "variations", 3)


def make_env(env_id="qfl/Scheduling-v0", **arguments):
    return gym.make(env_id, disable_env_checker=True, scenario="tiny", **{**SURROGATE, **arguments})


def everything(env):
    return pickle.dumps(env.unwrapped.get_state())


def test_it_says_that_it_is_privileged():
    assert baselines.make("oracle").kind == "privileged"
    assert [name for name in baselines.names() if baselines.make(name).kind != "classical"] == ["oracle"]


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_the_environment_has_the_same_future_with_and_without_it(env_id):
    asked, left_alone = make_env(env_id), make_env(env_id)
    observation, _ = asked.reset(seed=3)
    left_alone.reset(seed=3)
    oracle = baselines.make("oracle")
    oracle.reset(asked, 0)
    for _ in range(7):
        before = everything(asked)
        action = oracle.act(observation)
        assert everything(asked) == before
        observation, reward, ended, truncated, info = asked.step(action)
        _, other_reward, *_, other = left_alone.step(action)
        assert reward == other_reward
        assert all(np.array_equal(info[name], other[name]) for name in info if name != "reward_terms")
        if ended or truncated:
            break
    assert everything(asked) == everything(left_alone)


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_it_is_at_least_as_good_as_every_rule_that_it_knows(env_id):
    # episodes of the rules end after different numbers of rounds
    game = {"target_accuracy": 0.2}
    honest = [name for name in baselines.names() if name != "random" and baselines.make(name).by_default]
    deterministic = [name for name in honest if name not in ("random-k", "oort")]
    best = max(
        play(make_env(env_id, **game), baselines.make(name), 0).episode_return
        for name in deterministic
        if baselines.make(name).supports(env_id)
    )
    assert play(make_env(env_id, **game), baselines.make("oracle"), 0).episode_return >= best - 1e-6


def test_it_gets_the_rewards_that_it_planned(monkeypatch):
    monkeypatch.setattr(Oracle, "every", 10**9)
    env = make_env()
    observation, _ = env.reset(seed=1)
    oracle = baselines.make("oracle")
    oracle.reset(env, 0)
    action = oracle.act(observation)
    planned, ended, rewards = list(oracle._plan.rewards), False, []
    while not ended:
        observation, reward, terminated, truncated, _ = env.step(action)
        rewards.append(reward)
        ended = terminated or truncated
        action = None if ended else oracle.act(observation)
    assert rewards[1:] == pytest.approx(planned, abs=1e-6)
    assert len(rewards) > 3


def test_searching_again_never_makes_it_worse():
    class Once(Oracle):
        every = 10**9

    class Often(Oracle):
        every = 2

    for seed in range(2):
        once, often = (play(make_env(), competitor(), seed).episode_return for competitor in (Once, Often))
        assert often >= once - 1e-6


def test_of_many_rules_the_best_is_tried_out():
    env = make_env()
    env.reset(seed=0)
    returns = {}
    rules = {name: baselines.make(name) for name in ("round-robin", "fastest-k", "channel-greedy", "everyone")}
    for name in rules:
        returns[name] = play(make_env(), baselines.make(name), 0).episode_return
    for rule in rules.values():
        rule.reset(env, 0)
    plan = try_out(env.unwrapped.task, env.unwrapped.system, list(rules.values()), 12)
    assert plan.value == pytest.approx(max(returns.values()), abs=1e-6)
    assert plan.value == pytest.approx(sum(plan.rewards))
    assert len(plan.actions) == len(plan.rewards)


def test_a_plan_of_many_short_rounds_is_not_given_up_for_one_of_few_long_rounds():
    game = {"max_rounds": 20, "target_accuracy": 0.2}
    env = make_env(**game)
    env.reset(seed=0)
    played = {name: play(make_env(**game), baselines.make(name), 0) for name in ("everyone", "fastest-k")}
    few, many = played["everyone"], played["fastest-k"]
    assert many.rounds > 1.5 * few.rounds and many.episode_return > few.episode_return
    rules = [baselines.make(name) for name in played]
    for rule in rules:
        rule.reset(env, 0)
    plan = try_out(env.unwrapped.task, env.unwrapped.system, rules, 20)
    assert len(plan.actions) == many.rounds
    assert plan.value == pytest.approx(many.episode_return, abs=1e-6)


def test_a_plan_that_takes_too_long_is_none():
    env = make_env(target_accuracy=1.0)
    env.reset(seed=0)
    rule = AgeAndSpeed()
    rule.reset(env, 0)
    assert try_out(env.unwrapped.task, env.unwrapped.system, [rule], 11) is None
    assert try_out(env.unwrapped.task, env.unwrapped.system, [rule], 12) is not None


def test_where_the_reward_is_a_vector_it_plans_for_the_weighted_sum():
    env, vector = make_env(), make_env(vector_reward=True)
    actions = []
    for each in (env, vector):
        observation, _ = each.reset(seed=0)
        oracle = baselines.make("oracle")
        oracle.reset(each, 0)
        actions.append(oracle.act(observation))
    assert np.array_equal(*actions)
