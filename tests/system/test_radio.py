"""Rates of the uplink: formulas by hand, a slow reference, and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qfl_envs.scenario import Radio, Scenario
from qfl_envs.system.network import radio

modest = settings(deadline=None, max_examples=60, derandomize=True)
RADIO = Radio(num_subchannels=3)
NOISE_W = RADIO.noise_w


def one_cell(received_w, subchannel, transmits=None, time_share=False, limits=RADIO):
    """Uplink of one system of one cell; ``received_w`` (N) at 1 W, the same on all sub-channels."""
    n = len(received_w)
    gain = np.broadcast_to(np.asarray(received_w, dtype=float)[None, :, None, None], (1, n, 1, 3))
    transmits = np.ones(n, dtype=bool) if transmits is None else np.asarray(transmits)
    return radio.uplink(
        limits,
        gain,
        np.zeros((1, n), dtype=int),
        transmits[None],
        np.asarray(subchannel)[None],
        np.ones((1, n)),
        np.array([time_share]),
    )


@st.composite
def networks(draw, max_cells=3):
    """Arguments of ``uplink`` after the radio: two systems with random gains, cells, sub-channels and powers."""
    n, c = draw(st.integers(1, 6)), draw(st.integers(1, max_cells))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    gain = NOISE_W * 10 ** rng.uniform(-1, 5, (2, n, c, 3))
    return {
        "gain": gain,
        "serving": rng.integers(0, c, (2, n)),
        "transmits": rng.random((2, n)) < 0.8,
        "subchannel": rng.integers(0, 3, (2, n)),
        "power_w": 10 ** rng.uniform(-3, 0, (2, n)),
        "time_share": rng.random(2) < 0.5,
    }


def reference_rates(gain, serving, transmits, subchannel, power_w, time_share):
    """The rates again, one system, one device and one interferer after the other."""
    systems, n, _, _ = gain.shape
    rates = np.zeros((systems, n))
    for e in range(systems):

        def turn(i, e=e):
            same = [
                j
                for j in range(n)
                if transmits[e, j] and serving[e, j] == serving[e, i] and subchannel[e, j] == subchannel[e, i]
            ]
            return 1 / len(same) if time_share[e] else 1.0

        for i in np.flatnonzero(transmits[e]):
            cell, channel = serving[e, i], subchannel[e, i]
            interference = 0.0
            for j in np.flatnonzero(transmits[e]):
                takes_turns = time_share[e] and serving[e, j] == cell
                if j != i and subchannel[e, j] == channel and not takes_turns:
                    interference += power_w[e, j] * turn(j) * gain[e, j, cell, channel]
            sinr = power_w[e, i] * gain[e, i, cell, channel] / (interference + NOISE_W)
            rates[e, i] = turn(i) * RADIO.subchannel_hz * np.log2(1 + sinr)
    return rates


def test_noise_of_the_paper_preset_is_that_of_the_article():
    noise_dbm = 10 * np.log10(Scenario.preset("paper").radio.noise_w) + 30
    assert noise_dbm == pytest.approx(-121.45, abs=0.005)


def test_noise_figure_adds_to_the_noise():
    assert Radio(noise_figure_db=3.0).noise_w == pytest.approx(Radio().noise_w * 10**0.3)


@pytest.mark.parametrize(("dbm", "watt"), [(30.0, 1.0), (0.0, 1e-3), (24.0, 0.2511886)])
def test_power_in_dbm_is_converted_to_watt(dbm, watt):
    assert radio.dbm_to_w(dbm) == pytest.approx(watt)


def test_a_single_user_has_the_shannon_rate():
    rate = one_cell([15 * NOISE_W], [0]).rate_bps
    assert rate[0, 0] == pytest.approx(180e3 * 4)


def test_two_users_of_a_subchannel_are_each_others_noise():
    rate = one_cell([6 * NOISE_W, NOISE_W], [1, 1]).rate_bps
    np.testing.assert_allclose(rate[0], 180e3 * np.log2([1 + 6 / 2, 1 + 1 / 7]))


def test_users_of_different_subchannels_do_not_interfere():
    rate = one_cell([3 * NOISE_W, 3 * NOISE_W], [0, 2]).rate_bps
    np.testing.assert_allclose(rate[0], 180e3 * 2)


def test_users_that_take_turns_share_the_time_equally():
    up = one_cell([3 * NOISE_W, 7 * NOISE_W], [1, 1], time_share=True)
    np.testing.assert_allclose(up.rate_bps[0], 180e3 * np.array([2, 3]) / 2)


def test_a_turn_is_as_long_as_the_number_of_users_says():
    share = one_cell([NOISE_W] * 4, [1, 1, 1, 2], time_share=True).share
    np.testing.assert_allclose(share[0], [1 / 3, 1 / 3, 1 / 3, 1])


def test_silent_devices_take_no_turn():
    up = one_cell([3 * NOISE_W, 3 * NOISE_W], [0, 0], transmits=[True, False], time_share=True)
    assert up.rate_bps[0, 0] == pytest.approx(180e3 * 2)


def test_another_cell_interferes_with_what_arrives_there():
    gain = NOISE_W * np.array([[[[8.0], [2.0]], [[1.0], [9.0]]]])  # (1, 2 devices, 2 cells, 1 sub-channel)
    up = radio.uplink(
        RADIO,
        gain,
        np.array([[0, 1]]),
        np.ones((1, 2), dtype=bool),
        np.zeros((1, 2), dtype=int),
        np.ones((1, 2)),
        np.array([False]),
    )
    np.testing.assert_allclose(up.sinr[0], [8 / (1 + 1), 9 / (1 + 2)])


@modest
@given(networks())
def test_rates_of_several_cells_equal_a_slow_reference(network):
    np.testing.assert_allclose(radio.uplink(RADIO, **network).rate_bps, reference_rates(**network), rtol=1e-9)


@modest
@given(networks())
def test_devices_that_do_not_transmit_have_no_rate(network):
    assert (radio.uplink(RADIO, **network).rate_bps[~network["transmits"]] == 0).all()


@modest
@given(networks(), st.randoms(use_true_random=False))
def test_permuting_devices_permutes_the_rates(network, random):
    order = list(range(network["serving"].shape[1]))
    random.shuffle(order)
    permuted = {name: value if name == "time_share" else value[:, order] for name, value in network.items()}
    expected = radio.uplink(RADIO, **network).rate_bps[:, order]
    np.testing.assert_allclose(radio.uplink(RADIO, **permuted).rate_bps, expected, rtol=1e-9)


@modest
@given(networks())
def test_systems_side_by_side_do_not_interfere(network):
    alone = radio.uplink(RADIO, **{name: value[1:] for name, value in network.items()})
    np.testing.assert_allclose(radio.uplink(RADIO, **network).rate_bps[1:], alone.rate_bps, rtol=1e-9)


@modest
@given(networks(), st.floats(1.0, 100.0))
def test_more_power_never_lowers_the_own_rate(network, factor):
    louder = network["power_w"].copy()
    louder[:, 0] *= factor
    before, after = (radio.uplink(RADIO, **{**network, "power_w": power}) for power in (network["power_w"], louder))
    assert (after.rate_bps[:, 0] >= before.rate_bps[:, 0] * (1 - 1e-9)).all()


@modest
@given(networks(), st.floats(1.0, 100.0))
def test_more_power_never_raises_the_rate_of_others(network, factor):
    louder = network["power_w"].copy()
    louder[:, 0] *= factor
    before, after = (radio.uplink(RADIO, **{**network, "power_w": power}) for power in (network["power_w"], louder))
    assert (after.rate_bps[:, 1:] <= before.rate_bps[:, 1:] * (1 + 1e-9)).all()


def test_the_sinr_is_capped_where_the_modulation_ends():
    capped = one_cell([1e6 * NOISE_W], [0], limits=Radio(num_subchannels=3, sinr_cap_db=30.0))
    assert capped.rate_bps[0, 0] == pytest.approx(180e3 * np.log2(1 + 1000))


def test_packet_errors_follow_the_waterfall_formula():
    error = radio.packet_error(Radio(waterfall=1.005), np.array([0.5, 1.0, 100.0]))
    np.testing.assert_allclose(error, 1 - np.exp(-1.005 / np.array([0.5, 1.0, 100.0])))


@pytest.mark.parametrize("waterfall", [0.0, 1.005])
def test_a_packet_without_signal_is_lost(waterfall):
    assert radio.packet_error(Radio(waterfall=waterfall), np.zeros(1))[0] == pytest.approx(1.0)


def test_without_a_waterfall_every_signal_is_received():
    assert radio.packet_error(Radio(waterfall=0.0), np.array([1e-6]))[0] == 0.0


def test_the_downlink_spreads_the_power_of_the_base_station_over_all_subchannels():
    limits = Radio(num_subchannels=2, base_station_dbm=33.0)
    gain = np.array([[[[1e-12, 3e-12]]]])
    snr = radio.dbm_to_w(33.0) / 2 * gain[0, 0, 0] / limits.noise_w
    rate = radio.downlink_rate_bps(limits, gain, np.zeros((1, 1), dtype=int))
    assert rate[0, 0] == pytest.approx(limits.subchannel_hz * np.log2(1 + snr).sum())


@pytest.mark.parametrize("sinr_cap_db", [None, 20.0])
@modest
@given(network=networks(), order=st.randoms(use_true_random=False))
def test_no_allocation_of_one_device_per_subchannel_beats_the_best_alone(sinr_cap_db, network, order):
    # full power is the most that networks draw
    limits = Radio(num_subchannels=3, sinr_cap_db=sinr_cap_db, max_power_dbm=30.0)
    systems, n = network["serving"].shape
    devices = list(range(n))
    order.shuffle(devices)
    transmits, taken = np.zeros((systems, n), dtype=bool), set()
    for e in range(systems):
        for i in devices:
            slot = (e, network["serving"][e, i], network["subchannel"][e, i])
            transmits[e, i] = slot not in taken
            taken.add(slot)
    rates = radio.uplink(limits, **{**network, "transmits": transmits}).rate_bps
    bound = radio.best_alone_bps(limits, network["gain"], network["serving"])
    assert (rates.sum(-1) <= bound * (1 + 1e-9)).all()


def test_the_best_alone_is_reached_by_a_device_alone():
    limits = Radio(num_subchannels=1, max_power_dbm=30.0)
    bound = radio.best_alone_bps(limits, NOISE_W * np.array([[[[3.0]], [[15.0]]]]), np.zeros((1, 2), dtype=int))
    assert bound[0] == pytest.approx(180e3 * 4)


# a band that is split


def split_band(received_w, share, transmits=None, limits=RADIO):
    """Rates of one system of one cell of 3 sub-channels; ``received_w`` (N) at 1 W, the same on all of them."""
    n = len(received_w)
    gain = np.broadcast_to(np.asarray(received_w, dtype=float)[None, :, None, None], (1, n, 1, 3))
    transmits = np.ones(n, dtype=bool) if transmits is None else np.asarray(transmits)
    none, watt = np.zeros((1, n), dtype=int), np.ones((1, n))
    return radio.band_uplink(limits, gain, none, transmits[None], watt, np.asarray(share, dtype=float)[None])


@st.composite
def split_networks(draw):
    """Arguments of ``band_uplink`` after the radio: two systems with random gains, cells, powers and shares."""
    network = draw(networks())
    shares = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).uniform(0.01, 1.0, network["power_w"].shape)
    return {name: network[name] for name in ("gain", "serving", "transmits", "power_w")} | {"share": shares}


def reference_split_rates(gain, serving, transmits, power_w, share):
    """The rates again, one system, one device and one interferer after the other; the band has 3 sub-channels."""
    systems, n, _, _ = gain.shape
    rates = np.zeros((systems, n))
    for e in range(systems):
        talkers = np.flatnonzero(transmits[e])
        for i in talkers:
            cell = serving[e, i]
            asked = sum(share[e, j] for j in talkers if serving[e, j] == cell)
            part = share[e, i] / asked if asked > 1 else share[e, i]
            density = 3 * NOISE_W + sum(
                power_w[e, j] * gain[e, j, cell].sum() / 3 for j in talkers if serving[e, j] != cell
            )
            sinr = power_w[e, i] * gain[e, i, cell].sum() / 3 / (part * density)
            rates[e, i] = part * 3 * RADIO.subchannel_hz * np.log2(1 + sinr)
    return rates


def test_a_single_user_of_the_whole_band_has_its_shannon_rate():
    # 3 sub-channels of 180 kHz, and three times the noise of one
    assert split_band([3 * 15 * NOISE_W], [1.0]).rate_bps[0, 0] == pytest.approx(3 * 180e3 * 4)


def test_a_user_of_a_third_of_the_band_hears_a_third_of_the_noise():
    assert split_band([15 * NOISE_W], [1 / 3]).rate_bps[0, 0] == pytest.approx(180e3 * 4)


def test_a_user_of_the_band_has_its_mean_gain():
    gain = 3 * NOISE_W * np.array([[[[0.0, 15.0, 30.0]]]])
    none = np.zeros((1, 1), dtype=int)
    up = radio.band_uplink(RADIO, gain, none, np.ones((1, 1), dtype=bool), np.ones((1, 1)), np.ones((1, 1)))
    assert up.rate_bps[0, 0] == pytest.approx(3 * 180e3 * 4)


def test_equal_shares_split_the_band_equally():
    rate = split_band([15 * NOISE_W] * 3, [1 / 3] * 3).rate_bps
    np.testing.assert_allclose(rate[0], 180e3 * 4)


def test_shares_beyond_the_whole_band_are_scaled_down_to_it():
    np.testing.assert_allclose(
        split_band([9 * NOISE_W] * 3, [0.8, 0.8, 0.4]).rate_bps, split_band([9 * NOISE_W] * 3, [0.4, 0.4, 0.2]).rate_bps
    )


def test_shares_below_the_whole_band_are_what_was_asked_for():
    # 60 kHz that hear a third of the noise of a sub-channel
    rate = split_band([5 * NOISE_W] * 2, [1 / 9, 1 / 9]).rate_bps
    np.testing.assert_allclose(rate[0], 60e3 * 4)


def test_silent_devices_take_no_share():
    rate = split_band([45 * NOISE_W] * 2, [1.0, 1.0], transmits=[True, False]).rate_bps
    np.testing.assert_allclose(rate[0], [3 * 180e3 * 4, 0.0])


def test_a_share_of_nothing_has_no_rate():
    assert split_band([9 * NOISE_W] * 2, [0.0, 1.0]).rate_bps[0, 0] == 0.0


def test_users_of_a_split_band_send_all_the_time():
    np.testing.assert_array_equal(split_band([9 * NOISE_W] * 2, [0.5, 0.5]).share, 1.0)


def test_the_sinr_in_a_split_band_is_capped_where_the_modulation_ends():
    capped = split_band([1e6 * NOISE_W], [0.5], limits=Radio(num_subchannels=3, sinr_cap_db=30.0))
    assert capped.rate_bps[0, 0] == pytest.approx(1.5 * 180e3 * np.log2(1 + 1000))


def test_other_cells_interfere_in_a_split_band_with_their_mean_power():
    # each device has the whole band of its cell; the noise of 3 sub-channels is 3
    gain = np.broadcast_to(NOISE_W * np.array([[[8.0], [3.0]], [[1.0], [18.0]]]), (1, 2, 2, 3))
    up = radio.band_uplink(
        RADIO, gain, np.array([[0, 1]]), np.ones((1, 2), dtype=bool), np.ones((1, 2)), np.ones((1, 2))
    )
    np.testing.assert_allclose(up.sinr[0], [8 / (1 + 3), 18 / (3 + 3)])


@modest
@given(split_networks())
def test_rates_of_a_split_band_equal_a_slow_reference(network):
    np.testing.assert_allclose(
        radio.band_uplink(RADIO, **network).rate_bps, reference_split_rates(**network), rtol=1e-9
    )


@modest
@given(split_networks(), st.floats(1.0, 100.0))
def test_a_larger_share_never_lowers_the_own_rate(network, factor):
    larger = network["share"].copy()
    larger[:, 0] *= factor
    before, after = (radio.band_uplink(RADIO, **{**network, "share": share}) for share in (network["share"], larger))
    assert (after.rate_bps[:, 0] >= before.rate_bps[:, 0] * (1 - 1e-9)).all()


@modest
@given(split_networks(), st.floats(1.0, 100.0))
def test_a_larger_share_never_raises_the_rate_of_others(network, factor):
    larger = network["share"].copy()
    larger[:, 0] *= factor
    before, after = (radio.band_uplink(RADIO, **{**network, "share": share}) for share in (network["share"], larger))
    assert (after.rate_bps[:, 1:] <= before.rate_bps[:, 1:] * (1 + 1e-9)).all()


@modest
@given(split_networks())
def test_systems_side_by_side_do_not_share_a_band(network):
    alone = radio.band_uplink(RADIO, **{name: value[1:] for name, value in network.items()})
    np.testing.assert_allclose(radio.band_uplink(RADIO, **network).rate_bps[1:], alone.rate_bps, rtol=1e-9)
