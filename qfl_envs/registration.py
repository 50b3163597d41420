"""Names of the environments in the registries of Gymnasium and PettingZoo."""

from __future__ import annotations

import gymnasium as gym
import pettingzoo

ENVIRONMENTS = {
    f"qfl/{name}-v0": (f"qfl_envs.envs.{module}:{name}Env", f"qfl_envs.vector:{name}VectorEnv")
    for name, module in {
        "Allocation": "allocation",
        "Drift": "drift",
        "Power": "power",
        "Scheduling": "scheduling",
        "Security": "security",
        "StragglerFairness": "straggler_fairness",
    }.items()
}
"""Entry points of each id: one environment, and many rows of it."""

MULTI_AGENT_ENVIRONMENTS = {
    "qfl/Allocation-v0": "qfl_envs.allocation_v0",
    "qfl/StragglerFairness-v0": "qfl_envs.straggler_fairness_v0",
}
"""Modules in which ``parallel_env`` and ``env`` make an environment in which every device is an agent."""


def register_envs() -> None:
    """Register every environment by a string, so that nothing is loaded before it is made."""
    for env_id, (entry_point, vector_entry_point) in ENVIRONMENTS.items():
        if env_id not in gym.registry:
            gym.register(id=env_id, entry_point=entry_point, vector_entry_point=vector_entry_point)
    for env_id, module in MULTI_AGENT_ENVIRONMENTS.items():
        if env_id not in pettingzoo.parallel_registry:
            pettingzoo.register("parallel", env_id, f"{module}:parallel_env")
        if env_id not in pettingzoo.aec_registry:
            pettingzoo.register("aec", env_id, f"{module}:env")
