"""What all solvers of the allocation have in common: valid, defined, symmetric and honest about their objective."""

from dataclasses import replace

import numpy as np
import pytest
from allocation_problems import best_of_all, make_problem

from baselines.allocation.alternating import alternating_sca
from baselines.allocation.annealing import anneal
from baselines.allocation.problem import AllocationProblem
from baselines.allocation.qubo import by_qubo
from baselines.allocation.relaxed import relaxed_sca
from baselines.allocation.solvers import NEEDS_IDLE, SOLVERS
from qfl_envs.errors import InvalidValueError
from qfl_envs.system.network.radio import w_to_dbm

RANDOM = {"one-hot-annealing", "sca-random"}
WITH_IDLE = [(name, may_idle) for name in SOLVERS for may_idle in (True, False) if may_idle or name not in NEEDS_IDLE]


QUICK = {
    "one-hot-annealing": lambda problem, rng: by_qubo(problem, lambda qubo: anneal(qubo, rng, sweeps=20)),
    "sca-alternating": lambda problem, rng: alternating_sca(problem, "marginal", alternations=12),
    "sca-matching": lambda problem, rng: alternating_sca(problem, "matching", alternations=12),
    "sca-relaxed": lambda problem, rng: relaxed_sca(problem, iterations=6, tolerance=0.0),
}
"""The same with fewer iterations."""


def solve(name, problem):
    return {**SOLVERS, **QUICK}[name](problem, np.random.default_rng(0))


def assert_valid(problem, allocation):
    assert allocation.participate.dtype == bool
    assert not (allocation.participate & ~problem.available).any()
    assert problem.may_idle or (allocation.participate == problem.available).all()
    assert ((allocation.subchannel >= 0) & (allocation.subchannel < problem.num_subchannels)).all()
    power_w = allocation.power_w[allocation.participate]
    assert (power_w >= problem.min_power_w * (1 - 1e-9)).all()
    assert (power_w <= problem.max_power_w * (1 + 1e-9)).all()


@pytest.mark.parametrize(("name", "may_idle"), WITH_IDLE)
@pytest.mark.parametrize("cells", [1, 3])
def test_answers_are_valid_and_the_last_objective_is_theirs(name, may_idle, cells):
    problem = make_problem(devices=7, cells=cells, subchannels=3, may_idle=may_idle)
    problem.available[:, 2] = False
    solution = solve(name, problem)
    assert_valid(problem, solution.allocation)
    assert solution.objective_bps.shape == (3, len(solution.iteration_s) + 1)
    np.testing.assert_allclose(solution.objective_bps[:, -1], problem.sum_rate_bps(solution.allocation), rtol=1e-12)
    assert (solution.iteration_s > 0).all()


@pytest.mark.parametrize(("name", "may_idle"), WITH_IDLE)
@pytest.mark.parametrize("case", ["nobody", "zero gain", "more sub-channels than devices", "one device"])
def test_odd_instances_have_a_defined_answer(name, may_idle, case):
    sizes = {"more sub-channels than devices": (2, 4), "one device": (1, 1)}.get(case, (4, 2))
    problem = make_problem(devices=sizes[0], subchannels=sizes[1], may_idle=may_idle)
    if case == "nobody":
        problem.available[:] = False
    if case == "zero gain":
        problem = replace(problem, gain=np.zeros_like(problem.gain))
    solution = solve(name, problem)
    assert np.isfinite(solution.objective_bps).all()
    assert_valid(problem, solution.allocation)
    if case in ("nobody", "zero gain"):
        assert (solution.objective_bps == 0).all()
    elif name not in {"sca-relaxed", "icm", "one-hot-annealing", "sca-alternating", "sca-random"}:
        alone = np.sort(problem.alone_rate_bps(), axis=-1)[..., -1].max(-1)
        assert (solution.objective_bps[:, -1] >= 0.999 * alone).all()


@pytest.mark.parametrize("name", [name for name in SOLVERS if name not in RANDOM])
@pytest.mark.parametrize("cells", [1, 3])
def test_permuted_devices_get_permuted_answers(name, cells):
    problem = make_problem(devices=7, cells=cells, subchannels=3)
    order = np.random.default_rng(1).permutation(7)
    permuted = replace(
        problem,
        gain=problem.gain[:, order],
        serving=problem.serving[:, order],
        available=problem.available[:, order],
    )
    one, other = solve(name, problem).allocation, solve(name, permuted).allocation
    assert (one.participate[:, order] == other.participate).all()
    assert (one.subchannel[:, order] == other.subchannel)[other.participate].all()
    np.testing.assert_allclose(one.power_w[:, order], other.power_w, rtol=1e-6)


@pytest.mark.parametrize(("name", "may_idle"), WITH_IDLE)
def test_scaling_gains_and_noise_together_changes_nothing(name, may_idle):
    problem = make_problem(devices=7, cells=2, subchannels=3, may_idle=may_idle)
    louder = replace(problem.radio, noise_figure_db=20.0)
    scaled = replace(problem, gain=100 * problem.gain, radio=louder)
    one, other = solve(name, problem), solve(name, scaled)
    assert (one.allocation.participate == other.allocation.participate).all()
    np.testing.assert_allclose(one.objective_bps, other.objective_bps, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in SOLVERS if name not in RANDOM])
def test_a_batch_is_solved_as_its_instances_are(name):
    problem = make_problem(devices=6, cells=2, subchannels=2)
    together = solve(name, problem).objective_bps[:, -1]
    alone = [
        solve(
            name,
            replace(problem, gain=problem.gain[[b]], serving=problem.serving[[b]], available=problem.available[[b]]),
        ).objective_bps[0, -1]
        for b in range(3)
    ]
    # iterations end when the last instance of a batch has settled
    np.testing.assert_allclose(together, alone, rtol=1e-3)


@pytest.mark.parametrize("name", [name for name in SOLVERS if name != "hungarian"])
def test_solvers_made_for_interference_refuse_turns(name):
    with pytest.raises(InvalidValueError, match="'interference' for the solver"):
        solve(name, make_problem(access="time_share"))


def test_a_schedule_needs_devices_that_may_idle():
    with pytest.raises(InvalidValueError, match="may_idle is False; allowed: True"):
        solve("fp-matching", make_problem(may_idle=False))


@pytest.mark.parametrize("name", ["greedy", "best-response", "icm", "one-hot-annealing", "fp-matching"])
def test_joint_solvers_are_near_the_best_of_all_allocations_of_two_cells(name):
    problem = make_problem(instances=6, devices=5, cells=2, subchannels=2)
    ratio = solve(name, problem).objective_bps[:, -1] / best_of_all(problem)
    assert (ratio <= 1 + 1e-9).all()
    assert ratio.mean() > 0.93


def test_problems_whose_arrays_do_not_go_together_are_refused():
    problem = make_problem()
    with pytest.raises(InvalidValueError, match="serving is"):
        replace(problem, serving=problem.serving[:, :2])
    with pytest.raises(InvalidValueError, match="gain is"):
        replace(problem, gain=-problem.gain)
    with pytest.raises(InvalidValueError, match="allowed: 0 to 0"):
        replace(problem, serving=problem.serving + 1)


def test_who_is_not_available_has_no_rate_whatever_an_allocation_says():
    problem = make_problem(devices=3)
    everyone = solve("sca", problem).allocation
    everyone.participate[:] = True
    problem.available[:, 1] = False
    rate_bps = problem.rate_bps(everyone)
    assert (rate_bps[:, 1] == 0).all()
    assert (rate_bps[:, 0] > 0).all()


def test_a_decision_is_within_the_bounds_of_the_power():
    problem: AllocationProblem = make_problem()
    allocation = solve("sca", problem).allocation
    decision = allocation.decision(problem.radio)
    assert (decision.power_dbm >= problem.radio.min_power_dbm).all()
    assert (decision.power_dbm <= problem.radio.max_power_dbm).all()
    on = allocation.participate
    np.testing.assert_allclose(decision.power_dbm[on], w_to_dbm(allocation.power_w[on]), atol=1e-6)
