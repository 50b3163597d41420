"""How a trained policy should play: its most likely actions, or sampled ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

from train.training.playing import chosen_actions, seed_choices

EPISODES = 32
Player = Callable[[Mapping[str, np.ndarray], Callable[[], np.ndarray]], np.ndarray]
"""Gives actions for the observations of E rows; the second argument gives the open choices, where they are needed."""


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
    return choose_mode_of(partial(_player, model), env_id, environment)


def choose_mode_of(
    make_player: Callable[[bool], Player], env_id: str, environment: Mapping[str, Any]
) -> dict[str, Any]:
    """The same for whatever plays: ``make_player`` says how it does with the most likely actions, and with others."""
    returns = {mode: mean_return(make_player(mode), env_id, environment) for mode in (True, False)}
    return {
        "deterministic": returns[True] > returns[False],
        "val_return_deterministic": returns[True],
        "val_return_sampled": returns[False],
    }


def mean_return(
    player: Player, env_id: str, environment: Mapping[str, Any], split: str = "val", episodes: int = EPISODES
) -> float:
    """Mean return over the first episodes of seeds 0, 1, ... of a split, side by side."""
    env = gym.make_vec(env_id, num_envs=episodes, split=split, **environment)
    observations, _ = env.reset(seed=0)
    total, running = np.zeros(episodes), np.ones(episodes, dtype=bool)
    while running.any():
        actions = player(observations, env.action_masks)  # type: ignore[attr-defined]
        observations, rewards, terminated, truncated, _ = env.step(actions)
        total += np.where(running, rewards, 0.0)
        running &= ~(terminated | truncated)
    env.close()
    return float(total.mean())


def _player(model: BaseAlgorithm, deterministic: bool) -> Player:
    seed_choices(model, 0)
    return lambda observations, masks: chosen_actions(model, observations, deterministic, masks)
