"""What the trainer of teams plays on: many episodes side by side, all devices of each at once."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import pettingzoo
import torch
from torch import Tensor

from agents.multi_agent.teams import TeamShape
from qfl_envs.parallel import FederatedParallelEnv
from train.episodes import side_by_side


class Seen(NamedTuple):
    """What E teams of N devices see.

    Attributes:
        observations: (E, N, F) float32, of each device.
        masks: (E, N, O) bool, the open options of each.
        states: (E, S) float32, for a central critic.
    """

    observations: Tensor
    masks: Tensor
    states: Tensor


class Played(NamedTuple):
    """One round of all teams.

    Attributes:
        seen: Before the next round; of a new episode where one has ended.
        last: At the end of the round, before a new episode begins.
        rewards: (E) of the teams.
        terminated: (E) bool.
        truncated: (E) bool.
    """

    seen: Seen
    last: Seen
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


class TeamRows(Protocol):
    """Episodes side by side that begin anew by themselves; pickled into checkpoints."""

    num_envs: int
    shape: TeamShape

    def reset(self, seed: int) -> Seen:
        """Begin all episodes."""

    def step(self, options: np.ndarray) -> Played:
        """Play the options (E, N) of all devices."""


class FederatedTeams:
    """Episodes of a multi-agent environment of this package, in one batch.

    A device that has left stays, with nothing open to it but to idle.
    """

    def __init__(self, parallel_env: FederatedParallelEnv, num_envs: int) -> None:
        """Make E episodes of what the environment plays; it is never played itself."""
        self.vector_env = side_by_side(parallel_env, num_envs)
        self.devices, self.num_envs = parallel_env.devices, num_envs
        (num_state,) = parallel_env.state_space.shape
        self.shape = TeamShape(
            self.devices.num_devices, self.devices.observation_size, len(self.devices.options), num_state
        )

    def reset(self, seed: int) -> Seen:
        """Begin all episodes, the one at place e with ``seed + e``."""
        observations, _ = self.vector_env.reset(seed=seed)
        return self._seen(observations)

    def step(self, options: np.ndarray) -> Played:
        """Play one round in every episode."""
        observations, rewards, terminated, truncated, _ = self.vector_env.step(self.devices.joint_actions(options))
        seen = last = self._seen(observations)
        ended = terminated | truncated
        if ended.any():
            observations, _ = self.vector_env.reset(options={"reset_mask": ended})
            seen = self._seen(observations)
        return Played(seen, last, rewards, terminated, truncated)

    def _seen(self, observations: dict[str, np.ndarray]) -> Seen:
        return Seen(
            torch.as_tensor(self.devices.observe(observations)),
            torch.as_tensor(self.devices.masks(self.vector_env.action_masks())),
            torch.as_tensor(np.concatenate(list(observations.values()), axis=-1)),
        )


def make_teams(env_id: str, num_envs: int, split: str, **arguments: Any) -> FederatedTeams:
    """Episodes of a registered environment in which every device is an agent."""
    env = pettingzoo.make("parallel", env_id, split=split, **arguments)
    assert isinstance(env, FederatedParallelEnv)
    return FederatedTeams(env, num_envs)
