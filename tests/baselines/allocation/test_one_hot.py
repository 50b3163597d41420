"""The quadratic form against the physics."""

import numpy as np
import pytest
from allocation_problems import make_problem

from baselines.allocation.one_hot import OneHotQuadratic, allocation_qubo, decode
from qfl_envs.errors import InvalidValueError


def random_choice(problem, options, seed=0):
    return np.random.default_rng(seed).integers(options, size=problem.serving.shape)


@pytest.mark.parametrize("cells", [1, 3])
@pytest.mark.parametrize("may_idle", [True, False])
@pytest.mark.parametrize("cap", [None, 20.0])
def test_the_energy_is_minus_the_sum_rate_while_two_share_a_subchannel(cells, may_idle, cap):
    problem = make_problem(cells=cells, devices=4, subchannels=3, may_idle=may_idle, sinr_cap_db=cap)
    choice = np.array([[0, 0, 1, 1], [2, 1, 2, 0], [0, 1, 0, 1]])
    qubo = allocation_qubo(problem)
    assert qubo.num_options == 3 + may_idle
    rate = problem.sum_rate_bps(decode(problem, choice)) / problem.radio.subchannel_hz
    np.testing.assert_allclose(-qubo.energy(choice), rate, rtol=1e-9)


def test_the_energy_uses_the_given_powers():
    problem = make_problem(devices=4, subchannels=2)
    power_w = np.random.default_rng(0).uniform(problem.min_power_w, problem.max_power_w, problem.serving.shape)
    choice = np.array([[0, 0, 1, 1], [2, 1, 2, 0], [0, 1, 0, 1]])
    rate = problem.sum_rate_bps(decode(problem, choice, power_w)) / problem.radio.subchannel_hz
    np.testing.assert_allclose(-allocation_qubo(problem, power_w).energy(choice), rate, rtol=1e-9)


def test_three_on_a_subchannel_have_more_energy_than_minus_their_rate():
    problem = make_problem(devices=3, subchannels=1)
    choice = np.zeros(problem.serving.shape, dtype=int)
    rate = problem.sum_rate_bps(decode(problem, choice)) / problem.radio.subchannel_hz
    assert (-allocation_qubo(problem).energy(choice) < rate).all()


def test_idle_and_unavailable_devices_have_no_energy():
    problem = make_problem(devices=4, subchannels=2)
    assert allocation_qubo(problem).energy(np.full((3, 4), 2)) == pytest.approx(0)
    problem.available[:] = False
    assert (allocation_qubo(problem).energy(random_choice(problem, 3)) == 0).all()


def test_a_field_is_what_the_energy_gains_by_a_move():
    problem = make_problem(devices=6, subchannels=3, cells=2)
    qubo, choice = allocation_qubo(problem), random_choice(problem, 4)
    fields = qubo.fields(choice)
    for device in range(6):
        for option in range(4):
            moved = choice.copy()
            moved[:, device] = option
            of_now = np.take_along_axis(fields[:, device], choice[:, device, None], axis=1)[:, 0]
            gained = qubo.energy(moved) - qubo.energy(choice)
            np.testing.assert_allclose(gained, fields[:, device, option] - of_now, atol=1e-9)


def test_arrays_that_do_not_go_together_are_refused():
    with pytest.raises(InvalidValueError, match="pair is"):
        OneHotQuadratic(np.zeros((1, 3, 2)), np.zeros((1, 3, 2, 2)))


def test_devices_that_take_turns_have_no_quadratic_form():
    with pytest.raises(InvalidValueError, match="'interference' for the solver 'QUBO'"):
        allocation_qubo(make_problem(access="time_share"))
