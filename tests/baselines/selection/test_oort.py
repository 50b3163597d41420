"""Oort's formulas on numbers that fit on a sheet of paper, and what follows from them."""

import dataclasses

import numpy as np
import pytest
from views import make_env, observed

import baselines
from baselines.estimates import alone_seconds
from baselines.selection.oort import Pacer, clipped, statistical_utility, system_factor, temporal_uncertainty


def test_the_utility_is_the_data_times_the_root_of_the_mean_squared_loss():
    np.testing.assert_allclose(statistical_utility(np.array([10, 30]), np.array([2.0, 0.5])), [20.0, 15.0])


def test_utilities_are_clipped_and_scaled():
    # sorted 1, 2, 3, 4, 100: the cap at .6 is 4, the scale from .999 to 100
    scaled = clipped(np.array([4.0, 1.0, 100.0, 2.0, 3.0]), 0.6)
    np.testing.assert_allclose(scaled, np.array([3.001, 0.001, 3.001, 1.001, 2.001]) / 99.001)


def test_equal_utilities_are_all_worth_something():
    assert (clipped(np.full(3, 7.0), 0.98) > 0).all()


def test_who_was_asked_long_ago_becomes_more_interesting():
    # sqrt(0.1 ln 20 / L) for L = 5 and 20
    np.testing.assert_allclose(temporal_uncertainty(20, np.array([5, 20])), [0.24477, 0.12239], atol=1e-5)


def test_the_slow_are_worth_less_by_the_square_of_their_delay():
    np.testing.assert_allclose(system_factor(np.array([1.0, 2.0, 4.0]), 2.0, 2.0), [1.0, 1.0, 0.25])
    np.testing.assert_allclose(system_factor(np.array([4.0]), np.inf, 2.0), [1.0])


def test_the_preferred_duration_is_a_percentile_of_all_durations():
    seconds = np.arange(10.0, 0.0, -1.0)
    assert Pacer(percentile=30.0).preferred_s(seconds) == 4.0
    assert Pacer(percentile=100.0).preferred_s(seconds) == np.inf


@pytest.mark.parametrize(
    ("second", "percentile"), [(1.0, 35.0), (1.09, 35.0), (1.2, 30.0), (5.9, 30.0), (6.1, 25.0)], ids=str
)
def test_the_pacer_lets_slower_devices_in_when_utility_stagnates(second, percentile):
    pacer = Pacer(window=20, step=5.0, percentile=30.0)
    for utility in [1.0] * 20 + [second] * 20:
        pacer.record(utility)
    assert pacer.percentile == percentile


def test_the_pacer_waits_for_two_windows():
    pacer = Pacer(window=20)
    for _ in range(39):
        pacer.record(1.0)
    assert pacer.percentile == 30.0


def play(rule, view, rounds, delivers=None):
    """Picks of some rounds in which all participants, or those of ``delivers``, deliver."""
    picks, age = [], view.age.copy()
    for _ in range(rounds):
        picked = rule.pick(dataclasses.replace(view, age=age))
        picks.append(picked)
        arrived = picked if delivers is None else picked & delivers
        age = np.where(arrived, 0, age + 1)
    return np.array(picks)


def start(num_devices=12, **changes):
    env = make_env(num_devices=num_devices, radio={"num_subchannels": 4})
    changes = {"available": np.ones(num_devices, dtype=bool), **changes}
    view = observed(env, **changes)
    rule = baselines.make("oort")
    rule.reset(env, 0)
    return rule, view


def test_oort_takes_as_many_as_there_are_sub_channels_and_asks_everybody_at_some_time():
    rule, view = start()
    picks = play(rule, view, 30)
    assert (picks.sum(1) == 4).all()
    assert picks.any(0).all()


def test_oort_takes_nobody_who_is_not_available():
    rule, view = start(available=np.arange(12) < 3)
    assert (play(rule, view, 10) == view.available).all()


def test_oort_comes_back_to_devices_of_great_utility():
    env = make_env(num_devices=12, radio={"num_subchannels": 4})
    loss = np.where(np.arange(12) < 4, 5.0, 0.1)
    view = observed(env, available=np.ones(12, dtype=bool), loss=loss, num_samples=np.full(12, 10))
    # all as quick as each other, so that only the utility counts
    view = dataclasses.replace(view, step_s=np.full(12, 0.01), gain=np.full_like(view.gain, 1e-9))
    assert np.ptp(alone_seconds(view)) < 0.01
    rule = baselines.make("oort")
    rule.reset(env, 0)
    later = play(rule, view, 40)[20:].mean(0)
    assert later[:4].min() > later[4:].max()


def test_oort_gives_up_those_who_are_asked_in_vain():
    rule, view = start(loss=np.full(12, 2.0), num_samples=np.full(12, 10))
    view = dataclasses.replace(view, step_s=np.full(12, 0.01), gain=np.full_like(view.gain, 1e-9))
    later = play(rule, view, 40, delivers=np.arange(12) >= 3)[20:].mean(0)
    assert later[:3].max() < later[3:].mean()
