import numpy as np
from views import make_env, varied

import baselines
from baselines.estimates import round_seconds
from baselines.selection.fedcs import FedCS, most_within

# the article's case of uploads one after the other: a device has computed after UPDATE, and then uploads for UPLOAD
UPDATE, UPLOAD = np.array([1.0, 6.0, 2.0, 9.0]), np.array([4.0, 1.0, 2.0, 1.0])


def one_after_the_other(sets):
    """Duration of rounds in which devices upload in the order of their updates."""
    seconds = np.zeros(len(sets))
    for device in np.argsort(UPDATE):
        after = np.maximum(seconds, UPDATE[device]) + UPLOAD[device]
        seconds = np.where(sets[:, device], after, seconds)
    return seconds


def test_the_device_that_lengthens_the_round_the_least_is_asked_first():
    # alone the devices take 5, 7, 4 and 10; after 2 (4 s), the first would end at 7 and the second too, so the first
    # asked; then the second ends at 8 and the last at 10
    asked = []

    def seconds_of(sets):
        asked.append(sets.sum(1)[0])
        return one_after_the_other(sets)

    assert most_within(seconds_of, np.arange(4), 4, 8.0).tolist() == [True, True, True, False]
    assert most_within(seconds_of, np.arange(4), 4, 7.5).tolist() == [True, False, True, False]
    assert most_within(seconds_of, np.arange(4), 4, 3.9).tolist() == [False] * 4
    assert asked[0] == 1


def test_only_candidates_are_asked():
    chosen = most_within(one_after_the_other, np.array([3, 1]), 4, 100.0)
    assert chosen.tolist() == [False, True, False, True]


def test_fedcs_meets_the_deadline_and_could_take_nobody_more():
    env = make_env(num_devices=12, deadline_s=0.4)
    for seed in range(5):
        view = varied(env, seed)
        rule = baselines.make("fedcs")
        rule.reset(env, 0)
        chosen = rule.pick(view)
        others = np.flatnonzero(view.available & ~chosen)
        assert not (chosen & ~view.available).any()
        assert round_seconds(view, chosen) <= 0.4
        assert all(round_seconds(view, chosen | (np.arange(12) == other)) > 0.4 for other in others)


def test_fedcs_asks_at_most_as_many_devices_as_in_its_article(monkeypatch):
    monkeypatch.setattr(FedCS, "asked", 3)
    env = make_env(num_devices=12, deadline_s=100.0)
    view = varied(env, 0)
    rule = baselines.make("fedcs")
    rule.reset(env, 0)
    assert rule.pick(view).sum() == 3


def test_many_rounds_are_estimated_as_one_by_one():
    env = make_env(num_devices=8, radio={"num_subchannels": 3})
    view = varied(env, 1)
    sets = np.random.default_rng(0).random((2, 3, 8)) < 0.5
    together = round_seconds(view, sets)
    np.testing.assert_allclose(together, [[round_seconds(view, one) for one in row] for row in sets], rtol=1e-12)
    assert round_seconds(view, np.zeros(8, dtype=bool)) == 0.0
