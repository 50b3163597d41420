"""Which device holds which samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qfl_envs.scenario import PARTITIONS, Learning
from qfl_envs.system.learning.partition import _shuffled_within, capacity, partition

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 100))
modest = settings(deadline=None, max_examples=30, derandomize=True)


def dealt(num_devices=20, seed=0, **fields):
    """The samples of every device, one array each."""
    index, sizes = partition(Learning(**fields), LABELS, num_devices, np.random.default_rng(seed))
    return [held[:size] for held, size in zip(index, sizes, strict=True)]


def labels_per_device(parts):
    return np.array([len(np.unique(LABELS[part])) for part in parts])


@pytest.mark.parametrize("kind", PARTITIONS)
def test_every_device_has_its_share_of_all_samples(kind):
    assert [len(part) for part in dealt(partition=kind)] == [50] * 20


@pytest.mark.parametrize("kind", PARTITIONS)
def test_every_device_has_as_many_samples_as_the_scenario_asks_for(kind):
    assert [len(part) for part in dealt(partition=kind, samples_per_device=7)] == [7] * 20


@pytest.mark.parametrize("kind", PARTITIONS)
def test_no_sample_is_on_two_devices_while_there_are_enough(kind):
    together = np.concatenate(dealt(partition=kind, samples_per_device=7))
    assert len(np.unique(together)) == len(together)


@pytest.mark.parametrize("kind", PARTITIONS)
def test_samples_are_dealt_again_where_they_run_out(kind):
    assert [len(part) for part in dealt(partition=kind, samples_per_device=400)] == [400] * 20


@pytest.mark.parametrize("kind", PARTITIONS)
def test_more_devices_than_samples_have_one_sample_each(kind):
    assert [len(part) for part in dealt(num_devices=1100, partition=kind, shards_per_device=1)] == [1] * 1100


@pytest.mark.parametrize("kind", PARTITIONS)
def test_the_partition_follows_its_generator(kind):
    parts = zip(dealt(partition=kind, seed=1), dealt(partition=kind, seed=1), strict=True)
    assert all(np.array_equal(first, second) for first, second in parts)


@pytest.mark.parametrize("kind", PARTITIONS)
def test_another_generator_gives_another_partition(kind):
    parts = zip(dealt(partition=kind, seed=1), dealt(partition=kind, seed=2), strict=True)
    assert not all(np.array_equal(first, second) for first, second in parts)


def test_a_device_of_one_label_has_one_label():
    assert (labels_per_device(dealt(partition="one_label")) == 1).all()


def test_one_label_gives_every_label_to_as_many_devices():
    own = [LABELS[part[0]] for part in dealt(partition="one_label")]
    assert np.bincount(own).tolist() == [2] * 10


@modest
@given(st.integers(1, 30), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_shards_cut_the_sorted_samples_no_more_often_than_there_are_labels(num_devices, shards_per_device, seed):
    parts = dealt(num_devices, seed, partition="shards", shards_per_device=shards_per_device)
    # every shard begins in one label; each of the nine borders between labels adds one label to at most one shard
    assert labels_per_device(parts).sum() <= num_devices * shards_per_device + 9


def test_shards_that_do_not_straddle_labels_have_one_label_each():
    assert (labels_per_device(dealt(num_devices=20, partition="shards", shards_per_device=1)) == 1).all()


def test_shards_give_a_device_several_labels():
    assert labels_per_device(dealt(num_devices=10, partition="shards", shards_per_device=4)).mean() > 2


def test_iid_devices_have_the_labels_of_all_samples():
    counts = np.stack([np.bincount(LABELS[part], minlength=10) for part in dealt(num_devices=5, partition="iid")])
    # 200 of 1000 without replacement: mean 20, standard deviation below 4
    assert (abs(counts - 20) < 5 * 4).all()


def test_a_large_dirichlet_concentration_gives_every_device_every_label():
    parts = dealt(num_devices=5, partition="dirichlet", dirichlet_alpha=1e6)
    counts = np.stack([np.bincount(LABELS[part], minlength=10) for part in parts])
    assert (abs(counts - 20) < 5 * np.sqrt(20)).all()


def test_a_small_dirichlet_concentration_gives_a_device_one_label():
    parts = dealt(num_devices=20, partition="dirichlet", dirichlet_alpha=1e-3)
    largest = np.array([np.bincount(LABELS[part]).max() / len(part) for part in parts])
    assert np.median(largest) > 0.95


def test_dirichlet_devices_differ():
    parts = dealt(num_devices=5, partition="dirichlet", dirichlet_alpha=0.5)
    counts = np.stack([np.bincount(LABELS[part], minlength=10) for part in parts])
    assert counts.std(0).mean() > 5


@modest
@given(spread=st.floats(0.0, 0.9), seed=st.integers(0, 2**32 - 1))
def test_no_device_has_more_than_the_spread_above_the_mean(spread, seed):
    sizes = [len(part) for part in dealt(seed=seed, partition="iid", size_spread=spread)]
    assert max(sizes) <= 50 * (1 + spread)


def test_no_device_has_less_than_the_spread_below_the_mean():
    smallest = [min(len(part) for part in dealt(seed=seed, partition="iid", size_spread=0.9)) for seed in range(300)]
    assert min(smallest) >= 5


@modest
@given(spread=st.floats(0.0, 0.9), seed=st.integers(0, 2**32 - 1))
def test_the_spread_deals_no_more_than_there_is(spread, seed):
    assert sum(len(part) for part in dealt(seed=seed, size_spread=spread)) <= len(LABELS)


def test_the_spread_makes_sizes_differ():
    sizes = [len(part) for part in dealt(size_spread=0.5)]
    assert max(sizes) > 1.3 * min(sizes)


@pytest.mark.parametrize("kind", ["iid", "dirichlet", "one_label"])
def test_a_device_holds_no_sample_twice_whatever_the_spread(kind):
    parts = dealt(partition=kind, size_spread=0.5, samples_per_device=20)
    assert all(len(np.unique(part)) == len(part) for part in parts)


@pytest.mark.parametrize("kind", PARTITIONS)
def test_the_capacity_holds_the_largest_device(kind):
    learning = Learning(partition=kind, size_spread=0.9)
    index, _ = partition(learning, LABELS, 20, np.random.default_rng(0))
    assert index.shape == (20, capacity(learning, len(LABELS), 20))


@modest
@given(st.integers(1, 4), st.integers(0, 60), st.integers(0, 1000), st.sampled_from([1.0, 0.01]))
def test_members_of_a_group_are_in_the_order_of_their_random_numbers(groups, count, seed, spread):
    rng = np.random.default_rng(seed)
    # with a small spread all fall into few buckets
    group, uniform = rng.integers(groups, size=count), spread * rng.random(count)
    np.testing.assert_array_equal(_shuffled_within(group, uniform, groups), np.lexsort((uniform, group)))
