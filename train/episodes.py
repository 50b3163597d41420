"""Many episodes of a multi-agent environment in one batch."""

from __future__ import annotations

from gymnasium.vector import AutoresetMode

from qfl_envs.parallel import FederatedParallelEnv
from qfl_envs.vector import FederatedVectorEnv


def side_by_side(parallel_env: FederatedParallelEnv, num_envs: int) -> FederatedVectorEnv:
    """So many episodes of what the environment plays, in the form of its single-agent sibling; it plays none itself.

    Resets are asked for, not automatic, to see the end of an episode and who has left by then.
    """
    vector_env = FederatedVectorEnv(
        num_envs,
        autoreset_mode=AutoresetMode.DISABLED,
        max_episode_steps=parallel_env.max_cycles,
        template=parallel_env.sibling,
    )
    vector_env.system.devices_leave = True
    return vector_env
