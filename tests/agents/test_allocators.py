import gymnasium as gym
import numpy as np
import pytest
from allocation_instances import problem

import agents
import qfl_envs  # noqa: F401  registers the environments
from agents.qaoa.allocators import OneShot, Online
from agents.qaoa.angles import linear_ramp, transferred
from agents.qaoa.one_shot import _most_certain, draw, one_shot, read_out, recursive, uniform_shots
from agents.qaoa.power import one_each_bps, switched, values_bps
from baselines.allocation.hungarian import hungarian
from baselines.allocation.problem import AllocationProblem
from qfl_envs.errors import InvalidValueError

QAOA = ("qaoa-one-shot", "qaoa-recursive", "qaoa-block", "qaoa-online")
CONTROLS = {
    "qaoa-one-shot": "uniform-shots",
    "qaoa-recursive": "recursive-uniform",
    "qaoa-block": "block-uniform",
}
ALL = (*QAOA, *CONTROLS.values(), "block-exact")
LONELY = {"num_devices": 1, "radio": {"num_subchannels": 1}}
NOBODY = {"radio": {"link_drop": 1.0, "link_recover": 0.0}}
LITERAL = {"allow_idle": False}


def make_env(scenario="tiny", **arguments):
    arguments = {"learning": {"model": "none"}, **arguments}
    return gym.make("qfl/Allocation-v0", scenario=scenario, disable_env_checker=True, **arguments)


def rate_and_cost(name, env, seed):
    observation, _ = env.reset(seed=seed)
    competitor = agents.make(name)
    competitor.reset(env, seed)
    *_, info = env.step(competitor.act(observation))
    return info["sum_rate_bps"], competitor.cost()


@pytest.mark.parametrize("arguments", [{}, LONELY, NOBODY, LITERAL, {"radio": {"num_cells": 2}}])
@pytest.mark.parametrize("name", ALL)
def test_every_allocator_has_a_defined_answer(name, arguments):
    env = make_env(**arguments)
    observation, _ = env.reset(seed=1)
    competitor = agents.make(name)
    competitor.reset(env, 1)
    for _ in range(2):
        action = competitor.act(observation)
        assert env.action_space.contains(action)
        observation, _, _, _, info = env.step(action)
        assert np.isfinite(info["sum_rate_bps"])
    cost = competitor.cost()
    assert np.isfinite([cost.circuit_evaluations, cost.shots, cost.quantum_s]).all()


@pytest.mark.parametrize("name", ALL)
def test_the_same_seed_gives_the_same_answer(name):
    env = make_env()
    assert rate_and_cost(name, env, 3)[0] == rate_and_cost(name, env, 3)[0]


def test_circuits_are_better_than_uniform_shots_at_the_same_budget():
    env = make_env("small", max_rounds=1)
    for name, control in CONTROLS.items():
        found, beside = (np.array([rate_and_cost(one, env, seed)[0] for seed in range(12)]) for one in (name, control))
        assert np.mean(found / beside) > 1.004, name


def test_one_shot_decides_for_two_hundred_devices_nearly_as_well_as_the_hungarian_method():
    # the exact best choice of blocks has 0.967 of it
    env, angles, shares = make_env("paper"), transferred("one-shot", 1, 20), []
    for seed in range(3):
        observation, _ = env.reset(seed=seed)
        instance = AllocationProblem.from_view(env.unwrapped.view(observation), may_idle=True)
        best = values_bps(instance, hungarian(instance).allocation)[0]
        drawn = [
            one_shot(instance, angles, OneShot.budget(instance), np.random.default_rng(seed)),
            uniform_shots(instance, OneShot.budget(instance), np.random.default_rng(seed)),
        ]
        shares.append([values_bps(instance, one)[0] / best for one in drawn])
    circuit, control = np.mean(shares, 0)
    assert circuit > 0.97
    assert control < circuit - 0.03


def test_the_devices_that_shots_show_most_often_are_fixed():
    # each where it should be in six to nine of thirty shots, which no single shot has at once
    instance = problem(30, 10, seed=2)
    best = hungarian(instance).allocation
    on_air, rng = np.flatnonzero(best.participate[0]), np.random.default_rng(0)
    shots = rng.integers(10, size=(30, 30))
    for place, device in enumerate(on_air):
        shots[(np.arange(6 + place % 4) + 3 * place) % 30, device] = best.subchannel[0, device]
    found = values_bps(instance, read_out(instance, shots))[0] / values_bps(instance, best)[0]
    assert found > 0.98
    assert found > 1.03 * values_bps(instance, switched(instance, shots)).max() / values_bps(instance, best)[0]


@pytest.mark.parametrize("may_idle", [True, False])
def test_one_device_at_full_power_on_each_subchannel_is_no_better_than_exact_power(may_idle):
    instance = problem(7, 3, may_idle=may_idle, available=[True] * 6 + [False])
    choice = np.random.default_rng(1).integers(3 + may_idle, size=(50, 7))
    exact, estimated = values_bps(instance, switched(instance, choice)), one_each_bps(instance, choice)
    assert (estimated <= exact * (1 + 1e-9)).all()
    assert np.corrcoef(estimated, exact)[0, 1] > 0.9


def test_recursion_comes_close_to_the_hungarian_method():
    shares = []
    for seed in range(5):
        instance = problem(12, 4, seed=seed)
        best = values_bps(instance, hungarian(instance).allocation)[0]
        allocation, circuits = recursive(instance, linear_ramp(1, 4), 2000, np.random.default_rng(seed), 1)
        shares.append(values_bps(instance, allocation)[0] / best)
        assert 4 <= circuits <= 12
    assert np.mean(shares) > 0.97


def test_costs_are_those_of_the_circuits_that_ran():
    env = make_env("small")
    one = rate_and_cost("qaoa-one-shot", env, 0)[1]
    assert (one.parameters, one.quantum_parameters, one.circuit_evaluations, one.shots) == (2, 2, 1.0, 500.0)
    # small: shots of 0.4 to 8 microseconds, 10 ms of queue
    assert one.quantum_s == pytest.approx(0.01 + 500 * np.sqrt(4e-7 * 8e-6))
    block = rate_and_cost("qaoa-block", env, 0)[1]
    assert block.quantum_parameters == 6
    assert block.shots == 64 * block.circuit_evaluations
    online = rate_and_cost("qaoa-online", env, 0)[1]
    assert block.circuit_evaluations < online.circuit_evaluations <= 13 * block.circuit_evaluations
    for control in (*CONTROLS.values(), "block-exact"):
        cost = rate_and_cost(control, env, 0)[1]
        assert (cost.quantum_parameters, cost.quantum_s) == (0, 0.0)


def test_online_angles_go_on_from_round_to_round_and_begin_anew_with_an_episode():
    env = make_env("small")
    observation, _ = env.reset(seed=0)
    competitor = Online()
    competitor.reset(env, 0)
    ramp = linear_ramp(3, 6)
    seen = []
    for _ in range(2):
        observation, *_ = env.step(competitor.act(observation))
        seen.append(competitor.angles(6).gamma.copy())
    assert not np.allclose(seen[0], ramp.gamma)
    assert not np.allclose(seen[1], seen[0])
    competitor.reset(env, 0)
    assert np.array_equal(competitor.angles(6).gamma, ramp.gamma)


def test_controls_meet_the_same_blocks():
    env = make_env("small")
    seen = {}
    for name in ("qaoa-block", "block-uniform", "block-exact"):
        observation, _ = env.reset(seed=0)
        competitor = agents.make(name)
        competitor.reset(env, 0)
        costs = seen.setdefault(name, [])
        solve = competitor.solve
        competitor.solve = lambda cost, costs=costs, solve=solve: costs.append(cost) or solve(cost)
        competitor.act(observation)
        assert costs[0].shape == (1, 6, 6, 6, 6, 6)
    assert np.array_equal(seen["qaoa-block"][0], seen["block-exact"][0])
    assert np.array_equal(seen["block-uniform"][0], seen["block-exact"][0])


def test_kinds_tell_circuits_from_controls():
    made = [agents.make(name) for name in agents.names()]
    quantum = {one.name for one in made if one.kind == "quantum" and one.supports("qfl/Allocation-v0")}
    assert quantum == set(QAOA)


def test_turns_and_senseless_budgets_are_refused():
    env = make_env(radio={"access": "time_share"})
    observation, _ = env.reset(seed=0)
    competitor = agents.make("qaoa-block")
    competitor.reset(env, 0)
    with pytest.raises(InvalidValueError, match="'interference' for the solver 'qaoa-block'"):
        competitor.act(observation)
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidValueError, match="shots is 0"):
        one_shot(problem(), linear_ramp(1, 3), 0, rng)
    with pytest.raises(InvalidValueError, match="chunk is 0"):
        recursive(problem(), linear_ramp(1, 3), 10, rng, 0)


def test_drawn_options_have_their_probabilities():
    probabilities = np.array([[0.1, 0.6, 0.3], [1.0, 0.0, 0.0]])
    drawn = draw(probabilities, 5000, np.random.default_rng(0))
    for device in range(2):
        share = np.bincount(drawn[:, device], minlength=3) / 5000
        assert np.abs(share - probabilities[device]).max() < 0.02


def test_uniform_shots_use_all_subchannels():
    instance = problem(6, 3)
    value = values_bps(instance, uniform_shots(instance, 500, np.random.default_rng(0)))[0]
    assert value > 0.95 * values_bps(instance, hungarian(instance).allocation)[0]


def test_no_two_devices_of_a_cell_are_fixed_on_one_subchannel_at_once():
    frequency = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    assert _most_certain(frequency, np.zeros(3, dtype=int), 3) == [(0, 0), (2, 1)]
    assert _most_certain(frequency, np.array([0, 1, 1]), 3) == [(0, 0), (1, 0), (2, 1)]
