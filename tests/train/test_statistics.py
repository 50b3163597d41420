import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.statistics import (
    Estimate,
    estimate,
    interquartile_mean,
    optimality_gap,
    paired_difference,
    performance_profile,
    probability_of_improvement,
    reached_by_half,
    stratified,
)


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


def test_a_stratum_of_one_value_stays_as_it_is_and_the_others_are_resampled():
    of_two = stratified([[0.0, 10.0, 20.0], [4.0]])
    assert of_two.value == 8.5
    assert (of_two.low, of_two.high) == (1.0, 16.0)  # all three 0 or all three 20, beside the 4


def test_an_improvement_in_an_environment_with_one_seed_counts_as_it_is():
    of_two = probability_of_improvement([[1.0], [1.0, 1.0, 3.0]], [[0.0], [2.0, 2.0, 0.0]])
    assert of_two.value == pytest.approx((1.0 + (2 + 3) / 9) / 2)
    assert 0.5 <= of_two.low < of_two.value < of_two.high <= 1.0


def test_a_profile_of_one_score_is_a_step():
    assert performance_profile([0.3], np.array([0.0, 0.5])) == [Estimate(1.0, 1.0, 1.0), Estimate(0.0, 0.0, 0.0)]


def test_pairs_take_away_what_the_seeds_have_in_common():
    reference = {0: 1.0, 1: 50.0, 2: -7.0}
    difference = paired_difference({seed: value + 1.0 for seed, value in reference.items()}, reference)
    assert difference == Estimate(1.0, 1.0, 1.0)
    assert paired_difference({5: 1.0}, reference) is None


def test_intervals_overlap_where_they_share_a_value():
    assert Estimate(1, 0, 2).overlaps(Estimate(2, 1.5, 3))
    assert not Estimate(1, 0, 2).overlaps(Estimate(3, 2.5, 4))


def test_the_optimality_gap_does_not_reward_scores_above_1():
    assert optimality_gap(np.array([0.5, 1.0, 3.0])) == pytest.approx(0.5 / 3)


def test_the_probability_of_improvement_counts_pairs_and_equal_ones_half():
    assert probability_of_improvement([[1.0, 3.0]], [[0.0, 2.0]]).value == 0.75
    assert probability_of_improvement([[1.0, 1.0]], [[1.0, 0.0]]).value == 0.75
    assert probability_of_improvement([[2.0, 3.0]], [[0.0, 1.0]]) == Estimate(1.0, 1.0, 1.0)
    assert probability_of_improvement([[1.0], [0.0]], [[0.0], [1.0]]).value == 0.5
    assert probability_of_improvement([], []) is None and probability_of_improvement([[]], [[]]) is None


def test_the_interval_of_an_improvement_by_chance_covers_a_half_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    found = [probability_of_improvement([rng.normal(size=20)], [rng.normal(size=20)]) for _ in range(60)]
    assert 51 <= sum(one.low <= 0.5 <= one.high for one in found) <= 60


def test_strata_are_resampled_by_themselves():
    rng = np.random.default_rng(2)
    strata = [rng.normal(mean, 0.1, 20) for mean in (-5.0, 5.0)]
    apart, together = stratified(strata), estimate(np.concatenate(strata))
    assert apart.value == pytest.approx(together.value)
    assert apart.high - apart.low < 0.1 < together.high - together.low


def test_a_profile_is_the_share_above_each_threshold():
    found = performance_profile([0.0, 0.5, 1.0, 1.5], np.array([-1.0, 0.5, 2.0]))
    assert [one.value for one in found] == [1.0, 0.5, 0.0]
    assert found[0].low == 1.0 and found[1].low < 0.5 < found[1].high


@pytest.mark.parametrize(
    "values, value, low, high",
    [
        ([3.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0], 4.0, 1.0, 8.0),
        ([1.0, 2.0, 3.0, 4.0, math.inf, math.inf, math.inf, math.inf], 4.0, 1.0, math.inf),
        ([1.0, 2.0, math.inf, math.inf, math.inf, math.inf], math.inf, 1.0, math.inf),
        ([1.0, 2.0, 3.0], 2.0, -math.inf, math.inf),
    ],
)
def test_half_have_got_there_at_the_middle_of_all_those_who_never_do_included(values, value, low, high):
    assert reached_by_half(values) == Estimate(value, low, high)


def test_what_json_cannot_say_is_null():
    assert Estimate(1.0, -math.inf, math.inf).to_json() == {"value": 1.0, "low": None, "high": None}
