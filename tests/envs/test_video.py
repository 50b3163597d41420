"""Pictures leave the environment: Gymnasium's videos, and those of many rows."""

import gymnasium as gym
import pytest
from gymnasium.wrappers import RecordVideo
from playing import ENV_IDS, make, random_actions, same

every_env = pytest.mark.parametrize("env_id", ENV_IDS)


@pytest.mark.any_gymnasium
def test_gymnasium_records_a_video_of_an_episode(tmp_path):
    """Of one environment: the picture of each has a test of its own, and all come the same way."""
    env = make(
        "qfl/Scheduling-v0", render_mode="rgb_array", learning={"model": "none"}, max_rounds=2, target_accuracy=1.0
    )
    env = RecordVideo(env, str(tmp_path / "videos"), episode_trigger=lambda episode: True)
    env.reset(seed=0)
    for action in random_actions(env, 2):
        *_, truncated, _ = env.step(action)
    env.close()
    assert truncated
    (video,) = (tmp_path / "videos").glob("*.mp4")
    assert video.read_bytes()[4:8] == b"ftyp"


@every_env
def test_the_picture_of_a_row_is_that_of_the_scalar_environment(env_id):
    arguments = {"scenario": "tiny", "render_mode": "rgb_array", "learning": {"model": "none"}}
    rows, scalar = gym.make_vec(env_id, num_envs=2, **arguments), make(env_id, **arguments)
    rows.reset(seed=4), scalar.reset(seed=5)
    rows.action_space.seed(0)
    actions = rows.action_space.sample()
    rows.step(actions), scalar.step(actions[1])
    assert same(rows.render()[1], scalar.render())


@pytest.mark.any_gymnasium
@every_env
def test_the_text_of_a_row_is_that_of_the_scalar_environment_in_every_round(env_id):
    arguments = {"scenario": "tiny", "render_mode": "ansi", "learning": {"model": "none"}, "max_rounds": 10}
    rows, scalar = gym.make_vec(env_id, num_envs=3, **arguments), make(env_id, **arguments)
    rows.reset(seed=4), scalar.reset(seed=5)
    rows.action_space.seed(0)
    for _ in range(10):
        assert rows.render()[1] == scalar.render()
        actions = rows.action_space.sample()
        rows.step(actions), scalar.step(actions[1])
    assert rows.render()[1] == scalar.render()
