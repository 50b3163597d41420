"""Which device holds which training samples.

Every partition gives disjoint sets as long as there are samples enough; a pool that runs out is dealt again from its
beginning.
"""

from __future__ import annotations

import numpy as np

from qfl_envs.scenario import Learning


def partition(
    learning: Learning, labels: np.ndarray, num_devices: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Deal the training samples out.

    Args:
        learning: Kind of partition and spread of sizes.
        labels: (T) label of every training sample.
        num_devices: Devices N.
        rng: Source of randomness.

    Returns:
        ``index`` (N, capacity) rows of the training set in random order, and ``sizes`` (N) how many of each are valid.
    """
    sizes = _sizes(learning, len(labels), num_devices, rng)
    index = np.zeros((num_devices, capacity(learning, len(labels), num_devices)), dtype=np.int32)
    for device, samples in enumerate(_deal(learning, labels, sizes, rng)):
        index[device, : len(samples)] = rng.permutation(samples)
    return index, sizes


def capacity(learning: Learning, num_samples: int, num_devices: int) -> int:
    """Most samples that a device can hold."""
    return int(np.ceil(mean_size(learning, num_samples, num_devices) * (1 + learning.size_spread)))


def mean_size(learning: Learning, num_samples: int, num_devices: int) -> int:
    """Samples of a device on average."""
    return learning.samples_per_device or max(num_samples // num_devices, 1)


def _sizes(learning: Learning, num_samples: int, num_devices: int, rng: np.random.Generator) -> np.ndarray:
    """Samples of each device, uniform within the spread around the mean, at most all samples in total."""
    mean = mean_size(learning, num_samples, num_devices)
    spread = learning.size_spread
    above_least = 2 * spread * rng.random(num_devices)
    # the excess over the least size shrinks where all together would ask for more than there is
    above_least *= min(1.0, num_devices * spread / max(above_least.sum(), 1e-12))
    share = 1 - spread + above_least
    return np.maximum((share * mean).astype(np.int64), 1)


def _deal(learning: Learning, labels: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    classes = int(labels.max()) + 1
    devices = len(sizes)
    if learning.partition == "iid":
        return _consecutive(rng.permutation(len(labels)), sizes)
    if learning.partition == "shards":
        return _shards(learning.shards_per_device, labels, sizes, rng)
    if learning.partition == "one_label":
        own = rng.permutation(np.arange(devices) % classes)
        counts = np.where(np.arange(classes) == own[:, None], sizes[:, None], 0)
    else:
        mix = rng.dirichlet(np.full(classes, learning.dirichlet_alpha), size=devices)
        counts = rng.multinomial(sizes, mix)
    pools = [rng.permutation(np.flatnonzero(labels == label)) for label in range(classes)]
    parts = [_consecutive(pool, counts[:, label]) for label, pool in enumerate(pools)]
    return [np.concatenate([part[device] for part in parts]) for device in range(devices)]


def _shards(per_device: int, labels: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Equal pieces of the samples sorted by label, some per device (McMahan et al. 2017)."""
    devices = len(sizes)
    dealt = devices * per_device
    shards = np.array_split(np.argsort(labels, kind="stable"), min(dealt, len(labels)))
    owner = rng.permutation(dealt).reshape(devices, per_device) % len(shards)
    held = [rng.permutation(np.concatenate([shards[shard] for shard in own])) for own in owner]
    return [_consecutive(samples, sizes[device : device + 1])[0] for device, samples in enumerate(held)]


def _consecutive(pool: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    """Pieces of the pool one after the other, beginning again at its end."""
    ends = np.cumsum(counts)
    return [pool[np.arange(end - count, end) % len(pool)] for end, count in zip(ends, counts, strict=True)]
