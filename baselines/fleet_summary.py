"""What a fleet looks like in a few numbers, for decisions about all of it: their count does not grow with the fleet."""

from __future__ import annotations

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from baselines.device_entries import by_device, lengths_of_entries


class FleetSummary(BaseFeaturesExtractor):
    """Mean and standard deviation over the devices of every number that each has, then the context."""

    def __init__(self, observation_space: spaces.Dict, num_devices: int) -> None:
        """Find the entries that have a number per device.

        Args:
            observation_space: One-level Dict of vectors.
            num_devices: N.
        """
        self.num_devices = num_devices
        self._of_devices, self._context = lengths_of_entries(observation_space, num_devices)
        per_device = sum(self._of_devices.values()) // num_devices
        super().__init__(observation_space, 2 * per_device + sum(self._context.values()))

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """(batch, features_dim)."""
        own = by_device(observations, self._of_devices, self.num_devices)
        mean = own.mean(1)
        # torch's own standard deviation takes many times as long
        spread = (own - mean[:, None]).square().mean(1).sqrt()
        return torch.cat([mean, spread, *(observations[name] for name in self._context)], dim=-1)
