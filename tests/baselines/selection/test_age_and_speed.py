import dataclasses
import itertools

import numpy as np
import pytest
from views import make_env, observed, varied

from baselines.estimates import alone_joules, alone_seconds
from baselines.selection.age_and_speed import AgeAndSpeed, most_per_second


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("most", [1, 3, 8])
def test_no_set_has_more_value_per_second(seed, most):
    rng = np.random.default_rng(seed)
    value, seconds = rng.uniform(0.1, 5.0, 7), rng.uniform(0.1, 2.0, 7)
    chosen = most_per_second(value, seconds, most)
    rates = [
        value[list(members)].sum() / seconds[list(members)].max()
        for size in range(1, most + 1)
        for members in itertools.combinations(range(7), size)
    ]
    assert 1 <= chosen.sum() <= most
    assert value[chosen].sum() / seconds[chosen].max() == pytest.approx(max(rates))


def started(env, **settings):
    env.reset(seed=0)
    rule = AgeAndSpeed(**settings)
    rule.reset(env, 0)
    return rule


def test_the_silent_come_back_although_they_are_slow():
    env = make_env(num_devices=8, radio={"num_subchannels": 2}, deadline_s=100.0)
    view = observed(env, available=np.ones(8, dtype=bool), battery_j=np.full(8, 100.0))
    slowest = alone_seconds(view, 1).argmax()
    rule = started(env)
    assert not rule.pick(view)[slowest]
    long_silent = dataclasses.replace(view, age=np.where(np.arange(8) == slowest, 500, 0))
    assert rule.pick(long_silent)[slowest]


def test_the_greater_loss_decides_between_equals():
    env = make_env(num_devices=6, radio={"num_subchannels": 1})
    view = observed(env, available=np.ones(6, dtype=bool), battery_j=np.full(6, 30.0))
    alike = {name: np.full_like(getattr(view, name), getattr(view, name).mean()) for name in ("step_s", "cpu_hz")}
    alike["gain"] = np.full_like(view.gain, 1e-9)
    view = dataclasses.replace(view, **alike, loss=np.array([1.0, 1.0, 1.0, 2.0, 1.0, 1.0]))
    assert np.flatnonzero(started(env).pick(view)).tolist() == [3]


def test_who_would_run_down_its_battery_or_miss_the_deadline_stays_at_home():
    env = make_env(num_devices=8, radio={"num_subchannels": 4}, deadline_s=0.4)
    rule = started(env, occupancy=2.0)
    for seed in range(5):
        view = varied(env, seed)
        needed_j = alone_joules(view, 1)
        battery_j = np.where(np.arange(8) % 2 == 0, 0.9, 1.1) * needed_j
        picked = rule.pick(dataclasses.replace(view, battery_j=battery_j))
        able = view.available & (battery_j > needed_j) & (alone_seconds(view, 1) <= 0.4)
        assert picked.any()
        assert not (picked & ~able).any() or not able.any()


def test_where_nobody_can_be_in_time_the_quickest_goes():
    env = make_env(deadline_s=1e-3)
    view = observed(env, available=np.array([False, True, True, True, True, True]))
    picked = started(env).pick(view)
    assert np.flatnonzero(picked).tolist() == [np.where(view.available, alone_seconds(view, 1), np.inf).argmin()]
    nobody = dataclasses.replace(view, available=np.zeros(6, dtype=bool))
    assert not started(env).pick(nobody).any()


@pytest.mark.parametrize(("occupancy", "most"), [(0.1, 1), (0.8, 3), (2.0, 8)])
def test_participants_are_at_most_a_share_of_the_sub_channels(occupancy, most):
    env = make_env(num_devices=12, radio={"num_subchannels": 4}, deadline_s=100.0)
    view = observed(env, available=np.ones(12, dtype=bool), battery_j=np.full(12, 100.0))
    view = dataclasses.replace(view, step_s=np.full(12, 1.0))
    assert started(env, occupancy=occupancy).pick(view).sum() == most


def test_where_devices_would_disturb_each_other_none_shares_a_sub_channel():
    env = make_env("qfl/Allocation-v0", num_devices=12, radio={"num_subchannels": 4}, deadline_s=100.0)
    view = observed(env, available=np.ones(12, dtype=bool), battery_j=np.full(12, 100.0))
    view = dataclasses.replace(view, step_s=np.full(12, 1.0))
    assert started(env, occupancy=2.0).pick(view).sum() == 4


def test_the_estimated_energy_is_close_to_what_a_device_spends():
    env = make_env(
        radio={"waterfall": 0.0, "link_drop": 0.0}, deadline_s=1e3, fleet={"load_mean": 0.0, "load_std": 0.0}
    )
    view = observed(env, seed=2)
    device = int(np.flatnonzero(view.available)[0])
    *_, info = env.step(np.where(np.arange(6) == device, 2, 0))
    # all of the clock and of the quantum processor is free; the fleet's fastest clock is taken for the device's own
    assert 0.5 * info["energy_j"] < alone_joules(view)[device] <= 1.02 * info["energy_j"]
