"""A device chooses its own sub-channel and power, or idles.

| Import             | `from qfl_envs import allocation_v0`         |
|--------------------|----------------------------------------------|
| Actions            | Discrete                                     |
| Parallel API       | Yes                                          |
| Manual Control     | No                                           |
| Agents             | `agents = ["device_0", ..., "device_{N-1}"]` |
| Agents             | N, 20 in `small`                             |
| Action Shape       | `Discrete(1 + K * L)`, 21 in `small`         |
| Action Values      | 0 to `K * L`                                 |
| Observation Shape  | `(C * K + 11,)`, 16 in `small`               |
| Observation Values | [-1, 1]                                      |
| State Shape        | `(N * (C * K + 7) + 4,)`, 244 in `small`     |
| State Values       | [-1, 1]                                      |

N devices, C cells, K sub-channels and L = `num_power_levels` power levels. Option 0 is to idle; option `1 + k * L + p`
is to take part on sub-channel `k` with power level `p`, from the least to the most. With `allow_idle=False` there is no
option to idle, and option `k * L + p` is sub-channel `k` with level `p`; all of them are always open, as in the
single-agent environment.

Devices decide at the same time and do not hear each other, so they collide: two on one sub-channel of a cell are each
other's noise, or take turns with `radio={"access": "time_share"}`.
"""

from __future__ import annotations

from typing import Any

from pettingzoo import AECEnv
from pettingzoo.utils.conversions import parallel_to_aec

from qfl_envs.envs.allocation import AllocationEnv
from qfl_envs.parallel import FederatedParallelEnv, agent_by_agent

__all__ = ["env", "parallel_env", "raw_env"]


class AllocationParallelEnv(FederatedParallelEnv):
    """``qfl/Allocation-v0`` with a device as an agent; the module docstring has the actions."""

    metadata = {**FederatedParallelEnv.metadata, "name": "qfl_allocation_v0"}
    env_class = AllocationEnv


parallel_env = AllocationParallelEnv


def raw_env(**arguments: Any) -> AECEnv[str, Any, Any]:
    """The environment with agents that act in turn, without checks of their actions."""
    return parallel_to_aec(parallel_env(**arguments))


def env(**arguments: Any) -> AECEnv[str, Any, Any]:
    """The environment with agents that act in turn."""
    return agent_by_agent(parallel_env(**arguments))
