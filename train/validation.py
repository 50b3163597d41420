"""How a trained policy should play: its most likely actions, or sampled ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

from train.playing import chosen_actions, seed_choices

EPISODES = 32


def choose_mode(model: BaseAlgorithm, env_id: str, environment: Mapping[str, Any]) -> dict[str, Any]:
    """Play the val split in both ways.

    A policy that decides for each device by itself may be good at random only: the most likely choice of every device
    can be to idle. So neither way is right for all.

    Args:
        model: The policy.
        env_id: Environment.
        environment: Its arguments.

    Returns:
        ``deterministic``, whether to play the most likely actions, and the mean returns that say so,
        ``val_return_deterministic`` and ``val_return_sampled``.
    """
    returns = {mode: mean_return(model, env_id, environment, mode) for mode in (True, False)}
    return {
        "deterministic": returns[True] > returns[False],
        "val_return_deterministic": returns[True],
        "val_return_sampled": returns[False],
    }


def mean_return(model: BaseAlgorithm, env_id: str, environment: Mapping[str, Any], deterministic: bool) -> float:
    """Mean return over the first episodes of seeds 0, 1, ... of the val split, side by side."""
    env = gym.make_vec(env_id, num_envs=EPISODES, split="val", **environment)
    observations, _ = env.reset(seed=0)
    seed_choices(model, 0)
    total, running = np.zeros(EPISODES), np.ones(EPISODES, dtype=bool)
    while running.any():
        actions = chosen_actions(model, observations, deterministic, env.action_masks)  # type: ignore[attr-defined]
        observations, rewards, terminated, truncated, _ = env.step(actions)
        total += np.where(running, rewards, 0.0)
        running &= ~(terminated | truncated)
    env.close()
    return float(total.mean())
