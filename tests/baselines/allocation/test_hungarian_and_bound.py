"""The Hungarian allocator against brute force, and the bounds against everything."""

from dataclasses import replace

import numpy as np
import pytest
from allocation_problems import best_of_all, every_allocation, make_problem, repeated
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.allocation.bound import best_alone_bps, matched_alone_bps, upper_bound_bps
from baselines.allocation.hungarian import hungarian
from baselines.allocation.on_off import on_off_allocation
from baselines.allocation.problem import Allocation

modest = settings(deadline=None, max_examples=25, derandomize=True)


def one_each(every):
    """Allocations with at most one device per sub-channel."""
    users = [((every.subchannel == k) & every.participate).sum(-1) for k in range(2)]
    return np.max(users, axis=0) <= 1


def on_given(subchannel):
    """Allocations that keep these sub-channels (N)."""
    return lambda every: ((every.subchannel == subchannel) | ~every.participate).all(-1)


@pytest.mark.parametrize("seed", range(3))
def test_the_matching_is_the_best_of_all_with_one_device_per_subchannel(seed):
    problem = make_problem(seed, devices=5)
    best = best_of_all(problem, allowed=one_each)
    np.testing.assert_allclose(matched_alone_bps(problem), best, rtol=1e-9)
    assert (hungarian(problem).objective_bps[:, -1] >= best * (1 - 1e-9)).all()


@pytest.mark.parametrize("may_idle", [True, False])
@pytest.mark.parametrize("snr_db", [(-10.0, 10.0), (0.0, 35.0)], ids=str)
def test_powers_are_the_best_for_the_assignment(may_idle, snr_db):
    problem = make_problem(devices=5, may_idle=may_idle, snr_db=snr_db)
    found = hungarian(problem)
    for b in range(problem.num_instances):
        alone = repeated(problem, b, 1)
        best = best_of_all(alone, allowed=on_given(found.allocation.subchannel[b]))
        assert found.objective_bps[b, -1] == pytest.approx(best[0], rel=1e-9)


def test_on_off_power_is_as_good_as_a_fine_grid():
    problem = make_problem(instances=4, devices=3, subchannels=1, snr_db=(-5.0, 15.0))
    levels_w = np.linspace(0, problem.max_power_w, 41)
    power_w = np.stack(np.meshgrid(*[levels_w] * 3), axis=-1).reshape(-1, 3)
    zeros = np.zeros(power_w.shape, dtype=int)
    on_off = problem.sum_rate_bps(on_off_allocation(problem, np.zeros((4, 3), dtype=int)))
    for b in range(4):
        grid = repeated(problem, b, len(power_w)).sum_rate_bps(Allocation(power_w > 0, zeros, power_w))
        assert on_off[b] == pytest.approx(grid.max(), rel=1e-9)


@pytest.mark.parametrize("snr_db", [(-15.0, 5.0), (0.0, 35.0)], ids=str)
def test_the_gap_to_the_best_of_all_allocations_is_bounded(snr_db):
    problem = make_problem(instances=6, devices=5, snr_db=snr_db)
    found, best = hungarian(problem).objective_bps[:, -1], best_of_all(problem)
    assert (found <= best * (1 + 1e-9)).all()
    assert (best - found <= problem.radio.subchannel_hz * problem.num_subchannels).all()
    assert (best <= upper_bound_bps(problem) * (1 + 1e-9)).all()


def test_at_high_snr_it_is_within_a_thousandth_of_the_bound():
    problem = make_problem(instances=20, devices=8, subchannels=3, snr_db=(20.0, 50.0))
    assert (hungarian(problem).objective_bps[:, -1] >= 0.999 * upper_bound_bps(problem)).all()


@modest
@given(st.integers(0, 10**6), st.sampled_from([1, 2]), st.booleans(), st.sampled_from([None, -3.0, 3.0, 15.0]))
def test_no_allocation_exceeds_the_bound(seed, cells, may_idle, cap):
    problem = make_problem(
        seed, instances=1, devices=4, cells=cells, may_idle=may_idle, snr_db=(-15.0, 25.0), sinr_cap_db=cap
    )
    powers = (problem.min_power_w, 0.3 * problem.max_power_w, problem.max_power_w)
    assert best_of_all(problem, powers)[0] <= upper_bound_bps(problem)[0] * (1 + 1e-9)


@modest
@given(st.integers(0, 10**6), st.floats(1.0, 20.0))
def test_more_bandwidth_never_lowers_a_bound(seed, factor):
    problem = make_problem(seed, devices=5, snr_db=(-15.0, 25.0))
    wide = replace(problem, radio=replace(problem.radio, subchannel_hz=factor * problem.radio.subchannel_hz))
    more = replace(problem, gain=np.concatenate([problem.gain, problem.gain[..., :1]], axis=3))
    for bound in (best_alone_bps, matched_alone_bps, upper_bound_bps):
        assert (bound(wide) >= bound(problem) * (1 - 1e-9)).all()
        assert (bound(more) >= bound(problem) * (1 - 1e-9)).all()


def test_bounds_do_not_count_devices_that_are_not_available():
    problem = make_problem(devices=4)
    without = replace(
        problem, gain=problem.gain[:, :3], serving=problem.serving[:, :3], available=problem.available[:, :3]
    )
    problem.available[:, 3] = False
    for bound in (best_alone_bps, matched_alone_bps, upper_bound_bps):
        np.testing.assert_allclose(bound(problem), bound(without))


@pytest.mark.parametrize("bound", [best_alone_bps, matched_alone_bps, upper_bound_bps])
def test_a_cell_in_which_nobody_is_available_is_worth_nothing(bound):
    problem = make_problem(devices=4)
    problem.available[0] = False
    assert bound(problem)[0] == 0
    assert (bound(problem)[1:] > 0).all()


def test_where_devices_take_turns_the_matching_is_the_best_of_all():
    problem = make_problem(devices=4, access="time_share")
    np.testing.assert_allclose(hungarian(problem).objective_bps[:, -1], best_of_all(problem), rtol=1e-9)


def test_devices_that_must_transmit_have_one_subchannel_sacrificed_to_them():
    problem = make_problem(instances=5, devices=8, subchannels=3, may_idle=False, snr_db=(25.0, 40.0))
    allocation = hungarian(problem).allocation
    users = np.stack([(allocation.subchannel == k).sum(1) for k in range(3)], axis=1)
    assert (np.sort(users, axis=1) == [1, 1, 6]).all()
    assert ((allocation.power_w == problem.max_power_w).sum(1) <= 3).all()


def test_every_allocation_is_really_every_allocation():
    assert len(every_allocation(make_problem(devices=3)).subchannel) == 5**3
