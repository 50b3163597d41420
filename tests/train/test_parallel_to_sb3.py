"""One SB3 row per device equals the parallel environments of the same seeds, and SB3 trains on it."""

import warnings

import numpy as np
import pettingzoo
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from qfl_envs.errors import InvalidValueError
from qfl_envs.registration import MULTI_AGENT_ENVIRONMENTS
from train.sb3 import parallel_to_sb3

EPISODES, DEVICES = 3, 6
NO_LEARNING = {"learning": {"model": "none"}}
WEAK = {"fleet": {"battery_j": [0.5, 8.0]}}
"""Some leave within a few rounds, some stay for long."""


FORMS = sorted(MULTI_AGENT_ENVIRONMENTS)
every_form = pytest.mark.parametrize("form", FORMS)


def make(form=FORMS[0], **arguments):
    arguments = {"scenario": "tiny", "max_rounds": 12, **NO_LEARNING, **arguments}
    return pettingzoo.make("parallel", form, **arguments)


def seeded(env, num_envs=EPISODES, seed=7):
    vec_env = parallel_to_sb3(env, num_envs)
    vec_env.seed(seed)
    return vec_env, vec_env.reset()


def random_options(masks, rng):
    return np.where(masks, rng.random(masks.shape), -1.0).argmax(-1)


class References:
    """Parallel environments of the seeds of the rows, each reset when its episode ends."""

    def __init__(self, envs, seed=7):
        self.envs = envs
        self.observations = [env.reset(seed=seed + episode)[0] for episode, env in enumerate(envs)]

    def step(self, options):
        """What each returned, before it was reset."""
        returned = []
        for episode, env in enumerate(self.envs):
            actions = {agent: int(options[self.row(episode, agent)]) for agent in env.agents}
            returned.append(env.step(actions))
            self.observations[episode] = returned[-1][0] if env.agents else env.reset()[0]
        return returned

    def row(self, episode, agent):
        return episode * DEVICES + self.envs[episode].possible_agents.index(agent)


@every_form
@pytest.mark.parametrize(
    ("arguments", "rounds"),
    [
        (WEAK, 40),
        ({**WEAK, "max_cycles": 5}, 40),
        ({**WEAK, "learning": {"model": "none", "aggregation": "buffered"}}, 40),
        ({"learning": {}, "max_rounds": 3}, 6),
    ],
    ids=["some leave", "max_cycles", "updates under way", "learning"],
)
def test_rows_play_what_the_agents_of_parallel_environments_of_their_seeds_play(form, arguments, rounds):
    vec_env, rows = seeded(make(form, **arguments))
    references, rng = References([make(form, **arguments) for _ in range(EPISODES)]), np.random.default_rng(0)
    ends = left = 0
    for _ in range(rounds):
        masks = vec_env.env_method("action_masks")
        for episode, env in enumerate(references.envs):
            for agent in env.agents:
                row, seen = references.row(episode, agent), references.observations[episode][agent]
                assert np.array_equal(masks[row], seen["action_mask"] == 1)
                np.testing.assert_allclose(rows[row], seen["observation"], atol=1e-5)
        options = random_options(masks, rng)
        rows, rewards, dones, infos = vec_env.step(options)
        for episode, returned in enumerate(references.step(options)):
            observations, expected, terminations, truncations, agent_infos = returned
            left += DEVICES - len(expected)
            ended = all(terminations[agent] or truncations[agent] for agent in expected)
            assert (dones[episode * DEVICES :][:DEVICES] == ended).all()
            ends += ended
            for agent in expected:
                row = references.row(episode, agent)
                assert rewards[row] == pytest.approx(expected[agent], abs=1e-5)
                if ended:
                    assert infos[row]["TimeLimit.truncated"] == truncations[agent]
                    assert infos[row]["elapsed_s"] == pytest.approx(agent_infos[agent]["elapsed_s"])
                    terminal = infos[row]["terminal_observation"]
                    np.testing.assert_allclose(terminal, observations[agent]["observation"], atol=1e-5)
    assert ends >= EPISODES
    assert (left > 0) == ("fleet" in arguments)


@every_form
def test_the_row_of_who_has_left_stays_with_reward_zero_and_only_idling_open(form):
    vec_env, _ = seeded(make(form))
    state = vec_env.vector_env.system.state
    state.battery_j[1, 2], state.full_battery_j[1, 2] = 0.0, 1e9
    idle = np.zeros(EPISODES * DEVICES, dtype=int)
    _, rewards, dones, _ = vec_env.step(idle)
    assert rewards[DEVICES + 2] != 0 and not dones.any()
    vec_env.vector_env.system.state.full_battery_j[1, 2] = vec_env.vector_env.system.state.battery_j[1, 2] = 50.0
    assert vec_env.env_method("action_masks")[DEVICES + 2].tolist()[:3] == [True, False, False]
    _, rewards, _, _ = vec_env.step(idle)
    assert np.flatnonzero(rewards == 0).tolist() == [DEVICES + 2]


def test_a_time_limit_is_told_to_those_who_are_still_there_and_to_nobody_else():
    vec_env, _ = seeded(make(max_rounds=2))
    idle = np.zeros(EPISODES * DEVICES, dtype=int)
    state = vec_env.vector_env.system.state
    state.battery_j[:, 4], state.full_battery_j[:, 4] = 0.0, 1e9
    *_, infos = vec_env.step(idle)
    assert not any(info["TimeLimit.truncated"] or "terminal_observation" in info for info in infos)
    _, _, dones, infos = vec_env.step(idle)
    assert dones.all()
    assert [row % DEVICES for row, info in enumerate(infos) if not info["TimeLimit.truncated"]] == [4] * EPISODES


def test_rows_of_one_episode_share_its_instance_and_episodes_do_not():
    vec_env, _ = seeded(make())
    instances = np.array(vec_env.get_attr("instance")).reshape(EPISODES, DEVICES)
    assert (instances == instances[:, :1]).all()
    assert len(set(instances[:, 0].tolist())) == EPISODES
    assert [info["instance"] for info in vec_env.reset_infos] == instances.ravel().tolist()


def test_options_can_ask_for_an_instance():
    vec_env = parallel_to_sb3(make(), EPISODES)
    vec_env.set_options({"instance": 12, "speed": 3})
    vec_env.reset()
    assert vec_env.get_attr("instance") == [12] * EPISODES * DEVICES


def test_a_reset_without_a_seed_goes_on_in_the_sequence_of_instances():
    vec_env, _ = seeded(make())
    first = vec_env.get_attr("instance")
    vec_env.reset()
    assert vec_env.get_attr("instance") != first
    vec_env.seed(7)
    vec_env.reset()
    assert vec_env.get_attr("instance") == first


def test_the_template_is_not_played():
    env = make()
    vec_env, _ = seeded(env)
    vec_env.step(np.zeros(vec_env.num_envs, dtype=int))
    assert env.instance is None and env.agents == []


def test_the_curriculum_goes_on_one_stage_for_all_rows_and_the_template_stays_where_it_is():
    env = make()
    env.set_curriculum_stage(0)
    vec_env, _ = seeded(env)
    masks = vec_env.env_method("action_masks").reshape(EPISODES, DEVICES, -1)
    assert ((masks[..., 1:].any(-1)).sum(-1) <= DEVICES / 2).all()
    assert vec_env.env_method("advance_curriculum") == [True] * vec_env.num_envs
    assert vec_env.vector_env.template.curriculum.stage == 1
    assert env.sibling.curriculum.stage == 0


def test_masks_are_one_bool_array_and_are_told_before_the_first_reset():
    assert parallel_to_sb3(make(), 2).has_attr("action_masks")
    vec_env, _ = seeded(make())
    masks = vec_env.env_method("action_masks")
    assert masks.shape == (EPISODES * DEVICES, vec_env.action_space.n) and masks.dtype == bool
    assert np.array_equal(vec_env.env_method("action_masks", indices=[3, 1]), masks[[3, 1]])


def test_attributes_of_the_template_can_be_read_and_those_of_rows_not_be_set():
    vec_env, _ = seeded(make(split="val"))
    assert vec_env.get_attr("split", indices=[0, 5]) == ["val", "val"]
    with pytest.raises(NotImplementedError, match="split"):
        vec_env.set_attr("split", "test")


@pytest.mark.parametrize("wrong", [np.zeros(5, dtype=int), np.full(18, 9), np.full(18, -1), np.zeros(18)], ids=str)
def test_wrong_actions_are_refused(wrong):
    vec_env, _ = seeded(make())
    with pytest.raises(InvalidValueError, match="actions is"):
        vec_env.step(wrong)


@pytest.mark.parametrize("num_envs", [0, 1.5])
def test_a_wrong_number_of_episodes_is_refused(num_envs):
    with pytest.raises(InvalidValueError, match="num_envs"):
        parallel_to_sb3(make(), num_envs)


def test_a_wrapped_environment_is_refused():
    with pytest.raises(InvalidValueError, match="without wrappers"):
        parallel_to_sb3(pettingzoo.make("aec", FORMS[0], scenario="tiny", **NO_LEARNING))


@every_form
def test_ppo_trains_one_policy_for_all_devices_and_a_monitor_sees_the_episodes(form):
    vec_env = VecMonitor(parallel_to_sb3(make(form), 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = PPO("MlpPolicy", vec_env, n_steps=16, batch_size=96, n_epochs=2, seed=0, device="cpu").learn(1000)
    assert model.num_timesteps >= 1000
    assert {episode["l"] for episode in model.ep_info_buffer} <= set(range(1, 13))
    assert len(model.ep_info_buffer) >= DEVICES


@every_form
def test_maskable_ppo_takes_no_closed_option(form, monkeypatch):
    contrib = pytest.importorskip("sb3_contrib")
    vec_env = parallel_to_sb3(make(form, radio={"link_drop": 0.4}, **WEAK), 4)
    taken = []
    step_async = vec_env.step_async

    def watched(actions):
        taken.append(vec_env.env_method("action_masks")[np.arange(len(actions)), actions])
        step_async(actions)

    monkeypatch.setattr(vec_env, "step_async", watched)
    contrib.MaskablePPO("MlpPolicy", vec_env, n_steps=16, batch_size=96, n_epochs=2, seed=0, device="cpu").learn(1000)
    assert np.concatenate(taken).size >= 1000
    assert np.concatenate(taken).all()
