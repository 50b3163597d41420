"""CS-UCB-Q's formulas on numbers that fit on a sheet of paper, and what follows from them."""

import dataclasses

import numpy as np
from views import make_env, observed

import baselines
from baselines.estimates import alone_seconds
from baselines.selection.bandit import CsUcbQ, next_queue, reward, upper_bound


def test_a_participant_earns_what_it_leaves_of_the_longest_time():
    np.testing.assert_allclose(reward(np.array([0.5, 2.0, 3.0]), 2.0), [0.75, 0.0, 0.0])


def test_the_upper_bound_is_the_mean_and_a_width_that_shrinks_with_plays():
    # sqrt(2 ln 3 / 50) and / 200; cut off at 1; 1 for who never played
    bound = upper_bound(np.array([0.2, 0.2, 0.9, 0.0]), np.array([50, 200, 1, 0]), 3)
    np.testing.assert_allclose(bound, [0.40963, 0.30481, 1.0, 1.0], atol=1e-5)


def test_the_queue_grows_by_what_is_due_and_falls_with_every_play():
    queue = next_queue(np.array([0.0, 2.0, 0.3]), 0.25, np.array([False, True, True]))
    np.testing.assert_allclose(queue, [0.25, 1.25, 0.0])


def play(rule, view, rounds, delivers=None):
    picks, age = [], view.age.copy()
    for _ in range(rounds):
        picked = rule.pick(dataclasses.replace(view, age=age))
        picks.append(picked)
        arrived = picked if delivers is None else picked & delivers
        age = np.where(arrived, 0, age + 1)
    return np.array(picks)


def start():
    env = make_env(num_devices=8, radio={"num_subchannels": 2})
    view = observed(env, available=np.ones(8, dtype=bool))
    rule = baselines.make("cs-ucb-q")
    rule.reset(env, 0)
    return rule, view


def test_without_a_queue_the_bandit_comes_to_prefer_the_quick(monkeypatch):
    monkeypatch.setattr(CsUcbQ, "beta", 0.0)
    rule, view = start()
    later = play(rule, view, 400)[200:].sum(0)
    seconds = alone_seconds(view)
    assert later[seconds.argmin()] > later[seconds.argmax()]


def test_with_the_queue_every_device_gets_its_share():
    rule, view = start()
    share = play(rule, view, 400)[100:].mean(0)
    assert share.min() > 0.9 * rule.fair_share * 2 / 8


def test_who_is_asked_in_vain_earns_nothing(monkeypatch):
    monkeypatch.setattr(CsUcbQ, "beta", 0.0)
    rule, view = start()
    seconds = alone_seconds(view)
    quickest = seconds.argmin()
    silent = play(rule, view, 400, delivers=np.arange(8) != quickest)[200:].sum(0)
    heard = play(start()[0], view, 400)[200:].sum(0)
    assert silent[quickest] < heard[quickest]
