"""Circuits as actors, and critics, of SB3's actor-critic algorithms: ``PPO(VQCPolicy, env)``."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import create_mlp
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from agents.policies.circuit_policy import ActorCriticCircuits
from agents.policies.network import Network
from qfl_envs.errors import InvalidValueError


class ActorAndCritic(nn.Module):
    """Two networks on the same features, as SB3 asks for them."""

    def __init__(self, actor: Network, critic: nn.Module, critic_width: int) -> None:
        """Take both."""
        super().__init__()
        self.actor, self.critic = actor, critic
        self.latent_dim_pi, self.latent_dim_vf = actor.width, critic_width

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Latent vectors of actor and critic."""
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: Tensor) -> Tensor:
        """(batch, features) -> (batch, latent_dim_pi)."""
        latent: Tensor = self.actor(features)
        return latent

    def forward_critic(self, features: Tensor) -> Tensor:
        """(batch, features) -> (batch, latent_dim_vf)."""
        latent: Tensor = self.critic(features)
        return latent


class _ActorCritic(ActorCriticCircuits):
    """What makes an actor-critic policy one with circuits; comes before that policy's class."""

    net_arch: Any
    features_dim: int
    activation_fn: type[nn.Module]

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        num_devices: int | None = None,
        **keywords: Any,
    ) -> None:
        """Make the policy.

        Args:
            observation_space: A Box, or a Dict of vectors.
            action_space: Any that SB3 has a distribution for.
            lr_schedule: SB3's learning rate, that of all classical layers.
            num_devices: Devices N of a Dict observation, whose entries are then shown as mean and standard deviation
                over the devices; None to show all numbers.
            keywords: The fields of :class:`agents.policies.circuit_network.CircuitSettings` and those of SB3's
                ``ActorCriticPolicy``; of ``net_arch`` the part of the critic counts.

        Raises:
            InvalidValueError: For settings that do not exist, circuits that are too large, and more actions than a
                partition has outcomes.
        """
        self.take_settings(keywords)
        self.take_fleet(observation_space, num_devices, keywords)
        super().__init__(observation_space, action_space, lr_schedule, **keywords)

    @property
    def decides(self) -> bool:
        """Whether the network gives logits itself."""
        space, readout = self.action_space, self.settings.readout
        if readout is None:
            return isinstance(space, spaces.Discrete) and int(space.n) > self.settings.num_qubits
        if readout == "partition" and not isinstance(space, spaces.Discrete):
            raise InvalidValueError("readout", readout, f"'local' for the actions {space}")
        return readout == "partition"

    def _build_mlp_extractor(self) -> None:
        features, settings = self.features_dim, self.settings
        actor: Network
        if self.decides:
            assert isinstance(self.action_space, spaces.Discrete)
            actor = settings.deciding_network(features, int(self.action_space.n))
        else:
            actor = settings.local_network(features, _num_outputs(self.action_space))
        if settings.critic == "circuit":
            critic: Any = settings.local_network(features, 1)
            width = critic.width
        else:
            widths = self.net_arch["vf"] if isinstance(self.net_arch, dict) else self.net_arch
            critic = nn.Sequential(*create_mlp(features, -1, widths, self.activation_fn))
            width = widths[-1] if widths else features
        self.mlp_extractor = ActorAndCritic(actor, critic, width).to(self.device)

    def finish_network(self) -> None:
        """No last layer behind a network that decides."""
        if self.decides:
            self.action_net = nn.Identity()


class VQCPolicy(_ActorCritic, ActorCriticPolicy):
    """SB3 policy whose actor is a circuit with data re-uploading; for PPO and A2C."""


class MaskableVQCPolicy(_ActorCritic, MaskableActorCriticPolicy):
    """The same as a policy of sb3-contrib's MaskablePPO."""


def _num_outputs(action_space: spaces.Space[Any]) -> int:
    """Logits, or means, that an action is drawn with."""
    if isinstance(action_space, spaces.Discrete):
        return int(action_space.n)
    if isinstance(action_space, spaces.MultiDiscrete):
        return int(action_space.nvec.sum())
    return spaces.flatdim(action_space)
