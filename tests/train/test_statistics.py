import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.statistics import Estimate, estimate, interquartile_mean, paired_difference


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end():
    assert interquartile_mean(np.array([-100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0])) == pytest.approx(3.5)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.floats(-10, 10), min_size=5, max_size=12))
def test_the_interval_contains_the_estimate(values):
    result = estimate(values)
    assert result.low - 1e-9 <= result.value <= result.high + 1e-9


def test_the_interval_of_a_normal_mean_covers_it_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        result = estimate(rng.normal(size=30).tolist())
        covered += result.low <= 0 <= result.high
    assert 85 <= covered <= 100


def test_constant_values_have_an_interval_of_one_point():
    assert estimate([2.0, 2.0, 2.0]) == Estimate(2.0, 2.0, 2.0)


def test_pairs_take_away_what_the_seeds_have_in_common():
    reference = {0: 1.0, 1: 50.0, 2: -7.0}
    difference = paired_difference({seed: value + 1.0 for seed, value in reference.items()}, reference)
    assert difference == Estimate(1.0, 1.0, 1.0)
    assert paired_difference({5: 1.0}, reference) is None


def test_intervals_overlap_where_they_share_a_value():
    assert Estimate(1, 0, 2).overlaps(Estimate(2, 1.5, 3))
    assert not Estimate(1, 0, 2).overlaps(Estimate(3, 2.5, 4))
