import numpy as np
import pytest
from scipy.optimize import brentq

from qfl_envs.system.security.key_pool import FreeSpace, KeyPools
from qfl_envs.system.security.key_rate import (
    Fibre,
    binary_entropy,
    decoy_state,
    error_rate,
    longest_km,
    secret_fraction,
)


def test_no_key_from_eleven_percent_on():
    zero = brentq(lambda e: float(secret_fraction(e)) - 1e-9, 0.05, 0.2)
    assert zero == pytest.approx(0.1100, abs=5e-5)
    assert secret_fraction(0.0) == 1.0 and secret_fraction(0.12) == 0.0 and secret_fraction(0.5) == 0.0


def test_intercepting_a_share_of_the_pulses_adds_a_quarter_of_it():
    assert error_rate(1.0, 0.0) == 0.25
    assert error_rate(0.4, 0.01) == pytest.approx(0.1 + 0.01, abs=2.1e-3)


def test_rate_of_a_short_fibre_by_hand():
    # l = 0: eta = .045, mu = .48: Q = 1.7e-6 + 1 - exp(-.0216), Q_1 = (1.7e-6 + .045) .48 exp(-.48)
    gain = 1.7e-6 + 1 - np.exp(-0.0216)
    error = (0.5 * 1.7e-6 + 0.033 * (1 - np.exp(-0.0216))) / gain
    single, single_error = 0.0450017 * 0.48 * np.exp(-0.48), (0.5 * 1.7e-6 + 0.033 * 0.045) / 0.0450017

    def h2(p):
        return -p * np.log2(p) - (1 - p) * np.log2(1 - p)

    got = decoy_state(Fibre(), 0.0)
    assert got.gain == pytest.approx(gain) and got.error_rate == pytest.approx(error)
    assert got.per_pulse == pytest.approx(0.5 * (single * (1 - h2(single_error)) - gain * 1.22 * h2(error)))


def test_the_experiment_of_gobby_yuan_and_shields_reaches_over_140_km():
    # Lo, Ma & Chen 2005 give over 140 km, the fibre's loss and the background end it soon after
    assert 140 < longest_km(Fibre()) < 145
    rates = decoy_state(Fibre(), np.linspace(0, 140, 20)).per_pulse
    assert (np.diff(rates) < 0).all()
    assert longest_km(Fibre(), intercepted=0.5) == 0.0


def test_pools_fill_with_nearness_and_not_under_attack():
    channel, distance = FreeSpace(), np.array([[50.0, 500.0, 500.0, 500.0, 500.0]])
    pools = KeyPools.empty(1, 5, capacity_bits=1e6)
    uniform = np.array([[0.1, 0.1, 0.9, 0.1, 0.1]])
    listened, jammed = np.array([[0.0, 0.0, 0.0, 0.6, 0.0]]), np.array([[False, False, False, False, True]])
    seen = pools.fill(channel, distance, np.array([2.0]), uniform, listened, jammed)
    assert pools.bits[0, 0] > pools.bits[0, 1] > 0 and (pools.bits[0, 2:] == 0).all()
    assert seen[0, 3] > 0.11 > seen[0, 1] and seen[0, 4] == 0.5


def test_sessions_without_enough_key_are_refused_and_take_none():
    pools = KeyPools(np.array([[300.0, 100.0, 0.0]]), 1e3, np.zeros((1, 3), dtype=np.int64))
    granted = pools.take(np.array([[256.0, 256.0, 0.0]]))
    assert granted.tolist() == [[True, False, True]]
    assert pools.bits.tolist() == [[44.0, 100.0, 0.0]] and pools.refused.tolist() == [[0, 1, 0]]


def test_a_pool_holds_no_more_than_its_capacity():
    pools = KeyPools.empty(1, 1, capacity_bits=10.0)
    pools.fill(FreeSpace(), np.array([[1.0]]), np.array([1e6]), np.zeros((1, 1)))
    assert pools.bits[0, 0] == 10.0


def test_a_beam_through_the_air_by_hand():
    channel = FreeSpace(transmitter_m=0.02, receiver_m=0.05, divergence_rad=1e-3, loss_db_per_km=10.0, detector=0.1)
    # at 1 km the beam is 1.02 m wide, and 10 dB are lost
    assert channel.transmittance(np.array(1000.0)) == pytest.approx((0.05 / 1.02) ** 2 * 0.1 * 0.1)
    # nearby all of it is caught
    assert channel.transmittance(np.array(1.0)) == pytest.approx(0.1, rel=0.003)
    quiet = float(secret_fraction(0.02))
    assert channel.rate_bps(np.array(1000.0)) == pytest.approx(1e6 * (0.05 / 1.02) ** 2 * 0.01 * 0.5 * quiet)


def test_a_session_may_empty_its_pool():
    pools = KeyPools(np.array([[256.0]]), 1e3, np.zeros((1, 1), dtype=np.int64))
    assert pools.take(np.array([[256.0]])).all() and pools.bits.tolist() == [[0.0]]


def test_correcting_errors_badly_costs_key():
    told = float(binary_entropy(0.05))
    assert secret_fraction(0.05, 1.22) == pytest.approx(1 - 2.22 * told)
    assert error_rate(1.0, 0.5) == 0.5 and error_rate(0.0, 0.03) == 0.03


def test_the_background_is_all_there_is_at_the_end_of_a_long_fibre():
    far = decoy_state(Fibre(), np.array([400.0]))
    assert far.per_pulse[0] == 0.0 and far.error_rate[0] == pytest.approx(0.5, abs=0.01)
    assert far.gain[0] == pytest.approx(1.7e-6, rel=0.01)
