"""Stages of difficulty: what they change of an episode, and that a reset of any kind keeps the present one."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import Autoreset
from playing import ENV_IDS, make, play, random_actions, rollout, same

from qfl_envs.envs.curriculum import DEFAULT_STAGES, Curriculum
from qfl_envs.errors import InvalidValueError
from qfl_envs.system.difficulty import Difficulty

every_env = pytest.mark.parametrize("env_id", ENV_IDS)
every_mode = pytest.mark.parametrize("mode", AutoresetMode, ids=lambda mode: mode.value)
HALF, WHOLE = {"fleet": 0.5, "heterogeneity": 0.0, "drift": 0.0}, {}
STAGES = [HALF, {"fleet": 0.75}, WHOLE]
NUM_ENVS = 3


def begin(env_id, **arguments):
    """An environment of 8 devices that are always linked; devices of the fleet are the available ones."""
    radio = {"link_drop": 0.0, "link_recover": 1.0}
    return make(env_id, **{"num_devices": 8, "radio": radio, "learning": {"model": "none"}, **arguments})


def begin_rows(env_id, mode, **arguments):
    radio = {"link_drop": 0.0, "link_recover": 1.0}
    arguments = {"scenario": "tiny", "num_devices": 8, "radio": radio, "learning": {"model": "none"}, **arguments}
    return gym.make_vec(env_id, num_envs=NUM_ENVS, autoreset_mode=mode, **arguments)


def fleet_of(env):
    """Devices of the fleet in every row."""
    return env.unwrapped.system.state.active.sum(-1).tolist()


def one_step(env):
    """A step of random actions, and a reset of what has ended in the mode that leaves this to others."""
    _, _, terminated, truncated, _ = env.step(env.action_space.sample())
    ended = terminated | truncated
    if env.autoreset_mode is AutoresetMode.DISABLED and ended.any():
        env.reset(options={"reset_mask": ended})


def test_stages_go_from_easy_to_the_whole_scenario_by_default():
    curriculum = Curriculum()
    assert curriculum.difficulty == curriculum.stages[-1] == Difficulty()
    for name in ("fleet", "heterogeneity", "drift"):
        of_stages = [getattr(stage, name) for stage in curriculum.stages]
        assert of_stages == sorted(of_stages) and of_stages[0] < of_stages[-1]


def test_a_curriculum_begins_where_it_is_told_to():
    assert Curriculum(STAGES, 1).difficulty == Difficulty(fleet=0.75)


def test_advancing_goes_on_until_the_last_stage():
    curriculum = Curriculum(STAGES, 0)
    assert [(curriculum.advance(), curriculum.stage) for _ in range(4)] == [
        (True, 1),
        (True, 2),
        (False, 2),
        (False, 2),
    ]


def test_what_a_stage_does_not_name_is_that_of_the_whole_scenario():
    assert Curriculum([{"drift": 0.5}]).difficulty == Difficulty(1.0, 1.0, 0.5)


@every_env
def test_without_a_stage_an_episode_is_the_whole_scenario(env_id):
    assert same(rollout(begin(env_id), seed=0), rollout(begin(env_id, curriculum=[WHOLE]), seed=0))


@every_env
def test_a_stage_takes_a_share_of_the_fleet(env_id):
    fleets = []
    for stage in range(3):
        env = begin(env_id, curriculum=STAGES, curriculum_stage=stage)
        env.reset(seed=0)
        fleets += fleet_of(env)
    assert fleets == [4, 6, 8]


@every_env
def test_devices_outside_the_fleet_never_take_part(env_id):
    env = begin(env_id, curriculum=STAGES, curriculum_stage=0)
    observation, _ = env.reset(seed=0)
    for action in random_actions(env, 10):
        view = env.unwrapped.view(observation)
        assert (view.device[view.available] < 4).all()
        observation, *_, info = env.step(action)
        assert not info["participation"][4:].any()


@every_env
def test_a_stage_without_spread_has_alike_devices(env_id):
    env = begin(env_id, curriculum=STAGES, curriculum_stage=0)
    env.reset(seed=0)
    state = env.unwrapped.system.state
    for name in ("max_cpu_hz", "shot_s", "full_battery_j"):
        assert len(np.unique(getattr(state, name))) == 1, name


@every_env
def test_a_stage_without_drift_has_data_that_stay_as_they_are(env_id):
    drift = {"kind": "abrupt", "onset_round": [0.0, 0.0], "stagger_rounds": 0.0}
    drifted = []
    for stage in (0, 2):
        env = begin(env_id, curriculum=STAGES, curriculum_stage=stage, drift=drift)
        env.reset(seed=0)
        drifted.append(env.step(env.action_space.sample())[4]["drifted"])
    assert drifted == [0.0, 1.0]


@every_env
def test_a_change_of_the_stage_waits_for_the_next_reset(env_id):
    env = begin(env_id, curriculum=STAGES)
    env.reset(seed=0)
    env.unwrapped.set_curriculum_stage(0)
    env.step(env.action_space.sample())
    assert fleet_of(env) == [8]
    env.reset()
    assert fleet_of(env) == [4]


@every_env
def test_the_stage_stays_through_resets_until_it_is_advanced(env_id):
    env, fleets = begin(env_id, curriculum=STAGES, curriculum_stage=0), []
    for advances in (False, False, True, True, True):
        if advances:
            env.unwrapped.advance_curriculum()
        env.reset(seed=0)
        fleets += fleet_of(env)
    assert fleets == [4, 4, 6, 8, 8]


@every_env
def test_advancing_says_whether_there_was_a_next_stage(env_id):
    env = begin(env_id, curriculum=STAGES, curriculum_stage=1).unwrapped
    assert [env.advance_curriculum() for _ in range(2)] == [True, False]


@every_env
def test_the_stage_stays_through_gymnasiums_own_autoreset(env_id):
    env = Autoreset(begin(env_id, max_rounds=2, curriculum=STAGES, curriculum_stage=0))
    env.reset(seed=0)
    instances = []
    for action in random_actions(env, 7):
        *_, info = env.step(action)
        instances += [info["instance"]] if "instance" in info else []
        assert fleet_of(env) == [4]
    assert len(instances) == 2


@every_env
@every_mode
def test_the_stage_of_rows_stays_through_their_autoreset(env_id, mode):
    rows = begin_rows(env_id, mode, max_rounds=2, curriculum=STAGES, curriculum_stage=0)
    rows.reset(seed=0)
    instances = set()
    for _ in range(7):
        one_step(rows)
        assert fleet_of(rows) == [4] * NUM_ENVS
        instances.add(rows.call("instance"))
    assert len(instances) >= 3


@every_env
@every_mode
def test_a_stage_that_is_set_holds_from_the_next_autoreset_on(env_id, mode):
    rows, fleets = begin_rows(env_id, mode, max_rounds=2, curriculum=STAGES, curriculum_stage=0), []
    rows.reset(seed=0)
    rows.set_curriculum_stage(1)
    for _ in range(4):
        one_step(rows)
        fleets.append(fleet_of(rows)[0])
    assert fleets == ([4, 4, 6, 6] if mode is AutoresetMode.NEXT_STEP else [4, 6, 6, 6])


@every_env
def test_a_row_that_goes_on_keeps_the_difficulty_that_it_began_with(env_id):
    rows = begin_rows(env_id, AutoresetMode.DISABLED, curriculum=STAGES)
    rows.reset(seed=0)
    rows.set_curriculum_stage(0)
    rows.reset(options={"reset_mask": np.array([False, True, False])})
    assert fleet_of(rows) == [8, 4, 8]


@every_env
def test_rows_are_advanced_by_call_as_scalar_environments_are(env_id):
    arguments = {"curriculum": STAGES, "curriculum_stage": 0}
    native = begin_rows(env_id, AutoresetMode.NEXT_STEP, **arguments)
    reference = SyncVectorEnv([lambda: begin(env_id, **arguments)] * NUM_ENVS)
    for name, given in (("advance_curriculum", ()), ("set_curriculum_stage", (2,)), ("advance_curriculum", ())):
        assert native.call(name, *given) == reference.call(name, *given)
    for env in (native, reference):
        env.call("set_curriculum_stage", 1)
        env.reset(seed=0)
    assert fleet_of(native) == sum((fleet_of(env) for env in reference.envs), []) == [6] * NUM_ENVS


@every_env
def test_rows_of_a_stage_equal_scalar_environments_of_it(env_id):
    arguments = {"curriculum": STAGES, "curriculum_stage": 0}
    native = begin_rows(env_id, AutoresetMode.NEXT_STEP, **arguments)
    observations, _ = native.reset(seed=5)
    for row in range(NUM_ENVS):
        scalar, _ = begin(env_id, **arguments).reset(seed=5 + row)
        assert all(same(observations[name][row], scalar[name]) for name in scalar)


@every_env
@pytest.mark.parametrize("stage", [-1, 3, 1.0, True], ids=repr)
def test_rows_refuse_a_stage_that_does_not_exist(env_id, stage):
    rows = begin_rows(env_id, AutoresetMode.NEXT_STEP, curriculum=STAGES)
    for ask in (rows.set_curriculum_stage, lambda number: rows.call("set_curriculum_stage", number)):
        with pytest.raises(InvalidValueError, match="curriculum stage"):
            ask(stage)


@every_env
def test_a_saved_state_has_the_stage(env_id):
    env = begin(env_id, curriculum=STAGES, curriculum_stage=0, max_rounds=3)
    rollout(env, seed=0, count=2)
    state, actions = env.unwrapped.get_state(), random_actions(env, 8)
    future = play(env, actions)
    env.unwrapped.set_curriculum_stage(2)
    env.unwrapped.set_state(state)
    assert env.unwrapped.curriculum.stage == 0
    assert same(play(env, actions), future)


@every_env
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_has_a_stage_of_its_own(env_id, duplicate):
    env = begin(env_id, curriculum=STAGES, curriculum_stage=0).unwrapped
    other = duplicate(env)
    assert other.curriculum.stage == 0
    other.set_curriculum_stage(2)
    assert env.curriculum.stage == 0


def test_two_environments_of_the_default_stages_do_not_share_the_present_one():
    one, other = begin("qfl/Scheduling-v0").unwrapped, begin("qfl/Scheduling-v0").unwrapped
    one.set_curriculum_stage(0)
    assert other.curriculum.stage == len(DEFAULT_STAGES) - 1
