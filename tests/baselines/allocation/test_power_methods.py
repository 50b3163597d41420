"""SCA, WMMSE and FP: monotone, stationary, and in agreement with optimisers and published numbers."""

from dataclasses import replace

import numpy as np
import pytest
from allocation_problems import make_problem
from scipy.optimize import minimize

from baselines.allocation.alternating import alternating_sca
from baselines.allocation.fp import fp, fp_matching, fp_step
from baselines.allocation.links import Links
from baselines.allocation.on_off import on_off_allocation
from baselines.allocation.power_iteration import starting_power
from baselines.allocation.problem import AllocationProblem
from baselines.allocation.relaxed import even_split, relaxed_efficiency, relaxed_step
from baselines.allocation.sca import sca, sca_step
from baselines.allocation.wmmse import wmmse, wmmse_step
from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Radio

STEPS = {"sca": sca_step, "wmmse": wmmse_step, "fp": fp_step}
METHODS = {"sca": sca, "wmmse": wmmse, "fp": fp}


def some_links(cells, may_idle, seed=0, devices=8, instances=4):
    problem = make_problem(seed, instances, devices, cells, subchannels=2, may_idle=may_idle)
    return Links.of(problem, np.random.default_rng(seed).integers(2, size=problem.serving.shape))


def test_links_receive_what_the_physics_say():
    links = some_links(cells=3, may_idle=True)
    power_w = starting_power(links, "random", np.random.default_rng(0))
    rate = links.problem.rate_bps(links.allocation(power_w)) / links.problem.radio.subchannel_hz
    np.testing.assert_allclose(links.efficiency(power_w), rate, rtol=1e-9)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("cells", [1, 3])
@pytest.mark.parametrize("may_idle", [True, False])
@pytest.mark.parametrize("start", ["maximum", "random"])
def test_no_iteration_lowers_the_sum_rate(name, cells, may_idle, start):
    links = some_links(cells, may_idle)
    power_w = starting_power(links, start, np.random.default_rng(3))
    value = links.efficiency(power_w).sum(-1)
    for _ in range(60):
        power_w = STEPS[name](links, power_w)
        assert (power_w >= links.low_w * (1 - 1e-12)).all()
        assert (power_w <= links.high_w * (1 + 1e-12)).all()
        before, value = value, links.efficiency(power_w).sum(-1)
        assert (value >= before - 1e-9).all()


def slopes(links, power_w):
    """d sum-rate / d share of the most power by central differences, (B, N)."""
    step = 1e-5 * links.problem.max_power_w
    found = np.empty_like(power_w)
    for device in range(power_w.shape[1]):
        up, down = power_w.copy(), power_w.copy()
        up[:, device] += step
        down[:, device] = np.maximum(down[:, device] - step, 0)
        change = links.efficiency(up).sum(-1) - links.efficiency(down).sum(-1)
        found[:, device] = change / (up - down)[:, device] * links.problem.max_power_w
    return found


def assert_stationary(links, power_w):
    """No small change of a power within its bounds gains; returns which powers are between them."""
    slope = slopes(links, power_w)
    margin = 1e-4 * links.problem.max_power_w
    at_low, at_high = power_w <= links.low_w + margin, power_w >= links.high_w - margin
    assert (slope[at_high] >= -1e-3).all()
    assert (slope[at_low] <= 1e-3).all()
    between = ~at_low & ~at_high
    assert np.abs(slope[between]).max(initial=0.0) < 1e-3
    return between


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("cells", [1, 3])
def test_it_ends_where_no_small_change_of_a_power_gains(name, cells):
    links = some_links(cells, may_idle=False)
    power_w = starting_power(links, "maximum", None)
    for _ in range(300):
        power_w = STEPS[name](links, power_w)
    assert_stationary(links, power_w)


@pytest.mark.parametrize("name", STEPS)
def test_it_ends_there_with_powers_between_the_bounds_too(name):
    problem = interference_channel(users=5, instances=12)
    # links much stronger than interference, on which some best powers are no bounds
    each = np.arange(5)
    problem.gain[:, each, each] *= 30
    links = Links.of(problem, np.zeros_like(problem.serving))
    power_w = starting_power(links, "maximum", None)
    for _ in range(300):
        power_w = STEPS[name](links, power_w)
    assert assert_stationary(links, power_w).any()


@pytest.mark.parametrize("may_idle", [True, False])
def test_the_closed_form_maximises_the_approximation(may_idle):
    links = some_links(cells=1, may_idle=may_idle, devices=5, instances=3)
    at = starting_power(links, "random", np.random.default_rng(5))
    found = sca_step(links, at)
    for b in range(3):
        own, slot = links.own[b], links.own_slot[b]
        same = slot[:, None] == slot

        def totals(power_w, own=own, same=same):
            return 1 + same @ (own * power_w)

        others_at = totals(at[b]) - own * at[b]

        def minus_surrogate(share, own=own, same=same, others_at=others_at, at=at[b], totals=totals):
            power_w = share * links.problem.max_power_w
            others = totals(power_w) - own * power_w
            return -(np.log(totals(power_w)) - np.log(others_at) - (others - others_at) / others_at).sum()

        bounds = np.stack([links.low_w[b], links.high_w[b]], axis=1) / links.problem.max_power_w
        best = min(
            minimize(minus_surrogate, share, bounds=bounds, options={"ftol": 1e-14, "gtol": 1e-10}).fun
            for share in (bounds.mean(1), bounds[:, 1], found[b] / links.problem.max_power_w)
        )
        assert minus_surrogate(found[b] / links.problem.max_power_w) <= best + 1e-7


@pytest.mark.parametrize("name", METHODS)
def test_in_one_cell_it_does_not_exceed_exact_power_and_often_equals_it(name):
    problem = make_problem(instances=20, devices=6, subchannels=2)
    subchannel = np.random.default_rng(0).integers(2, size=problem.serving.shape)
    exact = problem.sum_rate_bps(on_off_allocation(problem, subchannel))
    share = METHODS[name](problem, subchannel).objective_bps[:, -1] / exact
    assert (share <= 1 + 1e-9).all()
    assert (share > 0.999).mean() >= 0.6


@pytest.mark.parametrize("name", METHODS)
def test_a_start_is_the_one_that_is_named(name):
    links = some_links(cells=1, may_idle=True)
    problem, subchannel = links.problem, links.subchannel
    full = problem.sum_rate_bps(links.allocation(links.high_w))
    np.testing.assert_allclose(METHODS[name](problem, subchannel).objective_bps[:, 0], full)
    first, second = (
        METHODS[name](problem, subchannel, "random", np.random.default_rng(seed)).objective_bps[:, 0] for seed in (0, 1)
    )
    assert (first != second).all()
    with pytest.raises(InvalidValueError, match="'random' with a generator"):
        METHODS[name](problem, subchannel, "random")


# the symmetric interference channel


def interference_channel(users, instances):
    """K links of power 1 over Rayleigh channels of mean gain 1 and noise 1, of the stream of the published test set."""
    # the legacy generator and its seed, which the authors' test set is drawn from
    stream = np.random.RandomState(7)  # noqa: NPY002
    gain = np.stack(
        [np.abs(stream.randn(users, users) + 1j * stream.randn(users, users)) ** 2 / 2 for _ in range(instances)]
    )
    limits = Radio(num_cells=users, num_subchannels=1, subchannel_hz=1.0, min_power_dbm=-60.0, max_power_dbm=30.0)
    # rows are receivers
    gain = gain.swapaxes(1, 2)[..., None] * limits.noise_w
    serving = np.tile(np.arange(users), (instances, 1))
    return AllocationProblem(gain, serving, np.ones(serving.shape, dtype=bool), limits)


@pytest.mark.parametrize(("users", "published"), [(10, 2.82), (20, 3.65), (30, 4.15)])
def test_wmmse_agrees_with_published_averages(users, published):
    """Sun et al. 2018, "Learning to optimize", IEEE TSP 66(20), Table I: mean sum-rate in bit/s/Hz of WMMSE."""
    problem = interference_channel(users, instances=200)
    rates = wmmse(problem, np.zeros_like(problem.serving), tolerance=1e-4).objective_bps[:, -1]
    standard_error = rates.std() / np.sqrt(len(rates))
    assert abs(rates.mean() - published) < 3 * standard_error
    assert standard_error < 0.06


def test_fp_and_wmmse_end_at_the_same_average_and_sca_near_it():
    problem = interference_channel(10, instances=100)
    means = [method(problem, np.zeros_like(problem.serving)).objective_bps[:, -1].mean() for method in METHODS.values()]
    np.testing.assert_allclose(means, means[1], rtol=0.03)


# joint methods


@pytest.mark.parametrize("cells", [1, 3])
def test_alternations_by_marginal_rate_never_lower_the_sum_rate(cells):
    problem = make_problem(devices=8, cells=cells, subchannels=3)
    for start in ("maximum", "random"):
        found = alternating_sca(problem, "marginal", start, np.random.default_rng(0), alternations=15)
        steps = np.diff(found.objective_bps[:, :-1], axis=1)
        assert (steps >= -1e-6).all()
        assert found.objective_bps.shape[1] == 15 + 2


def test_alternations_end_where_no_device_gains_on_another_subchannel():
    problem = make_problem(instances=4, devices=6, cells=2, subchannels=3)
    found = alternating_sca(problem, "marginal", alternations=60)
    end, value = found.allocation, found.objective_bps[:, -1]
    for device in range(6):
        for k in range(3):
            subchannel = end.subchannel.copy()
            subchannel[:, device] = k
            moved = problem.sum_rate_bps(replace(end, subchannel=subchannel))
            assert (moved <= value * (1 + 1e-6)).all()


def test_alternations_end_early_where_asked_to():
    problem = make_problem(devices=6)
    assert alternating_sca(problem, "marginal", tolerance=1e-9).objective_bps.shape[1] < 150


@pytest.mark.parametrize("cells", [1, 3])
def test_fp_with_matching_never_lowers_the_sum_rate_and_has_one_device_per_slot(cells):
    problem = make_problem(devices=9, cells=cells, subchannels=2)
    found = fp_matching(problem)
    assert (np.diff(found.objective_bps[:, :-1], axis=1) >= -1e-6).all()
    slot = problem.serving * 2 + found.allocation.subchannel
    for b in range(problem.num_instances):
        used = slot[b, found.allocation.participate[b]]
        assert len(set(used.tolist())) == len(used)


def test_no_schedule_on_the_way_is_worse_than_the_one_before():
    # moderate SNRs, at which a device that harms other cells is often worth less than a weaker one
    problem = make_problem(2, instances=100, devices=9, cells=3, subchannels=2, snr_db=(0.0, 15.0))
    objective_bps = fp_matching(problem, iterations=30).objective_bps[:, :-1]
    assert (np.diff(objective_bps, axis=1) >= -1e-9 * objective_bps[:, :1]).all()


@pytest.mark.parametrize("cells", [1, 3])
@pytest.mark.parametrize("may_idle", [True, False])
def test_the_relaxed_sum_rate_never_falls_and_the_budget_is_kept(cells, may_idle):
    problem = make_problem(devices=8, cells=cells, subchannels=3, may_idle=may_idle)
    power_w = even_split(problem)
    value = relaxed_efficiency(problem, power_w)
    for _ in range(15):
        power_w = relaxed_step(problem, power_w, inner=3)
        before, value = value, relaxed_efficiency(problem, power_w)
        assert (value >= before - 1e-9).all()
        spent = power_w.sum(-1) / problem.max_power_w
        assert (spent <= 1 + 1e-9).all()
        assert may_idle or np.allclose(spent, 1)
