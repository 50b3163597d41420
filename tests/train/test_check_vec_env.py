import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor
from walk import LENGTH, Walk, breaking, breaking_infos, breaking_step

from qfl_envs.errors import QflError
from qfl_envs.registration import ENVIRONMENTS
from train.sb3 import SB3VecEnv, check_vec_env
from train.sb3.rules import VecEnvCheckError

ENV_IDS = sorted(ENVIRONMENTS)
TINY = {"scenario": "tiny", "max_rounds": 5, "learning": {"model": "none"}}


def check_without_a_warning(vec_env, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_vec_env(vec_env, **arguments)


def test_an_environment_that_keeps_every_rule_passes():
    check_without_a_warning(Walk(), time_limit=LENGTH, options={"start": [0.5, 0.5]})


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_every_registered_environment_passes_through_the_bridge(env_id):
    vec_env = SB3VecEnv(gym.make_vec(env_id, num_envs=3, autoreset_mode="SameStep", **TINY))
    check_without_a_warning(VecMonitor(vec_env), time_limit=5, options={"instance": 3})


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_every_registered_environment_passes_in_the_vector_environment_of_stable_baselines(env_id):
    vec_env = DummyVecEnv([lambda: gym.make(env_id, **TINY)] * 2)
    check_without_a_warning(vec_env, time_limit=5, options={"instance": 3}, rollout_steps=12)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Acrobot-v1", "Blackjack-v1"])
def test_environments_of_gymnasium_pass_in_the_vector_environment_of_stable_baselines(env_id):
    env = gym.make(env_id)
    if isinstance(env.observation_space, spaces.Tuple):
        with pytest.raises(VecEnvCheckError, match="the observation space is Tuple"):
            check_vec_env(DummyVecEnv([lambda: gym.make(env_id)] * 2))
    else:
        check_without_a_warning(DummyVecEnv([lambda: gym.make(env_id)] * 2))


def test_processes_pass_too():
    vec_env = SubprocVecEnv([lambda: gym.make("CartPole-v1")] * 2, start_method="fork")
    with pytest.warns(UserWarning, match="the rewards are float64: float32 is recommended"):
        check_vec_env(vec_env)
    vec_env.close()


def box(low, high, dtype=np.float32):
    return spaces.Box(low, high, (2,), dtype)


SPACES = {
    "observations of two levels": ({"observation_space": spaces.Dict(a=spaces.Dict(b=box(0, 1)))}, "of one level"),
    "tuples of observations": ({"observation_space": spaces.Tuple([box(0, 1)])}, "the observation space is Tuple"),
    "dicts of actions": ({"action_space": spaces.Dict(a=box(0, 1))}, "the action space is Dict"),
    "actions counted from one": ({"action_space": spaces.Discrete(3, start=1)}, "counted from 0"),
    "actions without bounds": ({"action_space": box(-np.inf, np.inf)}, "finite bounds"),
}


@pytest.mark.parametrize("arguments, said", SPACES.values(), ids=SPACES.keys())
def test_spaces_that_stable_baselines_cannot_use_are_refused(arguments, said):
    with pytest.raises(VecEnvCheckError, match=said):
        check_vec_env(Walk(**arguments))


def observing(change):
    """The walk with ``change(observations)`` instead of what it observes."""
    return breaking(observe=lambda env: change(Walk.observe(env)))


OBSERVATIONS = {
    "an entry missing": (lambda o: {"place": o["place"]}, r"are \['place'\].*\['place', 'time'\]"),
    "a row missing": (lambda o: {**o, "time": o["time"][:2]}, r"'time' of reset are of shape \(2, 1\)"),
    "another type": (lambda o: {**o, "time": o["time"].astype(float)}, "type float64; expected: .* type float32"),
    "lists": (lambda o: {**o, "time": o["time"].tolist()}, "'time' of reset are list"),
    "values out of the space": (lambda o: {**o, "time": o["time"] + 2}, "'time' of reset leave the space"),
    "not a number": (lambda o: {**o, "time": o["time"] * np.float32(np.nan)}, "'time' of reset leave the space"),
}


@pytest.mark.parametrize("change, said", OBSERVATIONS.values(), ids=OBSERVATIONS.keys())
def test_observations_that_are_not_those_of_the_space_are_refused(change, said):
    with pytest.raises(VecEnvCheckError, match=said):
        check_vec_env(observing(change))


def frozen(array):
    array.flags.writeable = False
    return array


STEPS = {
    "five values": (lambda env, o, r, d, i: (o, r, d, d, i), "step returned something else"),
    "observations out of the space": (
        lambda env, o, r, d, i: ({**o, "time": o["time"] + 2}, r, d, i),
        "'time' of step leave the space",
    ),
    "a column of rewards": (lambda env, o, r, d, i: (o, r[:, None], d, i), r"rewards are of shape \(3, 1\)"),
    "rewards in a list": (lambda env, o, r, d, i: (o, r.tolist(), d, i), "the rewards are list"),
    "whole rewards": (lambda env, o, r, d, i: (o, r.astype(int), d, i), "type int64; expected: .* type float32"),
    "rewards without end": (lambda env, o, r, d, i: (o, r / np.float32(0), d, i), "expected: finite numbers"),
    "rewards that are locked": (lambda env, o, r, d, i: (o, frozen(r), d, i), "the rewards cannot be written to"),
    "ends as numbers": (lambda env, o, r, d, i: (o, r, d.astype(int), i), "the dones are of shape .* int64"),
    "one info for all": (lambda env, o, r, d, i: (o, r, d, i[:1] * 3), "one dict for several rows"),
    "infos of fewer rows": (lambda env, o, r, d, i: (o, r, d, i[:2]), "the infos of step are 2"),
    "infos as a dict": (lambda env, o, r, d, i: (o, r, d, {}), "the infos of step are dict"),
    "infos that are no dicts": (lambda env, o, r, d, i: (o, r, d, [None] * 3), "the infos of step are not all dicts"),
    "a last observation while it goes on": (
        lambda env, o, r, d, i: (o, r, d, [{"terminal_observation": 1, **info} for info in i]),
        "row 0 goes on with a terminal_observation",
    ),
    "a time limit while it goes on": (
        lambda env, o, r, d, i: (o, r, d, [{"TimeLimit.truncated": True, **info} for info in i]),
        "row 0 goes on with TimeLimit.truncated",
    ),
}


@pytest.mark.parametrize("change, said", STEPS.values(), ids=STEPS.keys())
def test_steps_that_are_not_what_stable_baselines_expects_are_refused(change, said):
    with pytest.raises(VecEnvCheckError, match=said), np.errstate(all="ignore"):
        check_vec_env(breaking_step(change))


ENDS = {
    "no last observation": (lambda info: info.pop("terminal_observation"), "has no terminal_observation"),
    "a part of a last observation": (
        lambda info: info["terminal_observation"].pop("time"),
        "of the terminal_observation of row 0 are",
    ),
    "a last observation out of the space": (
        lambda info: info["terminal_observation"].update(time=np.float32([3.0])),
        "'time' of the terminal_observation of row 0 leave the space",
    ),
    "a last observation of another kind": (
        lambda info: info.update(terminal_observation=np.zeros(3)),
        "the terminal_observation of row 0 is ndarray; expected: a dict",
    ),
    "nothing about the time limit": (lambda info: info.pop("TimeLimit.truncated"), "has no TimeLimit.truncated"),
    "a time limit as a number": (lambda info: info.update({"TimeLimit.truncated": 1}), "TimeLimit.truncated is 1"),
    "no word about being cut": (
        lambda info: info.update({"TimeLimit.truncated": False}),
        "lasted 4 steps and none says TimeLimit.truncated",
    ),
}


@pytest.mark.parametrize("change, said", ENDS.values(), ids=ENDS.keys())
def test_ends_of_episodes_that_lose_something_are_refused(change, said):
    with pytest.raises(VecEnvCheckError, match=said):
        check_vec_env(breaking_infos(change), time_limit=LENGTH)


def first_as_last(env, observations, rewards, dones, infos):
    for row in np.flatnonzero(dones):
        infos[row]["terminal_observation"] = {name: value[row] for name, value in observations.items()}
    return observations, rewards, dones, infos


def last_in_one_place(env, observations, rewards, dones, infos):
    """Each row's last observation is a view on an array that the next end overwrites."""
    env.last = getattr(env, "last", np.zeros((env.num_envs, 2), np.float32))
    for row in np.flatnonzero(dones):
        env.last[row] = infos[row]["terminal_observation"]["place"]
        infos[row]["terminal_observation"]["place"] = env.last[row]
    if env.rounds[0] == 1:
        env.last[:] = 0
    return observations, rewards, dones, infos


def in_one_place(name):
    """Arrays that every step writes anew."""

    def change(env, observations, rewards, dones, infos):
        given = {"observations": observations["place"], "rewards": rewards, "dones": dones}[name]
        env.place_of = getattr(env, "place_of", given)
        env.place_of[:] = given
        if name == "observations":
            return {**observations, "place": env.place_of}, rewards, dones, infos
        return observations, *((env.place_of, dones) if name == "rewards" else (rewards, env.place_of)), infos

    return change


def infos_again(env, observations, rewards, dones, infos):
    env.given = getattr(env, "given", infos)
    for given, info in zip(env.given, infos, strict=True):
        given.clear()
        given.update(info)
    return observations, rewards, dones, env.given


MEMORY = {
    "a last observation that is the next first one": (first_as_last, "equals the first observation of the next"),
    "a last observation that changes": (last_in_one_place, "the terminal_observation of row . changed in a later"),
    "observations that change": (in_one_place("observations"), "the observations of a step changed in a later step"),
    "rewards that change": (in_one_place("rewards"), "the rewards of a step changed in a later step"),
    "ends that change": (in_one_place("dones"), "the dones of a step changed in a later step"),
    "infos that change": (infos_again, "infos of the step before were handed out again"),
}


@pytest.mark.parametrize("change, said", MEMORY.values(), ids=MEMORY.keys())
def test_what_a_later_step_overwrites_is_refused(change, said):
    with pytest.raises(VecEnvCheckError, match=said):
        check_vec_env(breaking_step(change))


def no_reset_infos(env):
    observations = Walk.reset(env)
    env.reset_infos = env.reset_infos[:1]
    return observations


def seeded_if_true(env, row):
    if env._seeds[row]:
        Walk.seeded(env, row)


def seeded_alike(env, row):
    if env._seeds[0] is not None:
        env.generators[row] = np.random.default_rng(env._seeds[0])


def seeded_always_alike(env, row):
    env.generators[row] = np.random.default_rng(row)


SEEDS = {
    "infos of fewer rows": ({"reset": no_reset_infos}, "reset_infos are 1"),
    "a seed that says nothing": ({"seed": lambda env, seed=None: None}, r"seed\(7\) returned None"),
    "seeds that are forgotten": ({"seeded": lambda env, row: None}, r"two rollouts from seed\(7\) differ"),
    "zero for no seed": ({"seeded": seeded_if_true}, r"two rollouts from seed\(0\) differ"),
    "one seed for all rows": ({"seeded": seeded_alike}, "rows 0 and 1 play the same"),
    "one rollout for all seeds": ({"seeded": seeded_always_alike}, r"rollouts from seed\(7\) and seed\(0\) are equal"),
}


@pytest.mark.parametrize("methods, said", SEEDS.values(), ids=SEEDS.keys())
def test_seeds_that_do_not_decide_the_rollout_are_refused(methods, said):
    with pytest.raises(VecEnvCheckError, match=said):
        check_vec_env(breaking(**methods))


def test_an_environment_in_which_nothing_is_random_passes_if_that_is_said():
    check_without_a_warning(breaking(seeded=seeded_alike), random=False)


def of_the_state_before(env):
    masks, env.shown = getattr(env, "shown", np.ones((3, 5), bool)), Walk.action_masks(env)
    return masks


def closed(env):
    masks = Walk.action_masks(env)
    masks[1, 2:] = False
    return masks


MASKS = {
    "numbers": (lambda env: Walk.action_masks(env).astype(np.int8), "of type int8"),
    "one row": (lambda env: Walk.action_masks(env)[0], r"of shapes \[\(\)\]"),
    "rows that are too short": (lambda env: Walk.action_masks(env)[:, :4], r"of shapes \[\(4,\)\]"),
    "an entry without a choice": (closed, "row 1 has no open choice in entry 1"),
    "masks of the state before": (of_the_state_before, "the same observation had two different action masks"),
}


@pytest.mark.parametrize("masks, said", MASKS.values(), ids=MASKS.keys())
def test_masks_that_do_not_fit_are_refused(masks, said):
    with pytest.raises(VecEnvCheckError, match=said):
        check_vec_env(breaking(action_masks=masks))


def test_masks_may_come_as_a_list_of_rows():
    def rows(env, name, indices=None):
        return [env.action_masks()[row] for row in env._get_indices(indices)]

    check_without_a_warning(breaking(env_method=rows))


def test_masks_of_actions_that_are_no_choices_are_refused():
    with pytest.raises(VecEnvCheckError, match="actions where there are masks"):
        check_vec_env(Walk(action_space=box(-1, 1)))


ATTRIBUTES = {
    "any name": ({"has_attr": lambda env, name: True}, "has_attr is true of any name"),
    "one attribute": ({"get_attr": lambda env, name, indices=None: [1]}, "get_attr gave 1 answers for indices=None"),
    "all rows for one": (
        {"env_is_wrapped": lambda env, wrapper, indices=None: [False] * 3},
        r"env_is_wrapped gave 3 answers for indices=\[0\]",
    ),
    "all methods for one": (
        {"env_method": lambda env, name, indices=None: env.action_masks()},
        r"env_method gave 3 answers for indices=\[0\]",
    ),
    "an attribute that is not set": (
        {
            "set_attr": lambda env, name, value, indices=None: None,
            "get_attr": lambda env, name, indices=None: [None for _ in env._get_indices(indices)],
        },
        r"get_attr gave \[None, None, None\] after set_attr to 1",
    ),
    "a refusal without a word": (
        {"set_attr": lambda env, name, value, indices=None: (_ for _ in ()).throw(NotImplementedError())},
        "set_attr was refused with ''",
    ),
}


@pytest.mark.parametrize("methods, said", ATTRIBUTES.values(), ids=ATTRIBUTES.keys())
def test_answers_of_the_wrong_rows_are_refused(methods, said):
    with pytest.raises(VecEnvCheckError, match=said):
        check_vec_env(breaking(**methods))


OPTIONS = {
    "options that stay": ({"_reset_options": lambda env: None}, "counted for a second reset"),
    "options that are lost": ({"set_options": lambda env, options=None: None}, "changed nothing at the next reset"),
}


@pytest.mark.parametrize("methods, said", OPTIONS.values(), ids=OPTIONS.keys())
def test_options_that_are_not_of_the_next_reset_are_refused(methods, said):
    with pytest.raises(VecEnvCheckError, match=said):
        check_vec_env(breaking(**methods), options={"start": [0.5, 0.5]})


def test_what_is_no_vec_env_is_refused():
    with pytest.raises(VecEnvCheckError, match="SchedulingVectorEnv is no VecEnv"):
        check_vec_env(gym.make_vec("qfl/Scheduling-v0", num_envs=2, **TINY))


def test_other_floats_than_those_of_32_bits_are_warned_of():
    space = spaces.Dict({"place": box(-1, 1, np.float64), "time": Walk.time_space})
    env = breaking(observe=lambda env: {**Walk.observe(env), "place": env.places.astype(np.float64)})
    env.observation_space = space
    with pytest.warns(UserWarning, match="'place' is Box.* float32 is recommended"):
        check_vec_env(env)


def test_episodes_that_did_not_end_are_warned_of():
    with pytest.warns(UserWarning, match="no episode ended"):
        check_vec_env(Walk(), steps=LENGTH - 1)


def test_the_error_is_an_assertion_and_one_of_this_project_and_travels_between_processes():
    error = VecEnvCheckError("it is so", "otherwise")
    assert isinstance(error, AssertionError) and isinstance(error, QflError)
    assert str(pickle.loads(pickle.dumps(error))) == "it is so; expected: otherwise"
