"""Wrong input to an environment: a typed error of one line that names what is wrong and what is allowed."""

import numpy as np
import pytest
from playing import ENV_IDS, make

from qfl_envs.errors import InvalidValueError, QflError, UnknownNameError

every_env = pytest.mark.parametrize("env_id", ENV_IDS)
NAN = float("nan")
WRONG_ARGUMENTS = {
    "unknown preset": (
        {"scenario": "tinny"},
        UnknownNameError,
        ["preset", "'tinny'", "tiny", "small", "paper", "city"],
    ),
    "scenario of another type": ({"scenario": 3}, InvalidValueError, ["scenario", "3", "preset"]),
    "unknown field of a dict": ({"scenario": {"num_device": 3}}, UnknownNameError, ["'num_device'", "num_devices"]),
    "unknown override": ({"num_device": 3}, UnknownNameError, ["'num_device'", "num_devices"]),
    "unknown field of a section": (
        {"radio": {"num_channels": 3}},
        UnknownNameError,
        ["radio", "'num_channels'", "num_subchannels"],
    ),
    "number for a section": ({"radio": 3}, InvalidValueError, ["radio", "3", "object"]),
    "override below its range": ({"num_devices": 0}, InvalidValueError, ["num_devices", "0", "from 1"]),
    "override above its range": ({"fleet": {"reserve": 2.0}}, InvalidValueError, ["fleet.reserve", "2.0", "0 to 0.9"]),
    "fraction of a device": ({"num_devices": 2.5}, InvalidValueError, ["num_devices", "2.5", "whole number"]),
    "text for a number": ({"num_devices": "six"}, InvalidValueError, ["num_devices", "'six'", "whole number"]),
    "not a number": ({"deadline_s": NAN}, InvalidValueError, ["deadline_s", "nan", "at least"]),
    "fields that do not fit": (
        {"radio": {"min_power_dbm": 30.0}},
        InvalidValueError,
        ["min_power_dbm", "30.0", "17.0"],
    ),
    "unknown split": ({"split": "dev"}, UnknownNameError, ["split", "'dev'", "train", "val", "test"]),
    "unknown reward term": (
        {"reward_weights": {"speed": 1.0}},
        UnknownNameError,
        ["reward term", "'speed'", "progress"],
    ),
    "weight that is not a number": ({"reward_weights": {"time": NAN}}, InvalidValueError, ["time", "nan", "finite"]),
    "weight that is text": ({"reward_weights": {"time": "1"}}, InvalidValueError, ["time", "'1'", "finite"]),
    "weights without names": ({"reward_weights": [1.0]}, QflError, ["reward_weights", "[1.0]"]),
    "unknown render mode": ({"render_mode": "gif"}, InvalidValueError, ["render_mode", "'gif'", "rgb_array", "ansi"]),
}
WRONG_ARGUMENTS_OF_ONE = [
    ("qfl/Scheduling-v0", {"local_step_choices": []}, ["local_step_choices", "[]", "at least 1"]),
    ("qfl/Scheduling-v0", {"local_step_choices": [0, 1]}, ["local_step_choices", "[0, 1]", "at least 1"]),
    ("qfl/Scheduling-v0", {"local_step_choices": 2}, ["local_step_choices", "2", "at least 1"]),
    ("qfl/Allocation-v0", {"num_power_levels": 0}, ["num_power_levels", "0", "at least 1"]),
    ("qfl/Allocation-v0", {"num_power_levels": 2.0}, ["num_power_levels", "2.0", "whole number"]),
    ("qfl/Allocation-v0", {"allow_idle": 1}, ["allow_idle", "1", "true or false"]),
]
WRONG_ACTIONS = {
    "nan": lambda size: np.full(size, NAN),
    "too large": lambda size: np.full(size, 99),
    "negative": lambda size: np.full(size, -1),
    "fractional": lambda size: np.full(size, 0.5),
    "one entry short": lambda size: np.zeros(size - 1, dtype=int),
    "one axis more": lambda size: np.zeros((1, size), dtype=int),
    "a single number": lambda size: 0,
    "nothing": lambda size: None,
    "text": lambda size: "idle",
    "lists of different lengths": lambda size: [[0, 0], [0]],
}
WRONG_OPTIONS = {
    "unknown option": ({"instances": 3}, UnknownNameError, ["reset option", "'instances'", "instance"]),
    "instance of another split": (
        {"instance": 2**31},
        InvalidValueError,
        ["instance", str(2**31), "2147483647", "train"],
    ),
    "negative instance": ({"instance": -1}, InvalidValueError, ["instance", "-1", "0 to"]),
    "fraction of an instance": ({"instance": 1.5}, InvalidValueError, ["instance", "1.5", "0 to"]),
    "text for an instance": ({"instance": "one"}, InvalidValueError, ["instance", "'one'", "0 to"]),
}


def assert_says(error, *words):
    """One line with all the words, and a type of this project's."""
    assert "\n" not in str(error.value)
    assert [word for word in words if word not in str(error.value)] == []


@every_env
@pytest.mark.filterwarnings("ignore:.*render_mode")
@pytest.mark.parametrize(("arguments", "kind", "words"), WRONG_ARGUMENTS.values(), ids=WRONG_ARGUMENTS)
def test_a_wrong_argument_is_refused(env_id, arguments, kind, words):
    with pytest.raises(kind) as error:
        make(env_id, **arguments)
    assert_says(error, *words)


@pytest.mark.parametrize(("env_id", "arguments", "words"), WRONG_ARGUMENTS_OF_ONE)
def test_a_wrong_argument_of_one_environment_is_refused(env_id, arguments, words):
    with pytest.raises(InvalidValueError) as error:
        make(env_id, **arguments)
    assert_says(error, *words)


@every_env
@pytest.mark.parametrize("wrong", WRONG_ACTIONS.values(), ids=WRONG_ACTIONS)
def test_an_action_outside_the_space_is_refused(env_id, wrong):
    env = make(env_id)
    env.reset(seed=0)
    with pytest.raises(InvalidValueError) as error:
        env.step(wrong(len(env.action_space.nvec)))
    assert_says(error, "action", "MultiDiscrete")


@every_env
def test_a_refused_action_leaves_the_episode_as_it_was(env_id):
    env = make(env_id)
    env.reset(seed=0)
    with pytest.raises(InvalidValueError):
        env.step(np.full(len(env.action_space.nvec), 99))
    *_, info = env.step(np.zeros(len(env.action_space.nvec), dtype=int))
    assert info["elapsed_s"] == info["round_s"]


@every_env
@pytest.mark.parametrize(("options", "kind", "words"), WRONG_OPTIONS.values(), ids=WRONG_OPTIONS)
def test_a_wrong_reset_option_is_refused(env_id, options, kind, words):
    with pytest.raises(kind) as error:
        make(env_id).reset(seed=0, options=options)
    assert_says(error, *words)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_an_instance_of_another_split_is_refused_in_every_split(split):
    env = make("qfl/Scheduling-v0", split=split)
    of_split = {
        other: make("qfl/Scheduling-v0", split=other).reset(seed=0)[1]["instance"] for other in ("train", "val")
    }
    wrong = of_split["val" if split == "train" else "train"]
    with pytest.raises(InvalidValueError) as error:
        env.reset(options={"instance": wrong})
    assert_says(error, "instance", str(wrong), repr(split))
