"""One circuit for every device: :mod:`baselines.per_device` with another network."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from agents.policies.circuit_network import CircuitSettings
from agents.policies.circuit_policy import ActorCriticCircuits
from baselines.per_device import PerDevice
from qfl_envs.errors import InvalidValueError


class DeviceCircuits(nn.Module):
    """One set of weights that runs on each device's features beside the mean of all.

    No straight line leads from the features to the heads: what an action depends on goes through the circuit.
    """

    def __init__(self, num_devices: int, features: int, hidden: int, outputs: int, settings: CircuitSettings) -> None:
        """Make actor and critic.

        Args:
            num_devices: Devices N.
            features: Numbers that are known of a device, F.
            hidden: Width of a classical critic.
            outputs: Of the heads, per device.
            settings: The circuit.
        """
        super().__init__()
        self.num_devices = num_devices
        self.actor = settings.local_network(2 * features, outputs)
        self.quantum_critic = settings.critic == "circuit"
        if self.quantum_critic:
            self.critic: Any = settings.local_network(features, 1)
        else:
            self.critic_embedding = nn.Sequential(nn.Linear(features, hidden), nn.Tanh())
            self.critic = nn.Sequential(nn.Linear(hidden, hidden), nn.Tanh())
        self.latent_dim_pi = num_devices * self.actor.width
        self.latent_dim_vf = self.critic.width if self.quantum_critic else hidden

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Latent vectors of actor and critic."""
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: Tensor) -> Tensor:
        """(batch, N * F) -> (batch, N * width)."""
        latent: Tensor = self.actor.of_each(features.unflatten(1, (self.num_devices, -1)))
        return latent.flatten(1)

    def forward_critic(self, features: Tensor) -> Tensor:
        """(batch, N * F) -> (batch, latent_dim_vf)."""
        own = features.unflatten(1, (self.num_devices, -1))
        latent: Tensor = self.critic(own.mean(1) if self.quantum_critic else self.critic_embedding(own).mean(1))
        return latent


class _PerDeviceCircuit(ActorCriticCircuits, PerDevice):
    """A policy per device whose network is a circuit."""

    num_devices: int

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        **keywords: Any,
    ) -> None:
        """Make the policy.

        Args:
            observation_space: A Dict of vectors.
            action_space: Choices, or numbers, of every device.
            lr_schedule: SB3's learning rate, that of all classical layers.
            keywords: The fields of :class:`agents.policies.circuit_network.CircuitSettings`, the keywords of
                :class:`baselines.per_device.PerDevicePolicy`, of which ``hidden`` is the width of a classical critic,
                and those of SB3's ``ActorCriticPolicy``.

        Raises:
            InvalidValueError: For settings that do not exist or have no meaning here, circuits that are too large, and
                actions that do not belong to devices.
        """
        self.take_settings(keywords)
        if self.settings.readout == "partition":
            raise InvalidValueError("readout", "partition", "'local' where every device chooses")
        super().__init__(observation_space, action_space, lr_schedule, **keywords)

    def make_network(self, features: int) -> nn.Module:
        """Circuits, or their control."""
        return DeviceCircuits(self.num_devices, features, self.hidden, self.device_outputs(), self.settings)


class PerDeviceVQCPolicy(_PerDeviceCircuit, ActorCriticPolicy):
    """SB3 policy with one circuit that all devices share; for PPO and A2C."""


class MaskablePerDeviceVQCPolicy(_PerDeviceCircuit, MaskableActorCriticPolicy):
    """The same as a policy of sb3-contrib's MaskablePPO."""
