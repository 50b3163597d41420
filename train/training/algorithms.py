"""Which reinforcement learning algorithm can act in which environment; loads neither torch nor Stable-Baselines3."""

from __future__ import annotations

from functools import cache
from typing import Any

import gymnasium as gym
from gymnasium import spaces

from qfl_envs.envs.task import Task
from qfl_envs.registration import MULTI_AGENT_ENVIRONMENTS
from train.training import settings

MASKABLE = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
"""Kinds of actions that can have masks."""
ACTIONS: dict[str, tuple[type[spaces.Space[Any]], ...]] = {
    "ppo": (spaces.Box, *MASKABLE),
    "a2c": (spaces.Box, *MASKABLE),
    "maskable-ppo": MASKABLE,
    "sac": (spaces.Box,),
    "td3": (spaces.Box,),
    "dqn": (spaces.Discrete,),
}
"""Kinds of actions that each algorithm has an answer for."""
MASKED = ("maskable-ppo",)
"""Algorithms that need action masks."""


def has_masks(task: Task) -> bool:
    """Whether the task says which choices are open."""
    return isinstance(task.action_space, MASKABLE) and type(task).action_masks is not Task.action_masks


def supports(agent: str, env_id: str) -> bool:
    """Whether an agent can act in the environment, as the actions and masks of its algorithm decide.

    A team of devices can where every device is an agent.

    Args:
        agent: One that has settings.
        env_id: A registered environment.

    Raises:
        UnknownNameError: For another agent.
    """
    if settings.is_team(agent):
        return env_id in MULTI_AGENT_ENVIRONMENTS
    algorithm = settings.algorithm(agent)
    task = _task(env_id)
    return isinstance(task.action_space, ACTIONS[algorithm]) and (algorithm not in MASKED or has_masks(task))


@cache
def _task(env_id: str) -> Task:
    """The task of an environment, in the smallest preset."""
    env: Any = gym.make(env_id, scenario="tiny", disable_env_checker=True).unwrapped
    task: Task = env.task
    return task
