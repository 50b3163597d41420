"""Path loss, shadowing and fading: numbers of the sources, and the statistics of the processes."""

import numpy as np
import pytest

from qfl_envs.scenario import Radio
from qfl_envs.system.network import channel

MANY = 200_000


def scatter_of(shape, seed=0):
    return channel.complex_normal(np.random.default_rng(seed).normal(size=(*shape, 2)))


def faded_power(rician_k):
    """Power gains of many sub-channels at a path loss of 0 dB."""
    radio = Radio(path_loss_1km_db=0.0, path_loss_slope_db=0.0, min_coupling_loss_db=0.0)
    one = np.ones((1, 1, 1))
    return channel.power_gain(radio, 1000 * one, 0 * one, rician_k * one[0], scatter_of((1, 1, 1, MANY))).ravel()


def gain_db(radio, distance_m, shadowing_db=0.0):
    """Power gain in dB of a link without scattering."""
    one = np.ones((1, 1, 1))
    gain = channel.power_gain(radio, distance_m * one, shadowing_db * one, 1e12 * one[0], np.zeros((1, 1, 1, 1)))
    return 10 * np.log10(gain.item())


@pytest.mark.parametrize(("distance", "loss_db"), [(1000.0, 128.1), (100.0, 90.5), (1800.0, 137.698)])
def test_path_loss_has_the_value_of_the_source(distance, loss_db):
    assert channel.path_loss_db(Radio(), np.array(distance)) == pytest.approx(loss_db, abs=1e-3)


def test_gain_is_the_inverse_of_the_path_loss():
    assert gain_db(Radio(), 1000.0) == pytest.approx(-128.1, abs=1e-5)


def test_shadowing_adds_to_the_loss():
    assert gain_db(Radio(), 1000.0, shadowing_db=7.0) == pytest.approx(-135.1, abs=1e-5)


def test_the_loss_is_never_less_than_the_coupling_loss():
    assert gain_db(Radio(), 1.0, shadowing_db=-20.0) == pytest.approx(-70.0, abs=1e-5)


def test_distances_are_those_to_every_base_station():
    distance = channel.distance_m(Radio(), np.array([[0.0, 0.0], [60.0, 0.0]]), np.array([[[30.0, 40.0]]]))
    np.testing.assert_allclose(distance, [[[50.0, 50.0]]])


def test_no_device_is_nearer_than_the_least_distance():
    distance = channel.distance_m(Radio(min_distance_m=10.0), np.zeros((1, 2)), np.zeros((1, 1, 2)))
    assert distance.item() == 10.0


def test_scattering_has_unit_power():
    assert (abs(scatter_of((MANY,))) ** 2).mean() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("k_db", [-10.0, 0.0, 9.0])
def test_rician_fading_has_mean_power_one(k_db):
    assert faded_power(10 ** (k_db / 10)).mean() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("k_db", [-10.0, 0.0, 9.0])
def test_rician_fading_spreads_as_its_k_says(k_db):
    k = 10 ** (k_db / 10)
    assert faded_power(k).var() == pytest.approx((1 + 2 * k) / (1 + k) ** 2, rel=0.03)


def fading_after(seconds, speed_mps=1.4):
    """Scattered parts of many sub-channels, before and after some time."""
    before = scatter_of((1, 1, 1, MANY), seed=1)
    normal = np.random.default_rng(2).normal(size=(1, 1, 1, MANY, 2))
    after = channel.next_scatter(Radio(carrier_hz=2e9), before, np.full((1, 1), speed_mps), np.array([seconds]), normal)
    return before.ravel(), after.ravel()


@pytest.mark.parametrize(("seconds", "correlation"), [(0.005, 0.98), (0.02, 0.69), (1.0, 0.03)])
def test_fading_is_correlated_as_j0_of_the_doppler_shift(seconds, correlation):
    before, after = fading_after(seconds)
    assert (after * before.conj()).mean().real == pytest.approx(correlation, abs=0.015)


@pytest.mark.parametrize("seconds", [0.005, 0.02, 1.0])
def test_fading_keeps_unit_power(seconds):
    assert (abs(fading_after(seconds)[1]) ** 2).mean() == pytest.approx(1.0, abs=0.015)


def test_fading_of_a_device_at_rest_does_not_change():
    before, after = fading_after(10.0, speed_mps=0.0)
    np.testing.assert_allclose(after, before)


SHADOWED = Radio(shadowing_db=8.0, shadowing_distance_m=50.0)


def shadowing_after(moved_m):
    """Shadowing of many links, before and after a move."""
    rng = np.random.default_rng(3)
    before = 8.0 * rng.normal(size=(1, MANY, 1))
    after = channel.next_shadowing_db(SHADOWED, before, np.full((1, MANY), moved_m), rng.normal(size=before.shape))
    return before.ravel(), after.ravel()


@pytest.mark.parametrize("moved_m", [5.0, 50.0, 200.0])
def test_shadowing_is_correlated_over_its_distance(moved_m):
    assert np.corrcoef(*shadowing_after(moved_m))[0, 1] == pytest.approx(np.exp(-moved_m / 50.0), abs=0.01)


@pytest.mark.parametrize("moved_m", [5.0, 50.0, 200.0])
def test_shadowing_keeps_its_standard_deviation(moved_m):
    assert shadowing_after(moved_m)[1].std() == pytest.approx(8.0, rel=0.01)


def test_shadowing_of_a_device_at_rest_does_not_change():
    before, after = shadowing_after(0.0)
    np.testing.assert_array_equal(after, before)


def test_a_device_is_served_by_the_cell_that_receives_it_best_on_average():
    gain = np.array([[[5.0, 0.0], [3.0, 3.0]]])  # (1 device, 2 cells, 2 sub-channels)
    assert channel.serving_cell(gain.mean(-1)).tolist() == [1]
