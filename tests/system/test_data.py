"""Data sets as principal components, and the files that they are read from."""

import gzip
import struct

import numpy as np
import pytest
import sklearn.datasets

from qfl_envs.errors import MissingDataError
from qfl_envs.scenario import DATASETS
from qfl_envs.system.learning import data
from qfl_envs.system.learning.data import DATA_DIR_VARIABLE, MNIST_FILES, load_dataset

IMAGES, LABELS = MNIST_FILES["train"]


@pytest.fixture(autouse=True)
def _forget_loaded_data():
    """Neither see what other tests loaded, nor leave them what is loaded here."""
    load_dataset.cache_clear()
    yield
    load_dataset.cache_clear()


@pytest.fixture
def small_mnist():
    """Arrays of the four files, with images of 4 x 4."""
    rng = np.random.default_rng(0)
    names = [name for pair in MNIST_FILES.values() for name in pair]
    shapes = [(50, 4, 4), (50,), (20, 4, 4), (20,)]
    return {
        name: rng.integers(0, 256 if len(shape) == 3 else 10, shape) for name, shape in zip(names, shapes, strict=True)
    }


def idx(array):
    """An array as the content of an IDX file of unsigned bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write(folder, arrays, packed=False):
    for name, array in arrays.items():
        (folder / f"{name}{'.gz' if packed else ''}").write_bytes(gzip.compress(idx(array)) if packed else idx(array))


def test_digits_has_as_many_samples_as_scenarios_are_checked_with():
    assert len(load_dataset("digits", 4).train_labels) == DATASETS["digits"].train_samples


def test_digits_has_as_many_pixels_as_scenarios_are_checked_with():
    assert data._digits()[0].shape[1] == DATASETS["digits"].pixels


def test_features_have_the_scale_of_a_quarter_of_pi():
    assert load_dataset("digits", 6).train_features.std() == pytest.approx(np.pi / 4, rel=1e-5)


def test_components_come_in_the_order_of_their_variance():
    spread = load_dataset("digits", 6).train_features.std(0)
    assert (np.diff(spread) < 0).all()


def test_training_features_do_not_depend_on_the_test_images(monkeypatch):
    before = load_dataset("digits", 6).train_features
    train, train_labels, test, test_labels = data._digits()
    other = np.random.default_rng(0).permutation(test.ravel()).reshape(test.shape)
    monkeypatch.setattr(data, "_digits", lambda: (train, train_labels, other, test_labels))
    load_dataset.cache_clear()
    np.testing.assert_array_equal(load_dataset("digits", 6).train_features, before)


def test_test_images_are_transformed_as_training_images_are(monkeypatch):
    train, train_labels, _, _ = data._digits()
    monkeypatch.setattr(data, "_digits", lambda: (train, train_labels, train[:9], train_labels[:9]))
    loaded = load_dataset("digits", 6)
    np.testing.assert_allclose(loaded.test_features, loaded.train_features[:9], atol=1e-6)


def test_every_label_is_held_out_in_proportion():
    loaded = load_dataset("digits", 2)
    held_out, trained = np.bincount(loaded.test_labels), np.bincount(loaded.train_labels)
    np.testing.assert_allclose(held_out, 0.2 * (held_out + trained), atol=1)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_idx_files_are_read_plain_and_compressed(tmp_path, packed, small_mnist):
    write(tmp_path, small_mnist, packed)
    np.testing.assert_array_equal(data._read_idx(tmp_path, IMAGES), small_mnist[IMAGES])


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_mnist_is_read_from_the_folder_that_the_variable_names(tmp_path, monkeypatch, packed, small_mnist):
    write(tmp_path, small_mnist, packed)
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path))
    loaded = load_dataset("mnist", 3)
    np.testing.assert_array_equal(loaded.train_labels, small_mnist[LABELS])


def test_mnist_keeps_training_and_test_images_apart(tmp_path, monkeypatch, small_mnist):
    write(tmp_path, small_mnist)
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path))
    loaded = load_dataset("mnist", 3)
    assert (loaded.train_features.shape, loaded.test_features.shape) == ((50, 3), (20, 3))


def test_a_missing_file_is_named_with_its_folder_and_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path))
    with pytest.raises(MissingDataError) as caught:
        load_dataset("mnist", 3)
    message = str(caught.value)
    assert IMAGES in message and str(tmp_path) in message and DATA_DIR_VARIABLE in message


@pytest.mark.parametrize("content", [b"", b"\0\0\x08", b"not an IDX file"], ids=["empty", "short", "text"])
def test_a_file_that_is_no_idx_file_is_named(tmp_path, monkeypatch, content, small_mnist):
    write(tmp_path, small_mnist)
    (tmp_path / IMAGES).write_bytes(content)
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path))
    with pytest.raises(MissingDataError, match=IMAGES):
        load_dataset("mnist", 3)


def test_a_truncated_idx_file_is_named(tmp_path, monkeypatch, small_mnist):
    write(tmp_path, small_mnist)
    (tmp_path / IMAGES).write_bytes(idx(small_mnist[IMAGES])[:-5])
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path))
    with pytest.raises(MissingDataError, match=IMAGES):
        load_dataset("mnist", 3)


@pytest.mark.parametrize("error", [OSError("no route to host"), ValueError("unknown data set")])
def test_a_failed_download_names_both_ways_to_the_data(monkeypatch, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.delenv(DATA_DIR_VARIABLE, raising=False)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fail)
    with pytest.raises(MissingDataError, match=f"{error}.*{DATA_DIR_VARIABLE}.*openml.org"):
        load_dataset("mnist", 3)


def test_downloaded_images_are_split_as_the_files_are(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (60_010, 2))
    labels = np.array([str(label % 10) for label in range(60_010)])
    monkeypatch.delenv(DATA_DIR_VARIABLE, raising=False)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda *arguments, **options: (images, labels))
    loaded = load_dataset("mnist", 2)
    assert (len(loaded.train_labels), loaded.test_labels.tolist()) == (60_000, list(range(10)))
