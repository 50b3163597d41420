"""What every registered environment promises; a new id is tested without writing a line."""

import copy
import dataclasses
import pickle
import re
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from playing import (
    CONTINUOUS_IDS,
    ENV_IDS,
    MASKED_IDS,
    PER_DEVICE_IDS,
    TARGET_IDS,
    action_of,
    arrays_in,
    choices_per_entry,
    idle_action,
    make,
    open_episode,
    play,
    random_actions,
    rollout,
    same,
    shown_devices,
)
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from qfl_envs.envs.base import FederatedEnv
from qfl_envs.envs.masks import split_mask
from qfl_envs.registration import ENVIRONMENTS

every_env = pytest.mark.parametrize("env_id", ENV_IDS)
every_masked_env = pytest.mark.parametrize("env_id", MASKED_IDS)
every_preset = pytest.mark.parametrize(
    "preset", [{"scenario": "tiny"}, {"scenario": "small", "learning": {"model": "surrogate"}}], ids=["tiny", "small"]
)
SMALLER = {"num_devices": 5, "radio": {"num_subchannels": 2}}


def parts_of_mask(env):
    """The open choices of every entry of the action."""
    return split_mask(env.unwrapped.action_masks(), choices_per_entry(env.action_space))


@pytest.mark.any_gymnasium
def test_every_id_of_the_package_is_registered():
    assert ENV_IDS == sorted(ENVIRONMENTS)


@every_env
def test_passes_gymnasiums_checker_in_every_render_mode_without_a_warning(env_id, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setitem(FederatedEnv.metadata, "render_fps", 1000)
    env = gym.make(env_id, scenario="tiny", render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


@pytest.mark.any_gymnasium
@every_env
@every_preset
def test_passes_gymnasiums_checker_at_any_size_without_a_warning(env_id, preset):
    env = gym.make(env_id, **preset)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=True)


@every_env
@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_passes_the_checker_of_stable_baselines_without_a_warning(env_id, render_mode):
    env = gym.make(env_id, scenario="tiny", render_mode=render_mode)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sb3_check_env(env.unwrapped, warn=True, skip_render_check=False)


@every_env
@every_preset
def test_the_same_seed_gives_the_same_rollout(env_id, preset):
    one, other = (rollout(make(env_id, **preset), seed=3, count=25) for _ in range(2))
    assert same(one, other)


@every_env
@every_preset
def test_another_seed_gives_another_rollout(env_id, preset):
    (first, _), *steps = rollout(make(env_id, **preset), seed=3)
    (other_first, _), *other_steps = rollout(make(env_id, **preset), seed=4)
    assert not same(first["gain"], other_first["gain"])
    assert [step[1] for step in steps] != [step[1] for step in other_steps]


@every_env
def test_a_seed_gives_another_instance_in_another_split(env_id):
    train, test = (make(env_id, split=split).reset(seed=0)[1]["instance"] for split in ("train", "test"))
    assert train != test


@pytest.mark.any_gymnasium
@every_env
def test_an_instance_played_again_by_number_is_the_same_episode(env_id):
    drawn, again = make(env_id), make(env_id)
    observation, info = drawn.reset(seed=5)
    assert same((observation, info), again.reset(seed=6, options={"instance": info["instance"]}))
    actions = random_actions(drawn, 5)
    assert same(play(drawn, actions), play(again, actions))


@every_env
@every_preset
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_in_the_middle_of_an_episode_has_the_same_future(env_id, preset, duplicate):
    env = make(env_id, **preset)
    rollout(env, seed=1, count=4)
    other = duplicate(env)
    actions = random_actions(env, 25)
    assert same(play(env, actions), play(other, actions))


@every_env
def test_a_saved_state_can_be_restored_twice(env_id):
    env = make(env_id)
    rollout(env, seed=1, count=4)
    state, actions = env.unwrapped.get_state(), random_actions(env, 25)
    future = play(env, actions)
    for _ in range(2):
        env.unwrapped.set_state(state)
        assert same(play(env, actions), future)


@every_env
def test_a_saved_state_can_be_restored_in_another_environment(env_id):
    env, other = make(env_id), make(env_id)
    rollout(env, seed=1, count=4)
    other.reset(seed=9)
    other.unwrapped.set_state(env.unwrapped.get_state())
    actions = random_actions(env, 8)
    assert same(play(env, actions), play(other, actions))


@pytest.mark.any_gymnasium
@every_env
@every_preset
def test_the_spec_survives_json_with_its_overrides(env_id, preset):
    env = make(env_id, **preset, **SMALLER)
    again = EnvSpec.from_json(env.spec.to_json()).make()
    assert again.unwrapped.scenario.num_devices == 5
    assert again.unwrapped.scenario.radio.num_subchannels == 2
    assert same(rollout(env, seed=0), rollout(again, seed=0))


@every_env
def test_the_observation_space_is_one_level_of_named_float32_boxes_from_minus_one_to_one(env_id):
    space = make(env_id).observation_space
    assert isinstance(space, spaces.Dict)
    for box in space.values():
        assert isinstance(box, spaces.Box)
        assert box.dtype == np.float32 and len(box.shape) == 1
        assert (box.low == -1).all() and (box.high == 1).all()


@pytest.mark.any_gymnasium
@every_env
def test_every_observation_is_in_the_observation_space(env_id):
    env = make(env_id)
    observations = [step[0] for step in rollout(env, seed=2, count=25)]
    assert all(env.observation_space.contains(observation) for observation in observations)
    assert {array.dtype for array in arrays_in(observations)} == {np.dtype(np.float32)}


@every_env
@pytest.mark.parametrize(
    "arguments",
    [
        {"num_devices": 1, "radio": {"num_subchannels": 1}},
        {"radio": {"num_cells": 3, "access": "time_share"}},
        {"radio": {"link_drop": 1.0, "link_recover": 0.0}},
        {"fleet": {"battery_j": [0.0, 0.0]}},
        {"fleet": {"cycles_per_sample": 0.0}, "learning": {"model": "logistic"}},
        {"learning": {"model": "none"}},
        {"num_devices": 1500, "learning": {"model": "logistic", "shards_per_device": 1}},
        {"max_rounds": 1, "deadline_s": 1e-6},
    ],
    ids=lambda arguments: str(arguments),
)
def test_unusual_scenarios_are_observed_within_the_space(env_id, arguments):
    env = make(env_id, **arguments)
    for step in rollout(env, seed=0, count=3):
        for name, value in step[0].items():
            assert env.observation_space[name].contains(value), name


@every_env
def test_nothing_that_step_returns_is_shared_with_the_state_or_with_what_it_returned_before(env_id):
    env = make(env_id)
    returned = arrays_in([step[:1] + step[-1:] for step in rollout(env, seed=0, count=3)])
    state = list(vars(env.unwrapped.system.state).values())
    for index, array in enumerate(returned):
        assert not any(np.shares_memory(array, other) for other in (*returned[:index], *state))


@every_env
def test_the_reset_and_step_infos_are_new_objects(env_id):
    env = make(env_id)
    infos = [step[-1] for step in rollout(env, seed=0, count=3)]
    assert len({id(info) for info in infos}) == len(infos)
    assert infos[1]["reward_terms"] is not infos[2]["reward_terms"]


@every_masked_env
def test_action_masks_are_flat_bool_with_one_entry_per_choice(env_id):
    env = make(env_id)
    for _ in open_episode(env):
        mask = env.unwrapped.action_masks()
        assert mask.shape == (choices_per_entry(env.action_space).sum(),)
        assert mask.dtype == bool


@pytest.mark.any_gymnasium
@every_masked_env
def test_gymnasium_samples_with_the_mask(env_id):
    env = make(env_id, radio={"link_drop": 1.0, "link_recover": 0.0})
    env.reset(seed=0)
    env.step(idle_action(env))
    parts = parts_of_mask(env)
    mask = parts[0] if isinstance(env.action_space, spaces.Discrete) else parts
    for _ in range(20):
        chosen = np.atleast_1d(env.action_space.sample(mask=mask))
        assert all(part[choice] for part, choice in zip(parts, chosen, strict=True))


@pytest.mark.any_gymnasium
@pytest.mark.parametrize("env_id", CONTINUOUS_IDS)
def test_a_continuous_action_has_no_masks(env_id):
    env = make(env_id)
    env.reset(seed=0)
    assert not hasattr(env.unwrapped, "action_masks")


@every_masked_env
def test_idling_is_open_to_every_device_available_or_not(env_id):
    env = make(env_id, learning={"model": "none"}, radio={"link_drop": 0.5})
    unavailable = np.zeros(6, dtype=bool)
    for _ in open_episode(env):
        idle = np.atleast_1d(idle_action(env))
        assert all(part[choice] for part, choice in zip(parts_of_mask(env), idle, strict=True))
        unavailable |= ~env.unwrapped.system.available()[0]
    assert unavailable.all()


@pytest.mark.parametrize("env_id", PER_DEVICE_IDS)
def test_taking_part_is_closed_to_exactly_those_who_are_not_available(env_id):
    env = make(env_id)
    env.reset(seed=0)
    closed = 0
    for _ in range(15):
        parts = parts_of_mask(env)
        for device, available in enumerate(env.unwrapped.system.available()[0]):
            wanted = action_of(env, np.arange(6) == device)
            assert all(part[choice] for part, choice in zip(parts, wanted, strict=True)) == available
            closed += not available
        env.step(idle_action(env))
    assert closed > 0


@every_env
def test_open_choices_are_never_repaired(env_id):
    for _, step in open_episode(make(env_id)):
        assert not step[4]["repaired"].any()


@every_env
def test_an_action_in_the_space_never_raises(env_id):
    rollout(make(env_id), seed=0, count=40)


@pytest.mark.parametrize("env_id", PER_DEVICE_IDS)
def test_a_device_that_is_asked_for_what_it_cannot_do_is_repaired(env_id):
    env = make(env_id)
    repaired = sum(step[4]["repaired"].sum() for step in rollout(env, seed=0, count=40) if len(step) == 5)
    assert repaired > 0


@pytest.mark.any_gymnasium
@every_masked_env
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_a_discrete_action_of_any_whole_type_in_the_space_means_the_same(env_id, dtype):
    env, other = make(env_id), make(env_id)
    env.reset(seed=0), other.reset(seed=0)
    action = action_of(env, np.ones(6))
    assert env.action_space.contains(action.astype(dtype))
    assert same(env.step(action), other.step(action.astype(dtype)))


@pytest.mark.any_gymnasium
@pytest.mark.parametrize("env_id", PER_DEVICE_IDS)
def test_an_action_of_true_and_false_means_the_same_where_every_device_has_choices(env_id):
    env, other = make(env_id), make(env_id)
    env.reset(seed=0), other.reset(seed=0)
    action = idle_action(env)
    assert env.action_space.contains(action.astype(bool))
    assert same(env.step(action), other.step(action.astype(bool)))


@pytest.mark.any_gymnasium
@pytest.mark.parametrize("env_id", CONTINUOUS_IDS)
@pytest.mark.parametrize("convert", [np.float16, np.float64, np.int64, np.ndarray.tolist], ids=lambda one: one.__name__)
def test_a_continuous_action_of_any_type_of_numbers_means_the_same(env_id, convert):
    env, other = make(env_id), make(env_id)
    env.reset(seed=0), other.reset(seed=0)
    action = np.resize(np.float32([0.0, 1.0, -1.0, 1.0, 1.0]), env.action_space.shape)
    assert same(env.step(action), other.step(convert(action)))


@every_env
def test_the_view_needs_nothing_but_the_observation(env_id):
    env, never_reset = make(env_id), make(env_id)
    observation = rollout(env, seed=0, count=3)[-1][0]
    copied = {name: value.tolist() for name, value in observation.items()}
    view = dataclasses.asdict(env.unwrapped.view(observation))
    assert same(view, dataclasses.asdict(never_reset.unwrapped.view(copied)))


@every_env
def test_the_view_has_the_physical_values_of_the_state(env_id):
    env = make(env_id)
    observation = rollout(env, seed=0, count=6)[-1][0]
    task, system = env.unwrapped.task, env.unwrapped.system
    view, state = task.view(observation), system.state
    gain = state.gain if task.gain_per_subchannel else np.broadcast_to(state.gain.mean(-1)[..., None], state.gain.shape)
    of_devices = {
        "gain": gain,
        "step_s": system.offer().step_s,
        "cpu_hz": system.offer().cpu_hz,
        "battery_j": state.battery_j,
        "available": system.available(),
        "num_samples": state.num_samples,
        "loss": state.reported_loss,
        "age": state.age,
    }
    places, shown = shown_devices(env), shown_devices(env) >= 0
    expected = {name: value[0][places] for name, value in of_devices.items()}
    expected |= {name: value[0] for name, value in task.more_values(system).items()}
    expected |= {
        "accuracy": state.accuracy[0],
        "best_accuracy": state.best_accuracy[0],
        "round_index": state.round_index[0],
        "last_round_s": state.last_round_s[0],
    }
    assert shown.any()
    assert expected.keys() == task.features.keys() | task.hidden
    for name, feature in task.features.items():
        value = expected[name]
        low, high = feature.low, feature.high
        if feature.scale == "db":
            low, high = 10 ** (low / 10), 10 ** (high / 10)
        seen = getattr(view if hasattr(view, name) else view.security, name)
        if name in of_devices:
            seen, value = seen[shown], value[shown]
        smallest = 0.0 if feature.scale in ("db", "log") else 1e-6 * high
        np.testing.assert_allclose(seen, np.clip(value, low, high), rtol=1e-5, atol=smallest, err_msg=name)


@every_env
def test_the_view_of_what_the_task_hides_is_none(env_id):
    env = make(env_id)
    view, task = env.unwrapped.view(env.reset(seed=0)[0]), env.unwrapped.task
    assert {name for name, value in vars(view).items() if value is None} >= task.hidden
    assert not task.hidden & env.observation_space.keys()


@every_env
def test_the_view_has_the_constants_of_the_scenario(env_id):
    env = make(env_id)
    view, scenario = env.unwrapped.view(env.reset(seed=0)[0]), env.unwrapped.scenario
    assert view.scenario == scenario
    assert view.noise_w == scenario.radio.noise_w
    assert view.subchannel_hz == scenario.radio.subchannel_hz
    assert (view.min_power_dbm, view.max_power_dbm) == (scenario.radio.min_power_dbm, scenario.radio.max_power_dbm)
    assert view.time_share == env.unwrapped.task.time_share
    assert (view.payload_bits == env.unwrapped.system.payload_bits).all()
    assert view.payload_bits.shape == view.device.shape == (env.unwrapped.task.num_shown,)


@every_env
def test_the_reward_is_the_weighted_sum_of_its_terms(env_id):
    terms = make(env_id).unwrapped.task.default_weights
    weights = {name: 0.5 + index for index, name in enumerate(terms)}
    env = make(env_id, reward_weights=weights)
    for _, (_, reward, _, _, info) in open_episode(env):
        assert info["reward_terms"].keys() == weights.keys()
        weighted = sum(weights[name] * term for name, term in info["reward_terms"].items())
        assert reward == pytest.approx(weighted, abs=1e-12)


@pytest.mark.any_gymnasium
@every_env
def test_an_episode_ends_at_the_latest_after_the_scenarios_rounds(env_id):
    env = make(env_id, max_rounds=4, target_accuracy=1.0)
    ends = [step[2:4] for _, step in open_episode(env)]
    assert ends == [(False, False)] * 3 + [(False, True)]


@every_env
def test_an_episode_terminates_when_the_target_is_reached_if_that_is_the_aim(env_id):
    env = make(env_id, target_accuracy=0.0)
    env.reset(seed=0)
    _, _, terminated, truncated, info = env.step(idle_action(env))
    assert (terminated, truncated, info["target_reached"]) == (env_id in TARGET_IDS, False, True)


@every_env
def test_an_episode_terminates_when_every_battery_is_empty(env_id):
    env = make(env_id, target_accuracy=1.0)
    env.reset(seed=0)
    env.unwrapped.system.state.battery_j[:] = 0.0
    env.unwrapped.system.state.full_battery_j[:] = 1e9
    _, _, terminated, truncated, info = env.step(idle_action(env))
    assert (terminated, truncated, info["target_reached"]) == (True, False, False)


@pytest.mark.any_gymnasium
@every_env
def test_the_text_picture_names_the_round(env_id):
    env = make(env_id, render_mode="ansi")
    env.reset(seed=0)
    for number, action in enumerate(random_actions(env, 3)):
        assert re.search(rf"round\s+{number}\b", env.render())
        env.step(action)


@every_env
def test_the_picture_is_an_rgb_array_that_changes_with_a_step(env_id):
    env = make(env_id, render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    env.step(random_actions(env, 1)[0])
    after = env.render()
    assert before.shape == after.shape == (540, 960, 3)
    assert before.dtype == after.dtype == np.uint8
    assert (before != after).any()


@every_env
def test_rendering_changes_nothing_of_the_episode(env_id):
    assert same(rollout(make(env_id, render_mode="ansi"), seed=0), rollout(make(env_id), seed=0))
