"""Wrong input to an environment: a typed error of one line that names what is wrong and what is allowed."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from playing import ENV_IDS, idle_action, make

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
        {"radio": {"min_power_dbm": 30.0, "max_power_dbm": 17.0}},
        InvalidValueError,
        ["min_power_dbm", "30.0", "17.0"],
    ),
    "unknown split": ({"split": "dev"}, UnknownNameError, ["split", "'dev'", "train", "val", "test"]),
    "unknown reward term": ({"reward_weights": {"speed": 1.0}}, UnknownNameError, ["reward term", "'speed'"]),
    "weights without names": ({"reward_weights": [1.0]}, QflError, ["reward_weights", "[1.0]"]),
    "unknown render mode": ({"render_mode": "gif"}, InvalidValueError, ["render_mode", "'gif'", "rgb_array", "ansi"]),
    "number for a flag": ({"vector_reward": 1}, InvalidValueError, ["vector_reward", "1", "true or false"]),
    "curriculum without stages": ({"curriculum": []}, InvalidValueError, ["curriculum", "[]", "list of objects"]),
    "name for a curriculum": ({"curriculum": "easy"}, InvalidValueError, ["curriculum", "'easy'", "list of objects"]),
    "stage that is no object": ({"curriculum": [0.5]}, InvalidValueError, ["curriculum", "[0.5]", "list of objects"]),
    "unknown field of a stage": (
        {"curriculum": [{"devices": 0.5}]},
        UnknownNameError,
        ["field of curriculum", "'devices'", "fleet", "heterogeneity", "drift"],
    ),
    "stage above its range": ({"curriculum": [{"drift": 2.0}]}, InvalidValueError, ["curriculum.drift", "2.0", "0 to"]),
    "stage without devices": ({"curriculum": [{"fleet": 0.0}]}, InvalidValueError, ["curriculum.fleet", "0.0", "to 1"]),
    "stage that does not exist": (
        {"curriculum_stage": 3},
        InvalidValueError,
        ["curriculum stage", "3", "0 to 2"],
    ),
    "fraction of a stage": ({"curriculum_stage": 1.0}, InvalidValueError, ["curriculum stage", "1.0", "0 to 2"]),
}
WRONG_WEIGHTS = [NAN, float("inf"), "1", None, True]
WRONG_ARGUMENTS_OF_ONE = [
    ("qfl/Scheduling-v0", {"local_step_choices": []}, ["local_step_choices", "[]", "at least 1"]),
    ("qfl/Scheduling-v0", {"local_step_choices": [0, 1]}, ["local_step_choices", "[0, 1]", "at least 1"]),
    ("qfl/Scheduling-v0", {"local_step_choices": 2}, ["local_step_choices", "2", "at least 1"]),
    ("qfl/Allocation-v0", {"num_power_levels": 0}, ["num_power_levels", "0", "at least 1"]),
    ("qfl/Allocation-v0", {"num_power_levels": 2.0}, ["num_power_levels", "2.0", "whole number"]),
    ("qfl/Allocation-v0", {"allow_idle": 1}, ["allow_idle", "1", "true or false"]),
    ("qfl/Power-v0", {"num_scheduled": 0}, ["num_scheduled", "0", "1 to 6"]),
    ("qfl/Power-v0", {"num_scheduled": 7}, ["num_scheduled", "7", "1 to 6"]),
    ("qfl/Power-v0", {"num_scheduled": 2.0}, ["num_scheduled", "2.0", "whole number"]),
    ("qfl/Power-v0", {"num_scheduled": True}, ["num_scheduled", "True", "whole number"]),
    ("qfl/Drift-v0", {"participation_choices": []}, ["participation_choices", "[]", "above 0, up to 1"]),
    ("qfl/Drift-v0", {"participation_choices": [0.0, 1.0]}, ["participation_choices", "0.0", "above 0, up to 1"]),
    ("qfl/Drift-v0", {"participation_choices": [1.5]}, ["participation_choices", "1.5", "above 0, up to 1"]),
    ("qfl/Drift-v0", {"participation_choices": [NAN]}, ["participation_choices", "nan", "above 0, up to 1"]),
    ("qfl/Drift-v0", {"participation_choices": [True]}, ["participation_choices", "True", "above 0, up to 1"]),
    ("qfl/Drift-v0", {"participation_choices": ["all"]}, ["participation_choices", "'all'", "above 0, up to 1"]),
    ("qfl/Drift-v0", {"adaptations": []}, ["adaptations", "[]", "different names out of head, fine_tune"]),
    ("qfl/Drift-v0", {"adaptations": "head"}, ["adaptations", "'head'", "different names"]),
    ("qfl/Drift-v0", {"adaptations": ["head", "head"]}, ["adaptations", "different names"]),
    ("qfl/Drift-v0", {"adaptations": ["heads"]}, ["adaptations", "heads", "annealed_head, solved_head, settings"]),
    ("qfl/Drift-v0", {"participation_choices": 0.5}, ["participation_choices", "0.5", "above 0, up to 1"]),
    ("qfl/StragglerFairness-v0", {"local_step_choices": [1.5]}, ["local_step_choices", "1.5", "at least 1"]),
    ("qfl/StragglerFairness-v0", {"fairness_weight": 1.1}, ["fairness_weight", "1.1", "0 to 1"]),
    ("qfl/StragglerFairness-v0", {"fairness_weight": NAN}, ["fairness_weight", "nan", "0 to 1"]),
    ("qfl/StragglerFairness-v0", {"fairness_weight": "0.5"}, ["fairness_weight", "'0.5'", "0 to 1"]),
    ("qfl/StragglerFairness-v0", {"fairness_weight": True}, ["fairness_weight", "True", "0 to 1"]),
    (
        "qfl/StragglerFairness-v0",
        {"learning": {"aggregation": "asynchronous"}},
        ["server_rule", "'fedadam'", "'fedasync'"],
    ),
]
WRONG_ACTIONS = {
    "nan": lambda shape: np.full(shape, NAN),
    "too large": lambda shape: np.full(shape, 99),
    "one axis more": lambda shape: np.zeros((1, *shape), dtype=int),
    "nothing": lambda shape: None,
    "text": lambda shape: "idle",
    "lists of different lengths": lambda shape: [[0, 0], [0]],
}
WRONG_DISCRETE_ACTIONS = {
    "negative": lambda shape: np.full(shape, -1),
    "fractional": lambda shape: np.full(shape, 0.5),
}
WRONG_CONTINUOUS_ACTIONS = {
    "too low": lambda shape: np.full(shape, -1.5),
    "infinite": lambda shape: np.full(shape, -np.inf),
    "true and false": lambda shape: np.ones(shape, dtype=bool),
}
WRONG_ARRAYS = {
    "one entry short": lambda shape: np.zeros(shape[0] - 1, dtype=int),
    "a single number": lambda shape: 0,
}
WRONG_NUMBERS = {
    "a list of one": lambda shape: [0],
    "true": lambda shape: True,
}


def wrong_actions():
    """Id, name and maker of every kind of action that the id has to refuse."""
    for env_id in ENV_IDS:
        space = make(env_id).action_space
        kinds = WRONG_ACTIONS | (WRONG_NUMBERS if space.shape == () else WRONG_ARRAYS)
        kinds |= WRONG_CONTINUOUS_ACTIONS if isinstance(space, spaces.Box) else WRONG_DISCRETE_ACTIONS
        yield from (pytest.param(env_id, wrong, id=f"{env_id}-{name}") for name, wrong in kinds.items())


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


@every_env
@pytest.mark.parametrize("weight", WRONG_WEIGHTS, ids=repr)
def test_a_weight_that_is_no_finite_number_is_refused_whatever_the_term(env_id, weight):
    for term in make(env_id).unwrapped.task.default_weights:
        with pytest.raises(InvalidValueError) as error:
            make(env_id, reward_weights={term: weight})
        assert_says(error, repr(term), repr(weight), "finite")


@every_env
def test_the_refusal_of_an_unknown_reward_term_names_all_there_are(env_id):
    terms = make(env_id).unwrapped.task.default_weights
    with pytest.raises(UnknownNameError) as error:
        make(env_id, reward_weights={"speed": 1.0})
    assert_says(error, *terms)


@pytest.mark.parametrize(("env_id", "arguments", "words"), WRONG_ARGUMENTS_OF_ONE)
def test_a_wrong_argument_of_one_environment_is_refused(env_id, arguments, words):
    with pytest.raises(InvalidValueError) as error:
        make(env_id, **arguments)
    assert_says(error, *words)


@pytest.mark.parametrize(("env_id", "wrong"), list(wrong_actions()))
def test_an_action_outside_the_space_is_refused(env_id, wrong):
    env = make(env_id)
    env.reset(seed=0)
    with pytest.raises(InvalidValueError) as error:
        env.step(wrong(env.action_space.shape))
    assert_says(error, "action", type(env.action_space).__name__)


@every_env
def test_a_refused_action_leaves_the_episode_as_it_was(env_id):
    env = make(env_id)
    env.reset(seed=0)
    with pytest.raises(InvalidValueError):
        env.step(np.full(env.action_space.shape, 99))
    *_, info = env.step(idle_action(env))
    assert info["elapsed_s"] == info["round_s"]


@every_env
def test_a_step_before_the_first_reset_is_refused(env_id):
    env = make(env_id).unwrapped
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.step(env.action_space.sample())


@every_env
@pytest.mark.parametrize("stage", [-1, 3, 1.0, True, "first"], ids=repr)
def test_a_stage_that_does_not_exist_is_refused_and_the_present_one_stays(env_id, stage):
    env = make(env_id, curriculum_stage=1).unwrapped
    with pytest.raises(InvalidValueError) as error:
        env.set_curriculum_stage(stage)
    assert_says(error, "curriculum stage", repr(stage), "0 to 2")
    assert env.curriculum.stage == 1


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
