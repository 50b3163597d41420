"""One small network for every device: policies whose size does not grow with the fleet.

Each device's features and the global context pass through the same network; what the others look like enters by the
mean over devices. The policy is permutation-equivariant, the value permutation-invariant (Zaheer et al. 2017, "Deep
Sets"), but for names and for the order among equals, which are there to tell alike devices apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from baselines.counted_choices import CountedChoices
from baselines.device_entries import by_device, lengths_of_entries, one_hot_names
from baselines.first_logits import first_logits
from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown


class DeviceFeatures(BaseFeaturesExtractor):
    """Sorts a Dict observation by device: (batch, N * F) with F features per device.

    Those are its own numbers, the rank of each among all devices, a name if there are any, and the context.
    """

    def __init__(
        self, observation_space: spaces.Dict, num_devices: int, num_names: int, only_ranks: Sequence[str] = ()
    ) -> None:
        """Find the entries that have a number per device.

        Args:
            observation_space: One-level Dict of vectors.
            num_devices: N; an entry whose length is a multiple of it belongs to the devices, any other to the context.
            num_names: Device n is called n modulo this; 0 for no names.
            only_ranks: Entries of which only the rank is shown.

        Raises:
            UnknownNameError: For the rank of an entry that the devices do not have.
        """
        of_devices, context = lengths_of_entries(observation_space, num_devices)
        self.device_names, self.context_names = list(of_devices), list(context)
        reject_unknown(only_ranks, self.device_names, "entry per device")
        self.num_devices = num_devices
        per_name = {name: length // num_devices for name, length in of_devices.items()}
        shown = [[name not in only_ranks] * size for name, size in per_name.items()]
        self.shown = [index for index, shows in enumerate(chain.from_iterable(shown)) if shows]
        self.per_device = sum(per_name.values()) + len(self.shown) + num_names + sum(context.values())
        super().__init__(observation_space, features_dim=num_devices * self.per_device)
        self.register_buffer("names", one_hot_names(num_devices, num_names))

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """(batch, N * F)."""
        own = by_device(observations, self.device_names, self.num_devices)
        # where numbers are equal, the first device has the lower rank: no two devices are the same
        columns = own.transpose(1, 2).contiguous()
        places = torch.linspace(-1, 1, self.num_devices, device=columns.device).expand_as(columns)
        rank = torch.empty_like(columns).scatter_(2, columns.argsort(dim=2, stable=True), places).transpose(1, 2)
        context = [observations[name][:, None].expand(-1, self.num_devices, -1) for name in self.context_names]
        names = self.get_buffer("names").expand(len(own), -1, -1)
        return torch.cat([own[..., self.shown], rank, names, *context], dim=-1).flatten(1)


class DeviceNetwork(nn.Module):
    """The shared networks of actor and critic: an embedding per device, then one more layer on it and on the mean."""

    def __init__(self, num_devices: int, features: int, hidden: int) -> None:
        """Make both networks."""
        super().__init__()
        self.num_devices = num_devices
        self.actor_embedding = nn.Sequential(nn.Linear(features, hidden), nn.Tanh())
        self.actor = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.Tanh())
        self.critic_embedding = nn.Sequential(nn.Linear(features, hidden), nn.Tanh())
        self.critic = nn.Sequential(nn.Linear(hidden, hidden), nn.Tanh())
        self.latent_dim_pi, self.latent_dim_vf = num_devices * (hidden + features), hidden

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Latent vectors of actor and critic."""
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: Tensor) -> Tensor:
        """(batch, N * F) -> (batch, N * hidden)."""
        embedded = self.actor_embedding(features.unflatten(1, (self.num_devices, -1)))
        mean = embedded.mean(1, keepdim=True).expand_as(embedded)
        latent: Tensor = self.actor(torch.cat([embedded, mean], dim=-1))
        return torch.cat([latent, features.unflatten(1, (self.num_devices, -1))], dim=-1).flatten(1)

    def forward_critic(self, features: Tensor) -> Tensor:
        """(batch, N * F) -> (batch, hidden)."""
        latent: Tensor = self.critic(self.critic_embedding(features.unflatten(1, (self.num_devices, -1))).mean(1))
        return latent


class DeviceHeads(nn.Module):
    """What an action is drawn with that lists, choice after choice, one entry per device: logits, or a mean each."""

    def __init__(
        self,
        num_devices: int,
        hidden: int,
        sizes: list[int],
        idle_probability: float | None,
        later_options: float,
        num_counts: int,
    ) -> None:
        """Make one linear layer per choice, small at first so that all devices begin alike.

        Args:
            num_devices: Devices N.
            hidden: Width of what comes in.
            sizes: How many options each choice has; 1 for a number, of which the mean is given.
            idle_probability: That of option 0 of the first choice at the start; None for all options alike. It means
                nothing where that choice is a number.
            later_options: How likely each option of the first choice is at the start, compared with the one before it;
                of those after the idle one.
            num_counts: Numbers of participants to choose from, M, by what all devices look like on average.
        """
        super().__init__()
        self.num_devices = num_devices
        self.count = _small_linear(hidden, num_counts) if num_counts else None
        layers = [_small_linear(hidden, size) for size in sizes]
        if idle_probability is not None and sizes[0] > 1:
            with torch.no_grad():
                layers[0].bias.copy_(first_logits(sizes[0], idle_probability, later_options))
        self.heads = nn.ModuleList(layers)

    def forward(self, latent: Tensor) -> Tensor:
        """(batch, N * hidden) -> (batch, sum(nvec) + M), or (batch, numbers)."""
        per_device = latent.unflatten(1, (self.num_devices, -1))
        logits = [head(per_device).flatten(1) for head in self.heads]
        if self.count is not None:
            logits.append(self.count(per_device.mean(1)))
        return torch.cat(logits, dim=1)


def _small_linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain=0.01)
    nn.init.zeros_(layer.bias)
    return layer


class PerDevice(BasePolicy):
    """What makes an actor-critic policy one with one shared network per device; comes before that policy's class."""

    mlp_extractor: Any  # declared by both policies as networks of their own, used by their interface
    action_net: Any
    action_dist: Any

    def __init__(
        self,
        *arguments: Any,
        num_devices: int,
        hidden: int = 32,
        idle_probability: float | None = None,
        later_options: float = 1.0,
        num_names: int = 0,
        only_ranks: Sequence[str] = (),
        participants: Sequence[int] = (),
        **keywords: Any,
    ) -> None:
        """Make the policy.

        Args:
            arguments: Those of SB3's ``ActorCriticPolicy``.
            num_devices: Devices N that the observation shows.
            hidden: Width of all layers.
            idle_probability: How likely each device idles at first, where the first choice has that option. The slowest
                participant sets the length of a round, so that of many participants none is worth leaving out; a policy
                that begins with few learns whom to leave out.
            later_options: How likely each option of the first choice after the idle one is at first, compared with the
                one before it. Where options are amounts of work, a policy that begins with little sees episodes that
                succeed.
            num_names: Names that devices are given in turn, so that they can share out what only one of them can have
                without talking; 0 for none.
            only_ranks: Entries of the observation of which a device sees only how it ranks among all, for numbers whose
                scale differs between the learner of the training and that of the evaluation.
            participants: Numbers of participants from which one is chosen before those who take part, those above N
                standing for all; none to let every device choose by itself. See
                :class:`baselines.counted_choices.CountedChoices`.
            keywords: Those of SB3's ``ActorCriticPolicy``.

        Raises:
            InvalidValueError: For actions other than choices or numbers of each device, or for numbers of participants
                below 1.
        """
        self.num_devices, self.hidden, self.idle_probability = num_devices, hidden, idle_probability
        self.later_options, self.num_names, self.participants = later_options, num_names, list(participants)
        self.only_ranks = list(only_ranks)
        if any(isinstance(count, bool) or not isinstance(count, int) or count < 1 for count in participants):
            raise InvalidValueError("participants", participants, "whole numbers of at least 1")
        keywords["features_extractor_class"] = DeviceFeatures
        keywords["features_extractor_kwargs"] = {
            "num_devices": num_devices,
            "num_names": num_names,
            "only_ranks": self.only_ranks,
        }
        super().__init__(*arguments, **keywords)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        """What a saved policy is rebuilt from."""
        data = super()._get_constructor_parameters()
        names = (
            "num_devices",
            "hidden",
            "idle_probability",
            "later_options",
            "num_names",
            "only_ranks",
            "participants",
        )
        return {**data, **{name: getattr(self, name) for name in names}}

    def _build_mlp_extractor(self) -> None:
        assert isinstance(self.features_extractor, DeviceFeatures)
        self.mlp_extractor = self.make_network(self.features_extractor.per_device)

    def make_network(self, features: int) -> nn.Module:
        """The network that all devices share; another one makes another policy.

        Args:
            features: Numbers that are known of a device, F.

        Returns:
            A module with ``forward_actor`` and ``forward_critic``, which turn (batch, N * F) into ``latent_dim_pi``
            numbers, device after device, and into ``latent_dim_vf``, and ``forward`` for both.
        """
        return DeviceNetwork(self.num_devices, features, self.hidden)

    def device_outputs(self) -> int:
        """Logits, or numbers, that the heads make of one device, counts of participants among them."""
        return sum(choices_of_a_device(self.action_space, self.num_devices)) + len(self._counts())

    def _counts(self) -> list[int]:
        return sorted({min(count, self.num_devices) for count in self.participants})

    def _build(self, lr_schedule: Any) -> None:
        sizes, counts = choices_of_a_device(self.action_space, self.num_devices), self._counts()
        super()._build(lr_schedule)  # type: ignore[misc]  # that of the actor-critic policy that comes after
        width = self.mlp_extractor.latent_dim_pi // self.num_devices
        self.action_net = DeviceHeads(
            self.num_devices, width, sizes, self.idle_probability, self.later_options, len(counts)
        )
        if counts:
            self.action_dist = CountedChoices(self.num_devices, sizes, counts)
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)  # type: ignore[call-arg]

    def _get_action_dist_from_latent(self, latent_pi: Tensor) -> Any:
        if isinstance(self.action_dist, CountedChoices):
            return self.action_dist.proba_distribution(action_logits=self.action_net(latent_pi))
        return super()._get_action_dist_from_latent(latent_pi)  # type: ignore[misc]  # as above


class PerDevicePolicy(PerDevice, ActorCriticPolicy):
    """SB3 policy with one shared network per device, for one or more choices, or numbers, per device."""


class MaskablePerDevicePolicy(PerDevice, MaskableActorCriticPolicy):
    """The same network as a policy of sb3-contrib's MaskablePPO."""


def choices_of_a_device(action_space: spaces.Space[Any], num_devices: int) -> list[int]:
    """How many options each choice of a device has, where the action lists choice after choice, device by device.

    Numbers, which a Box has in place of choices, count as choices with one option.
    """
    if isinstance(action_space, spaces.Box) and np.prod(action_space.shape) % num_devices == 0:
        return [1] * int(np.prod(action_space.shape) // num_devices)
    if isinstance(action_space, spaces.MultiDiscrete) and action_space.nvec.size % num_devices == 0:
        sizes = action_space.nvec.reshape(-1, num_devices)
        if (sizes == sizes[:, :1]).all():
            return list(map(int, sizes[:, 0]))
    raise InvalidValueError(
        "action space of a policy per device",
        str(action_space),
        f"MultiDiscrete or Box, with choices or numbers for each of the {num_devices} devices",
    )
