"""Searches that move one device at a time: exact bookkeeping, and local optima at the end."""

from dataclasses import replace

import numpy as np
import pytest
from allocation_problems import best_of_all, make_problem

from baselines.allocation.annealing import _exchange_energies, anneal
from baselines.allocation.best_response import best_response
from baselines.allocation.greedy import greedy
from baselines.allocation.icm import OneHotState, icm
from baselines.allocation.moves import Moves
from baselines.allocation.one_hot import OneHotQuadratic, allocation_qubo
from baselines.allocation.problem import Allocation


def some_allocation(problem, seed=0):
    rng = np.random.default_rng(seed)
    shape = problem.serving.shape
    power_w = rng.uniform(problem.min_power_w, problem.max_power_w, shape)
    return Allocation(rng.random(shape) < 0.7, rng.integers(problem.num_subchannels, size=shape), power_w)


@pytest.mark.parametrize("cells", [1, 3])
@pytest.mark.parametrize("cap", [None, 15.0])
def test_a_move_is_worth_what_the_objective_gains(cells, cap):
    problem = make_problem(devices=6, cells=cells, subchannels=3, sinr_cap_db=cap)
    start = some_allocation(problem)
    powers = [problem.min_power_w, problem.max_power_w]
    for device in range(6):
        moves = Moves(problem, start)
        who = np.full(problem.num_instances, device)
        moves.silence(who)
        silent = problem.sum_rate_bps(moves.allocation())
        worth = moves.worth(who, np.tile(powers, (3, 1)))
        for k in range(3):
            on_k = moves.worth_on(np.full(3, k), powers)
            np.testing.assert_allclose(on_k[:, device], worth[:, k], atol=1e-7)
            for level, power_w in enumerate(powers):
                then = moves.allocation()
                then.participate[:, device], then.subchannel[:, device], then.power_w[:, device] = True, k, power_w
                gained = (problem.sum_rate_bps(then) - silent) / problem.radio.subchannel_hz
                np.testing.assert_allclose(worth[:, k, level], gained, atol=1e-7)


def test_recounting_changes_nothing():
    problem = make_problem(devices=6, cells=2, subchannels=2)
    moves = Moves(problem, some_allocation(problem))
    who = np.zeros(3, dtype=int)
    moves.silence(who)
    before = moves.worth(who, np.full((3, 1), 0.1))
    moves.recount()
    np.testing.assert_allclose(moves.worth(who, np.full((3, 1), 0.1)), before, rtol=1e-6)


@pytest.mark.parametrize("cells", [1, 2])
@pytest.mark.parametrize("may_idle", [True, False])
def test_best_response_ends_where_no_device_alone_can_gain(cells, may_idle):
    problem = make_problem(devices=5, cells=cells, subchannels=2, may_idle=may_idle)
    levels_w = (problem.min_power_w, problem.max_power_w)
    found = best_response(problem, levels_w)
    assert (np.diff(found.objective_bps, axis=1) >= -1e-6).all()
    end, value = found.allocation, found.objective_bps[:, -1]
    for device in range(5):
        for k in range(2):
            for on, power_w in [(True, levels_w[0]), (True, levels_w[1])] + [(False, 0.0)] * may_idle:
                other = Allocation(end.participate.copy(), end.subchannel.copy(), end.power_w.copy())
                other.participate[:, device], other.subchannel[:, device], other.power_w[:, device] = on, k, power_w
                assert (problem.sum_rate_bps(other) <= value * (1 + 1e-8)).all()


def test_best_response_from_a_start_never_ends_below_it():
    problem = make_problem(devices=6, cells=2, subchannels=2)
    start = some_allocation(problem)
    found = best_response(problem, [problem.max_power_w], start)
    np.testing.assert_allclose(found.objective_bps[:, 0], problem.sum_rate_bps(start))
    assert (found.objective_bps[:, -1] >= found.objective_bps[:, 0]).all()


def test_greedy_begins_with_the_best_pair_and_lets_in_only_who_adds():
    problem = make_problem(devices=6, subchannels=3)
    found = greedy(problem)
    np.testing.assert_allclose(found.objective_bps[:, 1], problem.alone_rate_bps().max((1, 2)))
    assert (np.diff(found.objective_bps, axis=1) >= 0).all()


def test_greedy_is_exact_for_two_devices_in_two_cells_on_one_subchannel():
    problem = make_problem(instances=8, devices=2, cells=2, subchannels=1)
    # the better of the two alone, and the other where it adds: all that full power allows
    best = best_of_all(problem, (problem.max_power_w,))
    np.testing.assert_allclose(greedy(problem).objective_bps[:, -1], best, rtol=1e-9)


# the quadratic problem


def some_quadratic(devices=4, options=3, seed=0):
    rng = np.random.default_rng(seed)
    pair = rng.uniform(0, 8, (2, devices, devices, options))
    pair = (pair + pair.swapaxes(1, 2)) * (1 - np.eye(devices))[:, :, None]
    return OneHotQuadratic(rng.uniform(-10, 0, (2, devices, options)), pair)


def least_energy(problem):
    devices = problem.linear.shape[1]
    grids = np.meshgrid(*[np.arange(problem.num_options)] * devices, indexing="ij")
    choices = np.stack(grids, axis=-1).reshape(-1, devices)
    return np.stack([problem.energy(np.tile(choice, (2, 1))) for choice in choices]).min(0)


def test_fields_stay_right_through_changes():
    problem = some_quadratic()
    rng = np.random.default_rng(0)
    state = OneHotState(problem, np.zeros((2, 4), dtype=int))
    for _ in range(30):
        state.change(rng.integers(4, size=2), rng.integers(3, size=2))
    np.testing.assert_allclose(state.fields.swapaxes(1, 2), problem.fields(state.choice), atol=1e-9)


def test_an_exchange_costs_what_the_energy_gains():
    problem = some_quadratic()
    choice = np.array([[0, 1, 2, 0], [2, 2, 0, 1]])
    for device in range(4):
        energies = _exchange_energies(OneHotState(problem, choice), device)
        for partner in range(4):
            swapped = choice.copy()
            swapped[:, [device, partner]] = choice[:, [partner, device]]
            gained = problem.energy(swapped) - problem.energy(choice)
            np.testing.assert_allclose(energies[:, partner], gained, atol=1e-9)


def test_iterated_conditional_modes_never_raise_the_energy_and_end_in_a_local_minimum():
    problem = allocation_qubo(make_problem(devices=8, cells=2, subchannels=3))
    choices = list(icm(problem))
    energies = np.stack([problem.energy(choice) for choice in choices])
    assert (np.diff(energies, axis=0) <= 1e-9).all()
    fields = problem.fields(choices[-1])
    here = np.take_along_axis(fields, choices[-1][..., None], axis=2)
    assert (here <= fields + 1e-9).all()


@pytest.mark.parametrize("seed", range(3))
def test_annealing_finds_the_least_energy_of_small_problems(seed):
    problem = some_quadratic(seed=seed)
    *_, choice = anneal(problem, np.random.default_rng(0), sweeps=60)
    np.testing.assert_allclose(problem.energy(choice), least_energy(problem), atol=1e-9)


def test_annealing_is_not_above_iterated_conditional_modes_on_average():
    problem = allocation_qubo(replace(make_problem(instances=6, devices=20, subchannels=5)))
    *_, annealed = anneal(problem, np.random.default_rng(0))
    *_, modes = icm(problem)
    assert problem.energy(annealed).mean() <= problem.energy(modes).mean()
