"""Episodes from easy to hard; what drifts in them is tested with drift."""

import numpy as np
import pytest

from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.difficulty import Difficulty
from qfl_envs.system.federation import FederatedSystem

SPREAD = ("max_cpu_hz", "shot_s", "battery_j", "full_battery_j")
INTERVALS = {"max_cpu_hz": "cpu_hz", "shot_s": "shot_s", "battery_j": "battery_j", "full_battery_j": "battery_j"}


def begun(difficulty=None, devices=20, seeds=(0,)):
    """Systems of episodes of a difficulty, or of the one that they have by themselves."""
    changes = {"num_devices": devices, "learning": {"model": "none"}, "radio": {"link_drop": 0.0}}
    system = FederatedSystem(Scenario.preset("tiny").replace(changes), len(seeds))
    if difficulty is not None:
        system.difficulty = difficulty
    system.reset([np.random.default_rng(seed) for seed in seeds])
    return system


@pytest.mark.parametrize("part", ["fleet", "heterogeneity", "drift"])
@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_part_of_the_difficulty_is_a_share(part, value):
    with pytest.raises(InvalidValueError, match=f"{part} is {value}; allowed: a number from"):
        Difficulty(**{part: value})


def test_no_fleet_at_all_is_refused():
    with pytest.raises(InvalidValueError, match="fleet is 0"):
        Difficulty(fleet=0.0)


def test_episodes_are_as_hard_as_the_scenario_by_default():
    by_default, hardest = begun(), begun(Difficulty(fleet=1.0, heterogeneity=1.0, drift=1.0))
    for name, value in vars(hardest.state).items():
        np.testing.assert_array_equal(getattr(by_default.state, name), value, err_msg=name)


# fleet


@pytest.mark.parametrize(("share", "number"), [(1e-6, 1), (0.05, 1), (0.06, 2), (0.5, 10), (1.0, 20)])
def test_the_fleet_has_its_share_of_the_devices_rounded_up(share, number):
    assert begun(Difficulty(fleet=share)).state.active.sum() == number


@pytest.mark.parametrize("percent", [7, 14, 28, 55, 56])
def test_rounding_errors_add_no_device(percent):
    # in floating point 0.07 * 100 is above 7, and so are the others above theirs
    assert begun(Difficulty(fleet=percent / 100), devices=100).state.active.sum() == percent


def test_devices_that_do_not_belong_to_the_fleet_are_not_available():
    system = begun(Difficulty(fleet=0.25))
    assert system.available().tolist() == system.state.active.tolist()


def test_devices_that_do_not_belong_to_the_fleet_never_take_part():
    system = begun(Difficulty(fleet=0.25))
    report = system.step(Decision(np.ones((1, 20), dtype=bool)))
    np.testing.assert_array_equal(report.participation, system.state.active)


def test_devices_that_do_not_belong_to_the_fleet_are_reported_where_they_should_take_part():
    system = begun(Difficulty(fleet=0.25))
    report = system.step(Decision(np.ones((1, 20), dtype=bool)))
    np.testing.assert_array_equal(report.repaired, ~system.state.active)


# heterogeneity


@pytest.mark.parametrize("name", SPREAD)
def test_the_easiest_devices_are_all_alike_in_the_middle_of_their_bounds(name):
    system = begun(Difficulty(heterogeneity=0.0))
    low, high = getattr(system.scenario.fleet, INTERVALS[name])
    np.testing.assert_allclose(getattr(system.state, name), np.sqrt(low * high))


@pytest.mark.parametrize("name", SPREAD)
def test_half_the_heterogeneity_is_half_the_spread_in_the_logarithm(name):
    half, whole = (np.log(getattr(begun(Difficulty(heterogeneity=h)).state, name)) for h in (0.5, 1.0))
    middle = np.log(getattr(begun(Difficulty(heterogeneity=0.0)).state, name))
    np.testing.assert_allclose(half - middle, (whole - middle) / 2)


def test_devices_without_a_spread_stay_as_they_are():
    scenario = Scenario.preset("tiny").replace({"learning": {"model": "none"}, "fleet": {"battery_j": [0.0, 0.0]}})
    system = FederatedSystem(scenario)
    system.difficulty = Difficulty(heterogeneity=0.5)
    system.reset([np.random.default_rng(0)])
    np.testing.assert_array_equal(system.state.battery_j, 0.0)


# episodes


def test_difficulty_leaves_the_radio_of_an_episode_as_it_is():
    easy, hard = begun(Difficulty(fleet=0.1, heterogeneity=0.0, drift=0.0)), begun()
    for name in ("position_m", "gain", "velocity_mps", "link_up", "load_normal", "onset_round"):
        np.testing.assert_array_equal(getattr(easy.state, name), getattr(hard.state, name), err_msg=name)


def test_an_episode_keeps_the_difficulty_that_it_began_with():
    system = begun(Difficulty(fleet=0.5, drift=0.5), seeds=(0, 1))
    system.difficulty = Difficulty(fleet=0.25, drift=0.25)
    system.reset([np.random.default_rng(2)], rows=np.array([1]))
    assert system.state.active.sum(-1).tolist() == [10, 5]
    assert system.state.drift_strength.tolist() == [0.5, 0.25]
