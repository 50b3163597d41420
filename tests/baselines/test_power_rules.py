"""Rules of qfl/Power-v0, and the convex program against searches that know nothing of convexity."""

import copy
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from scipy.optimize import approx_fprime, differential_evolution

import baselines
import qfl_envs  # noqa: F401  (registers the environments)
from baselines.convex import LEAST_CLOCK, MARGIN, _Program, round_of, solve
from baselines.estimates import needed_band_share, useful_power_dbm
from qfl_envs.system.decision import Decision
from qfl_envs.system.network.radio import dbm_to_w

POWER = "qfl/Power-v0"
RULES = [name for name in baselines.names() if baselines.make(name).supports(POWER)]
ALWAYS_LINKED = {"link_drop": 0.0, "link_recover": 1.0}


def make_env(**arguments):
    arguments = {"scenario": "tiny", "learning": {"model": "none"}, **arguments}
    return gym.make(POWER, disable_env_checker=True, **arguments)


def begin(num_scheduled, seed=0, **arguments):
    """An environment in which everybody is linked, and what it shows."""
    env = make_env(num_scheduled=num_scheduled, radio=ALWAYS_LINKED | arguments.pop("radio", {}), **arguments)
    return env, env.unwrapped.view(env.reset(seed=seed)[0])


def work_of(env, view, price_loss=0.0):
    return replace(round_of(view, env.unwrapped.task.weights), price_loss=price_loss)


def report_of(env, decision):
    """What the round would report, without playing it."""
    task, system = env.unwrapped.task, copy.deepcopy(env.unwrapped.system)
    return system.step(task.decide(system, task.encode(decision)))


def costs(work, power_w, clock_hz, share, losses=lambda ratio: ratio):
    """Cost of E rounds with powers, clocks and shares (E, M), worked out from what they are.

    What is more than 0.1 % too late, or takes as much more than there is, costs ten times the excess.
    """
    snr = power_w / (work.noise_to_gain_w * share)
    snr = np.minimum(snr, 2 ** work.bits_per_hz[1] - 1)
    upload_s = work.payload_bits / (work.band_hz * share * np.log2(1 + snr))
    ready_s = work.fixed_s + work.cycles / clock_hz + upload_s
    energy_j = work.capacitance * work.cycles * clock_hz**2 + (power_w + work.circuit_w) * upload_s
    cost = work.price_s * ready_s.max(-1) + work.price_j * (energy_j + work.fixed_j).sum(-1)
    cost += work.price_loss * losses(work.waterfall / snr).sum(-1)
    excess = np.maximum(ready_s / (MARGIN * work.deadline_s) - 1.001, 0.0)
    excess += np.maximum((energy_j + work.fixed_j) / (MARGIN * work.battery_j) - 1.001, 0.0)
    return cost + 10 * excess.sum(-1)


def searched(work, losses=lambda ratio: ratio):
    """Least cost that differential evolution finds over powers in dB, clocks and shares."""
    count = len(work.cycles)

    def of_points(points):
        power, clock, claim = np.split(points.T, [count, 2 * count], axis=1)
        share = np.exp(claim) / (np.exp(claim).sum(-1, keepdims=True) if count > 1 else np.exp(claim))
        return costs(work, 10**power, clock * work.free_hz, share, losses)

    bounds = [tuple(np.log10(work.power_w))] * count + [(LEAST_CLOCK, 1.0)] * count + [(-3.0, 3.0)] * count
    return differential_evolution(
        of_points, bounds, vectorized=True, updating="deferred", rng=0, popsize=20, maxiter=250, tol=1e-6, polish=False
    ).fun


@pytest.mark.parametrize("price_loss", [0.0, 0.02])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_no_search_finds_a_cheaper_round_than_the_convex_program(count, seed, price_loss):
    env, view = begin(count, seed)
    work = work_of(env, view, price_loss)
    plan = solve(work)
    planned = costs(work, plan.power_w[None], plan.clock_hz[None], plan.share[None])[0]
    found = searched(work)
    assert found >= planned * (1 - 1e-3)
    assert found <= planned * (1 + 1e-2)


def test_charging_m_over_sinr_for_a_loss_costs_little_beside_charging_its_probability():
    env, view = begin(2, seed=1)
    work = work_of(env, view, price_loss=0.02)
    plan = solve(work)

    def probability(ratio):
        return 1 - np.exp(-ratio)

    planned = costs(work, plan.power_w[None], plan.clock_hz[None], plan.share[None], probability)[0]
    assert searched(work, probability) >= planned * (1 - 5e-3)


@pytest.mark.parametrize("seed", range(3))
def test_the_slopes_of_the_program_are_those_of_its_cost_and_slack(seed):
    env, view = begin(4, seed)
    program = _Program(work_of(env, view, price_loss=0.02))
    point = np.clip(program.begin, program.low, program.high) + np.random.default_rng(seed).uniform(0, 0.1, 13)
    slope = program.cost(point)[1]
    np.testing.assert_allclose(slope, approx_fprime(point, lambda at: program.cost(at)[0], 1e-7), rtol=1e-3, atol=1e-6)
    for number, slopes in enumerate(program.slack_slopes(point)):
        by_hand = approx_fprime(point, lambda at, number=number: program.slack(at)[number], 1e-7)
        np.testing.assert_allclose(slopes, by_hand, rtol=1e-3, atol=1e-5)


def test_the_plan_is_what_the_system_does():
    env, view = begin(4, seed=1)
    work = work_of(env, view, price_loss=0.01)
    plan = solve(work)
    report = report_of(
        env,
        Decision(
            np.ones((1, 4), dtype=bool),
            power_dbm=10 * np.log10(plan.power_w[None]) + 30,
            cpu_share=plan.clock_hz[None] / view.cpu_hz,
            band_share=plan.share[None],
        ),
    )
    assert report.round_s[0] == pytest.approx(plan.round_s, rel=1e-3)
    # the energy of circuits is bounded from above
    energy_j = (plan.cost - work.price_s * plan.round_s) / work.price_j
    assert 0.8 * energy_j < report.energy_j[0] <= energy_j * 1.001


def test_a_higher_price_of_losses_makes_updates_safer():
    env, view = begin(4)
    arrives = [solve(work_of(env, view, price)).arrives.min() for price in (0.0, 0.01, 0.1)]
    assert arrives[0] < arrives[1] < arrives[2]


def test_a_nearly_empty_battery_is_not_overdrawn():
    env, view = begin(2)
    work = work_of(env, view)
    rich = solve(work)
    processor_j = work.capacitance * work.cycles * rich.clock_hz**2
    poor = replace(work, battery_j=np.array([work.battery_j[0], work.fixed_j[1] + 0.7 * processor_j[1]]))
    plan = solve(poor)
    assert plan.clock_hz[1] < rich.clock_hz[1]
    charged = costs(poor, plan.power_w[None], plan.clock_hz[None], plan.share[None])
    assert charged[0] == pytest.approx(plan.cost, rel=1e-4)
    assert solve(replace(work, battery_j=work.fixed_j)) is None


@pytest.mark.parametrize("name", ["convex", "proportional"])
def test_a_device_out_of_reach_is_left_out_and_the_others_are_not(name):
    env = make_env(num_scheduled=4, radio=ALWAYS_LINKED)
    observation, _ = env.reset(seed=0)
    observation["gain"][1] = -1.0
    competitor = baselines.make(name)
    competitor.reset(env, 0)
    decision = competitor.decide(env.unwrapped.view(observation))
    assert decision.participate[0].tolist() == [True, False, True, True]
    assert env.action_space.contains(competitor.act(observation))


@pytest.mark.parametrize("name", RULES)
def test_no_devices_in_turn_make_an_empty_round(name):
    env = make_env(radio={"link_drop": 1.0, "link_recover": 0.0})
    observation, _ = env.reset(seed=0)
    env.unwrapped.system.state.link_up[:] = False
    observation, *_ = env.step(np.full(env.action_space.shape, -1.0, dtype=np.float32))
    competitor = baselines.make(name)
    competitor.reset(env, 0)
    *_, info = env.step(competitor.act(observation))
    assert not info["participation"].any()


@pytest.mark.parametrize("name", RULES)
def test_every_rule_plays_several_cells_without_repair(name):
    env = make_env(num_devices=8, num_scheduled=5, radio={"num_cells": 3})
    observation, _ = env.reset(seed=2)
    competitor = baselines.make(name)
    competitor.reset(env, 2)
    took_part = 0
    for _ in range(4):
        action = competitor.act(observation)
        assert env.action_space.contains(action)
        observation, *_, info = env.step(action)
        assert not info["repaired"].any()
        took_part += info["participation"].sum()
    assert took_part > 0


def test_convex_is_never_late_and_never_empties_a_battery():
    env = make_env(scenario="small", fleet={"battery_j": [1.0, 10.0]})
    late = {}
    for name in ("full-power", "convex"):
        observation, _ = env.reset(seed=0)
        competitor = baselines.make(name)
        competitor.reset(env, 0)
        late[name] = 0
        for _ in range(16):
            observation, *_, info = env.step(competitor.act(observation))
            late[name] += int((info["late"] | info["depleted"]).sum())
    assert late["full-power"] > 0
    assert late["convex"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_proportional_shares_let_all_finish_together_and_split_the_whole_band(seed):
    env, view = begin(4, seed, radio={"waterfall": 0.0})
    competitor = baselines.make("proportional")
    competitor.reset(env, 0)
    decision = competitor.decide(view)
    assert decision.band_share.sum() == pytest.approx(1.0, abs=1e-6)
    report = report_of(env, decision)
    devices = view.device[decision.participate[0]]
    finish_s = (report.compute_s + report.protect_s + report.upload_s)[0, devices]
    # the model on its way down takes microseconds
    np.testing.assert_allclose(finish_s, finish_s.max(), rtol=1e-3)


def test_the_needed_share_is_the_one_that_uploads_in_that_time():
    env, view = begin(4, radio={"sinr_cap_db": None}, deadline_s=10.0)
    upload_s = np.full(4, 0.6)
    share = needed_band_share(view, upload_s)
    decision = Decision(np.ones((1, 4), dtype=bool), band_share=share[None])
    assert share.sum() < 1
    report = env.unwrapped.system.step(of_fleet(env, view, decision))
    np.testing.assert_allclose(report.upload_s[0, view.device], upload_s, rtol=1e-4)
    assert np.isinf(needed_band_share(view, np.zeros(4))).all()


def test_useful_power_reaches_the_cap_and_one_decibel_less_does_not():
    env, view = begin(4, radio={"sinr_cap_db": 10.0})
    share = np.full(4, 0.25)
    useful, rates = useful_power_dbm(view, share), []
    assert (useful < view.max_power_dbm).all()
    for power_dbm in (useful - 1, useful + 1e-3, useful + 3):
        decision = Decision(np.ones((1, 4), dtype=bool), power_dbm=power_dbm[None], band_share=share[None])
        rates.append(copy.deepcopy(env.unwrapped.system).step(of_fleet(env, view, decision)).rates_bps[0, view.device])
    assert (rates[0] < rates[1] * 0.99).all()
    np.testing.assert_allclose(rates[1], rates[2], rtol=1e-6)


def test_half_power_is_the_middle_of_both_ranges():
    env, view = begin(2)
    competitor = baselines.make("half-power")
    competitor.reset(env, 0)
    decision = competitor.decide(view)
    power_w = dbm_to_w((view.min_power_dbm + view.max_power_dbm) / 2)
    np.testing.assert_allclose(dbm_to_w(decision.power_dbm), power_w)
    assert (decision.cpu_share == 0.5).all()


def of_fleet(env, view, decision):
    """A decision for the slots as one for all devices, without an action between them, which has a least share."""

    def spread(value, others):
        of_all = np.full((1, env.unwrapped.scenario.num_devices), others, dtype=value.dtype)
        of_all[:, view.device] = value
        return of_all

    power_dbm = decision.power_dbm if decision.power_dbm is not None else np.full((1, len(view.device)), 30.0)
    return Decision(
        spread(decision.participate, False),
        power_dbm=spread(power_dbm, view.max_power_dbm),
        band_share=spread(decision.band_share, 0.0),
    )
