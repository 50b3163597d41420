"""Which device holds which training samples.

Every partition gives disjoint sets as long as there are samples enough; a pool that runs out is dealt again from its
beginning.
"""

from __future__ import annotations

import numpy as np

from qfl_envs.compiled import compiled
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
    samples = _deal(learning, labels, sizes, rng)
    owner = np.repeat(np.arange(num_devices), sizes)
    shuffled = samples[_shuffled_within(owner, rng.random(len(samples)), num_devices)]
    index = np.zeros((num_devices, capacity(learning, len(labels), num_devices)), dtype=np.int32)
    index[np.arange(index.shape[1]) < sizes[:, None]] = shuffled
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


def _deal(learning: Learning, labels: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples of all devices, one device after the other."""
    classes = int(labels.max()) + 1
    devices = len(sizes)
    if learning.partition == "shards":
        return _shards(learning.shards_per_device, labels, sizes, rng)
    if learning.partition == "iid":
        return _from_pools(rng.permutation(len(labels)), np.array([len(labels)]), sizes[:, None])
    if learning.partition == "one_label":
        own = rng.permutation(np.arange(devices) % classes)
        counts = np.where(np.arange(classes) == own[:, None], sizes[:, None], 0)
    else:
        mix = rng.dirichlet(np.full(classes, learning.dirichlet_alpha), size=devices)
        counts = rng.multinomial(sizes, mix)
    pools = _shuffled_within(labels, rng.random(len(labels)), classes)
    return _from_pools(pools, np.bincount(labels, minlength=classes), counts)


def _shards(per_device: int, labels: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Equal pieces of the samples sorted by label, some per device (McMahan et al. 2017)."""
    devices = len(sizes)
    dealt = devices * per_device
    shards = np.array_split(np.argsort(labels, kind="stable"), min(dealt, len(labels)))
    owner = rng.permutation(dealt).reshape(devices, per_device) % len(shards)
    held = [rng.permutation(np.concatenate([shards[shard] for shard in own])) for own in owner]
    return np.concatenate([np.resize(samples, size) for samples, size in zip(held, sizes, strict=True)])


@compiled
def _from_pools(pools: np.ndarray, lengths: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Pieces of pools one after the other, each pool beginning again at its end.

    Args:
        pools: (T) samples of all Q pools, one pool after the other.
        lengths: (Q) samples of each pool.
        counts: (N, Q) how many of each pool a device gets.

    Returns:
        Samples of all devices, one device after the other.
    """
    dealt = np.empty(counts.sum(), dtype=np.int64)
    first = lengths.cumsum() - lengths
    used = np.zeros(len(lengths), dtype=np.int64)
    end = 0
    for device in range(len(counts)):
        for pool in range(len(lengths)):
            for _ in range(counts[device, pool]):
                dealt[end] = pools[first[pool] + used[pool] % lengths[pool]]
                used[pool] += 1
                end += 1
    return dealt


@compiled
def _shuffled_within(group: np.ndarray, uniform: np.ndarray, num_groups: int) -> np.ndarray:
    """Indices (T) of elements, group after group, those of a group in the order of their random numbers."""
    sizes = np.bincount(group, minlength=num_groups)
    end = np.cumsum(sizes)
    order = np.empty(len(group), dtype=np.int64)
    place = end - sizes
    for element in range(len(group)):
        order[place[group[element]]] = element
        place[group[element]] += 1
    for number in range(num_groups):
        _sort_by(uniform, order[end[number] - sizes[number] : end[number]])
    return order


@compiled
def _sort_by(uniform: np.ndarray, members: np.ndarray) -> None:
    """Put members in the order of their random numbers: each near its place at once, then among its few neighbours."""
    count = len(members)
    bucket = np.empty(count, dtype=np.int64)
    start = np.zeros(count + 1, dtype=np.int64)
    for position in range(count):
        bucket[position] = min(int(uniform[members[position]] * count), count - 1)
        start[bucket[position] + 1] += 1
    for number in range(count):
        start[number + 1] += start[number]
    unsorted = members.copy()
    for position in range(count):
        members[start[bucket[position]]] = unsorted[position]
        start[bucket[position]] += 1
    for position in range(1, count):
        member, free = members[position], position
        while free > 0 and uniform[members[free - 1]] > uniform[member]:
            members[free] = members[free - 1]
            free -= 1
        members[free] = member
