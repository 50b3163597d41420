"""RLlib trains on the environments; run by ``make test-rllib``, which installs it."""

import copy
from importlib import import_module

import gymnasium as gym
import numpy as np
import pytest
from parallel_stand_in import StandIn
from pettingzoo.test import parallel_api_test

import qfl_envs  # noqa: F401
from qfl_envs.registration import MULTI_AGENT_ENVIRONMENTS
from train import rllib

FAST = {"scenario": "tiny", "learning": {"model": "none"}, "max_rounds": 8}
ENV_IDS = sorted(name for name in gym.registry if name.startswith("qfl/"))


def train_twice(algorithm):
    return [copy.deepcopy(algorithm.train()) for _ in range(2)]


def check_finite(result, policy):
    learned, sampled = result["learners"][policy], result["env_runners"]
    names = ("total_loss", "policy_loss", "vf_loss", "entropy", "mean_kl_loss")
    assert all(np.isfinite(learned[name]) for name in names)
    assert np.isfinite(sampled["episode_return_mean"])
    assert sampled["num_episodes"] > 0


def of_runners(algorithm, question):
    return algorithm.env_runner_group.foreach_env_runner(question)


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_one_agent_trains_on_rows_of_the_native_vector_environment(env_id, build):
    algorithm = build(rllib.single_agent(env_id, FAST, num_envs=4).env_runners(num_env_runners=0))
    entry_point = gym.spec(env_id).vector_entry_point
    (built,) = of_runners(
        algorithm, lambda runner: (type(runner.env.unwrapped), runner.env.num_envs, runner.env.unwrapped.scenario)
    )
    env_class, num_envs, scenario = built
    assert f"{env_class.__module__}:{env_class.__name__}" == entry_point
    assert num_envs == 4
    assert (scenario.num_devices, scenario.max_rounds, scenario.learning.model) == (6, 8, "none")
    for result in train_twice(algorithm):
        check_finite(result, "default_policy")


def test_every_episode_has_as_many_steps_as_rounds_so_autoreset_is_what_rllib_expects(build):
    algorithm = build(rllib.single_agent("qfl/Scheduling-v0", FAST, num_envs=4).env_runners(num_env_runners=0))
    for result in train_twice(algorithm):
        assert result["env_runners"]["episode_len_min"] == result["env_runners"]["episode_len_max"] == 8


def test_a_runner_in_a_process_of_its_own_knows_the_environments(build):
    algorithm = build(rllib.single_agent("qfl/Allocation-v0", FAST, num_envs=2).env_runners(num_env_runners=1))
    here, *elsewhere = of_runners(algorithm, lambda runner: runner.env and type(runner.env.unwrapped).__name__)
    assert here is None
    assert elsewhere == ["AllocationVectorEnv"]
    check_finite(algorithm.train(), "default_policy")


def test_the_stand_in_is_a_pettingzoo_environment():
    parallel_api_test(StandIn(), num_cycles=20)


def test_devices_that_are_agents_train_one_policy(build):
    config = rllib.multi_agent(StandIn, {"rounds": 5}).env_runners(num_env_runners=0)
    algorithm = build(config)
    for result in train_twice(algorithm):
        check_finite(result, rllib.SHARED)
        assert result["learners"].keys() == {"__all_modules__", rllib.SHARED}
        assert result["env_runners"]["episode_len_max"] == 5
        steps = result["env_runners"]["num_agent_steps_sampled"]
        assert steps["device_0"] == steps["device_1"] > steps["device_2"] > 0


@pytest.mark.parametrize("module", MULTI_AGENT_ENVIRONMENTS.values())
def test_every_multi_agent_environment_trains_one_policy(build, module):
    algorithm = build(rllib.multi_agent(import_module(module).parallel_env, FAST).env_runners(num_env_runners=0))
    for result in train_twice(algorithm):
        check_finite(result, rllib.SHARED)
        assert result["env_runners"]["num_agent_steps_sampled"].keys() == {f"device_{number}" for number in range(6)}


@pytest.mark.parametrize("masked", [True, False])
def test_an_agent_never_chooses_what_its_mask_closes(build, monkeypatch, masked):
    if not masked:  # the stand-in must notice
        monkeypatch.setattr(rllib, "_masked", lambda output, batch: output)
    algorithm = build(rllib.multi_agent(StandIn).env_runners(num_env_runners=0))
    env = algorithm.env_runner.env.envs[0].unwrapped.par_env
    before = env.closed_choices  # RLlib has tried the environment with any actions
    algorithm.train()
    assert (env.closed_choices == before) == masked
