"""Training deep reinforcement learning on the native vector environments."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
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
from baselines.fleet_summary import FleetSummary
from baselines.per_device import MaskablePerDevicePolicy, PerDevicePolicy
from qfl_envs.vector import FederatedVectorEnv
from train.runs import write_atomically
from train.sb3 import SB3VecEnv
from train.training.plans import MODE_FILE, MODEL_FILE, PLAN_FILE, TrainingPlan
from train.training.settings import is_team
from train.training.validation import choose_mode

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
    "fleet": "MultiInputPolicy",
    "vqc": VQCPolicy,
    "vqc-per-device": PerDeviceVQCPolicy,
}
MASKABLE_POLICIES: dict[str, Any] = {
    "per-device": MaskablePerDevicePolicy,
    "mlp": "MultiInputPolicy",
    "fleet": "MultiInputPolicy",
    "vqc": MaskableVQCPolicy,
    "vqc-per-device": MaskablePerDeviceVQCPolicy,
}
Q_POLICIES: dict[str, Any] = {"mlp": "MultiInputPolicy", "vqc": VQCQPolicy}
PER_DEVICE = ("per-device", "vqc-per-device")
"""Policies that choose for every device by itself."""
OF_A_FLEET = (*PER_DEVICE, "vqc")
"""Policies that must know how many devices there are."""
SUMMARISED = "fleet"
"""The policy ``"mlp"`` that sees mean and spread over the devices of what each has."""
Progress = Callable[[int], None]


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
        from train.training.multi_agent import train as train_team

        return train_team(plan, folder, progress)
    torch.set_num_threads(1)
    begun = time.monotonic()
    for unfinished in folder.glob("tensorboard_*"):
        shutil.rmtree(unfinished)
    model: BaseAlgorithm | None = None
    for stage, (arguments, steps) in enumerate(plan.stages()):
        env, vector_env = _training_env(plan, arguments)
        if model is None:
            model = _make_model(plan, env, vector_env, folder)
        else:
            model.set_env(env)
            # Stable-Baselines3 seeds the first environment alone
            env.seed(int(np.random.default_rng([plan.seed, stage]).integers(2**31)))
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
    finished = replace(plan, parameters=count_parameters(model), training_s=time.monotonic() - begun)
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


def untrained_model(plan: TrainingPlan) -> BaseAlgorithm:
    """What a training of the plan begins with, to be given weights and to play."""
    without_memory = {"buffer_size": 1} if "buffer_size" in plan.settings["algorithm"] else {}
    settings = {**plan.settings, "algorithm": {**plan.settings["algorithm"], **without_memory}}
    plan = replace(plan, settings=settings)
    return _make_model(plan, *_training_env(plan, plan.environment), None)


def _make_model(
    plan: TrainingPlan, env: VecMonitor, vector_env: FederatedVectorEnv, folder: Path | None
) -> BaseAlgorithm:
    """The untrained model, with the settings of the plan in the form that SB3 takes."""
    settings, algorithm = plan.settings, ALGORITHMS[plan.settings["trained_by"]]
    policies = MASKABLE_POLICIES if algorithm is MaskablePPO else Q_POLICIES if algorithm is DQN else POLICIES
    policy_kwargs = dict(settings["policy_kwargs"])
    if settings["policy"] in OF_A_FLEET:
        policy_kwargs["num_devices"] = vector_env.task.num_shown
    if settings["policy"] == SUMMARISED:
        policy_kwargs["features_extractor_class"] = FleetSummary
        policy_kwargs["features_extractor_kwargs"] = {"num_devices": vector_env.task.num_shown}
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
        tensorboard_log=None if folder is None else str(folder),
        device="cpu",
        **keywords,
    )


class _Report(BaseCallback):
    """Hands the number of steps on."""

    def __init__(self, progress: Progress | None) -> None:
        super().__init__()
        self._progress = progress

    def _on_step(self) -> bool:
        if self._progress is not None:
            self._progress(self.num_timesteps)
        return True
