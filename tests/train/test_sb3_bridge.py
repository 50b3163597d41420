import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as check_gymnasium
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.callbacks import MaskableEvalCallback
from sb3_contrib.common.maskable.evaluation import evaluate_policy
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor
from standins import CHOICES, CONTINUOUS

import qfl_envs  # noqa: F401  (registers the environments)
from qfl_envs.errors import InvalidValueError, UnknownNameError
from train.sb3 import SB3VecEnv, check_vec_env

pytestmark = pytest.mark.any_gymnasium
ARGUMENTS = {"scenario": "tiny", "max_rounds": 5, "learning": {"model": "none"}}


def bridge(env_id="qfl/Scheduling-v0", num_envs=3, info_keys=(), **arguments):
    vector_env = gym.make_vec(env_id, num_envs=num_envs, autoreset_mode="SameStep", **{**ARGUMENTS, **arguments})
    return SB3VecEnv(vector_env, info_keys)


@pytest.fixture
def vec_env():
    env = bridge()
    yield env
    env.close()


def test_only_the_autoreset_mode_of_sb3_is_taken():
    with pytest.raises(InvalidValueError, match="SameStep"):
        SB3VecEnv(gym.make_vec("qfl/Scheduling-v0", num_envs=2, **ARGUMENTS))


def test_rewards_that_are_vectors_are_refused():
    vector_env = gym.make_vec("qfl/Scheduling-v0", num_envs=2, autoreset_mode="SameStep", **ARGUMENTS)
    vector_env.task.vector_reward = True
    with pytest.raises(InvalidValueError, match="vector_reward of the environment is True; allowed: False, since SB3"):
        SB3VecEnv(vector_env)


def test_rows_play_what_scalar_environments_of_their_seeds_play(vec_env):
    vec_env.seed(7)
    observations = vec_env.reset()
    scalars = [gym.make("qfl/Scheduling-v0", disable_env_checker=True, **ARGUMENTS) for _ in range(3)]
    for row, env in enumerate(scalars):
        first, _ = env.reset(seed=7 + row)
        assert all(np.array_equal(observations[key][row], first[key]) for key in first)
    actions = np.array([vec_env.action_space.sample() for _ in range(3)])
    observations, rewards, *_ = vec_env.step(actions)
    assert rewards.dtype == np.float32
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


def test_contribs_maskable_ppo_gets_the_masks_of_all_rows_and_of_one(vec_env):
    """Of several rows with several choices each: sb3-contrib's issues 74 and 279."""
    env = VecMonitor(vec_env)
    env.seed(1)
    env.reset()
    masks = get_action_masks(env)
    assert masks.shape == (3, 24) and masks.dtype == bool
    assert not masks.all()
    assert np.array_equal(np.stack(env.env_method("action_masks", indices=1)), masks[1:2])
    assert np.array_equal([mask() for mask in env.get_attr("action_masks")], masks)


def test_masks_are_known_before_the_first_reset_and_absent_where_nothing_is_chosen(vec_env):
    assert is_masking_supported(VecMonitor(vec_env))
    assert not is_masking_supported(bridge(CONTINUOUS))
    with pytest.raises(AttributeError, match="no 'action_masks'"):
        bridge(CONTINUOUS).env_method("action_masks")


def test_contribs_evaluation_plays_no_closed_choice_even_without_a_reset_before_it():
    env = VecMonitor(bridge(info_keys=["repaired"]))
    model = MaskablePPO("MultiInputPolicy", bridge(), seed=0)
    repaired, closed = [], []

    def look(local, _):
        repaired.append(local["info"]["repaired"].any())
        closed.append(not local["action_masks"].all())

    evaluate_policy(model, env, n_eval_episodes=6, deterministic=False, callback=look)
    assert len(repaired) == 30 and any(closed)
    assert not any(repaired)


def test_contribs_callback_evaluates_while_it_trains(vec_env):
    callback = MaskableEvalCallback(VecMonitor(bridge()), n_eval_episodes=3, eval_freq=8, verbose=0)
    MaskablePPO("MultiInputPolicy", VecMonitor(vec_env), n_steps=16, batch_size=48, seed=0).learn(48, callback)
    assert np.isfinite(callback.last_mean_reward)


def parameters_after_training(seed):
    model = PPO("MultiInputPolicy", VecMonitor(bridge()), n_steps=16, batch_size=24, n_epochs=2, seed=seed).learn(96)
    return np.concatenate([parameter.detach().numpy().ravel() for parameter in model.policy.parameters()])


def test_two_trainings_from_seed_zero_are_equal():
    """Zero is a seed, not the lack of one."""
    one, two, other = (parameters_after_training(seed) for seed in (0, 0, 1))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_a_seed_counts_for_one_reset(vec_env):
    assert vec_env.seed(0) == [0, 1, 2]
    first, again = vec_env.reset(), vec_env.reset()
    assert not np.array_equal(first["gain"], again["gain"])


def test_an_episode_that_ends_by_itself_is_not_said_to_be_cut():
    env = bridge(target_accuracy=0.0)
    env.seed(0)
    env.reset()
    _, _, dones, infos = env.step(np.zeros((3, 6), dtype=int))
    assert dones.all()
    assert [info["TimeLimit.truncated"] for info in infos] == [False] * 3


def test_the_last_info_of_an_episode_is_complete_and_the_next_one_has_begun(vec_env):
    vec_env.seed(0)
    vec_env.reset()
    begun = [info["instance"] for info in vec_env.reset_infos]
    for _ in range(5):
        _, _, _, infos = vec_env.step(np.zeros((3, 6), dtype=int))
    assert infos[1]["delivered"].shape == (6,)
    assert set(infos[1]["reward_terms"]) == {"progress", "time", "energy"}
    assert [type(infos[1][key]) for key in ("elapsed_s", "target_reached")] == [float, bool]
    assert vec_env.reset_infos[1].keys() == {"instance", "accuracy"}
    assert begun != [info["instance"] for info in vec_env.reset_infos] == vec_env.get_attr("instance")


def test_infos_of_running_episodes_are_empty_and_new(vec_env):
    vec_env.reset()
    _, _, _, infos = vec_env.step(np.zeros((3, 6), dtype=int))
    assert infos == [{}, {}, {}]
    infos[0]["mine"] = 1
    assert vec_env.step(np.zeros((3, 6), dtype=int))[3] == [{}, {}, {}]


def test_entries_that_are_asked_for_are_in_every_info():
    env = bridge(info_keys=["round_s", "delivered"])
    env.reset()
    for _ in range(6):
        _, _, dones, infos = env.step(np.ones((3, 6), dtype=int))
        assert all({"round_s", "delivered"} <= info.keys() for info in infos)
        assert dones.any() or all(len(info) == 2 for info in infos)


@pytest.mark.parametrize("env_id, shape", [(CONTINUOUS, (3, 6)), (CHOICES, (3,))])
def test_actions_may_be_numbers_or_a_single_choice(env_id, shape):
    env = bridge(env_id)
    check_vec_env(env, time_limit=5, options={"instance": 3})
    env.reset()
    env.step(np.zeros(shape, dtype=env.action_space.dtype))


def test_options_are_those_of_each_row_and_of_one_reset(vec_env):
    vec_env.set_options([{"instance": 4}, {}, {"instance": 6}])
    vec_env.reset()
    assert vec_env.get_attr("instance", indices=[0, 2]) == [4, 6]
    vec_env.reset()
    assert vec_env.get_attr("instance", indices=[0, 2]) != [4, 6]
    vec_env.set_options({"place": 1})
    with pytest.raises(UnknownNameError, match="'place'.*known: instance"):
        vec_env.reset()


def test_attributes_of_rows_can_be_read(vec_env):
    vec_env.reset()
    assert [scenario.num_devices for scenario in vec_env.get_attr("scenario")] == [6, 6, 6]
    assert len(vec_env.get_attr("instance", indices=[0, 2])) == 2
    with pytest.raises(AttributeError, match="have no 'colour'"):
        vec_env.get_attr("colour")
    assert vec_env.has_attr("scenario") and not vec_env.has_attr("colour")


def test_the_split_can_be_set_and_counts_from_the_next_episode_on(vec_env):
    vec_env.set_attr("split", "val")
    vec_env.reset()
    assert all(2**31 <= instance < 2**31 + 2**30 for instance in vec_env.get_attr("instance"))


def test_what_is_fixed_or_shared_cannot_be_set(vec_env):
    with pytest.raises(InvalidValueError, match="attribute to set is 'scenario'; allowed: one of 'split'"):
        vec_env.set_attr("scenario", None)
    with pytest.raises(InvalidValueError, match="is 1; allowed: None, since all rows share it"):
        vec_env.set_attr("split", "val", indices=1)
    with pytest.raises(UnknownNameError, match="'exam'"):
        vec_env.set_attr("split", "exam")


def test_methods_are_called_once_and_answer_for_the_rows_asked(vec_env, monkeypatch):
    env, calls = VecMonitor(vec_env), []

    def call(name, *arguments, **keywords):
        calls.append((name, arguments, keywords))
        return ([0], [1], [2])

    monkeypatch.setattr(vec_env.vector_env, "set_curriculum_stage", lambda stage: None, raising=False)
    monkeypatch.setattr(vec_env.vector_env, "call", call)
    assert env.env_method("set_curriculum_stage", 2, indices=[1]) == [[1]]
    assert calls == [("set_curriculum_stage", (2,), {})]


@pytest.mark.parametrize("method", ["step", "reset", "get_state", "set_state"])
def test_methods_that_would_play_a_single_row_are_refused(vec_env, method):
    with pytest.raises(InvalidValueError, match=f"method of the rows is '{method}'"):
        vec_env.env_method(method)


def test_rows_are_not_wrapped(vec_env):
    assert vec_env.env_is_wrapped(gym.Wrapper) == [False] * 3


def test_rendering_gives_the_picture_of_each_row():
    env = bridge(render_mode="rgb_array")
    env.reset()
    assert [image.shape for image in env.get_images()] == [(540, 960, 3)] * 3
    assert env.render().ndim == 3


def test_the_scalar_environment_beneath_passes_gymnasiums_own_check():
    check_gymnasium(gym.make("qfl/Scheduling-v0", **ARGUMENTS).unwrapped, skip_render_check=True)
