"""Exact power control of one cell, and the assignment that builds on it, against brute force."""

import itertools

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qfl_envs  # noqa: F401  registers the environments
from baselines import make
from baselines.allocation.on_off import on_off_power
from qfl_envs.system.network import radio

modest = settings(deadline=None, max_examples=80, derandomize=True)


def sum_of_logs(received_w, noise_w=1.0):
    """Sum of log2(1 + SINR) of received powers (..., N)."""
    others = received_w.sum(-1, keepdims=True) - received_w
    return np.log2(1 + received_w / (others + noise_w)).sum(-1)


def best_corner(full_w, least_w):
    """Largest sum over all 2^N choices of most and least power."""
    corners = np.array(list(itertools.product([False, True], repeat=len(full_w))))
    return sum_of_logs(np.where(corners, full_w, least_w)).max()


gains = st.lists(st.floats(-2.0, 3.0).map(lambda exponent: 10**exponent), min_size=1, max_size=6).map(np.array)


@modest
@given(gains)
def test_on_off_is_the_best_of_all_corners(full_w):
    _, rate = on_off_power(full_w, np.zeros_like(full_w), 1.0)
    assert rate == pytest.approx(best_corner(full_w, np.zeros_like(full_w)), rel=1e-9)


@modest
@given(gains, st.floats(0.001, 1.0))
def test_on_off_with_a_least_power_is_the_best_of_all_corners(full_w, share):
    _, rate = on_off_power(full_w, share * full_w, 1.0)
    assert rate == pytest.approx(best_corner(full_w, share * full_w), rel=1e-9)


@modest
@given(gains, st.sampled_from([0.0, 0.1]))
def test_the_chosen_devices_reach_the_reported_rate(full_w, share):
    on, rate = on_off_power(full_w, share * full_w, 1.0)
    assert sum_of_logs(np.where(on, full_w, share * full_w)) == pytest.approx(rate, rel=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.004, 0.1])
@pytest.mark.parametrize("full_w", [[1.2, 1.0, 0.8], [30.0, 20.0, 10.0], [100.0, 0.5, 0.4]], ids=str)
def test_no_power_in_between_is_better(full_w, share):
    full_w = np.array(full_w)
    levels = [np.linspace(share * full, full, 41) for full in full_w]
    grid = np.stack(np.meshgrid(*levels), axis=-1).reshape(-1, 3)
    _, rate = on_off_power(full_w, share * full_w, 1.0)
    assert sum_of_logs(grid).max() <= rate * (1 + 1e-9)


@pytest.mark.parametrize(("snr", "both"), [(1.61, True), (1.63, False)])
def test_two_equal_users_beat_one_only_below_the_golden_ratio(snr, both):
    on, _ = on_off_power(np.full(2, snr), np.zeros(2), 1.0)
    assert on.all() == both


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2)])
def test_nobody_has_no_rate(shape):
    on, rate = on_off_power(np.zeros(shape), np.zeros(shape), 1.0)
    assert on.shape == shape
    assert rate.shape == shape[:-1]
    assert (rate == 0).all()


def test_devices_on_other_subchannels_are_not_switched_on():
    on, _ = on_off_power(np.array([0.0, 0.5, 0.0]), np.zeros(3), 1.0)
    assert on.tolist() == [False, True, False]


def test_subchannels_are_solved_side_by_side():
    full_w = 10 ** np.random.default_rng(0).uniform(-2, 3, (4, 5))
    alone = [on_off_power(row, 0.1 * row, 1.0)[0] for row in full_w]
    np.testing.assert_array_equal(on_off_power(full_w, 0.1 * full_w, 1.0)[0], alone)


# the assignment


def allocation(instance, num_devices, num_subchannels, allow_idle):
    """A tiny environment and its first observation; all devices are available, and no modulation limits the rates."""
    env = gym.make(
        "qfl/Allocation-v0",
        scenario="tiny",
        num_devices=num_devices,
        radio={"num_subchannels": num_subchannels, "link_drop": 0.0, "sinr_cap_db": None},
        learning={"model": "none"},
        allow_idle=allow_idle,
    )
    observation, _ = env.reset(options={"instance": instance})
    return env, observation


def sum_rates(system, participate, subchannel, power_dbm):
    """Sum-rate of many decisions (D, N) in the present state of a system."""
    gain = system.state.gain
    d = len(subchannel)
    serving = np.zeros(subchannel.shape, dtype=int)
    power_w = radio.dbm_to_w(power_dbm)
    rates = radio.uplink(
        system.scenario.radio,
        np.broadcast_to(gain, (d, *gain.shape[1:])),
        serving,
        participate,
        subchannel,
        power_w,
        np.zeros(d, dtype=bool),
    )
    return rates.rate_bps.sum(-1)


def brute_force(system, allow_idle):
    """Largest sum-rate over all assignments with most and least power, and with idle devices where they are allowed."""
    limits, n = system.scenario.radio, system.scenario.num_devices
    choices = list(itertools.product(range(limits.num_subchannels), (limits.min_power_dbm, limits.max_power_dbm)))
    if allow_idle:
        choices.append((-1, 0.0))
    decisions = np.array(list(itertools.product(choices, repeat=n)))
    subchannel, power_dbm = decisions[..., 0].astype(int), decisions[..., 1]
    return sum_rates(system, subchannel >= 0, np.maximum(subchannel, 0), power_dbm).max()


def hungarian(env, observation):
    """Sum-rate of the round that the Hungarian competitor decides."""
    competitor = make("hungarian")
    competitor.reset(env, 0)
    return env.step(competitor.act(observation))[4]["sum_rate_bps"]


@pytest.mark.parametrize("instance", range(8))
@pytest.mark.parametrize(("num_devices", "num_subchannels"), [(2, 1), (3, 2), (4, 2)])
@pytest.mark.parametrize("allow_idle", [True, False], ids=["idle", "literal"])
def test_hungarian_is_close_to_the_best_of_all_assignments(instance, num_devices, num_subchannels, allow_idle):
    env, observation = allocation(instance, num_devices, num_subchannels, allow_idle)
    best = brute_force(env.unwrapped.system, allow_idle)
    assert 0.95 * best <= hungarian(env, observation) <= best * (1 + 1e-6)


@pytest.mark.parametrize("instance", range(8))
def test_devices_that_may_idle_reach_at_least_the_sum_rate_of_those_that_must_transmit(instance):
    may_idle, must_transmit = (
        hungarian(*allocation(instance, num_devices=4, num_subchannels=2, allow_idle=allow_idle))
        for allow_idle in (True, False)
    )
    assert may_idle >= must_transmit
