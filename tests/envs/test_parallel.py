"""The multi-agent environments: each agent is a view on the sibling's system and task."""

import copy
import pickle

import numpy as np
import pytest
from multi_agent import (
    ENDURING,
    FORMS,
    drain,
    make,
    make_sibling,
    masked_actions,
    play,
    rollout,
    seed_actions,
    stay,
)
from playing import same

from qfl_envs.errors import InvalidValueError, UnknownNameError

every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@every_form
def test_arguments_reach_the_scenario(form):
    env = make(form, num_devices=4, radio={"num_subchannels": 1})
    assert (env.scenario.num_devices, env.scenario.radio.num_subchannels) == (4, 1)
    assert env.possible_agents == ["device_0", "device_1", "device_2", "device_3"]


@every_form
def test_an_unknown_argument_is_refused(form):
    with pytest.raises(UnknownNameError, match="num_devices"):
        make(form, num_device=4)


@every_form
@pytest.mark.parametrize("wrong", [0, -3, 2.5, "ten"])
def test_a_wrong_max_cycles_is_refused(form, wrong):
    with pytest.raises(InvalidValueError, match="max_cycles"):
        make(form, max_cycles=wrong)


@every_form
def test_the_same_seed_gives_the_same_rollout(form):
    assert same(rollout(make(form), seed=3), rollout(make(form), seed=3))


@every_form
def test_another_seed_gives_another_rollout(form):
    assert not same(rollout(make(form), seed=3), rollout(make(form), seed=4))


@every_form
def test_agents_keep_their_order_when_some_leave(form):
    env = make(form)
    env.reset(seed=0)
    assert env.agents == env.possible_agents
    drain(env, 3, 1)
    env.step(stay(env))
    assert env.agents == ["device_0", "device_2", "device_4", "device_5"]


@every_form
def test_spaces_are_always_the_same_objects_and_one_per_agent(form):
    env = make(form)
    for space_of in (env.observation_space, env.action_space):
        assert space_of("device_1") is space_of("device_1")
        assert space_of("device_1") is not space_of("device_2")
        with pytest.raises(UnknownNameError, match="device_9"):
            space_of("device_9")


@every_form
def test_observations_are_in_their_spaces_and_finite(form):
    env = make(form)
    for observations, *_ in rollout(env, seed=2):
        for agent, observation in observations.items():
            assert env.observation_space(agent).contains(observation)


@every_form
def test_open_options_are_never_repaired(form):
    for step in rollout(make(form, radio={"link_drop": 0.4}), seed=1, count=60):
        assert not any(info.get("repaired", False) for info in step[-1].values())


@every_form
def test_all_options_but_idling_are_closed_to_exactly_those_who_are_not_available(form):
    env = make(form, radio={"link_drop": 0.4})
    observations, _ = env.reset(seed=1)
    closed = 0
    while env.agents:
        available = env.system.available()[0]
        for agent in env.agents:
            mask = observations[agent]["action_mask"]
            assert mask[0] == 1
            assert (mask[1:] == available[env.possible_agents.index(agent)]).all()
            closed += 1 - mask[1]
        observations, *_ = env.step(masked_actions(env, observations))
    assert closed > 0


@every_form
def test_the_mask_of_the_info_is_that_of_the_observation(form):
    for step in rollout(make(form), seed=0, count=8):
        observations, infos = step[0], step[-1]
        for agent in observations:
            assert same(infos[agent]["action_mask"], observations[agent]["action_mask"])


@every_form
def test_rewards_states_and_accuracies_are_those_of_the_sibling_as_long_as_nobody_leaves(form):
    arguments = {"max_rounds": 8, "learning": {}, **ENDURING}
    env, sibling = make(form, **arguments), make_sibling(form, **arguments)
    observations, infos = env.reset(seed=4)
    expected, _ = sibling.reset(seed=4)
    seed_actions(env)
    rounds = 0
    while env.agents:
        assert same(env.state(), np.concatenate(list(expected.values())))
        actions = masked_actions(env, observations)
        joint = env.devices.joint_actions(np.array([list(actions.values())]))[0]
        observations, rewards, terminations, truncations, infos = env.step(actions)
        expected, reward, terminated, truncated, info = sibling.step(joint)
        assert set(rewards.values()) == {reward}
        assert {each["accuracy"] for each in infos.values()} == {info["accuracy"]}
        assert set(terminations.values()) == {terminated} and set(truncations.values()) == {truncated}
        rounds += 1
    assert rounds > 2 and info["accuracy"] > 0


@every_form
def test_a_seed_plays_the_instances_of_the_sibling(form):
    env, sibling = make(form), make_sibling(form)
    expected = [sibling.reset(seed=7)[1]["instance"], sibling.reset()[1]["instance"]]
    assert [env.reset(seed=7)[1]["device_0"]["instance"], env.reset()[1]["device_0"]["instance"]] == expected


@every_form
def test_an_instance_can_be_asked_for_and_unknown_options_are_ignored(form):
    env = make(form)
    env.reset(seed=0, options={"instance": 11, "speed": 3})
    assert env.instance == 11
    with pytest.raises(InvalidValueError, match="train"):
        env.reset(options={"instance": 2**31})


@every_form
def test_an_info_has_the_devices_own_entries_and_those_of_the_team(form):
    env, sibling = make(form, **ENDURING), make_sibling(form, **ENDURING)
    observations, _ = env.reset(seed=0)
    sibling.reset(seed=0)
    actions = masked_actions(env, observations)
    *_, infos = env.step(actions)
    *_, expected = sibling.step(env.devices.joint_actions(np.array([list(actions.values())]))[0])
    for device, info in enumerate(infos.values()):
        assert info.keys() == {*expected, "action_mask"}
        assert info["reward_terms"] == expected["reward_terms"]
        for name in ("delivered", "late", "lost", "depleted", "participation"):
            assert info[name] is bool(expected[name][device])
    assert infos["device_0"]["reward_terms"] is not infos["device_1"]["reward_terms"]


@every_form
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_in_the_middle_of_an_episode_has_the_same_future(form, duplicate):
    env = make(form)
    rollout(env, seed=1, count=4)
    other = duplicate(env)
    assert same(play(env, 30), play(other, 30))


@every_form
def test_a_saved_state_can_be_restored_after_agents_have_left(form):
    env = make(form)
    env.reset(seed=1)
    drain(env, 0)
    env.step(stay(env))
    state, agents = env.get_state(), list(env.agents)
    seed_actions(env)
    future = play(env, 30)
    env.set_state(state)
    assert env.agents == agents == env.possible_agents[1:]
    seed_actions(env)
    assert same(play(env, 30), future)


@every_form
def test_rendering_shows_the_siblings_picture_and_changes_nothing(form):
    seen, blind = make(form, render_mode="ansi"), make(form)
    assert same(rollout(seen, seed=0), rollout(blind, seed=0))
    assert seen.render() == seen.sibling.render()


@every_form
def test_what_will_be_drawn_changes_neither_observation_nor_mask_nor_state(form):
    env = make(form)
    rollout(env, seed=0, count=3)
    twin = copy.deepcopy(env)
    twin.system.generators = [np.random.default_rng(12345)]
    shown, shown_to_twin = (
        [
            each.devices.observe(each.task.observe(each.system)),
            each.devices.masks(each.task.action_masks(each.system)),
            each.state(),
        ]
        for each in (env, twin)
    )
    assert same(shown, shown_to_twin)
    assert not same(play(env, 2), play(twin, 2))


@every_form
def test_a_vector_of_rewards_is_refused(form):
    with pytest.raises(InvalidValueError, match="vector_reward"):
        make(form, vector_reward=True)


@every_form
def test_agents_are_those_of_the_fleet_that_a_curriculum_leaves(form):
    env = make(form)
    env.set_curriculum_stage(0)
    observations, _ = env.reset(seed=0)
    members = [agent for agent, member in zip(env.possible_agents, env.system.state.active[0], strict=True) if member]
    assert env.agents == list(observations) == members
    assert len(members) == 3
    assert env.advance_curriculum()
    env.reset()
    assert len(env.agents) > 3
