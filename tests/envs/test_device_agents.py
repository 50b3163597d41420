"""Translating between the joint form of a task and the form of one device."""

import gymnasium as gym
import numpy as np
import pytest
from multi_agent import ALLOCATION, FORMS, STRAGGLERS, make, rollout, stay
from playing import same

from qfl_envs.envs.device_agents import DeviceAgents
from qfl_envs.envs.features import Feature
from qfl_envs.errors import InvalidValueError

every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def test_an_option_of_allocation_is_a_sub_channel_and_a_level():
    devices = make(ALLOCATION, radio={"num_subchannels": 2}, num_power_levels=3).devices
    expected = [[0, 0], *([channel, level] for channel in (1, 2) for level in range(3))]
    assert devices.options.tolist() == expected


def test_an_option_of_allocation_is_never_to_idle_where_that_is_not_allowed():
    env = make(ALLOCATION, allow_idle=False, num_power_levels=3)
    assert env.devices.options.tolist() == [[channel, level] for channel in (0, 1) for level in range(3)]
    *_, infos = (env.reset(seed=0), env.step(stay(env)))[1]
    assert any(info["participation"] for info in infos.values())


def test_the_only_choice_of_a_device_is_its_option():
    assert make(STRAGGLERS).devices.options.tolist() == [[0], [1], [2], [3]]


@every_form
def test_joint_actions_list_choice_after_choice(form):
    env = make(form)
    options = np.arange(6)[None] % len(env.devices.options)
    joint = env.devices.joint_actions(options)[0]
    assert env.task.action_space.contains(joint)
    for device, option in enumerate(options[0]):
        assert joint[device::6].tolist() == env.devices.options[option].tolist()


def test_a_task_whose_action_is_not_one_entry_per_device_is_refused():
    task = make(STRAGGLERS).task
    task.action_space = gym.spaces.MultiDiscrete([4, 4, 2])
    with pytest.raises(InvalidValueError, match="nvec"):
        DeviceAgents(task)


@every_form
def test_what_a_device_observes_is_its_own_and_what_is_shared(form):
    env = make(form)
    observations = rollout(env, seed=0, count=3)[-1][0]
    joint = env.task.observe(env.system)
    for device, agent in enumerate(env.agents):
        for name, columns in env.devices.columns.items():
            of_all = joint[name][0]
            own = of_all if env.task.features[name].shared else of_all.reshape(6, -1)[device]
            assert same(observations[agent]["observation"][columns], own), name


@every_form
@pytest.mark.parametrize("name", ["gain", "battery_j", "load_normal", "num_samples", "reported_loss", "age", "link_up"])
def test_no_device_sees_what_only_another_one_knows(form, name):
    env = make(form)
    env.reset(seed=0)
    before = env.devices.observe(env.task.observe(env.system))[0]
    for field in {"gain": ["gain", "mean_gain"]}.get(name, [name]):
        value = getattr(env.system.state, field)
        value[0, 2] = ~value[0, 2] if value.dtype == bool else value[0, 2] + 1 if value.dtype.kind == "i" else 0.7
    after = env.devices.observe(env.task.observe(env.system))[0]
    assert np.flatnonzero((before != after).any(-1)).tolist() == [2]


def test_shared_features_come_last_even_for_a_single_device():
    task = make(STRAGGLERS, num_devices=1).task
    task.features["queue"] = Feature("queue", 1, 0.0, 1.0)
    columns = list(DeviceAgents(task).columns)
    assert columns[-4:] == ["accuracy", "best_accuracy", "round_index", "last_round_s"]


def test_a_feature_that_cannot_be_dealt_out_to_the_devices_is_shared():
    task = make(STRAGGLERS).task
    task.features["budget"] = Feature("budget", 1, 0.0, 1.0)
    assert list(DeviceAgents(task).columns)[-1] == "budget"
