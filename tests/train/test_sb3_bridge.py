import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as check_gymnasium

import qfl_envs  # noqa: F401  (registers the environments)
from qfl_envs.errors import InvalidValueError
from train.sb3 import SB3VecEnv

ARGUMENTS = {"scenario": "tiny", "max_rounds": 5, "learning": {"model": "none"}}


@pytest.fixture
def vec_env():
    env = SB3VecEnv(gym.make_vec("qfl/Scheduling-v0", num_envs=3, autoreset_mode="SameStep", **ARGUMENTS))
    yield env
    env.close()


def test_only_the_autoreset_mode_of_sb3_is_taken():
    with pytest.raises(InvalidValueError, match="SameStep"):
        SB3VecEnv(gym.make_vec("qfl/Scheduling-v0", num_envs=2, **ARGUMENTS))


def test_rows_play_what_scalar_environments_of_their_seeds_play(vec_env):
    vec_env.seed(7)
    observations = vec_env.reset()
    scalars = [gym.make("qfl/Scheduling-v0", disable_env_checker=True, **ARGUMENTS) for _ in range(3)]
    for row, env in enumerate(scalars):
        first, _ = env.reset(seed=7 + row)
        assert all(np.array_equal(observations[key][row], first[key]) for key in first)
    actions = np.array([vec_env.action_space.sample() for _ in range(3)])
    observations, rewards, *_ = vec_env.step(actions)
    for row, env in enumerate(scalars):
        expected, reward, *_ = env.step(actions[row])
        assert all(np.array_equal(observations[key][row], expected[key]) for key in expected)
        assert rewards[row] == pytest.approx(reward)


def test_the_last_observation_of_an_episode_is_kept_and_a_time_limit_told(vec_env):
    vec_env.seed(0)
    vec_env.reset()
    idle = np.zeros((3, 6), dtype=int)
    for _ in range(4):
        _, _, dones, infos = vec_env.step(idle)
        assert not dones.any() and not any("terminal_observation" in info for info in infos)
    observations, _, dones, infos = vec_env.step(idle)
    assert dones.all()
    for row, info in enumerate(infos):
        last = info["terminal_observation"]
        assert info["TimeLimit.truncated"]
        assert last["round_index"][0] == pytest.approx(1.0)
        assert observations["round_index"][row, 0] == pytest.approx(-1.0)
        kept = last["gain"].copy()
        vec_env.step(idle)
        assert np.array_equal(last["gain"], kept)


def test_masks_come_as_one_array_and_belong_to_the_state_that_is_shown(vec_env):
    vec_env.seed(1)
    observations = vec_env.reset()
    for _ in range(6):
        masks = vec_env.env_method("action_masks")
        assert masks.shape == (3, sum(vec_env.action_space.nvec))
        open_for_training = masks.reshape(3, 6, -1)[..., 1:].all(-1)
        assert np.array_equal(open_for_training, observations["available"] > 0)
        observations, *_ = vec_env.step(np.zeros((3, 6), dtype=int))


def test_attributes_of_rows_can_be_read(vec_env):
    vec_env.reset()
    assert [scenario.num_devices for scenario in vec_env.get_attr("scenario")] == [6, 6, 6]
    assert len(vec_env.get_attr("instance", indices=[0, 2])) == 2


def test_the_scalar_environment_beneath_passes_gymnasiums_own_check():
    check_gymnasium(gym.make("qfl/Scheduling-v0", **ARGUMENTS).unwrapped, skip_render_check=True)
