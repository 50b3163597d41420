"""Where base stations and devices are, and how devices move."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qfl_envs.scenario import Fleet, Radio
from qfl_envs.system.network import mobility

MANY = 100_000
modest = settings(deadline=None, max_examples=60, derandomize=True)


def moved(radio, fleet, position, velocity, mean_velocity, seconds, seed=0):
    """One system after some time, without its leading axis."""
    normal = np.random.default_rng(seed).normal(size=(1, len(position), 2))
    arrays = (array[None] for array in (position, velocity, mean_velocity))
    return [array[0] for array in mobility.move(radio, fleet, *arrays, np.array([seconds]), normal)]


def test_a_single_base_station_is_at_the_origin():
    np.testing.assert_array_equal(mobility.cell_sites(Radio()), [[0.0, 0.0]])


@pytest.mark.parametrize("num_cells", [2, 7, 19, 61])
def test_every_base_station_has_its_neighbours_at_the_hexagonal_spacing(num_cells):
    sites = mobility.cell_sites(Radio(num_cells=num_cells, cell_radius_m=500.0))
    distances = np.linalg.norm(sites[:, None] - sites, axis=-1)
    nearest = np.where(np.eye(num_cells, dtype=bool), np.inf, distances).min(1)
    np.testing.assert_allclose(nearest, 500.0 * np.sqrt(3))


@pytest.mark.parametrize(("num_cells", "neighbours"), [(7, 6), (19, 6), (61, 6)])
def test_the_base_station_in_the_middle_has_six_neighbours(num_cells, neighbours):
    sites = mobility.cell_sites(Radio(num_cells=num_cells, cell_radius_m=500.0))
    distances = np.linalg.norm(sites[1:], axis=-1)
    assert np.isclose(distances, 500.0 * np.sqrt(3)).sum() == neighbours


def distances_at_the_start(placement):
    radio = Radio(placement=placement, min_distance_m=100.0, cell_radius_m=1000.0)
    return np.linalg.norm(mobility.place(radio, np.random.default_rng(0).random((MANY, 3))), axis=-1)


@pytest.mark.parametrize("placement", ["uniform_distance", "uniform_area"])
def test_devices_start_between_the_least_distance_and_the_cell_radius(placement):
    distance = distances_at_the_start(placement)
    assert 100.0 <= distance.min() < distance.max() <= 1000.0


@pytest.mark.parametrize("quantile", [0.25, 0.5, 0.75])
def test_placement_can_be_uniform_in_distance(quantile):
    expected = 100.0 + quantile * 900.0
    assert np.quantile(distances_at_the_start("uniform_distance"), quantile) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("quantile", [0.25, 0.5, 0.75])
def test_placement_can_be_uniform_in_area(quantile):
    expected = np.sqrt(100.0**2 + quantile * (1000.0**2 - 100.0**2))
    assert np.quantile(distances_at_the_start("uniform_area"), quantile) == pytest.approx(expected, rel=0.01)


def test_devices_start_in_every_direction():
    position = mobility.place(Radio(), np.random.default_rng(0).random((MANY, 3)))
    directions = position / np.linalg.norm(position, axis=-1, keepdims=True)
    np.testing.assert_allclose(directions.mean(0), 0.0, atol=0.02)


def test_devices_start_around_every_base_station_alike():
    radio = Radio(num_cells=7, cell_radius_m=500.0)
    position = mobility.place(radio, np.random.default_rng(0).random((MANY, 3)))
    near = np.linalg.norm(position[:, None] - mobility.cell_sites(radio), axis=-1) < 100.0
    np.testing.assert_allclose(near.sum(0) / near.sum(), 1 / 7, atol=0.01)


@modest
@given(
    seed=st.integers(0, 2**32 - 1),
    num_cells=st.sampled_from([1, 7]),
    seconds=st.floats(0.0, 1000.0),
    speed_mps=st.floats(0.0, 100.0),
)
def test_devices_never_leave_the_area(seed, num_cells, seconds, speed_mps):
    radio = Radio(num_cells=num_cells, cell_radius_m=200.0)
    rng = np.random.default_rng(seed)
    position = mobility.place(radio, rng.random((50, 3)))
    velocity = speed_mps * rng.normal(size=(50, 2))
    position, _, _ = moved(radio, Fleet(), position, velocity, velocity, seconds, seed)
    assert np.linalg.norm(position, axis=-1).max() <= mobility.area_radius_m(radio) * (1 + 1e-12)


def test_a_device_turns_around_at_the_border():
    radio, fleet = Radio(cell_radius_m=100.0), Fleet(speed_std_mps=0.0, velocity_memory=0.0)
    outward = np.array([[10.0, 0.0]])
    position, velocity, mean_velocity = moved(radio, fleet, np.array([[95.0, 0.0]]), outward, outward, 1.0)
    np.testing.assert_allclose((position[0], velocity[0], mean_velocity[0]), [(95.0, 0.0), (-10.0, 0.0), (-10.0, 0.0)])


def test_no_time_moves_nothing():
    rng = np.random.default_rng(0)
    position, velocity, mean_velocity = rng.normal(size=(3, 20, 2))
    after = moved(Radio(), Fleet(), position, velocity, mean_velocity, 0.0)
    np.testing.assert_array_equal(after, (position, velocity, mean_velocity))


def test_devices_move_as_far_as_their_velocity_takes_them():
    position = np.zeros((100, 2))
    velocity = np.random.default_rng(0).normal(size=(100, 2))
    after, velocity, _ = moved(Radio(), Fleet(), position, velocity, velocity, 2.0)
    np.testing.assert_allclose(after, 2.0 * velocity)


FLEET = Fleet(speed_mps=3.0, speed_std_mps=0.5, velocity_memory=0.8)


def velocities_after(seconds):
    """Deviation of many stationary velocities from their mean, before and after some time."""
    mean_velocity = mobility.mean_velocity(FLEET, np.random.default_rng(1).random(MANY))
    before = 0.5 * np.random.default_rng(2).normal(size=(MANY, 2))
    _, velocity, mean_velocity = moved(
        Radio(), FLEET, np.zeros((MANY, 2)), mean_velocity + before, mean_velocity, seconds, seed=3
    )
    return before, velocity - mean_velocity


def test_the_mean_velocity_has_the_mean_speed():
    mean_velocity = mobility.mean_velocity(FLEET, np.random.default_rng(1).random(20))
    np.testing.assert_allclose(np.linalg.norm(mean_velocity, axis=-1), 3.0)


@pytest.mark.parametrize("seconds", [0.5, 1.0, 5.0])
def test_velocities_stay_spread_around_their_mean(seconds):
    assert velocities_after(seconds)[1].std() == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("seconds", [0.5, 1.0, 5.0])
def test_velocities_forget_at_the_rate_of_their_memory(seconds):
    before, after = velocities_after(seconds)
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] == pytest.approx(0.8**seconds, abs=0.01)
