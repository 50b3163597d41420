"""A device chooses its own local work, or defers it.

| Import             | `from qfl_envs import straggler_fairness_v0`          |
|--------------------|-------------------------------------------------------|
| Actions            | Discrete                                              |
| Parallel API       | Yes                                                   |
| Manual Control     | No                                                    |
| Agents             | `agents = ["device_0", ..., "device_{N-1}"]`          |
| Agents             | N, 20 in `small`                                      |
| Action Shape       | `Discrete(1 + len(local_step_choices))`, 4 in `small` |
| Action Values      | 0 to `len(local_step_choices)`                        |
| Observation Shape  | `(C + 11,)`, 12 in `small`                            |
| Observation Values | [-1, 1]                                               |
| State Shape        | `(N * (C + 7) + 4,)`, 164 in `small`                  |
| State Values       | [-1, 1]                                               |

N devices and C cells. Option 0 is to defer the work; option `j` is to take part with `local_step_choices[j - 1]` local
steps. In the aggregations in which devices go on from round to round, a device whose update is under way can only
defer; the update of a device that leaves meanwhile still arrives, for its energy is spent.
"""

from __future__ import annotations

from typing import Any

from pettingzoo import AECEnv
from pettingzoo.utils.conversions import parallel_to_aec

from qfl_envs.envs.straggler_fairness import StragglerFairnessEnv
from qfl_envs.parallel import FederatedParallelEnv, agent_by_agent

__all__ = ["env", "parallel_env", "raw_env"]


class StragglerFairnessParallelEnv(FederatedParallelEnv):
    """``qfl/StragglerFairness-v0`` with a device as an agent; the module docstring has the actions."""

    metadata = {**FederatedParallelEnv.metadata, "name": "qfl_straggler_fairness_v0"}
    env_class = StragglerFairnessEnv


parallel_env = StragglerFairnessParallelEnv


def raw_env(**arguments: Any) -> AECEnv[str, Any, Any]:
    """The environment with agents that act in turn, without checks of their actions."""
    return parallel_to_aec(parallel_env(**arguments))


def env(**arguments: Any) -> AECEnv[str, Any, Any]:
    """The environment with agents that act in turn."""
    return agent_by_agent(parallel_env(**arguments))
