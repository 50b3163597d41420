"""A circuit as value of actions: ``DQN(VQCQPolicy, env)``."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import nn

from agents.policies.circuit_network import CircuitSettings
from agents.policies.circuit_policy import CircuitPolicy
from qfl_envs.errors import InvalidValueError


class CircuitQNetwork(QNetwork):
    """Local readouts of a circuit and a linear layer, which give the value of each action."""

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Discrete,
        features_extractor: BaseFeaturesExtractor,
        features_dim: int,
        settings: CircuitSettings,
        normalize_images: bool = True,
    ) -> None:
        """Make the network."""
        super().__init__(
            observation_space,
            action_space,
            features_extractor,
            features_dim,
            net_arch=[],
            normalize_images=normalize_images,
        )
        actions = int(action_space.n)
        network = settings.local_network(features_dim, actions)
        self.q_net = nn.Sequential(network, nn.Linear(network.width, actions))


class VQCQPolicy(CircuitPolicy, DQNPolicy):
    """SB3 policy for DQN whose values come from a circuit with data re-uploading."""

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Discrete,
        lr_schedule: Schedule,
        num_devices: int | None = None,
        **keywords: Any,
    ) -> None:
        """Make the policy.

        Args:
            observation_space: A Box, or a Dict of vectors.
            action_space: The actions.
            lr_schedule: SB3's learning rate, that of all classical layers.
            num_devices: As in :class:`agents.policies.vqc_policy.VQCPolicy`.
            keywords: The fields of :class:`agents.policies.circuit_network.CircuitSettings`, without a critic and with
                local readouts, and those of SB3's ``DQNPolicy``.

        Raises:
            InvalidValueError: For settings that do not exist or have no meaning here, and circuits that are too large.
        """
        self.take_settings(keywords)
        if self.settings.readout == "partition":
            raise InvalidValueError("readout", "partition", "'local', since values of actions are no probabilities")
        self.take_fleet(observation_space, num_devices, keywords)
        super().__init__(observation_space, action_space, lr_schedule, **keywords)

    def make_q_net(self) -> QNetwork:
        """One of the two networks, that of the actions or its target."""
        arguments = {name: value for name, value in self.net_args.items() if name not in ("net_arch", "activation_fn")}
        made = self._update_features_extractor(arguments, features_extractor=None)
        return CircuitQNetwork(settings=self.settings, **made).to(self.device)

    def trained_network(self) -> nn.Module:
        """The network of the actions; its target is a copy."""
        return self.q_net

    def last_layers(self) -> list[nn.Module]:
        """The layer that makes values of what the circuit measures."""
        return [self.q_net.q_net[-1]] if self.settings.network == "circuit" else []
