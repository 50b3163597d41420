"""A row of the native vector environment equals the scalar environment with the row's seed, in every autoreset mode.

Gymnasium's SyncVectorEnv of scalar environments is what it has to equal: radio, decisions and counters to the last bit,
what is learned to float tolerance.
"""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from playing import CONTINUOUS_IDS, ENV_IDS, MASKED_IDS, PER_DEVICE_IDS, make, open_action, same

from qfl_envs.errors import InvalidValueError, UnknownNameError
from qfl_envs.vector import FederatedVectorEnv

every_env = pytest.mark.parametrize("env_id", ENV_IDS)
every_mode = pytest.mark.parametrize("mode", AutoresetMode, ids=lambda mode: mode.value)
every_size = pytest.mark.parametrize("num_envs", [1, 3, 64])
every_preset = pytest.mark.parametrize("preset", ["tiny", "small"])
NUM_ENVS = 3
LEARNED = {
    "accuracy",
    "best_accuracy",
    "loss",
    "device_loss",
    "accuracy_variance",
    "worst_accuracy",
    "jain",
    "progress",
    "efficiency",
    "fairness",
    "reward",
}


def make_pair(env_id, mode, max_episode_steps=None, num_envs=NUM_ENVS, rows=None, **arguments):
    """The native vector environment, and scalar ones, one for each of some rows, in Gymnasium's own."""
    arguments = {"scenario": "tiny", "max_rounds": 5, **arguments}
    limit = {} if max_episode_steps is None else {"max_episode_steps": max_episode_steps}
    native = gym.make_vec(env_id, num_envs=num_envs, autoreset_mode=mode, **arguments, **limit)
    makers = [lambda: make(env_id, **arguments, **limit)] * (num_envs if rows is None else len(rows))
    return native, SyncVectorEnv(makers, autoreset_mode=mode)


def actions_of(env, count, seed=0):
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(count)]


def play_both(native, reference, mode, count=12, seed=5):
    """What both return to each reset and step."""
    yield native.reset(seed=seed), reference.reset(seed=seed)
    for action in actions_of(native, count):
        steps = native.step(action), reference.step(action)
        yield steps
        ended = steps[0][2] | steps[0][3]
        if mode is AutoresetMode.DISABLED and ended.any():
            yield tuple(env.reset(options={"reset_mask": ended.copy()}) for env in (native, reference))


def of_rows(value, rows):
    """What some rows have of what a vector environment returned."""
    if not isinstance(value, dict):
        return value[rows]
    return {
        name: of_rows(entry, rows)
        for name, entry in value.items()
        if value.get(f"_{name.removeprefix('_')}", np.ones(rows.max() + 1, dtype=bool))[rows].any()
    }


def play_rows(native, reference, mode, rows, count, seed=5):
    """What some rows of the native one and the scalar ones return to each reset and step, and both masks if any."""
    yield native.reset(seed=seed), reference.reset(seed=[seed + row for row in rows.tolist()])
    rng = np.random.default_rng(seed)
    for _ in range(count):
        action = open_action(native, rng)
        step = native.step(action)
        yield step, reference.step(action[rows])
        ended = step[2] | step[3]
        if mode is AutoresetMode.DISABLED and ended.any():
            ended_rows = {"reset_mask": ended[rows]}
            yield native.reset(options={"reset_mask": ended.copy()}), reference.reset(options=ended_rows)


def assert_equal(one, other, name=""):
    """Equal structure, types and values; learned values to 1e-5."""
    assert type(one) is type(other), name
    if isinstance(one, dict):
        assert one.keys() == other.keys(), name
        for key in one:
            assert_equal(one[key], other[key], key)
    elif isinstance(one, np.ndarray) and one.dtype == object:
        assert len(one) == len(other), name
        for row, other_row in zip(one, other, strict=True):
            assert_equal(row, other_row, name)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, name
        if name in LEARNED:
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(one, other, err_msg=name)
    else:
        assert one == other, name


def assert_steps_equal(step, other):
    names = ("observation", "info") if len(step) == 2 else ("observation", "reward", "terminated", "truncated", "info")
    for name, value, other_value in zip(names, step, other, strict=True):
        assert_equal(value, other_value, name)


def at_end(env_id, mode, **arguments):
    """A vector environment whose rows have just ended, and what the last step returned."""
    native, _ = make_pair(env_id, mode, **{"max_rounds": 2, "target_accuracy": 1.0, **arguments})
    native.reset(seed=0)
    first, second = actions_of(native, 2)
    native.step(first)
    return native, native.step(second)


@pytest.mark.any_gymnasium
@every_env
@every_mode
def test_every_reset_and_step_equals_that_of_scalar_environments(env_id, mode):
    native, reference = make_pair(env_id, mode)
    ends = 0
    for returned, expected in play_both(native, reference, mode):
        assert_steps_equal(returned, expected)
        ends += (returned[2] | returned[3]).sum() if len(returned) == 5 else 0
    assert ends >= NUM_ENVS


@pytest.mark.any_gymnasium
@every_mode
def test_rows_that_end_at_different_times_equal_scalar_environments(mode):
    arguments = {"max_rounds": 8, "target_accuracy": 0.2, "learning": {"model": "surrogate"}}
    native, reference = make_pair("qfl/Scheduling-v0", mode, **arguments)
    some_end = 0
    for step, other in play_both(native, reference, mode):
        assert_steps_equal(step, other)
        if len(step) == 5:
            ended = step[2] | step[3]
            some_end += ended.any() and not ended.all()
    assert some_end > 0


@every_env
@every_preset
@pytest.mark.parametrize(
    ("num_envs", "model", "mode", "count"),
    [
        (1, "qnn", AutoresetMode.SAME_STEP, 4),
        (3, "qnn", AutoresetMode.NEXT_STEP, 4),
        (1, "surrogate", AutoresetMode.DISABLED, 8),
        *((64, "surrogate", mode, 8) for mode in AutoresetMode),
    ],
    ids=lambda value: value.value if isinstance(value, AutoresetMode) else str(value),
)
def test_any_number_of_rows_equals_scalar_environments(env_id, mode, preset, num_envs, model, count):
    rows = np.unique([0, num_envs // 2, num_envs - 1])
    arguments = {"scenario": preset, "max_rounds": 3, "target_accuracy": 1.0, "learning": {"model": model}}
    native, reference = make_pair(env_id, mode, num_envs=num_envs, rows=rows, **arguments)
    for returned, expected in play_rows(native, reference, mode, rows, count):
        assert_steps_equal(tuple(of_rows(value, rows) for value in returned), expected)


@pytest.mark.any_gymnasium
@pytest.mark.parametrize("env_id", MASKED_IDS)
@every_mode
def test_masks_belong_to_the_state_that_the_last_observation_shows(env_id, mode):
    native, reference = make_pair(env_id, mode, learning={"model": "none"}, radio={"link_drop": 0.3})
    for _ in play_both(native, reference, mode):
        assert same(list(native.action_masks()), list(reference.call("action_masks")))


@pytest.mark.parametrize("env_id", MASKED_IDS)
@every_mode
@every_preset
@every_size
def test_masks_of_any_number_of_rows_are_those_of_scalar_environments(env_id, mode, preset, num_envs):
    rows = np.unique([0, num_envs // 2, num_envs - 1])
    arguments = {"scenario": preset, "max_rounds": 3, "learning": {"model": "none"}, "radio": {"link_drop": 0.3}}
    native, reference = make_pair(env_id, mode, num_envs=num_envs, rows=rows, **arguments)
    for _ in play_rows(native, reference, mode, rows, count=5):
        assert same(list(native.action_masks()[rows]), list(reference.call("action_masks")))


@pytest.mark.parametrize("env_id", CONTINUOUS_IDS)
def test_a_continuous_action_has_no_masks_and_asking_for_them_says_so(env_id):
    native, _ = make_pair(env_id, AutoresetMode.NEXT_STEP, learning={"model": "none"})
    native.reset(seed=0)
    with pytest.raises(InvalidValueError, match="action masks is 'Box.*allowed: a discrete action space"):
        native.action_masks()
    with pytest.raises(AttributeError, match="action_masks"):
        native.call("action_masks")


@pytest.mark.parametrize(
    ("env_id", "learning"),
    [(env_id, {}) for env_id in MASKED_IDS]
    + [(env_id, {"aggregation": "buffered", "buffer_size": 2}) for env_id in PER_DEVICE_IDS],
    ids=lambda value: value if isinstance(value, str) else value.get("aggregation", "deadline"),
)
def test_4096_rounds_of_random_open_actions_are_never_repaired(env_id, learning):
    arguments = {"learning": {"model": "surrogate", **learning}, "radio": {"link_drop": 0.5, "link_recover": 0.3}}
    native, _ = make_pair(env_id, AutoresetMode.DISABLED, num_envs=64, max_rounds=40, **arguments)
    native.reset(seed=0)
    rng, closed = np.random.default_rng(0), 0
    for _ in range(4096 // 64):
        closed += (~native.action_masks()).sum()
        _, _, terminated, truncated, infos = native.step(open_action(native, rng))
        assert not infos["repaired"].any()
        if (terminated | truncated).any():
            native.reset(options={"reset_mask": terminated | truncated})
    assert closed > 0


@every_env
@every_size
def test_the_same_seed_gives_the_same_rows(env_id, num_envs):
    played = []
    for _ in range(2):
        native, _ = make_pair(env_id, AutoresetMode.SAME_STEP, num_envs=num_envs, learning={"model": "surrogate"})
        played.append([native.reset(seed=3), *map(native.step, actions_of(native, 7))])
    for one, other in zip(*played, strict=True):
        assert_steps_equal(one, other)


@every_env
@every_size
def test_another_seed_gives_other_rows(env_id, num_envs):
    native, _ = make_pair(env_id, AutoresetMode.SAME_STEP, num_envs=num_envs, learning={"model": "surrogate"})
    one, other = (native.reset(seed=seed)[0]["gain"] for seed in (3, 3 + num_envs))
    assert {row.tobytes() for row in one}.isdisjoint({row.tobytes() for row in other})


@pytest.mark.any_gymnasium
@every_env
def test_a_vector_environment_made_again_from_the_json_of_its_spec_plays_the_same(env_id):
    native, _ = make_pair(env_id, "SameStep", learning={"model": "none"}, num_devices=5)
    again = gym.make_vec(EnvSpec.from_json(native.spec.to_json()), num_envs=NUM_ENVS)
    for env in (native, again):
        env.reset(seed=1)
    for action in actions_of(native, 7):
        assert_steps_equal(native.step(action), again.step(action))


@pytest.mark.any_gymnasium
@every_env
def test_nothing_but_a_reset_of_all_rows_can_come_first(env_id):
    native, _ = make_pair(env_id, AutoresetMode.DISABLED, learning={"model": "none"})
    for too_early in (
        lambda: native.step(actions_of(native, 1)[0]),
        native.action_masks,
        lambda: native.reset(seed=0, options={"reset_mask": np.array([True, False, True])}),
    ):
        with pytest.raises(gym.error.ResetNeeded, match="reset"):
            too_early()


@pytest.mark.any_gymnasium
@every_env
@every_mode
def test_fewer_steps_than_the_scenarios_rounds_truncate_as_gymnasiums_time_limit_does(env_id, mode):
    native, reference = make_pair(env_id, mode, max_episode_steps=3, learning={"model": "none"})
    truncations = []
    for returned, expected in play_both(native, reference, mode, count=8):
        assert_steps_equal(returned, expected)
        truncations += [bool(returned[3].all())] if len(returned) == 5 else []
    assert truncations[:3] == [False, False, True]


@every_env
def test_row_i_equals_the_scalar_environment_seeded_with_seed_plus_i(env_id):
    native, _ = make_pair(env_id, AutoresetMode.NEXT_STEP, learning={"model": "none"})
    observations, infos = native.reset(seed=40)
    for row in range(NUM_ENVS):
        scalar = make(env_id, max_rounds=5, learning={"model": "none"})
        observation, info = scalar.reset(seed=40 + row)
        assert infos["instance"][row] == info["instance"]
        assert all(same(observations[name][row], observation[name]) for name in observation)


@pytest.mark.any_gymnasium
@every_env
def test_a_list_of_seeds_seeds_row_by_row(env_id):
    native, reference = make_pair(env_id, AutoresetMode.NEXT_STEP, learning={"model": "none"})
    for returned, expected in play_both(native, reference, AutoresetMode.NEXT_STEP, seed=[11, 4, 7]):
        assert_steps_equal(returned, expected)


@pytest.mark.any_gymnasium
@every_env
def test_a_seed_of_none_continues_the_rows_sequence(env_id):
    native, reference = make_pair(env_id, AutoresetMode.NEXT_STEP, learning={"model": "none"})
    for env in (native, reference):
        env.reset(seed=1)
    assert_steps_equal(native.reset(seed=[None, 8, None]), reference.reset(seed=[None, 8, None]))


@every_env
def test_a_row_does_not_depend_on_the_number_of_rows(env_id):
    returned = []
    for count in (1, 4):
        env = gym.make_vec(env_id, num_envs=count, scenario="tiny", learning={"model": "none"})
        env.reset(seed=2)
        env.single_action_space.seed(0)
        steps = [env.step(np.stack([env.single_action_space.sample()] * count)) for _ in range(4)]
        returned.append([(step[0]["gain"][0], step[1][0], step[4]["energy_j"][0]) for step in steps])
    assert same(*returned)


@every_env
def test_rows_of_different_seeds_are_not_equal(env_id):
    native, _ = make_pair(env_id, AutoresetMode.NEXT_STEP, learning={"model": "none"})
    observations, infos = native.reset(seed=0)
    assert len(set(infos["instance"].tolist())) == NUM_ENVS
    assert len({row.tobytes() for row in observations["gain"]}) == NUM_ENVS


@every_env
def test_rows_of_one_seed_are_equal(env_id):
    native, _ = make_pair(env_id, AutoresetMode.NEXT_STEP, learning={"model": "none"})
    observations, _ = native.reset(seed=[3, 3, 3])
    assert all(len({row.tobytes() for row in rows}) == 1 for rows in observations.values())


@pytest.mark.any_gymnasium
@every_env
def test_the_same_step_mode_hands_over_the_last_observation_beside_the_first_of_the_next_episode(env_id):
    native, (observations, _, _, truncated, infos) = at_end(env_id, AutoresetMode.SAME_STEP)
    assert truncated.all() and infos["_final_obs"].all() and infos["_final_info"].all()
    for row in range(NUM_ENVS):
        last = {name: value for name, value in infos["final_obs"][row].items()}
        assert native.call("view", last)[row].round_index == 2
        first = {name: value[row] for name, value in observations.items()}
        assert native.call("view", first)[row].round_index == 0
    assert (infos["final_info"]["elapsed_s"] > 0).all()


@every_env
def test_a_kept_final_observation_is_not_overwritten_by_later_steps(env_id):
    native, (*_, infos) = at_end(env_id, AutoresetMode.SAME_STEP)
    kept = copy.deepcopy(infos["final_obs"][0])
    for action in actions_of(native, 3):
        native.step(action)
    assert same(infos["final_obs"][0], kept)


@pytest.mark.any_gymnasium
@every_env
def test_the_next_step_mode_shows_the_last_observation_and_resets_in_the_step_after(env_id):
    native, (observations, _, _, truncated, _) = at_end(env_id, AutoresetMode.NEXT_STEP)
    assert truncated.all()
    assert native.task.features["round_index"].decode(observations["round_index"]).ravel().tolist() == [2.0] * NUM_ENVS
    observations, rewards, terminated, truncated, infos = native.step(actions_of(native, 1)[0])
    assert native.task.features["round_index"].decode(observations["round_index"]).ravel().tolist() == [0.0] * NUM_ENVS
    assert rewards.tolist() == [0.0] * NUM_ENVS and not (terminated | truncated).any()
    assert infos["_instance"].all()


@pytest.mark.any_gymnasium
@every_env
def test_the_disabled_mode_refuses_to_step_rows_that_have_ended(env_id):
    native, _ = at_end(env_id, AutoresetMode.DISABLED)
    with pytest.raises(InvalidValueError, match="reset"):
        native.step(actions_of(native, 1)[0])


@pytest.mark.any_gymnasium
@every_env
def test_a_reset_mask_leaves_the_other_rows_as_they_are(env_id):
    native, _ = make_pair(env_id, AutoresetMode.DISABLED, learning={"model": "none"})
    native.reset(seed=0)
    before = native.step(actions_of(native, 1)[0])[0]
    after, infos = native.reset(options={"reset_mask": np.array([False, True, False])})
    assert infos["_instance"].tolist() == [False, True, False]
    for name in before:
        assert same(before[name][[0, 2]], after[name][[0, 2]])
    assert not same(before["gain"][1], after["gain"][1])


@pytest.mark.any_gymnasium
@every_env
def test_one_instance_per_row_can_be_asked_for(env_id):
    native, _ = make_pair(env_id, AutoresetMode.NEXT_STEP, learning={"model": "none"})
    _, infos = native.reset(seed=0, options={"instance": [7, 8, 9]})
    assert infos["instance"].tolist() == [7, 8, 9]


@pytest.mark.any_gymnasium
@every_env
def test_get_attr_and_call_answer_for_every_row(env_id):
    native, reference = make_pair(env_id, AutoresetMode.NEXT_STEP, split="val", learning={"model": "none"})
    for _ in play_both(native, reference, AutoresetMode.NEXT_STEP, count=7):
        assert native.get_attr("instance") == reference.get_attr("instance")
    assert native.get_attr("split") == ("val",) * NUM_ENVS
    if env_id in MASKED_IDS:
        assert same(list(native.call("action_masks")), list(reference.call("action_masks")))


@every_env
def test_what_a_step_returned_is_not_overwritten_by_the_next(env_id):
    native, _ = make_pair(env_id, AutoresetMode.NEXT_STEP, learning={"model": "none"})
    native.reset(seed=0)
    first, second = actions_of(native, 2)
    returned = native.step(first)
    kept = copy.deepcopy(returned)
    native.step(second)
    assert same(returned, kept)


@every_env
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_in_the_middle_of_an_episode_has_the_same_future(env_id, duplicate):
    native, _ = make_pair(env_id, AutoresetMode.SAME_STEP)
    native.reset(seed=0)
    actions = actions_of(native, 9)
    for action in actions[:3]:
        native.step(action)
    twin = duplicate(native)
    for action in actions[3:]:
        assert_steps_equal(native.step(action), twin.step(action))


@pytest.mark.any_gymnasium
@every_env
@pytest.mark.parametrize(
    ("arguments", "word"),
    [({"num_envs": 0}, "num_envs"), ({"num_envs": 2, "autoreset_mode": "Sometimes"}, "SameStep")],
)
def test_a_wrong_number_of_rows_or_mode_is_refused(env_id, arguments, word):
    with pytest.raises(InvalidValueError, match=word):
        gym.make_vec(env_id, scenario="tiny", **arguments)


@every_env
def test_a_template_gives_all_arguments_and_leaves_room_for_no_others(env_id):
    template = make(env_id, num_devices=3).unwrapped
    assert FederatedVectorEnv(2, template=template).task is template.task
    with pytest.raises(InvalidValueError, match="num_devices"):
        FederatedVectorEnv(2, template=template, num_devices=4)


@pytest.mark.any_gymnasium
@every_env
@pytest.mark.parametrize(
    ("arguments", "kind", "word"),
    [
        ({"seed": [1, 2]}, InvalidValueError, "seeds"),
        ({"options": {"instances": 3}}, UnknownNameError, "instance"),
        ({"options": {"instance": 2**31}}, InvalidValueError, "instance"),
        ({"options": {"instance": [1, 2]}}, InvalidValueError, "instance"),
        ({"options": {"reset_mask": [True, True, True]}}, InvalidValueError, "reset_mask"),
        ({"options": {"reset_mask": np.zeros(3, dtype=bool)}}, InvalidValueError, "reset_mask"),
    ],
    ids=["seeds", "unknown option", "instance of another split", "too few instances", "mask as a list", "empty mask"],
)
def test_a_wrong_reset_is_refused(env_id, arguments, kind, word):
    native, _ = make_pair(env_id, AutoresetMode.NEXT_STEP, learning={"model": "none"})
    with pytest.raises(kind, match=word):
        native.reset(**arguments)


@pytest.mark.any_gymnasium
@every_env
@pytest.mark.parametrize(
    "wrong",
    [
        lambda shape: np.full(shape, 99),
        lambda shape: np.full(shape, np.nan),
        lambda shape: np.zeros(shape[1:], dtype=int),
    ],
    ids=["too large", "nan", "one row"],
)
def test_actions_outside_the_space_are_refused(env_id, wrong):
    native, _ = make_pair(env_id, AutoresetMode.NEXT_STEP, learning={"model": "none"})
    native.reset(seed=0)
    with pytest.raises(InvalidValueError, match="action is"):
        native.step(wrong(native.action_space.shape))


@pytest.mark.parametrize("env_id", MASKED_IDS)
def test_a_fraction_is_not_rounded_to_a_choice(env_id):
    native, _ = make_pair(env_id, AutoresetMode.NEXT_STEP, learning={"model": "none"})
    native.reset(seed=0)
    with pytest.raises(InvalidValueError, match="action is"):
        native.step(np.full(native.action_space.shape, 0.5))
