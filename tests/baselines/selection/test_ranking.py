import dataclasses

import numpy as np
import pytest
from views import make_env, observed, reordered, varied

import baselines
from baselines.estimates import alone_seconds
from baselines.rules import slots
from baselines.selection.ranking import first_available

SYMMETRIC = ["everyone", "fastest-k", "age-of-update", "proportional-fair", "fedcs", "age-and-speed"]


def started(name, env, seed=0):
    env.reset(seed=seed)
    rule = baselines.make(name)
    rule.reset(env, seed)
    return rule


@pytest.mark.parametrize("name", SYMMETRIC)
@pytest.mark.parametrize("seed", range(3))
def test_permuting_the_devices_permutes_the_decision(name, seed):
    env = make_env(num_devices=14, radio={"num_subchannels": 4})
    view = varied(env, seed)
    order = np.random.default_rng(seed).permutation(14)
    picked = started(name, env).pick(view)
    assert picked.any()
    assert np.array_equal(started(name, env).pick(reordered(view, order)), picked[order])


def test_the_first_keys_decide_before_the_later_ones():
    view = observed(make_env(), available=np.array([True, True, False, True, True, True]))
    first, second = np.array([1, 0, 0, 1, 1, 2]), np.array([3, 9, 0, 1, 2, 0])
    assert np.flatnonzero(first_available(view, 3, first, second)).tolist() == [1, 3, 4]
    assert first_available(view, 99, first).tolist() == view.available.tolist()


def test_random_k_takes_as_many_as_there_are_sub_channels_and_everybody_at_some_time():
    env = make_env(num_devices=10, radio={"num_subchannels": 3})
    view = observed(env, available=np.arange(10) != 4)
    rule = started("random-k", env)
    picked = np.array([rule.pick(view) for _ in range(60)])
    assert (picked.sum(1) == slots(view)).all()
    assert picked.any(0).tolist() == view.available.tolist()


def test_fastest_k_are_ready_before_all_others():
    env = make_env(num_devices=10, radio={"num_subchannels": 3})
    view = observed(env, available=np.ones(10, dtype=bool))
    picked = started("fastest-k", env).pick(view)
    seconds = alone_seconds(view)
    assert picked.sum() == 3
    assert seconds[picked].max() < seconds[~picked].min()


def test_age_of_update_asks_the_silent_first_and_the_quick_among_equals():
    env = make_env()
    view = observed(env, age=np.array([5, 0, 9, 5, 5, 1]), available=np.ones(6, dtype=bool))
    quickest = [0, 3, 4][alone_seconds(view)[[0, 3, 4]].argmin()]
    assert np.flatnonzero(started("age-of-update", env).pick(view)).tolist() == sorted([2, quickest])


def test_proportional_fair_compares_a_channel_with_its_own_mean():
    env = make_env(radio={"num_subchannels": 1})
    rule = started("proportional-fair", env)
    first = observed(env, available=np.ones(6, dtype=bool))
    gain = first.gain.mean((1, 2))
    # nobody has a history: the best channel
    assert rule.pick(first).argmax() == gain.argmax()
    # the weakest has twice its gain of before, and is still far behind the best
    weakest = gain.argmin()
    risen = first.gain * np.where(np.arange(6) == weakest, 2.0, 1.0)[:, None, None]
    assert risen.mean((1, 2)).argmax() != weakest
    assert rule.pick(dataclasses.replace(first, gain=risen)).argmax() == weakest


def test_proportional_fair_forgets_the_channels_of_other_episodes():
    env = make_env(radio={"num_subchannels": 1})
    rule = started("proportional-fair", env)
    view = observed(env, available=np.ones(6, dtype=bool))
    alone = rule.pick(view)
    rule.pick(dataclasses.replace(view, gain=view.gain[::-1] * 3.0))
    rule.reset(env, 0)
    assert np.array_equal(rule.pick(view), alone)
