"""Ray RLlib on the environments: one agent on many rows, or one agent per device.

Both functions return a PPO configuration to change and build as RLlib's documentation says::

    algorithm = single_agent("qfl/Scheduling-v0", {"scenario": "small"}, num_envs=16).build_algo()
    algorithm.train()

RLlib works with Gymnasium 1.2.2 only, so it has an environment of its own: ``make test-rllib`` builds ``.venv-rllib``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from gymnasium import VectorizeMode, spaces
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.ppo.ppo_catalog import PPOCatalog
from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule
from ray.rllib.connectors.env_to_module import FlattenObservations
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv

SHARED = "shared"
"""The policy of all agents."""


def single_agent(env_id: str, arguments: Mapping[str, Any] | None = None, num_envs: int = 16) -> PPOConfig:
    """PPO on the native vector environment: one agent decides for the whole system, in many systems at once.

    Args:
        env_id: Registered environment.
        arguments: Those of the environment.
        num_envs: Rows of each env runner's vector environment.
    """
    return (
        PPOConfig()
        # with the package in front, an env runner in a process of its own registers the ids before it looks one up
        .environment(f"qfl_envs:{env_id}", env_config=dict(arguments or {}))
        .env_runners(
            num_envs_per_env_runner=num_envs,
            # RLlib resets nothing itself: it expects the autoreset mode NextStep, the environment's default
            gym_env_vectorize_mode=VectorizeMode.VECTOR_ENTRY_POINT,
            env_to_module_connector=lambda env, spaces, device: FlattenObservations(),
        )
    )


def multi_agent(parallel_env: Callable[..., Any], arguments: Mapping[str, Any] | None = None) -> PPOConfig:
    """PPO on a PettingZoo environment in which every device is an agent, all with one policy.

    Args:
        parallel_env: Makes a PettingZoo parallel environment whose agents have equal spaces: observations are
            ``{"observation": Box, "action_mask": (n,) of 0 and 1}``, actions Discrete of n.
        arguments: What ``parallel_env`` is called with.
    """
    return (
        PPOConfig()
        .environment(DevicesAsAgents, env_config={"parallel_env": parallel_env, "arguments": dict(arguments or {})})
        .multi_agent(policies={SHARED}, policy_mapping_fn=lambda agent, episode, **_: SHARED)
        .rl_module(rl_module_spec=RLModuleSpec(module_class=MaskedModule, catalog_class=UnmaskedCatalog))
    )


class DevicesAsAgents(ParallelPettingZooEnv):  # type: ignore[misc]  # RLlib is not typed
    """A PettingZoo environment as RLlib wants to build it: from one dictionary."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Make the environment.

        Args:
            config: ``parallel_env`` and its ``arguments``.
        """
        super().__init__(config["parallel_env"](**config["arguments"]))

    def step(self, action_dict: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """Play a round; the episode is over when nobody is left, even if some terminated and others were truncated."""
        observations, rewards, terminateds, truncateds, infos = super().step(action_dict)
        truncateds["__all__"] = not self.par_env.agents and not terminateds["__all__"]
        return observations, rewards, terminateds, truncateds, infos


class UnmaskedCatalog(PPOCatalog):  # type: ignore[misc]  # RLlib is not typed
    """Networks for the part of an observation that is not the mask."""

    def __init__(self, observation_space: spaces.Dict, *arguments: Any, **keywords: Any) -> None:
        """Take a space of ``observation`` and ``action_mask``."""
        super().__init__(observation_space["observation"], *arguments, **keywords)


class MaskedModule(DefaultPPOTorchRLModule):  # type: ignore[misc]  # RLlib is not typed
    """PPO's networks, which never choose what ``action_mask`` closes."""

    def _forward(self, batch: dict[str, Any], **keywords: Any) -> dict[str, Any]:
        return _masked(super()._forward(_unmasked(batch), **keywords), batch)

    def _forward_train(self, batch: dict[str, Any], **keywords: Any) -> dict[str, Any]:
        return _masked(super()._forward_train(_unmasked(batch), **keywords), batch)

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> torch.Tensor:
        """(B) values; the mask does not enter them."""
        return super().compute_values(_unmasked(batch), embeddings)


def _unmasked(batch: dict[str, Any]) -> dict[str, Any]:
    return {**batch, Columns.OBS: batch[Columns.OBS]["observation"]}


def _masked(output: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
    """The output with (B, n) logits that leave closed choices no probability."""
    logits = output[Columns.ACTION_DIST_INPUTS]
    closed = batch[Columns.OBS]["action_mask"] == 0
    return {**output, Columns.ACTION_DIST_INPUTS: logits.masked_fill(closed, torch.finfo(logits.dtype).min)}
