import json

import numpy as np
import pytest
from gymnasium import make_vec, spaces
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecMonitor
from standins import CHOICES, CONTINUOUS

import agents
import baselines
from baselines.configurations import algorithms, configuration
from qfl_envs.errors import InvalidValueError
from qfl_envs.registration import ENVIRONMENTS
from train import competitors
from train.competition.matrix import Matrix
from train.evaluation import make_env, play
from train.sb3 import SB3VecEnv
from train.training.algorithms import ACTIONS, supports
from train.training.deep_rl import ALGORITHMS, MASKABLE_POLICIES, train
from train.training.plans import plan_training

ARGUMENTS = {"learning": {"model": "none"}, "max_rounds": 6}
SCHEDULING = "qfl/Scheduling-v0"
TRAINED = [
    ("ppo", SCHEDULING),
    ("a2c", SCHEDULING),
    ("maskable-ppo", SCHEDULING),
    ("sac", CONTINUOUS),
    ("td3", CONTINUOUS),
    ("dqn", CHOICES),
]


@pytest.fixture(scope="module", params=TRAINED, ids=[agent for agent, _ in TRAINED])
def trained(request, tmp_path_factory):
    agent, env_id = request.param
    folder = tmp_path_factory.mktemp(agent)
    train(plan_training(agent, env_id, "tiny", ARGUMENTS, steps=2000), folder)
    return agent, env_id, folder


def test_every_algorithm_trains_and_shows_the_curve_that_everyone_knows(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(next(trained[2].glob("tensorboard_1"))))
    events.Reload()
    curve = events.Scalars("rollout/ep_rew_mean")
    assert len(curve) >= 3
    assert all(np.isfinite(point.value) for point in curve)


def test_every_algorithm_is_loaded_competes_and_repeats_itself(trained):
    agent, env_id, folder = trained
    env = make_env(env_id, "test", {"scenario": "tiny", **ARGUMENTS})
    for sampled in (False, True):
        competitor = competitors.make(agent, folder)
        competitor.deterministic = not sampled
        if agent == "dqn":
            competitor.model.exploration_rate = 1.0  # a trained one explores too seldom to show its seed
        episodes = [play(env, competitor, seed=3) for _ in range(2)]
        assert episodes[0].competitor == agent
        assert episodes[0].curve == episodes[1].curve
        assert episodes[0].episode_return == episodes[1].episode_return


def test_every_algorithm_says_how_it_should_play(trained):
    mode = json.loads((trained[2] / "mode.json").read_text())
    assert mode["deterministic"] == (mode["val_return_deterministic"] > mode["val_return_sampled"])


def test_a_loaded_model_has_no_memory_of_past_rounds(trained):
    buffer = getattr(competitors.make(trained[0], trained[2]).model, "replay_buffer", None)
    assert buffer is None or buffer.buffer_size == 1


class CountRepairs(BaseCallback):
    """How many devices were asked for what they cannot do, and how many choices were closed."""

    def __init__(self):
        super().__init__()
        self.repairs = self.closed = 0

    def _on_step(self):
        self.repairs += sum(int(info["repaired"].sum()) for info in self.locals["infos"])
        self.closed += int((~self.training_env.env_method("action_masks")).sum())
        return True


def repairs_of(agent, steps):
    """Repairs and closed choices, while an agent trains whose devices hardly idle."""
    vector_env = make_vec(SCHEDULING, num_envs=8, autoreset_mode="SameStep", scenario="tiny", **ARGUMENTS)
    env, counted = VecMonitor(SB3VecEnv(vector_env, info_keys=["repaired"])), CountRepairs()
    policies = MASKABLE_POLICIES if ALGORITHMS[agent] is MaskablePPO else {"per-device": "MultiInputPolicy"}
    kwargs = {"num_devices": 6} if ALGORITHMS[agent] is MaskablePPO else {}
    model = ALGORITHMS[agent](policies["per-device"], env, n_steps=64, n_epochs=1, seed=0, policy_kwargs=kwargs)
    model.learn(steps, callback=counted)
    return counted.repairs, counted.closed


def test_maskable_ppo_takes_no_closed_choice_in_four_thousand_steps():
    repairs, closed = repairs_of("maskable-ppo", 4096)
    assert closed > 4096
    assert repairs == 0


def test_ppo_takes_closed_choices():
    assert repairs_of("ppo", 512)[0] > 100


def test_a_loaded_maskable_ppo_takes_no_closed_choice(tmp_path):
    train(plan_training("maskable-ppo", SCHEDULING, "tiny", ARGUMENTS, steps=128), tmp_path)
    competitor = competitors.make("maskable-ppo", tmp_path)
    competitor.deterministic = False
    # devices that keep nearly all of their charge are soon out
    env = make_env(SCHEDULING, "test", {"scenario": "tiny", **ARGUMENTS, "fleet": {"reserve": 0.9}})
    observation, _ = env.reset(seed=0)
    competitor.reset(env, 0)
    unavailable = 0
    for _ in range(40):
        unavailable += int((observation["available"] < 0).sum())
        observation, _, terminated, truncated, info = env.step(competitor.act(observation))
        assert not info["repaired"].any()
        if terminated or truncated:
            observation, _ = env.reset()
    assert unavailable > 20


def test_the_actions_of_an_environment_say_who_can_act_in_it():
    able = {env_id: {name for name in ACTIONS if supports(name, env_id)} for env_id in (SCHEDULING, CONTINUOUS)}
    assert able[SCHEDULING] == {"ppo", "a2c", "maskable-ppo"}
    assert able[CONTINUOUS] == {"ppo", "a2c", "sac", "td3"}
    # one choice, but without masks
    assert {name for name in ACTIONS if supports(name, CHOICES)} == {"ppo", "a2c", "dqn"}


@pytest.mark.parametrize("env_id", sorted(ENVIRONMENTS))
def test_competitors_ask_the_actions(env_id):
    kind = type(make_env(env_id, "test", {"scenario": "tiny"}).action_space)
    assert competitors.supports("sac", env_id) == (kind is spaces.Box)
    assert competitors.supports("dqn", env_id) == (kind is spaces.Discrete)
    assert competitors.supports("ppo", env_id)


def test_every_algorithm_has_settings_a_class_and_kinds_of_actions():
    assert set(algorithms()) == ALGORITHMS.keys() == ACTIONS.keys()


@pytest.mark.parametrize("agent, env_id", [("sac", SCHEDULING), ("dqn", CONTINUOUS), ("maskable-ppo", CHOICES)])
def test_an_agent_that_cannot_act_is_refused_with_those_that_can(agent, env_id):
    with pytest.raises(InvalidValueError, match=f"actions of {env_id} is '{agent}'; allowed: one of 'ppo'"):
        plan_training(agent, env_id, "tiny", {})


def test_a_policy_per_device_refuses_actions_of_another_kind(tmp_path):
    with pytest.raises(InvalidValueError, match="policy per device is 'Discrete.7.'; allowed: MultiDiscrete"):
        train(plan_training("ppo", CHOICES, "tiny", ARGUMENTS, steps=64), tmp_path)


def test_only_ppo_is_trained_where_nobody_is_named():
    assert [name for name in competitors.default_names() if competitors.is_trained(name)] == ["ppo"]
    untrained = [*baselines.names(), *agents.names()]
    unasked = {name for name in untrained if competitors.make(name).by_default}
    assert set(competitors.default_names()) == unasked | {"ppo"}
    assert "random" in competitors.default_names()


def test_agents_that_are_named_compete_where_they_can():
    matrix = Matrix((SCHEDULING, "qfl/Allocation-v0"), ("random", "maskable-ppo", "sac"))
    assert (SCHEDULING, "maskable-ppo") in matrix.entries()
    assert "sac" not in {name for _, name in matrix.entries()}


def test_an_algorithm_that_is_like_another_begins_with_its_settings():
    for preset in ("tiny", "small"):
        own, like = (configuration(agent, "qfl/Allocation-v0", preset) for agent in ("maskable-ppo", "ppo"))
        assert own == {**like, "trained_by": "maskable-ppo"}
    assert (
        configuration("maskable-ppo", SCHEDULING, "small")["policy"]
        == configuration("ppo", SCHEDULING, "small")["policy"]
    )


def test_another_policy_does_not_inherit_the_keywords_of_the_first():
    assert configuration("ppo", "qfl/Drift-v0", "small")["policy_kwargs"] == {"net_arch": [64, 64]}
    assert "hidden" in configuration("ppo", SCHEDULING, "small")["policy_kwargs"]


def test_a_policy_without_chance_explores_by_noise(trained):
    agent, _, folder = trained
    noise = getattr(competitors.make(agent, folder).model, "action_noise", None)
    assert (noise is not None) == (agent == "td3")


@pytest.mark.parametrize("agent", ["sac", "td3", "dqn"])
def test_a_memory_holds_every_round_of_a_quick_training(agent):
    settings = configuration(agent, SCHEDULING, "small")
    assert settings["quick_steps"] <= settings["steps"] <= settings["algorithm"]["buffer_size"]
    assert settings["algorithm"]["learning_starts"] < 2000
