"""How a system goes on: what the compiled passes make is what the formulas make one after the other."""

import numpy as np
import pytest

from qfl_envs.scenario import Scenario
from qfl_envs.system import evolution
from qfl_envs.system.devices import next_load_normal
from qfl_envs.system.network import channel, links, mobility

SCENARIO = Scenario.preset("tiny").replace(
    {
        "radio": {"num_cells": 2, "shadowing_db": 6.0, "link_drop": 0.3, "link_recover": 0.4},
        "fleet": {"speed_mps": 20.0, "load_std": 0.2, "harvest_w": 0.5},
        "learning": {"model": "none"},
    }
)
SECONDS = np.array([0.5, 3.0])


@pytest.fixture
def drawn(begin):
    """Two systems, and the numbers of a round."""
    system, rng = begin(SCENARIO, (0, 1)), np.random.default_rng(2)
    n, c, k = SCENARIO.num_devices, SCENARIO.radio.num_cells, SCENARIO.radio.num_subchannels
    shapes = {"velocity": (2, n, 2), "shadowing": (2, n, c), "scatter": (2, n, c, k, 2), "load": (2, n)}
    return system, {name: rng.normal(size=shape) for name, shape in shapes.items()}, rng.random((2, 2, n))


def test_devices_move_and_channels_fade_by_the_formulas(drawn):
    system, normal, _ = drawn
    before, state, radio = system.state.copy(), system.state, SCENARIO.radio
    evolution.move(radio, SCENARIO.fleet, state, SECONDS, normal, system.sites_m, system.radius_m)
    position, velocity, mean_velocity = mobility.move(
        radio,
        SCENARIO.fleet,
        before.position_m,
        before.velocity_mps,
        before.mean_velocity_mps,
        SECONDS,
        normal["velocity"],
    )
    speed = np.linalg.norm(velocity, axis=-1)
    shadowing = channel.next_shadowing_db(radio, before.shadowing_db, speed * SECONDS[:, None], normal["shadowing"])
    scatter = channel.next_scatter(radio, before.scatter, speed, SECONDS, normal["scatter"])
    distance = channel.distance_m(radio, system.sites_m, position)
    gain = channel.power_gain(radio, distance, shadowing, before.rician_k, scatter)
    expected = {
        "position_m": position,
        "velocity_mps": velocity,
        "mean_velocity_mps": mean_velocity,
        "shadowing_db": shadowing,
        "scatter": scatter,
        "gain": gain,
        "mean_gain": gain.mean(-1),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(state, name), value, rtol=1e-9, err_msg=name)


def test_links_and_loads_go_on_by_the_formulas(drawn):
    system, normal, (link, harvest) = drawn
    before, state = system.state.copy(), system.state
    uniform = {"link": link, "harvest": harvest}
    evolution.refill(SCENARIO.radio, SCENARIO.fleet, state, SECONDS, np.zeros(link.shape), uniform, normal["load"])
    np.testing.assert_array_equal(state.link_up, links.next_up(SCENARIO.radio, before.link_up, link))
    np.testing.assert_allclose(
        state.load_normal, next_load_normal(SCENARIO.fleet, before.load_normal, normal["load"]), rtol=1e-12
    )
    assert 0 < state.link_up.sum() < link.size


def test_a_battery_gives_what_is_spent_and_takes_what_is_harvested_until_it_is_full(drawn):
    system, normal, (link, harvest) = drawn
    state = system.state
    state.full_battery_j[:], state.battery_j[:] = 10.0, 9.0
    spent_j = np.zeros(link.shape)
    spent_j[0] = 4.0
    harvest[:] = 0.75
    uniform = {"link": link, "harvest": harvest}
    evolution.refill(SCENARIO.radio, SCENARIO.fleet, state, SECONDS, spent_j, uniform, normal["load"])
    # twice the mean of 0.5 W times 0.75, for 0.5 s and for 3 s
    np.testing.assert_allclose(state.battery_j[0], 9 - 4 + 0.375)
    np.testing.assert_allclose(state.battery_j[1], 10)
