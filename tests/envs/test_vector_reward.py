"""``vector_reward=True``: the terms of the reward as a vector, in the manner of MO-Gymnasium."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from playing import ENV_IDS, make, random_actions, same

every_env = pytest.mark.parametrize("env_id", ENV_IDS)
every_mode = pytest.mark.parametrize("mode", AutoresetMode, ids=lambda mode: mode.value)
NUM_ENVS = 3


def begin(env_id, seed=0, **arguments):
    env = make(env_id, learning={"model": "surrogate"}, **arguments)
    env.reset(seed=seed)
    return env


@every_env
def test_the_reward_is_the_vector_of_the_terms_in_their_order(env_id):
    env = begin(env_id, vector_reward=True)
    for action in random_actions(env, 5):
        _, reward, _, _, info = env.step(action)
        assert reward.tolist() == [info["reward_terms"][name] for name in env.unwrapped.task.default_weights]


@every_env
def test_the_weighted_sum_of_the_vector_is_the_scalar_reward(env_id):
    weights = {name: 0.5 + index for index, name in enumerate(make(env_id).unwrapped.task.default_weights)}
    scalar, vector = (begin(env_id, reward_weights=weights, vector_reward=flag) for flag in (False, True))
    for action in random_actions(scalar, 5):
        (_, total, *others), (_, terms, *same_others) = scalar.step(action), vector.step(action)
        assert total == pytest.approx(terms @ list(weights.values()), abs=1e-12)
        assert same(others, same_others)


@every_env
def test_weights_have_no_effect_on_the_vector(env_id):
    name = next(iter(make(env_id).unwrapped.task.default_weights))
    one, other = (begin(env_id, reward_weights=weights, vector_reward=True) for weights in (None, {name: 9.0}))
    for action in random_actions(one, 5):
        assert same(one.step(action)[1], other.step(action)[1])


@every_env
def test_the_reward_space_contains_the_vector(env_id):
    env = begin(env_id, vector_reward=True)
    space = env.unwrapped.reward_space
    assert isinstance(space, spaces.Box)
    assert space.shape == (len(env.unwrapped.task.default_weights),)
    for action in random_actions(env, 5):
        assert space.contains(env.step(action)[1])


@every_env
def test_the_reward_is_a_number_unless_the_vector_is_asked_for(env_id):
    env = begin(env_id)
    assert type(env.step(random_actions(env, 1)[0])[1]) is float


@every_env
def test_a_vector_is_not_overwritten_by_the_next(env_id):
    env = begin(env_id, vector_reward=True)
    one, other = (env.step(action)[1] for action in random_actions(env, 2))
    assert not np.shares_memory(one, other)


@every_env
@every_mode
def test_the_vectors_of_rows_are_those_of_scalar_environments(env_id, mode):
    arguments = {"learning": {"model": "surrogate"}, "vector_reward": True, "max_rounds": 4, "target_accuracy": 1.0}
    native = gym.make_vec(env_id, num_envs=NUM_ENVS, autoreset_mode=mode, scenario="tiny", **arguments)
    scalars = [make(env_id, **arguments) for _ in range(NUM_ENVS)]
    native.reset(seed=7)
    for row, scalar in enumerate(scalars):
        scalar.reset(seed=7 + row)
    native.action_space.seed(0)
    for _ in range(4):
        actions = native.action_space.sample()
        rewards = native.step(actions)[1]
        assert rewards.shape == (NUM_ENVS, *native.reward_space.shape)
        expected = [scalar.step(action)[1] for scalar, action in zip(scalars, actions, strict=True)]
        np.testing.assert_allclose(rewards, expected, rtol=0, atol=1e-6)
        assert all(native.reward_space.contains(reward) for reward in rewards)


@every_env
def test_a_row_that_is_reset_in_a_step_of_its_own_has_a_vector_of_zeros(env_id):
    arguments = {"learning": {"model": "none"}, "vector_reward": True, "max_rounds": 1}
    native = gym.make_vec(env_id, num_envs=NUM_ENVS, autoreset_mode="NextStep", scenario="tiny", **arguments)
    native.reset(seed=0)
    native.action_space.seed(0)
    # not of every row: keeping the model as it is costs nothing
    assert native.step(native.action_space.sample())[1].any()
    assert not native.step(native.action_space.sample())[1].any()
