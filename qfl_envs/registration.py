"""Names of the environments in Gymnasium's registry."""

from __future__ import annotations

import gymnasium as gym

ENVIRONMENTS = {
    "qfl/Allocation-v0": ("qfl_envs.envs.allocation:AllocationEnv", "qfl_envs.vector:AllocationVectorEnv"),
    "qfl/Scheduling-v0": ("qfl_envs.envs.scheduling:SchedulingEnv", "qfl_envs.vector:SchedulingVectorEnv"),
}
"""Entry points of each id: one environment, and many rows of it."""


def register_envs() -> None:
    """Register every environment by a string, so that nothing is loaded before it is made."""
    for env_id, (entry_point, vector_entry_point) in ENVIRONMENTS.items():
        if env_id not in gym.registry:
            gym.register(id=env_id, entry_point=entry_point, vector_entry_point=vector_entry_point)
