"""Training deep reinforcement learning on the native vector environments."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecMonitor

from baselines.configurations import configuration
from baselines.per_device import PerDevicePolicy
from qfl_envs.envs.base import make_scenario
from qfl_envs.fields import reject_unknown
from qfl_envs.vector import FederatedVectorEnv
from train.runs import write_atomically
from train.sb3 import SB3VecEnv

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"ppo": PPO}
POLICIES: dict[str, Any] = {"per-device": PerDevicePolicy, "mlp": "MultiInputPolicy"}
Progress = Callable[[int], None]


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained, on what, how long.

    Attributes:
        agent: Name of the algorithm.
        env_id: Environment.
        preset: Preset of the scenario.
        arguments: Further arguments of the environment.
        steps: Environment steps.
        seed: Seed of the network, of the exploration and of the instances.
        settings: See :func:`baselines.configurations.configuration`.
    """

    agent: str
    env_id: str
    preset: str
    steps: int
    seed: int = 0
    arguments: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


def plan_training(
    agent: str, env_id: str, preset: str, arguments: Mapping[str, Any], steps: int | None, seed: int
) -> TrainingPlan:
    """A plan with the shipped settings; ``steps`` None takes the shipped budget.

    Raises:
        UnknownNameError: For an agent without settings.
    """
    reject_unknown([agent], ALGORITHMS, "trained agent")
    settings = configuration(agent, env_id, preset)
    return TrainingPlan(
        agent, env_id, preset, settings["steps"] if steps is None else steps, seed, dict(arguments), settings
    )


def train(plan: TrainingPlan, folder: Path, progress: Progress | None = None) -> Path:
    """Train, and write the model, its plan and TensorBoard events.

    Args:
        plan: What to do.
        folder: Where ``model.zip``, ``plan.json`` and the events go.
        progress: Called with the number of environment steps so far.

    Returns:
        The model's file; it appears only when training is complete.
    """
    torch.set_num_threads(1)
    scenario = make_scenario(plan.preset, {})
    vector_env = gym.make_vec(
        plan.env_id,
        num_envs=plan.settings["num_envs"],
        autoreset_mode="SameStep",
        split="train",
        scenario=plan.preset,
        **plan.arguments,
    )
    assert isinstance(vector_env, FederatedVectorEnv)
    env = VecMonitor(SB3VecEnv(vector_env))
    policy_kwargs = dict(plan.settings["policy_kwargs"])
    if plan.settings["policy"] == "per-device":
        policy_kwargs["num_devices"] = plan.arguments.get("num_devices", scenario.num_devices)
    model = ALGORITHMS[plan.agent](
        POLICIES[plan.settings["policy"]],
        env,
        policy_kwargs=policy_kwargs,
        seed=plan.seed,
        tensorboard_log=str(folder),
        device="cpu",
        **plan.settings["algorithm"],
    )
    model.learn(plan.steps, callback=_Report(progress), tb_log_name="tensorboard")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "plan.json", json.dumps(asdict(plan), indent=2) + "\n")
    unfinished = folder / "model.unfinished.zip"
    model.save(unfinished)
    unfinished.replace(folder / "model.zip")
    env.close()
    return folder / "model.zip"


class _Report(BaseCallback):
    """Hands the number of steps on."""

    def __init__(self, progress: Progress | None) -> None:
        super().__init__()
        self._progress = progress

    def _on_step(self) -> bool:
        if self._progress is not None:
            self._progress(self.num_timesteps)
        return True
