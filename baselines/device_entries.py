"""Which entries of an observation belong to devices, and names that tell devices apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from gymnasium import spaces
from torch import Tensor


def lengths_of_entries(observation_space: spaces.Dict, num_devices: int) -> tuple[dict[str, int], dict[str, int]]:
    """Lengths by name of the entries that have as many numbers for every device, and of all others, the context.

    Args:
        observation_space: One-level Dict of vectors.
        num_devices: N; an entry whose length is a multiple of it belongs to the devices.
    """
    lengths = {name: int(space.shape[0]) for name, space in observation_space.items() if space.shape}
    of_devices = {name: length for name, length in lengths.items() if length % num_devices == 0}
    return of_devices, {name: length for name, length in lengths.items() if name not in of_devices}


def by_device(observations: Mapping[str, Tensor], names: Iterable[str], num_devices: int) -> Tensor:
    """Entries of the devices side by side: (batch, N, numbers of a device)."""
    return torch.cat([observations[name].unflatten(1, (num_devices, -1)) for name in names], dim=-1)


def one_hot_names(num_devices: int, num_names: int) -> Tensor:
    """(N, M): a one where device n is called n modulo M; M can be 0."""
    names = torch.zeros(num_devices, num_names)
    if num_names > 0:
        names[torch.arange(num_devices), torch.arange(num_devices) % num_names] = 1.0
    return names
