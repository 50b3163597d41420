"""What is particular to qfl/Power-v0: whose turn it is, and what power, clock and share of the band mean."""

import copy

import numpy as np
import pytest
from gymnasium import spaces
from playing import make, random_actions, same

from qfl_envs.envs.power import IDLE_SHARE, LEAST_CLOCK, LEAST_WEIGHT
from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.network.radio import dbm_to_w

NUM_DEVICES = 6
IDLE_AT = 2 * IDLE_SHARE - 1
"""Up to here the entry of a share idles."""
ALWAYS_LINKED = {"link_drop": 0.0, "link_recover": 1.0}
# nothing but the clock and what is radiated takes energy
CLOCK_ALONE = {
    "fleet": {
        "quantum_w": 0.0,
        "transmit_circuit_w": 0.0,
        "shot_s": [0.0, 0.0],
        "queue_s": 0.0,
        "battery_j": [1e6, 1e6],
    },
    "security": {"protection_cycles": 0.0},
    "deadline_s": 1e4,
}


def begin(num_scheduled=NUM_DEVICES, seed=0, **arguments):
    """An environment in which everybody is linked, unless the arguments say otherwise."""
    radio = ALWAYS_LINKED | arguments.pop("radio", {})
    env = make("qfl/Power-v0", num_scheduled=num_scheduled, learning={"model": "none"}, radio=radio, **arguments)
    env.reset(seed=seed)
    return env


def action_with(power=1.0, clock=1.0, share=1.0, slots=NUM_DEVICES):
    """An action of one number per slot, or one for all."""
    return np.concatenate([np.broadcast_to(part, slots) for part in (power, clock, share)]).astype(np.float32)


def decision_of(env, action):
    return env.unwrapped.task.decide(env.unwrapped.system, action[None])


def report_of(env, action):
    """What the round would report, without playing it."""
    return copy.deepcopy(env.unwrapped.system).step(decision_of(env, action))


def slots(env):
    return env.unwrapped.task.slots(env.unwrapped.system)[0].tolist()


def share_of(weight):
    """The entry of a share that claims this much of what the largest claim has."""
    return 1 - (1 - IDLE_AT) * np.log(weight) / np.log(LEAST_WEIGHT)


def observed(env):
    """What the environment shows now."""
    task = env.unwrapped.task
    return {name: value[0] for name, value in task.observe(env.unwrapped.system).items()}


def test_devices_take_turns():
    env, turns = begin(num_scheduled=2), []
    for _ in range(4):
        turns.append(slots(env))
        env.step(action_with(slots=2))
    assert turns == [[0, 1], [2, 3], [4, 5], [0, 1]]


def test_turns_that_do_not_divide_the_fleet_go_on_at_its_beginning():
    env, turns = begin(num_scheduled=4), []
    for _ in range(3):
        turns.append(slots(env))
        env.step(action_with(slots=4))
    assert turns == [[0, 1, 2, 3], [4, 5, 0, 1], [2, 3, 4, 5]]


def test_the_next_device_takes_the_turn_of_one_that_cannot():
    env = begin(num_scheduled=2)
    env.unwrapped.system.state.link_up[0, 1] = False
    assert slots(env) == [0, 2]


def test_all_who_can_have_a_slot_where_they_are_fewer_than_slots():
    env = begin(num_scheduled=3)
    env.unwrapped.system.state.link_up[0] = np.arange(NUM_DEVICES) == 4
    assert slots(env) == [4, -1, -1]


def test_whose_turn_it_is_depends_on_no_action():
    idle, busy = begin(num_scheduled=2), begin(num_scheduled=2)
    for action in random_actions(busy, 5):
        idle.step(action_with(share=-1.0, slots=2))
        busy.step(action)
        assert slots(idle) == slots(busy)


@pytest.mark.parametrize(("cells", "subchannels", "turns"), [(1, 2, 2), (2, 2, 4), (3, 4, 6)])
def test_one_device_per_subchannel_has_a_turn_by_default(cells, subchannels, turns):
    env = begin(num_scheduled=None, radio={"num_cells": cells, "num_subchannels": subchannels})
    assert len(slots(env)) == turns


def test_the_observation_shows_the_devices_in_turn_slot_by_slot():
    env = begin(num_scheduled=4)
    observation, *_ = env.step(action_with(slots=4))
    view, system = env.unwrapped.view(observation), env.unwrapped.system
    assert view.device.tolist() == slots(env) == [4, 5, 0, 1]
    assert view.scheduled.all() and view.available.all()
    np.testing.assert_allclose(view.battery_j, system.state.battery_j[0, view.device], rtol=1e-5)
    np.testing.assert_allclose(view.step_s, system.offer().step_s[0, view.device], rtol=1e-5)


def test_an_empty_slot_shows_the_low_end_of_everything():
    env = begin(num_scheduled=3)
    env.unwrapped.system.state.link_up[0] = np.arange(NUM_DEVICES) == 4
    observation, features = observed(env), env.unwrapped.task.features
    for name, feature in features.items():
        if not feature.shared:
            assert (observation[name].reshape(3, -1)[1:] == -1).all(), name
    view = env.unwrapped.view(observation)
    assert view.device.tolist() == [4, -1, -1]
    assert view.scheduled.tolist() == view.available.tolist() == [True, False, False]


def test_the_observation_grows_with_the_slots_and_not_with_the_fleet():
    sizes = [spaces.flatdim(begin(num_scheduled=2, num_devices=devices).observation_space) for devices in (6, 12)]
    assert sizes[0] == sizes[1] < spaces.flatdim(begin(num_scheduled=3).observation_space)


def test_nobody_but_those_whose_turn_it_is_takes_part():
    env = begin(num_scheduled=2)
    for action in random_actions(env, 6):
        turns = slots(env)
        *_, info = env.step(action)
        assert set(np.flatnonzero(info["participation"]).tolist()) <= set(turns)


def test_entries_of_an_empty_slot_have_no_effect():
    env, other = begin(num_scheduled=3), begin(num_scheduled=3)
    for each in (env, other):
        each.unwrapped.system.state.link_up[0] = np.arange(NUM_DEVICES) == 4
    action, changed = action_with(0.2, 0.3, 0.4, slots=3), action_with(-0.9, 1.0, 1.0, slots=3)
    changed[::3] = action[::3]
    assert same(env.step(action), other.step(changed))


def test_a_number_is_that_of_the_device_in_its_slot():
    env = begin(num_scheduled=2)
    env.step(action_with(slots=2))
    first, second = slots(env)
    decision = decision_of(env, action_with(power=[-1, 1], clock=[1, -1], share=[1, -1], slots=2))
    limits = env.unwrapped.scenario.radio
    assert decision.power_dbm[0, [first, second]].tolist() == [limits.min_power_dbm, limits.max_power_dbm]
    assert decision.cpu_share[0, [first, second]].tolist() == [1.0, pytest.approx(LEAST_CLOCK)]
    assert np.flatnonzero(decision.participate[0]).tolist() == [first]


def test_a_share_at_the_lower_end_idles():
    *_, info = begin().step(action_with(share=[-1, 1, 1, -0.81, 0, -0.79]))
    assert info["participation"].tolist() == [False, True, True, False, True, True]


def test_a_round_in_which_everybody_idles_lasts_until_the_deadline_and_takes_no_energy():
    env = begin()
    *_, info = env.step(action_with(share=-1.0))
    assert (info["round_s"], info["energy_j"]) == (env.unwrapped.scenario.deadline_s, 0.0)


def test_shares_split_the_band_in_proportion_to_what_is_wanted():
    claims = [-1, 1, 1, *share_of(np.array([0.5, 0.5, 0.25]))]
    share = decision_of(begin(), action_with(share=claims)).band_share[0]
    np.testing.assert_allclose(share, np.array([0, 4, 4, 2, 2, 1]) / 13, rtol=1e-5)


def test_shares_add_up_to_the_whole_band_of_every_cell_where_somebody_wants_some():
    env = begin(num_scheduled=12, num_devices=12, radio={"num_cells": 3})
    env.action_space.seed(0)
    several = 0
    for _ in range(20):
        action = env.action_space.sample()
        action[24:] = np.where(action[24:] < 0.5, -1, action[24:])
        decision, cell = decision_of(env, action), env.unwrapped.system.serving_cell()[0]
        totals = np.bincount(cell, decision.band_share[0], minlength=3)
        wanted = np.bincount(cell, decision.participate[0], minlength=3) > 0
        np.testing.assert_allclose(totals, wanted.astype(float), rtol=1e-12)
        several += (totals > 0).sum() > 1
        env.step(action)
    assert several > 0


def test_a_device_alone_has_the_whole_band_whatever_it_wants():
    alone = np.array([-1, -1, -0.7, -1, -1, -1])
    little, much = (report_of(begin(), action_with(share=share)) for share in (alone, np.where(alone > -1, 1, -1)))
    assert same(little.rates_bps, much.rates_bps)
    assert little.rates_bps[0, 2] > 0


@pytest.mark.parametrize("cells", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_more_power_never_lowers_ones_own_rate_with_all_else_equal(cells, seed):
    env, rng = begin(seed=seed, radio={"num_cells": cells, "sinr_cap_db": None}), np.random.default_rng(seed)
    for device in range(NUM_DEVICES):
        action = action_with(rng.uniform(-1, 1, NUM_DEVICES), 1.0, rng.uniform(-0.7, 1, NUM_DEVICES))
        rates = []
        for power in np.linspace(-1, 1, 9):
            action[device] = power
            rates.append(report_of(env, action).rates_bps[0, device])
        assert (np.diff(rates) > 0).all()


def test_power_is_linear_in_dbm_between_the_limits_of_the_scenario():
    env = begin(radio={"min_power_dbm": -10.0, "max_power_dbm": 20.0})
    power_dbm = decision_of(env, action_with(power=[-1, -0.5, 0, 0.5, 1, 1])).power_dbm[0]
    np.testing.assert_allclose(power_dbm, [-10, -2.5, 5, 12.5, 20, 20])


def test_the_clock_goes_from_a_tenth_to_all_of_what_other_work_leaves():
    cpu_share = decision_of(begin(), action_with(clock=[-1, 0, 1, 1, 1, 1])).cpu_share[0]
    np.testing.assert_allclose(cpu_share, [0.1, 0.55, 1, 1, 1, 1])


def test_half_the_clock_takes_a_quarter_of_the_energy():
    env = begin(**CLOCK_ALONE)
    half = 2 * (0.5 - LEAST_CLOCK) / (1 - LEAST_CLOCK) - 1
    spent_j = []
    for clock in (1.0, half):
        report = report_of(env, action_with(1.0, clock, 1.0))
        radiated_j = (dbm_to_w(report.power_dbm) * report.upload_s).sum()
        spent_j.append(report.energy_j[0] - radiated_j)
    assert spent_j[0] > 0.1
    assert spent_j[1] == pytest.approx(spent_j[0] / 4, rel=1e-6)


def test_half_the_clock_takes_twice_the_time():
    env = begin(**CLOCK_ALONE)
    half = 2 * (0.5 - LEAST_CLOCK) / (1 - LEAST_CLOCK) - 1
    full, slow = (report_of(env, action_with(1.0, clock, 1.0)) for clock in (1.0, half))
    np.testing.assert_allclose(slow.compute_s, 2 * full.compute_s, rtol=1e-6)


def test_no_action_is_ever_repaired():
    env = make("qfl/Power-v0", learning={"model": "none"}, radio={"link_drop": 0.5}, fleet={"load_std": 0.5})
    env.reset(seed=0)
    for action in random_actions(env, 39):
        *_, info = env.step(action)
        assert not info["repaired"].any()


@pytest.mark.parametrize("num_scheduled", [4, NUM_DEVICES])
def test_what_a_decision_asks_for_is_what_its_action_stands_for(num_scheduled):
    env, rng = begin(num_scheduled=num_scheduled), np.random.default_rng(0)
    env.step(action_with(slots=num_scheduled))
    limits, shape = env.unwrapped.scenario.radio, (1, num_scheduled)
    participate = rng.random(shape) < 0.7
    share = np.where(participate, rng.uniform(0.1, 1.0, shape), 0.0)
    wanted = Decision(
        participate=participate,
        power_dbm=rng.uniform(limits.min_power_dbm, limits.max_power_dbm, shape),
        cpu_share=rng.uniform(LEAST_CLOCK, 1.0, shape),
        band_share=share / share.sum(),
    )
    got = decision_of(env, env.unwrapped.task.encode(wanted)[0])
    assert got.participate.sum() == participate.sum() > 0
    for name in ("participate", "power_dbm", "cpu_share", "band_share"):
        of_slots = getattr(got, name)[:, slots(env)]
        np.testing.assert_allclose(of_slots, getattr(wanted, name), rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_share_too_small_for_the_action_becomes_the_smallest_and_does_not_idle():
    env = begin()
    share = np.array([[1.0, 1e-3, 0.0, 1.0, 1.0, 1.0]])
    got = decision_of(env, env.unwrapped.task.encode(Decision(share > 0, band_share=share))[0])
    assert got.participate[0].tolist() == [True, True, False, True, True, True]
    assert got.band_share[0, 1] / got.band_share[0, 0] == pytest.approx(LEAST_WEIGHT, rel=1e-3)


def test_an_action_without_power_or_clock_asks_for_the_most_of_both():
    env = begin()
    action = env.unwrapped.task.encode(Decision(participate=np.ones((1, NUM_DEVICES), dtype=bool)))[0]
    assert action.tolist() == [1.0] * 3 * NUM_DEVICES


def test_presets_by_name_take_more_cycles_and_other_scenarios_are_left_as_they_are():
    changed = {"tiny": 5e7, Scenario.preset("tiny"): Scenario.preset("tiny").fleet.cycles_per_sample}
    for scenario, cycles in changed.items():
        assert make("qfl/Power-v0", scenario=scenario).unwrapped.scenario.fleet.cycles_per_sample == cycles


def test_an_override_wins_over_what_is_changed_of_a_preset():
    env = make("qfl/Power-v0", fleet={"cycles_per_sample": 1e6})
    assert env.unwrapped.scenario.fleet.cycles_per_sample == 1e6
