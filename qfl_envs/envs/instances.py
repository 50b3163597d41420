"""Instances: numbered episodes, in disjoint ranges for training, validation and test.

An instance is the seed of everything in an episode: placement, data partition, model, fading, links and mini-batches.
"""

from __future__ import annotations

import numpy as np

from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown

SPLITS: dict[str, range] = {
    "train": range(0, 2**31),
    "val": range(2**31, 2**31 + 2**30),
    "test": range(2**31 + 2**30, 2**32),
}


def check_split(split: str) -> None:
    """Refuse a split that does not exist.

    Raises:
        UnknownNameError: Naming all splits.
    """
    reject_unknown([split], SPLITS, "split")


def draw_instance(split: str, rng: np.random.Generator, wanted: int | None = None) -> int:
    """A random instance of the split, or the wanted one.

    Raises:
        InvalidValueError: If the wanted one is not of the split.
    """
    numbers = SPLITS[split]
    if wanted is None:
        return int(rng.integers(numbers.start, numbers.stop))
    if isinstance(wanted, bool) or not isinstance(wanted, int | np.integer) or int(wanted) not in numbers:
        raise InvalidValueError("instance", wanted, f"{numbers.start} to {numbers.stop - 1} in split {split!r}")
    return int(wanted)


def instance_generator(instance: int) -> np.random.Generator:
    """The generator that all of an instance is drawn from."""
    return np.random.default_rng(instance)
