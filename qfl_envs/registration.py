"""Names of the environments in Gymnasium's registry."""

from __future__ import annotations

import gymnasium as gym

ENVIRONMENTS = {
    f"qfl/{name}-v0": (f"qfl_envs.envs.{module}:{name}Env", f"qfl_envs.vector:{name}VectorEnv")
    for name, module in {
        "Allocation": "allocation",
        "Drift": "drift",
        "Power": "power",
        "Scheduling": "scheduling",
        "StragglerFairness": "straggler_fairness",
    }.items()
}
"""Entry points of each id: one environment, and many rows of it."""


def register_envs() -> None:
    """Register every environment by a string, so that nothing is loaded before it is made."""
    for env_id, (entry_point, vector_entry_point) in ENVIRONMENTS.items():
        if env_id not in gym.registry:
            gym.register(id=env_id, entry_point=entry_point, vector_entry_point=vector_entry_point)
