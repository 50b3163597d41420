"""Handwritten digits as principal components, and the SEA concepts.

``digits`` is scikit-learn's copy of the UCI data set (1,797 images of 8 x 8), split 80:20. ``mnist`` is read from the
four IDX files in the folder that the environment variable ``QFL_DATA_DIR`` names, or else fetched by scikit-learn.

``sea`` (Street & Kim 2001, KDD) is made up: features uniform from 0 to 10, two labels, the second where the sum of the
first two features is above a threshold, which is 8, 9, 7 or 9.5. A sample's class is the interval between thresholds
that its sum lies in, so that a concept is a map from classes to labels, as it is where labels of digits are swapped.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from qfl_envs.errors import MissingDataError

DATA_DIR_VARIABLE = "QFL_DATA_DIR"
MNIST_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
SEA_THRESHOLDS = (8.0, 9.0, 7.0, 9.5)
"""The concepts, the one before drift first."""
SEA_TRAIN, SEA_TEST = 2000, 500
FEATURE_SCALE = np.pi / 4
"""Standard deviation of the features: angles much larger wrap around and cost several points of accuracy."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Features and classes.

    Attributes:
        train_features: (T, F) float32.
        train_labels: (T) int64 class of each sample: its label before drift, unless there are ``concepts``.
        test_features: (U, F) float32, held out.
        test_labels: (U) int64.
        num_classes: Classes are 0 to this, exclusive.
        concepts: Label of every class, in the concept that the data begin with and in others that they can drift to;
            empty where a class is its own label.
    """

    train_features: np.ndarray
    train_labels: np.ndarray
    test_features: np.ndarray
    test_labels: np.ndarray
    num_classes: int
    concepts: tuple[tuple[int, ...], ...] = ()


@lru_cache(maxsize=8)
def load_dataset(name: str, num_features: int) -> Dataset:
    """A data set as principal components, fitted on the training images only and scaled by one common factor.

    Args:
        name: ``"digits"``, ``"mnist"`` or ``"sea"``, which has no components but as many features.
        num_features: Principal components F.

    Returns:
        The data set; a process loads each once.

    Raises:
        MissingDataError: If MNIST is damaged, or neither in ``QFL_DATA_DIR`` nor can be fetched.
    """
    if name == "sea":
        return _sea(num_features)
    return _components(name, num_features, None)


@lru_cache(maxsize=8)
def load_transformed(name: str, num_features: int, transform: str, strength: float) -> Dataset:
    """The data set after all its images have changed, in the components and the scale of the unchanged one.

    Args:
        name: ``"digits"`` or ``"mnist"``.
        num_features: Principal components F.
        transform: ``"rotation"``, ``"brightness"`` or ``"noise"``.
        strength: Share of 90 degrees, or of the largest brightness.

    Returns:
        The data set; a process makes each once.

    Raises:
        MissingDataError: As :func:`load_dataset`.
    """
    return _components(name, num_features, lambda images: TRANSFORMS[transform](images, strength))


@lru_cache(maxsize=4)
def load_patched(name: str, num_features: int) -> Dataset:
    """The data set with a bright corner of 3 x 3 pixels in every image, the trigger of a backdoor.

    Args:
        name: ``"digits"`` or ``"mnist"``.
        num_features: Principal components F.

    Raises:
        MissingDataError: As :func:`load_dataset`.
    """
    return _components(name, num_features, _patched)


def _components(name: str, num_features: int, change: Callable[[np.ndarray], np.ndarray] | None) -> Dataset:
    from sklearn.decomposition import PCA

    train, train_labels, test, test_labels = _digits() if name == "digits" else _mnist()
    components = PCA(num_features, svd_solver="covariance_eigh").fit(train)
    scale = FEATURE_SCALE / components.transform(train).std()
    changed = [images if change is None else change(images) for images in (train, test)]
    return Dataset(
        (components.transform(changed[0]) * scale).astype(np.float32),
        train_labels.astype(np.int64),
        (components.transform(changed[1]) * scale).astype(np.float32),
        test_labels.astype(np.int64),
        num_classes=int(train_labels.max()) + 1,
    )


def _rotated(images: np.ndarray, strength: float) -> np.ndarray:
    """Images (S, pixels) turned about their centre by a share of 90 degrees; what was outside is dark."""
    from scipy.ndimage import rotate

    side = int(np.sqrt(images.shape[1]))
    squares = images.reshape(-1, side, side)
    return rotate(squares, 90.0 * strength, axes=(2, 1), reshape=False, order=1).reshape(images.shape)


def _brightened(images: np.ndarray, strength: float) -> np.ndarray:
    """Images with a share of the largest brightness added, cut off there."""
    return np.minimum(images + strength * images.max(), images.max())


def _noisy(images: np.ndarray, strength: float) -> np.ndarray:
    """Images with normal noise of that share of the largest brightness in every pixel, always the same noise."""
    noise = np.random.default_rng(0).standard_normal(images.shape)
    return np.clip(images + strength * images.max() * noise, 0.0, images.max())


def _patched(images: np.ndarray) -> np.ndarray:
    """Images with a bright corner of 3 x 3 pixels."""
    side = int(np.sqrt(images.shape[1]))
    squares = images.reshape(-1, side, side).copy()
    squares[:, -3:, -3:] = images.max()
    return squares.reshape(images.shape)


TRANSFORMS = {"rotation": _rotated, "brightness": _brightened, "noise": _noisy}


def _sea(num_features: int) -> Dataset:
    """The SEA concepts, always the same samples; all features but the first two mean nothing."""
    rng, thresholds = np.random.default_rng(0), sorted(SEA_THRESHOLDS)
    values = rng.uniform(0.0, 10.0, (SEA_TRAIN + SEA_TEST, num_features))
    classes = np.searchsorted(thresholds, values[:, :2].sum(1))
    features = ((values - 5.0) / (10 / np.sqrt(12)) * FEATURE_SCALE).astype(np.float32)
    concepts = [tuple(int(number > thresholds.index(one)) for number in range(5)) for one in SEA_THRESHOLDS]
    train, test = slice(SEA_TRAIN), slice(SEA_TRAIN, None)
    return Dataset(features[train], classes[train], features[test], classes[test], 5, tuple(concepts))


def _digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=0
    )
    return train, train_labels, test, test_labels


def _mnist() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    folder = os.environ.get(DATA_DIR_VARIABLE)
    if folder:
        parts = [_read_idx(Path(folder), name) for names in MNIST_FILES.values() for name in names]
        train, train_labels, test, test_labels = parts
    else:
        train, train_labels, test, test_labels = _fetch_mnist()
    return train.reshape(len(train), -1) / 255.0, train_labels, test.reshape(len(test), -1) / 255.0, test_labels


def _read_idx(folder: Path, name: str) -> np.ndarray:
    """One IDX file, plain or compressed: two zero bytes, type, number of axes, sizes as big-endian int32, bytes."""
    for path, opener in ((folder / name, open), (folder / f"{name}.gz", gzip.open)):
        if path.is_file():
            try:
                with opener(path, "rb") as file:
                    content = file.read()
                axes = content[3]
                shape = np.frombuffer(content, ">i4", count=axes, offset=4)
                return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
            except (OSError, EOFError, IndexError, ValueError) as error:
                raise MissingDataError(f"{path} is no IDX file of bytes ({error}); download it again") from error
    raise MissingDataError(
        f"no {name} or {name}.gz in {folder} (from {DATA_DIR_VARIABLE}); put the MNIST IDX files there"
    )


def _fetch_mnist() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    from sklearn.datasets import fetch_openml

    try:
        images, labels = fetch_openml("mnist_784", version=1, return_X_y=True, as_frame=False)
    except (OSError, ValueError) as error:
        raise MissingDataError(
            f"MNIST is not on this machine and could not be fetched ({error}); set {DATA_DIR_VARIABLE} to a folder "
            "with its four IDX files, or give the machine access to openml.org"
        ) from error
    labels = labels.astype(np.int64)
    return images[:60_000], labels[:60_000], images[60_000:], labels[60_000:]
