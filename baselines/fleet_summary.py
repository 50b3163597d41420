"""What a fleet looks like in a few numbers, for decisions about all of it: their count does not grow with the fleet."""

from __future__ import annotations

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor


class FleetSummary(BaseFeaturesExtractor):
    """Mean and standard deviation over the devices of every number that each has, then the context."""

    def __init__(self, observation_space: spaces.Dict, num_devices: int) -> None:
        """Find the entries that have a number per device.

        Args:
            observation_space: One-level Dict of vectors.
            num_devices: N; an entry whose length is a multiple of it belongs to the devices, any other to the context.
        """
        self.num_devices = num_devices
        lengths = {name: int(space.shape[0]) for name, space in observation_space.items() if space.shape}
        self.device_names = [name for name, length in lengths.items() if length % num_devices == 0]
        self.context_names = [name for name in lengths if name not in self.device_names]
        per_device = sum(lengths[name] for name in self.device_names) // num_devices
        super().__init__(observation_space, 2 * per_device + sum(lengths[name] for name in self.context_names))

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """(batch, features_dim)."""
        own = torch.cat([observations[name].unflatten(1, (self.num_devices, -1)) for name in self.device_names], dim=-1)
        mean = own.mean(1)
        # torch's own standard deviation takes many times as long
        spread = (own - mean[:, None]).square().mean(1).sqrt()
        return torch.cat([mean, spread, *(observations[name] for name in self.context_names)], dim=-1)
