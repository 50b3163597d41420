"""Training deep reinforcement learning on the native vector environments."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecMonitor

from agents.policies.per_device import MaskablePerDeviceVQCPolicy, PerDeviceVQCPolicy
from agents.policies.vqc_policy import MaskableVQCPolicy, VQCPolicy
from agents.policies.vqc_q_policy import VQCQPolicy
from baselines.per_device import MaskablePerDevicePolicy, PerDevicePolicy
from qfl_envs.errors import InvalidValueError, QflError
from qfl_envs.fields import reject_unknown
from qfl_envs.vector import FederatedVectorEnv
from train.algorithms import supports
from train.runs import write_atomically
from train.sb3 import SB3VecEnv
from train.settings import configuration, is_team, names
from train.validation import choose_mode

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {
    "ppo": PPO,
    "maskable-ppo": MaskablePPO,
    "a2c": A2C,
    "sac": SAC,
    "td3": TD3,
    "dqn": DQN,
}
POLICIES: dict[str, Any] = {
    "per-device": PerDevicePolicy,
    "mlp": "MultiInputPolicy",
    "vqc": VQCPolicy,
    "vqc-per-device": PerDeviceVQCPolicy,
}
MASKABLE_POLICIES: dict[str, Any] = {
    "per-device": MaskablePerDevicePolicy,
    "mlp": "MultiInputPolicy",
    "vqc": MaskableVQCPolicy,
    "vqc-per-device": MaskablePerDeviceVQCPolicy,
}
Q_POLICIES: dict[str, Any] = {"mlp": "MultiInputPolicy", "vqc": VQCQPolicy}
PER_DEVICE = ("per-device", "vqc-per-device")
"""Policies that choose for every device by itself."""
OF_A_FLEET = (*PER_DEVICE, "vqc")
"""Policies that must know how many devices there are."""
PLAN_FILE, MODE_FILE, MODEL_FILE = "plan.json", "mode.json", "model.zip"
Progress = Callable[[int], None]


class ModelFileError(QflError):
    """A model file that cannot be used."""


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained, on what, how long.

    Attributes:
        agent: Name of the agent.
        env_id: Environment.
        preset: Preset of the scenario.
        steps: Environment steps.
        seed: Seed of the network, of the exploration and of the instances.
        arguments: Further arguments of the environment.
        settings: See :func:`train.settings.configuration`.
        parameters: Trainable numbers of all networks, known when the training is done.
    """

    agent: str
    env_id: str
    preset: str
    steps: int
    seed: int = 0
    arguments: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    parameters: int | None = None

    @property
    def environment(self) -> dict[str, Any]:
        """Arguments of the environment in which the policy will play."""
        return {"scenario": self.preset, **self.arguments}

    def stages(self) -> list[tuple[dict[str, Any], int]]:
        """Arguments of the environments of the training, one after the other, with the steps in each.

        The first have what the settings say beneath what was asked for; the last steps can be played in the environment
        itself.
        """
        first = round(self.steps * self.settings["environment_share"])
        prepared = _merged(self.settings["environment"], self.environment)
        return [stage for stage in ((prepared, first), (self.environment, self.steps - first)) if stage[1] > 0]


def plan_training(
    agent: str,
    env_id: str,
    preset: str,
    arguments: Mapping[str, Any],
    steps: int | None = None,
    seed: int = 0,
    quick: bool = False,
) -> TrainingPlan:
    """A plan with the shipped settings; ``steps`` None takes the shipped budget, or the ``quick`` one.

    Raises:
        UnknownNameError: For an agent without settings.
        InvalidValueError: For an agent that cannot act in the environment.
    """
    reject_unknown([agent], names(), "trained agent")
    if not supports(agent, env_id):
        able = [name for name in names() if supports(name, env_id)]
        raise InvalidValueError(f"agent for the actions of {env_id}", agent, able)
    settings = configuration(agent, env_id, preset)
    if steps is None:
        steps = settings["quick_steps" if quick else "steps"]
    return TrainingPlan(agent, env_id, preset, steps, seed, dict(arguments), settings)


def read_plan(folder: Path) -> TrainingPlan:
    """The plan of a training run that is complete.

    Raises:
        ModelFileError: If there is none in the folder.
    """
    try:
        return TrainingPlan(**json.loads((folder / PLAN_FILE).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise ModelFileError(f"{folder} holds no finished training run ({error}); make one with: qfl train") from error


def train(plan: TrainingPlan, folder: Path, progress: Progress | None = None) -> Path:
    """Train on the split train, see on the split val how the policy should play, and write everything down.

    Args:
        plan: What to do.
        folder: Where ``model.zip``, ``mode.json``, ``plan.json`` and the TensorBoard events go.
        progress: Called with the number of environment steps so far.

    Returns:
        The model's file; it appears only when training is complete.
    """
    if is_team(plan.agent):
        from train.multi_agent import train as train_team

        return train_team(plan, folder, progress)
    torch.set_num_threads(1)
    for unfinished in folder.glob("tensorboard_*"):
        shutil.rmtree(unfinished)
    model: BaseAlgorithm | None = None
    for arguments, steps in plan.stages():
        env, vector_env = _training_env(plan, arguments)
        if model is None:
            model = _make_model(plan, env, vector_env, folder)
        else:
            model.set_env(env)
        # curves have a point per rollout, or where there are none, per episode of all rows
        log_interval = env.num_envs if isinstance(model, OffPolicyAlgorithm) else 1
        model.learn(
            steps,
            callback=_Report(progress),
            log_interval=log_interval,
            tb_log_name="tensorboard",
            reset_num_timesteps=model.num_timesteps == 0,
        )
        env.close()
    assert model is not None
    mode = choose_mode(model, plan.env_id, plan.environment)
    write_atomically(folder / MODE_FILE, json.dumps(mode, indent=2) + "\n")
    finished = replace(plan, parameters=count_parameters(model))
    write_atomically(folder / PLAN_FILE, json.dumps(asdict(finished), indent=2) + "\n")
    saved = folder / "model.unfinished.zip"
    model.save(saved)
    saved.replace(folder / MODEL_FILE)
    return folder / MODEL_FILE


def _training_env(plan: TrainingPlan, arguments: Mapping[str, Any]) -> tuple[VecMonitor, FederatedVectorEnv]:
    """Rows to train on, as SB3 takes them, and as they are."""
    vector_env = gym.make_vec(
        plan.env_id,
        num_envs=plan.settings["num_envs"],
        autoreset_mode="SameStep",
        split="train",
        **{"reward_weights": plan.settings["reward_weights"], **arguments},
    )
    assert isinstance(vector_env, FederatedVectorEnv)
    return VecMonitor(SB3VecEnv(vector_env)), vector_env


def count_parameters(model: BaseAlgorithm) -> int:
    """Trainable numbers of all networks, critics too; target networks are copies and do not count."""
    return sum(numbers.numel() for name, numbers in model.policy.named_parameters() if "_target." not in name)


def _make_model(plan: TrainingPlan, env: VecMonitor, vector_env: FederatedVectorEnv, folder: Path) -> BaseAlgorithm:
    """The untrained model, with the settings of the plan in the form that SB3 takes."""
    settings, algorithm = plan.settings, ALGORITHMS[plan.settings["trained_by"]]
    policies = MASKABLE_POLICIES if algorithm is MaskablePPO else Q_POLICIES if algorithm is DQN else POLICIES
    policy_kwargs = dict(settings["policy_kwargs"])
    if settings["policy"] in OF_A_FLEET:
        policy_kwargs["num_devices"] = vector_env.task.num_shown
    if settings["policy"] in PER_DEVICE and not vector_env.task.allow_idle:
        policy_kwargs["idle_probability"] = None
    keywords = dict(settings["algorithm"])
    rate = keywords["learning_rate"]
    keywords["learning_rate"] = LinearSchedule(rate, rate * settings["final_rate_share"], 1.0)
    if "action_noise" in settings:
        deviation = np.full(env.action_space.shape or (), settings["action_noise"])
        keywords["action_noise"] = NormalActionNoise(np.zeros_like(deviation), deviation)
    return algorithm(
        policies[settings["policy"]],
        env,
        policy_kwargs=policy_kwargs,
        seed=plan.seed,
        tensorboard_log=str(folder),
        device="cpu",
        **keywords,
    )


def _merged(beneath: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, with what is above where both have it; tables in them likewise."""
    merged = {**beneath, **above}
    for name in beneath.keys() & above.keys():
        if isinstance(beneath[name], Mapping) and isinstance(above[name], Mapping):
            merged[name] = _merged(beneath[name], above[name])
    return merged


class _Report(BaseCallback):
    """Hands the number of steps on."""

    def __init__(self, progress: Progress | None) -> None:
        super().__init__()
        self._progress = progress

    def _on_step(self) -> bool:
        if self._progress is not None:
            self._progress(self.num_timesteps)
        return True
