"""One round of the federated system, and what it leaves behind."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
import torch

from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision, deal_subchannels
from qfl_envs.system.learning.data import load_dataset
from qfl_envs.system.network.radio import band_uplink
from qfl_envs.system.report import RoundReport, fairness

LEARNED = ("accuracy", "best_accuracy", "best_accuracy_gain", "loss", "device_loss", "fairness")
LEARNED_STATE = (
    "parameters", "first_moment", "second_moment", "accuracy", "best_accuracy", "loss", "device_loss",
    "device_accuracy", "reported_loss", "received_loss",
)  # fmt: skip
PATIENT = {"deadline_s": 1e6}
RELIABLE = {"link_drop": 0.0, "waterfall": 0.0}
SILENT = {"model": "none"}


def tiny(**changes):
    return Scenario.preset("tiny").replace(changes)


def everybody(system):
    return Decision(np.ones((system.num_systems, system.scenario.num_devices), dtype=bool))


def nobody(system):
    return Decision(np.zeros((system.num_systems, system.scenario.num_devices), dtype=bool))


def only(system, *devices):
    chosen = np.zeros((system.num_systems, system.scenario.num_devices), dtype=bool)
    chosen[:, devices] = True
    return Decision(chosen)


def random_decision(rng, systems, scenario):
    n, k = scenario.num_devices, scenario.radio.num_subchannels
    return Decision(
        participate=rng.random((systems, n)) < 0.7,
        subchannel=rng.integers(0, k, (systems, n)),
        power_dbm=rng.uniform(scenario.radio.min_power_dbm, scenario.radio.max_power_dbm, (systems, n)),
        local_steps=rng.integers(1, 3, (systems, n)),
        time_share=rng.random(systems) < 0.5,
    )


def row_of(decision, row):
    values = {field.name: getattr(decision, field.name) for field in dataclasses.fields(decision)}
    return Decision(**{name: None if value is None else value[row : row + 1] for name, value in values.items()})


# rows


def rows_and_alone(begin, scenario, rounds=4):
    """A batch of three systems and its middle one alone, after the same decisions; and their reports."""
    together, alone = begin(scenario, seeds=(5, 6, 7)), begin(scenario, seeds=(6,))
    rng, reports = np.random.default_rng(0), []
    for _ in range(rounds):
        decision = random_decision(rng, 3, scenario)
        reports.append((together.step(decision), alone.step(row_of(decision, 1))))
    return together, alone, reports


REPORTED = [f.name for f in dataclasses.fields(RoundReport) if f.name not in (*LEARNED, "guarded")]


@pytest.mark.parametrize("field", REPORTED)
def test_a_row_is_reported_bit_for_bit_as_if_alone(begin, field):
    _, _, reports = rows_and_alone(begin, tiny())
    for of_many, of_one in reports:
        np.testing.assert_array_equal(getattr(of_many, field)[1], getattr(of_one, field)[0])


def test_a_row_remembers_bit_for_bit_what_it_does_alone(begin):
    together, alone, _ = rows_and_alone(begin, tiny())
    for name, value in vars(alone.state).items():
        if name not in LEARNED_STATE:
            np.testing.assert_array_equal(getattr(together.state, name)[1], value[0], err_msg=name)


@pytest.mark.parametrize("rule", ["fedadam", "fedavg"])
def test_a_row_learns_what_it_learns_alone(begin, rule):
    together, alone, _ = rows_and_alone(begin, tiny(learning={"server_rule": rule}))
    np.testing.assert_allclose(together.state.parameters[1], alone.state.parameters[0], atol=1e-5)


def test_a_row_measures_what_it_measures_alone(begin):
    _, _, reports = rows_and_alone(begin, tiny())
    for of_many, of_one in reports:
        np.testing.assert_allclose(of_many.device_loss[1], of_one.device_loss[0], atol=1e-5)


def test_systems_of_different_seeds_differ(begin):
    system = begin(tiny(learning=SILENT), seeds=(0, 1))
    assert not np.isclose(*system.state.gain, atol=0).any()


def test_the_same_seed_repeats_an_episode(begin):
    first, second = (begin(tiny()) for _ in range(2))
    for system in (first, second):
        for _ in range(3):
            system.step(everybody(system))
    np.testing.assert_array_equal(first.state.parameters, second.state.parameters)


def test_resetting_a_row_leaves_the_others_as_they_are(begin):
    system = begin(tiny(learning=SILENT), seeds=(0, 1, 2))
    system.step(everybody(system))
    before = system.state.copy()
    system.reset([np.random.default_rng(9)], rows=np.array([1]))
    for name, value in vars(before).items():
        np.testing.assert_array_equal(getattr(system.state, name)[[0, 2]], value[[0, 2]], err_msg=name)


def test_a_row_that_is_reset_begins_as_if_alone(begin):
    system = begin(tiny(), seeds=(0, 1, 2))
    system.step(everybody(system))
    system.reset([np.random.default_rng(9)], rows=np.array([1]))
    alone = begin(tiny(), seeds=(9,))
    for name, value in vars(alone.state).items():
        np.testing.assert_allclose(getattr(system.state, name)[1], value[0], atol=1e-5, err_msg=name)


def test_a_system_continues_in_another_process_as_here(begin):
    system = begin(tiny())
    system.step(everybody(system))
    copied = pickle.loads(pickle.dumps(system))
    for each in (system, copied):
        each.step(everybody(each))
    np.testing.assert_array_equal(copied.state.parameters, system.state.parameters)


@pytest.mark.parametrize("model", ["qnn", "none"])
def test_a_round_draws_the_same_amount_of_randomness_whatever_is_decided(begin, model):
    ends = []
    for decide in (everybody, nobody):
        system = begin(tiny(learning={"model": model}))
        system.step(decide(system))
        ends.append(system.generators[0].bit_generator.state)
    assert ends[0] == ends[1]


# deadline


def test_late_devices_do_not_deliver(begin):
    system = begin(tiny(deadline_s=0.3, learning=SILENT), seeds=range(5))
    report = system.step(everybody(system))
    assert report.late.any() and not (report.late & report.delivered).any()


def test_the_round_lasts_until_the_deadline_where_a_device_is_late(begin):
    system = begin(tiny(deadline_s=0.3, learning=SILENT), seeds=range(20))
    report = system.step(everybody(system))
    np.testing.assert_array_equal(report.round_s[report.late.any(-1)], 0.3)


def test_a_round_without_stragglers_lasts_as_long_as_its_slowest_participant(begin):
    system = begin(tiny(**PATIENT, radio=RELIABLE, learning=SILENT, fleet={"battery_j": [1e6, 1e6]}))
    report = system.step(everybody(system))
    down_s = report.round_s - (report.compute_s + report.protect_s + report.upload_s).max(-1)
    # beside the steps that are reported there is the model's way down
    assert 0 < down_s.item() < 0.05


def test_nobody_is_late_where_there_is_no_hurry(begin):
    system = begin(tiny(**PATIENT, learning=SILENT), seeds=range(5))
    report = system.step(everybody(system))
    assert not report.late.any()


def test_uploads_are_cut_short_at_the_deadline(begin):
    system = begin(tiny(deadline_s=0.3, learning=SILENT), seeds=range(5))
    report = system.step(everybody(system))
    assert (report.upload_s <= 0.3).all()


def test_a_round_without_participants_lasts_until_the_deadline(begin):
    system = begin(tiny(learning=SILENT))
    assert system.step(nobody(system)).round_s.item() == system.scenario.deadline_s


def test_simulated_time_is_the_sum_of_the_rounds(begin):
    system = begin(tiny(learning=SILENT))
    rounds_s = [system.step(everybody(system)).round_s.item() for _ in range(4)]
    assert system.state.elapsed_s.item() == pytest.approx(sum(rounds_s))


# energy


def test_batteries_lose_what_a_round_takes(begin):
    system = begin(tiny(fleet={"harvest_w": 0.0}, learning=SILENT), seeds=range(5))
    before = system.state.battery_j.copy()
    report = system.step(everybody(system))
    np.testing.assert_allclose((before - system.state.battery_j).sum(-1), report.energy_j)


def test_idle_devices_gain_what_they_harvest_and_no_more_than_their_full_charge(begin):
    system = begin(tiny(fleet={"harvest_w": 2.0}, learning=SILENT))
    system.state.battery_j = np.array([[0.0, 0.5, 1.0, 2.0, 3.0, 4.0]])
    system.state.full_battery_j = np.array([[9.0, 9.0, 9.0, 9.0, 3.1, 4.0]])
    before = system.state.battery_j.copy()
    round_s = system.step(nobody(system)).round_s.item()
    gained = system.state.battery_j - before
    assert ((gained >= 0) & (gained <= 2 * 2.0 * round_s) & (system.state.battery_j <= [[9, 9, 9, 9, 3.1, 4]])).all()


def test_the_energy_of_an_episode_is_the_sum_of_its_rounds(begin):
    system = begin(tiny(learning=SILENT))
    rounds_j = [system.step(everybody(system)).energy_j.item() for _ in range(4)]
    assert system.state.energy_j.item() == pytest.approx(sum(rounds_j))


def test_a_round_takes_energy_for_computing_protecting_and_sending(begin):
    scenario = tiny(
        **PATIENT,
        radio={**RELIABLE, "max_power_dbm": 20.0},
        fleet={"quantum_w": 5.0, "transmit_circuit_w": 0.4, "battery_j": [1e6, 1e6], "load_mean": 0.0, "load_std": 0.0},
        learning=SILENT,
    )
    system = begin(scenario)
    report = system.step(only(system, 2))
    cpu_hz, shot_s = system.state.max_cpu_hz[0, 2], system.state.shot_s[0, 2]
    shots = 2 * 4 * (1 + 2 * 20) * 100  # 2 steps of 4 samples; 4 qubits and 2 layers have 20 angles
    cycles = 2 * 4 * scenario.fleet.cycles_per_sample + scenario.security.protection_cycles
    expected = 1e-28 * cycles * cpu_hz**2 + 5.0 * shots * shot_s + (0.1 + 0.4) * report.upload_s[0, 2]
    assert report.energy_j.item() == pytest.approx(expected)


def test_no_battery_falls_below_empty(begin):
    system = begin(tiny(**PATIENT, fleet={"battery_j": [1e-3, 1.0], "reserve": 0.0}, learning=SILENT), seeds=range(5))
    system.step(everybody(system))
    assert (system.state.battery_j >= 0).all()


def exhausted(begin):
    """A round of devices whose batteries end in the middle of it."""
    fleet = {"battery_j": [1e-3, 1e-3], "reserve": 0.0, "harvest_w": 0.0}
    system = begin(tiny(**PATIENT, radio=RELIABLE, fleet=fleet, learning=SILENT))
    return system, system.step(everybody(system))


def test_a_device_whose_battery_ends_is_depleted(begin):
    _, report = exhausted(begin)
    assert report.depleted.all()


def test_a_depleted_device_does_not_deliver(begin):
    _, report = exhausted(begin)
    assert not report.delivered.any()


def test_a_depleted_device_has_an_empty_battery(begin):
    system, _ = exhausted(begin)
    assert (system.state.battery_j == 0).all()


def test_a_depleted_device_does_not_send_its_whole_update(begin):
    system, report = exhausted(begin)
    assert (report.bits_sent < system.payload_bits).all()


# uploads


def test_no_device_sends_more_than_its_payload(begin):
    system = begin(tiny(learning=SILENT), seeds=range(10))
    report = system.step(everybody(system))
    assert (report.bits_sent <= system.payload_bits).all()


def test_a_device_that_delivers_has_sent_its_payload(begin):
    system = begin(tiny(learning=SILENT), seeds=range(10))
    report = system.step(everybody(system))
    np.testing.assert_allclose(report.bits_sent[report.delivered], system.payload_bits)


def test_a_late_device_has_sent_less_than_its_payload(begin):
    system = begin(tiny(deadline_s=0.3, learning=SILENT), seeds=range(10))
    report = system.step(everybody(system))
    assert (report.bits_sent[report.late] < system.payload_bits).all()


def test_idle_devices_send_nothing(begin):
    system = begin(tiny(learning=SILENT))
    report = system.step(only(system, 0))
    assert (report.bits_sent[:, 1:] == 0).all()


def test_protection_adds_to_the_payload(begin):
    plain, protected = (begin(tiny(security={"protection_bits": bits}, learning=SILENT)) for bits in (0, 1000))
    assert protected.payload_bits == plain.payload_bits + 1000


def test_packets_are_lost_as_often_as_their_signal_says(begin):
    # at the top of a cap of 0 dB every packet is lost with probability 1 - exp(-m)
    radio = {"link_drop": 0.0, "waterfall": 0.5, "sinr_cap_db": 0.0, "cell_radius_m": 50.0, "num_subchannels": 50}
    scenario = tiny(**PATIENT, num_devices=50, radio=radio, fleet={"battery_j": [1e6, 1e6]}, learning=SILENT)
    system = begin(scenario, seeds=range(20))
    report = system.step(everybody(system))
    assert report.lost.mean() == pytest.approx(1 - np.exp(-0.5), abs=5 * 0.5 / np.sqrt(1000))


def test_a_lost_packet_is_not_delivered(begin):
    system = begin(tiny(**PATIENT, radio={"waterfall": 5.0}, learning=SILENT), seeds=range(5))
    report = system.step(everybody(system))
    assert report.lost.any() and not (report.lost & report.delivered).any()


# repair


def unavailable(begin, **changes):
    """A system of which device 1 has lost its link and device 2 is down to its reserve."""
    system = begin(tiny(**PATIENT, radio=RELIABLE, **changes))
    system.state.link_up = np.array([[True, False, True, True, True, True]])
    system.state.battery_j = system.state.full_battery_j * [1, 1, 0.1, 1, 1, 1]
    return system


def test_devices_without_link_or_charge_are_not_available(begin):
    assert unavailable(begin, learning=SILENT).available().tolist() == [[True, False, False, True, True, True]]


def test_unavailable_devices_do_not_take_part(begin):
    system = unavailable(begin, learning=SILENT)
    assert system.step(everybody(system)).participation.tolist() == [[True, False, False, True, True, True]]


def test_unavailable_devices_that_should_take_part_are_reported(begin):
    system = unavailable(begin, learning=SILENT)
    assert system.step(everybody(system)).repaired.tolist() == [[False, True, True, False, False, False]]


def test_unavailable_devices_that_should_idle_are_no_repair(begin):
    system = unavailable(begin, learning=SILENT)
    assert not system.step(only(system, 0, 3)).repaired.any()


def test_a_clock_beyond_what_other_work_leaves_is_reduced_to_it(begin):
    decided, by_default = (begin(tiny(radio=RELIABLE, learning=SILENT)) for _ in range(2))
    report = decided.step(dataclasses.replace(everybody(decided), cpu_hz=np.full((1, 6), 1e12)))
    np.testing.assert_array_equal(report.compute_s, by_default.step(everybody(by_default)).compute_s)


def test_a_clock_beyond_what_other_work_leaves_is_reported(begin):
    system = begin(tiny(radio=RELIABLE, learning=SILENT))
    report = system.step(dataclasses.replace(everybody(system), cpu_hz=np.full((1, 6), 1e12)))
    assert report.repaired.all()


def test_power_beyond_the_limits_is_clipped(begin):
    system = begin(tiny(radio=RELIABLE, learning=SILENT))
    power_dbm = np.array([[-50.0, 10.0, 99.0, 0.0, 17.0, 17.0]])
    report = system.step(dataclasses.replace(everybody(system), power_dbm=power_dbm))
    assert report.power_dbm.tolist() == [[0.0, 10.0, 17.0, 0.0, 17.0, 17.0]]


def test_power_beyond_the_limits_is_reported(begin):
    system = begin(tiny(radio=RELIABLE, learning=SILENT))
    power_dbm = np.array([[-50.0, 10.0, 99.0, 0.0, 17.0, 17.0]])
    report = system.step(dataclasses.replace(everybody(system), power_dbm=power_dbm))
    assert report.repaired.tolist() == [[True, False, True, False, False, False]]


# defaults


def test_participants_are_dealt_over_the_subchannels_from_the_strongest_to_the_weakest_and_back():
    gain = np.broadcast_to(np.array([6.0, 1.0, 5.0, 2.0, 4.0, 3.0])[None, :, None, None], (1, 6, 1, 3))
    dealt = deal_subchannels(np.ones((1, 6), dtype=bool), np.zeros((1, 6), dtype=int), gain)
    assert dealt.tolist() == [[0, 0, 1, 1, 2, 2]]


def test_idle_devices_take_no_subchannel_from_participants():
    gain = np.broadcast_to(np.array([6.0, 1.0, 5.0, 2.0])[None, :, None, None], (1, 4, 1, 3))
    dealt = deal_subchannels(np.array([[False, True, True, True]]), np.zeros((1, 4), dtype=int), gain)
    assert dealt[0, 1:].tolist() == [2, 0, 1]


def test_every_cell_deals_its_own_participants():
    gain = np.broadcast_to(np.array([4.0, 3.0, 2.0, 1.0])[None, :, None, None], (1, 4, 2, 2))
    dealt = deal_subchannels(np.ones((1, 4), dtype=bool), np.array([[0, 1, 0, 1]]), gain)
    assert dealt.tolist() == [[0, 0, 1, 1]]


def test_the_access_of_the_scenario_is_the_default(begin):
    shared, decided = (
        begin(tiny(radio={"access": access}, learning=SILENT)) for access in ("time_share", "interference")
    )
    by_default = shared.step(everybody(shared))
    explicit = decided.step(dataclasses.replace(everybody(decided), time_share=np.array([True])))
    np.testing.assert_array_equal(by_default.rates_bps, explicit.rates_bps)


def test_devices_that_share_the_band_have_the_rates_of_their_shares(begin):
    scenario = tiny(radio={**RELIABLE, "num_cells": 3}, learning=SILENT)
    system = begin(scenario, seeds=(0, 1))
    rng, state = np.random.default_rng(0), system.state.copy()
    decision = Decision(rng.random((2, 6)) < 0.7, band_share=rng.random((2, 6)), power_dbm=rng.uniform(5, 15, (2, 6)))
    report = system.step(decision)
    power_w = 10 ** ((decision.power_dbm - 30) / 10)
    serving = state.gain.mean(-1).argmax(-1)
    up = band_uplink(scenario.radio, state.gain, serving, report.participation, power_w, decision.band_share)
    np.testing.assert_allclose(report.rates_bps, up.rate_bps)


# learning


def test_a_round_without_participants_leaves_the_model_as_it_is(begin):
    system = begin(tiny())
    before = system.state.parameters.copy()
    system.step(nobody(system))
    np.testing.assert_array_equal(system.state.parameters, before)


def test_a_round_in_which_nothing_arrives_leaves_the_model_as_it_is(begin):
    system = begin(tiny(deadline_s=1e-3))
    before = system.state.parameters.copy()
    system.step(everybody(system))
    np.testing.assert_array_equal(system.state.parameters, before)


def test_only_systems_whose_server_hears_something_change_their_model(begin):
    system = begin(tiny(**PATIENT, radio=RELIABLE), seeds=(0, 1))
    system.step(everybody(system))  # after a first update the server's Adam has momentum, which must rest as well
    before = system.state.copy()
    system.step(Decision(np.array([[True] * 6, [False] * 6])))
    for name in ("parameters", "first_moment", "second_moment"):
        assert (getattr(system.state, name) != getattr(before, name)).any(-1).tolist() == [True, False]


def test_only_systems_whose_server_hears_something_count_an_update(begin):
    system = begin(tiny(**PATIENT, radio=RELIABLE), seeds=(0, 1))
    system.step(Decision(np.array([[True] * 6, [False] * 6])))
    assert system.state.updates.tolist() == [1, 0]


def accuracies(begin):
    """Accuracy at the start, and the reports of some rounds in which it rises and falls."""
    system = begin(tiny())
    start = system.state.accuracy.item()
    reports = [system.step(everybody(system)) for _ in range(6)]
    assert (np.diff([start, *(report.accuracy.item() for report in reports)]) < 0).any()
    return start, reports


def test_the_best_accuracy_is_the_highest_of_the_episode(begin):
    start, reports = accuracies(begin)
    expected = np.maximum.accumulate([start, *(report.accuracy.item() for report in reports)])[1:]
    np.testing.assert_array_equal([report.best_accuracy.item() for report in reports], expected)


def test_the_report_says_how_much_a_round_raised_the_best_accuracy(begin):
    start, reports = accuracies(begin)
    best = [start, *(report.best_accuracy.item() for report in reports)]
    np.testing.assert_allclose([report.best_accuracy_gain.item() for report in reports], np.diff(best))


def test_the_age_of_a_device_counts_the_rounds_since_it_delivered(begin):
    system = begin(tiny(**PATIENT, radio=RELIABLE, learning=SILENT))
    for decision in (only(system, 0, 1), only(system, 1), nobody(system)):
        system.step(decision)
    assert system.state.age.tolist() == [[2, 1, 3, 3, 3, 3]]


def test_the_server_knows_the_losses_of_those_who_delivered(begin):
    system = begin(tiny(**PATIENT, radio=RELIABLE))
    known = system.state.device_loss.copy()
    system.step(only(system, 2))
    expected = np.where(np.arange(6) == 2, known, np.log(10))
    np.testing.assert_allclose(system.state.reported_loss, expected)


def test_monitored_devices_with_a_link_report_the_loss_of_the_new_model(begin):
    system = begin(tiny(**PATIENT, radio=RELIABLE, learning={"monitored": True}))
    linked = np.array([[True, False, True, True, False, True]])
    system.state.link_up = linked.copy()
    before = system.state.reported_loss.copy()
    system.step(only(system, 0))
    np.testing.assert_array_equal(system.state.reported_loss, np.where(linked, system.state.device_loss, before))


def test_monitored_devices_have_reported_before_the_first_round(begin):
    system = begin(tiny(learning={"monitored": True}, radio={"link_drop": 0.0}))
    np.testing.assert_array_equal(system.state.reported_loss, system.state.device_loss)


def test_a_network_without_learning_measures_no_accuracy(begin):
    system = begin(tiny(learning=SILENT))
    assert system.step(everybody(system)).accuracy.item() == 0.0


def test_a_network_without_learning_has_the_radio_of_one_that_learns(begin):
    with_learning, without = begin(tiny()), begin(tiny(learning=SILENT))
    rates = [system.step(everybody(system)).rates_bps for system in (with_learning, without)]
    np.testing.assert_array_equal(*rates)


@pytest.mark.parametrize("model", ["qnn", "surrogate"])
def test_what_a_learner_draws_in_a_round_leaves_the_network_of_that_round_as_it_is(begin, model):
    learning, silent = begin(tiny(learning={"model": model})), begin(tiny(learning=SILENT))
    silent.generators = copy.deepcopy(learning.generators)  # dealing the data has taken numbers of one of them
    for system in (learning, silent):
        system.step(nobody(system))
    for name in ("gain", "link_up", "load_normal", "battery_j"):
        np.testing.assert_array_equal(getattr(learning.state, name), getattr(silent.state, name), err_msg=name)


@pytest.mark.parametrize("model", ["logistic", "mlp", "qnn", "tensor_network"])
def test_every_learner_learns(begin, model):
    scenario = tiny(
        **PATIENT,
        radio=RELIABLE,
        fleet={"battery_j": [1e6, 1e6]},
        learning={"model": model, "partition": "iid", "batch_size": 16, "local_rate": 0.2, "eval_samples": 360},
    )
    system = begin(scenario)
    for _ in range(20):
        report = system.step(everybody(system))
    assert report.accuracy.item() > 0.5


def parameters_after_a_round(begin, **quantum):
    system = begin(
        tiny(
            **PATIENT,
            radio=RELIABLE,
            learning={"batch_size": 2, "eval_samples": 2, "device_eval_samples": 1},
            quantum=quantum,
        )
    )
    system.step(only(system, 0, 1))
    return system.state.parameters


@pytest.mark.parametrize("gradient", ["adjoint", "backprop", "parameter_shift"])
def test_pennylane_trains_as_the_batched_executor_does(begin, gradient):
    batched = parameters_after_a_round(begin, gradient=gradient)
    reference = parameters_after_a_round(begin, gradient=gradient, executor="pennylane")
    np.testing.assert_allclose(reference, batched, atol=1e-4)


SAMPLED = {"gradient": "parameter_shift", "sampled": True}


@pytest.mark.parametrize("executor", ["batched", "pennylane"])
def test_training_with_finite_shots_differs_from_exact_training(begin, executor):
    exact = parameters_after_a_round(begin, gradient="parameter_shift")
    assert not np.allclose(parameters_after_a_round(begin, **SAMPLED, executor=executor), exact, atol=1e-4)


@pytest.mark.parametrize("executor", ["batched", "pennylane"])
def test_training_with_finite_shots_is_repeated_by_the_same_seed(begin, executor):
    first, second = (parameters_after_a_round(begin, **SAMPLED, executor=executor) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_training_with_finite_shots_does_not_depend_on_the_neighbours(begin):
    scenario = tiny(**PATIENT, radio=RELIABLE, quantum=SAMPLED)
    together, alone = begin(scenario, seeds=(5, 6, 7)), begin(scenario, seeds=(6,))
    for system in (together, alone):
        system.step(everybody(system))
    np.testing.assert_allclose(together.state.parameters[1], alone.state.parameters[0], atol=1e-5)


def loss_and_accuracy(system, features, labels):
    """Of the global model of the first system on some samples."""
    logits = system.learner.model.logits(torch.from_numpy(system.state.parameters), torch.from_numpy(features)[None])[0]
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels)).item()
    return loss, (logits.argmax(-1).numpy() == labels).mean()


@pytest.mark.parametrize("samples", [4, 1000], ids=["first samples", "all samples"])
def test_a_device_is_measured_on_its_own_data(begin, samples):
    system = begin(tiny(learning={"device_eval_samples": samples}))
    state, data = system.state, load_dataset("digits", 4)
    for device in range(6):
        held = state.sample_index[0, 0, device, : min(samples, state.num_samples[0, device])]
        expected = loss_and_accuracy(system, data.train_features[held], data.train_labels[held])
        measured = state.device_loss[0, device], state.device_accuracy[0, device]
        np.testing.assert_allclose(measured, expected, rtol=1e-5)


def test_the_global_model_is_measured_on_held_out_data(begin):
    system, data = begin(tiny(learning={"eval_samples": 60})), load_dataset("digits", 4)
    expected = loss_and_accuracy(system, data.test_features[:60], data.test_labels[:60])
    np.testing.assert_allclose((system.state.loss[0], system.state.accuracy[0]), expected, rtol=1e-5)


# fairness


def test_jain_is_one_for_equal_accuracies():
    assert fairness(np.full((1, 20), 0.3)).jain.item() == pytest.approx(1.0)


def test_jain_is_the_share_of_devices_that_have_everything():
    assert fairness(np.array([[1.0, 0.0, 0.0, 0.0]])).jain.item() == pytest.approx(0.25)


def test_equal_accuracies_of_zero_are_even():
    assert fairness(np.zeros((1, 4))).jain.item() == 1.0


def test_the_worst_accuracy_is_the_mean_of_the_worst_tenth():
    accuracies = np.random.default_rng(0).permutation(np.arange(20.0))[None]
    assert fairness(accuracies).worst_accuracy.item() == pytest.approx(0.5)


def test_the_variance_is_that_over_devices():
    assert fairness(np.array([[1.0, 0.0, 0.5, 0.5]])).variance.item() == pytest.approx(0.125)


# move on


def test_a_copy_of_the_state_shares_nothing(begin):
    system = begin(tiny())
    kept = system.state.copy()
    expected = copy.deepcopy(kept)
    system.step(everybody(system))
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(kept, name), value, err_msg=name)


def test_the_gain_follows_the_devices_that_move(begin):
    system = begin(tiny(learning=SILENT))
    before = system.state.gain.copy()
    system.step(nobody(system))
    assert (system.state.gain != before).all()


def test_devices_at_rest_keep_their_gain(begin):
    system = begin(tiny(fleet={"speed_mps": 0.0, "speed_std_mps": 0.0}, learning=SILENT))
    before = system.state.gain.copy()
    system.step(nobody(system))
    np.testing.assert_allclose(system.state.gain, before)
