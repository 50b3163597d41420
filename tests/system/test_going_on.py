"""Updates that are under way from one round to the next, and servers that wait.

Devices 0 to 5 take 1, 2, 3, 5, 8 and 13 seconds; their uploads take next to no time.
"""

import pickle

import by_hand
import numpy as np
import pytest
from by_hand import reliable
from hypothesis import given, settings
from hypothesis import strategies as st

from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.learning.shapes import num_parameters

SECONDS = np.array([1.0, 2.0, 3.0, 5.0, 8.0, 13.0])
ASYNCHRONOUS = {"aggregation": "asynchronous", "server_rule": "fedasync"}
BUFFERED = {"aggregation": "buffered", "server_rule": "fedavg", "buffer_size": 2}
SILENT = {"model": "none"}
modest = settings(deadline=None, max_examples=25, derandomize=True)
both = pytest.mark.parametrize("learning", [ASYNCHRONOUS, BUFFERED], ids=["asynchronous", "buffered"])
soon = {"abs": 0.05}


def timed(learning, **changes):
    """A reliable scenario whose uploads take next to no time, with a deadline of 4 s and a patience of 3 deadlines."""
    radio = {"cell_radius_m": 50.0, "num_subchannels": 6, "subchannel_hz": 1e7, "base_station_dbm": 80.0}
    scenario = reliable({"batch_size": 10, "local_steps": 1, "patience": 3.0, **learning}, deadline_s=4.0)
    fleet = {"load_mean": 0.0, "load_std": 0.0, "cycles_per_sample": 1e8, "shot_s": [0.0, 0.0], "queue_s": 0.0}
    steady = {"radio": radio, "fleet": fleet, "security": {"protection_bits": 0, "protection_cycles": 0.0}}
    return scenario.replace(steady).replace(changes)


@pytest.fixture
def start(begin):
    """Systems whose devices take the times above: ``start(learning, seeds=(0,))``."""

    def begin_timed(learning, seeds=(0,), **changes):
        system = begin(timed(learning, **changes), seeds)
        system.state.max_cpu_hz = np.tile(1e9 / SECONDS, (len(seeds), 1))
        return system

    return begin_timed


def who(*devices):
    return Decision(np.isin(np.arange(6), devices)[None])


EVERYBODY, NOBODY = who(*range(6)), who()


def rounds(system, *decisions):
    return [system.step(decision) for decision in decisions]


def arrivals(reports):
    """Devices that delivered in each round."""
    return [np.flatnonzero(report.delivered[0]).tolist() for report in reports]


# when rounds end, and who arrives in them


def test_an_asynchronous_round_ends_with_the_first_arrival_or_at_the_deadline(start):
    # device 5 is given up after 3 deadlines, so that the rounds that end at the deadline begin at 8 and 12 s
    reports = rounds(start({**ASYNCHRONOUS, **SILENT}), EVERYBODY, *[NOBODY] * 6)
    assert [report.round_s.item() for report in reports] == [pytest.approx(s, **soon) for s in (1, 1, 1, 2, 3, 4, 4)]


def test_asynchronous_updates_arrive_one_by_one(start):
    reports = rounds(start({**ASYNCHRONOUS, **SILENT}), EVERYBODY, *[NOBODY] * 6)
    assert arrivals(reports) == [[0], [1], [2], [3], [4], [], []]


def test_a_buffered_round_ends_when_the_buffer_is_full_or_at_the_deadline(start):
    # at 2 and at 5 s the buffer is full; from then on only one update comes
    reports = rounds(start({**BUFFERED, **SILENT}), EVERYBODY, *[NOBODY] * 3)
    assert [report.round_s.item() for report in reports] == [pytest.approx(s, **soon) for s in (2, 3, 4, 4)]


def test_buffered_updates_arrive_together_and_at_the_deadline_as_many_as_there_are(start):
    reports = rounds(start({**BUFFERED, **SILENT}), EVERYBODY, *[NOBODY] * 3)
    assert arrivals(reports) == [[0, 1], [2, 3], [4], []]


def test_a_buffer_larger_than_the_fleet_waits_for_everybody(start):
    system = start({**BUFFERED, **SILENT, "buffer_size": 100}, deadline_s=20.0)
    assert system.step(EVERYBODY).round_s.item() == pytest.approx(13, **soon)


def test_who_is_chosen_later_arrives_later(start):
    # device 2 begins at 1 s and device 0 again at 4 s; device 4 has begun at 0 s
    reports = rounds(start({**ASYNCHRONOUS, **SILENT}), who(0, 4), who(2), who(0), NOBODY)
    assert arrivals(reports) == [[0], [2], [0], [4]]


@both
def test_a_round_in_which_nothing_is_under_way_lasts_until_the_deadline(start, learning):
    assert start({**learning, **SILENT}).step(NOBODY).round_s.item() == 4.0


def brute_force(durations, chosen, buffer_size, deadline_s):
    """Rounds and arrivals from a plain list of events: (seconds, devices) per round."""
    now, events, played = 0.0, {}, []
    for devices in chosen:
        events.update({device: now + durations[device] for device in devices if device not in events})
        times = sorted(events.values())
        end = min(times[buffer_size - 1] if len(times) >= buffer_size else np.inf, now + deadline_s)
        here = [device for device, time in events.items() if time <= end]
        played.append((end - now, sorted(here)))
        for device in here:
            del events[device]
        now = end
    return played


@modest
@given(
    st.lists(st.sets(st.integers(0, 5)), min_size=1, max_size=8),
    st.integers(1, 6),
    st.permutations([0.3171, 1.2343, 2.7183, 5.0321, 9.8713, 17.1317]),
)
def test_rounds_and_arrivals_are_those_of_a_list_of_events(chosen, buffer_size, durations):
    learning = {**BUFFERED, **SILENT, "buffer_size": buffer_size, "patience": 100.0}
    system = FederatedSystem(timed(learning, fleet={"speed_mps": 0.0, "speed_std_mps": 0.0}))
    system.reset([np.random.default_rng(0)])
    system.state.max_cpu_hz = 1e9 / np.array([durations])
    reports = rounds(system, *(who(*devices) for devices in chosen))
    expected = brute_force(durations, chosen, buffer_size, 4.0)
    assert arrivals(reports) == [devices for _, devices in expected]
    np.testing.assert_allclose([report.round_s.item() for report in reports], [s for s, _ in expected], atol=0.02)


# who can be chosen


@both
def test_a_device_under_way_is_not_available(start, learning):
    system = start({**learning, **SILENT})
    reports = rounds(system, EVERYBODY)
    assert system.available().tolist() == reports[0].delivered.tolist()


@both
def test_a_device_under_way_that_is_chosen_again_takes_no_part(start, learning):
    system = start({**learning, **SILENT})
    system.step(who(0, 4))
    report = system.step(who(0, 4))
    assert report.participation.tolist() == [[True, False, False, False, False, False]]


@both
def test_a_device_under_way_that_is_chosen_again_is_reported(start, learning):
    system = start({**learning, **SILENT})
    system.step(who(0, 4))
    assert system.step(who(0, 4)).repaired.tolist() == [[False, False, False, False, True, False]]


def test_choosing_a_device_under_way_again_does_not_delay_it(start):
    reports = rounds(start({**ASYNCHRONOUS, **SILENT}), who(0, 1), who(1), NOBODY)
    assert arrivals(reports) == [[0], [1], []]


@both
def test_a_device_can_be_chosen_again_after_it_has_arrived(start, learning):
    system = start({**learning, **SILENT})
    reports = rounds(system, who(0, 1), who(0), who(0), who(0))
    assert sum(report.delivered[0, 0] for report in reports) == sum(report.participation[0, 0] for report in reports)


# who never arrives


@both
def test_who_takes_longer_than_patience_is_late(start, learning):
    assert start({**learning, **SILENT}).step(EVERYBODY).late.tolist() == [[False] * 5 + [True]]


@both
def test_who_is_late_never_arrives(start, learning):
    reports = rounds(start({**learning, **SILENT}), who(5), *[NOBODY] * 5)
    assert arrivals(reports) == [[]] * 6


@both
def test_who_is_late_is_free_again_when_patience_ends(start, learning):
    system = start({**learning, **SILENT})
    free = []
    for decision in (who(5), NOBODY, NOBODY):  # 3 deadlines
        system.step(decision)
        free.append(system.available()[0, 5])
    assert free == [False, False, True]


@both
def test_who_is_ready_before_patience_ends_arrives_rounds_after_the_deadline(start, learning):
    reports = rounds(start({**learning, **SILENT}), who(4), NOBODY, NOBODY)
    assert [devices for devices in arrivals(reports) if devices] == [[4]]


@both
def test_a_device_whose_battery_ends_never_arrives(start, learning):
    system = start({**learning, **SILENT}, fleet={"harvest_w": 0.0})
    system.state.battery_j[0, 1] = 1e-6
    reports = rounds(system, who(0, 1), *[NOBODY] * 4)
    assert reports[0].depleted[0, 1] and arrivals(reports) == [[0], [], [], [], []]


@both
def test_a_packet_in_error_never_arrives(start, learning):
    # the probability is 1 - exp(-100 / SINR), and the SINR at most 0 dB
    system = start({**learning, **SILENT}, radio={"waterfall": 100.0, "sinr_cap_db": 0.0})
    reports = rounds(system, EVERYBODY, *[NOBODY] * 4)
    assert reports[0].lost.sum() == 5 and arrivals(reports) == [[]] * 5


@modest
@given(st.integers(0, 2**32 - 1), st.sampled_from([ASYNCHRONOUS, BUFFERED]))
def test_every_update_arrives_once_or_is_reported_as_gone_or_is_still_under_way(seed, learning):
    rng = np.random.default_rng(seed)
    scenario = Scenario.preset("tiny").replace(
        {"learning": {**learning, **SILENT, "patience": 2.0}, "fleet": {"battery_j": [1.0, 10.0]}, "deadline_s": 0.4}
    )
    system = FederatedSystem(scenario, 3)
    system.reset(list(rng.spawn(3)))
    begun, ended = np.zeros((3, 6), dtype=int), np.zeros((3, 6), dtype=int)
    for _ in range(12):
        report = system.step(Decision(rng.random((3, 6)) < 0.6))
        begun += report.participation
        ended += report.delivered.astype(int) + (report.late | report.lost | report.depleted)
        np.testing.assert_array_equal(begun - ended, system.state.flight_arrives)


@both
def test_a_new_episode_begins_with_nothing_under_way(start, learning):
    system = start({**learning, **SILENT}, seeds=(0, 1))
    system.step(Decision(np.ones((2, 6), dtype=bool)))
    system.reset([np.random.default_rng(9)], rows=np.array([1]))
    report = system.step(Decision(np.zeros((2, 6), dtype=bool)))
    assert report.delivered.any(-1).tolist() == [True, False]


# what it costs


@both
def test_energy_is_charged_in_the_round_in_which_a_device_is_chosen(start, learning):
    reports = rounds(start({**learning, **SILENT}), EVERYBODY, *[NOBODY] * 4)
    assert [report.energy_j.item() > 0 for report in reports] == [True] + [False] * 4


def test_going_on_takes_the_energy_that_a_round_for_everybody_takes(start):
    going_on = start({**BUFFERED, **SILENT}).step(who(0, 1, 2, 3, 4))
    at_once = start(SILENT, deadline_s=12.0).step(who(0, 1, 2, 3, 4))
    assert going_on.energy_j.item() == pytest.approx(at_once.energy_j.item())


@both
def test_batteries_lose_what_an_update_takes_once(start, learning):
    system = start({**learning, **SILENT}, fleet={"harvest_w": 0.0, "battery_j": [1e3, 1e3]})
    before = system.state.battery_j.copy()
    reports = rounds(system, EVERYBODY, *[NOBODY] * 4)
    np.testing.assert_allclose((before - system.state.battery_j).sum(), reports[0].energy_j.item())


@both
def test_bits_count_once_in_the_round_in_which_a_device_is_chosen(start, learning):
    system = start({**learning, **SILENT})
    reports = rounds(system, EVERYBODY, *[NOBODY] * 4)
    payload = 32 * num_parameters(system.scenario)
    sent = np.concatenate([report.bits_sent for report in reports])
    np.testing.assert_allclose(sent, [[payload] * 5 + [0.0]] + [[0.0] * 6] * 4)


# what arrives


def train_by_hand(system, state, work, device):
    return by_hand.local_steps(state.parameters[0], by_hand.batches_of(system, state, work, device), 0.1)


def test_fedasync_mixes_in_a_model_trained_from_the_one_that_was_received(start):
    # device 1 receives version 0 and arrives when the server has version 1
    system = start({**ASYNCHRONOUS, "mixing": 0.5, "staleness": "polynomial", "staleness_exponent": 1.0})
    seen = by_hand.watch(system)
    rounds(system, who(0, 1), NOBODY)
    ((state, work),) = seen
    first, second = (train_by_hand(system, state, work, device) for device in (0, 1))
    after_one = 0.5 * state.parameters[0] + 0.5 * first
    np.testing.assert_allclose(system.state.parameters[0], 0.75 * after_one + 0.25 * second, atol=1e-5)


def test_a_device_that_is_chosen_again_trains_the_new_model(start):
    system = start({**ASYNCHRONOUS, "mixing": 1.0, "staleness": "constant"})
    seen = by_hand.watch(system)
    rounds(system, who(0), who(0))
    state, work = seen[1]
    np.testing.assert_allclose(state.parameters[0], train_by_hand(system, *seen[0], 0), atol=1e-5)
    np.testing.assert_allclose(system.state.parameters[0], train_by_hand(system, state, work, 0), atol=1e-5)


def test_fedbuff_adds_stale_updates_to_the_present_model(start):
    # devices 2 and 3 arrive one version behind, with half of the weight
    learning = {**BUFFERED, "server_rate": 1.0, "staleness_exponent": 1.0, "partition": "iid", "size_spread": 0.0}
    system = start(learning)
    seen = by_hand.watch(system)
    rounds(system, who(0, 1, 2, 3), NOBODY)
    ((state, work),) = seen
    start_at = state.parameters[0].astype(float)
    changes = [train_by_hand(system, state, work, device) - start_at for device in range(4)]
    expected = start_at + (changes[0] + changes[1]) / 2 + (changes[2] / 2 + changes[3] / 2) / 2
    np.testing.assert_allclose(system.state.parameters[0], expected, atol=1e-5)


def test_the_staleness_of_a_device_counts_from_when_it_was_chosen_last(start):
    # device 1 is chosen at version 0 and, while it is under way, again at version 1, which changes nothing
    system = start({**ASYNCHRONOUS, "staleness": "polynomial"})
    rounds(system, who(0, 1), who(1))
    assert (system.state.updates - system.state.held_version[:, 1]).tolist() == [2]


def test_the_server_learns_the_loss_of_the_model_that_a_device_received(start):
    system = start(ASYNCHRONOUS)
    received = system.state.device_loss.copy()
    rounds(system, who(0, 1))
    assert system.state.device_loss[0, 1] != received[0, 1]
    rounds(system, NOBODY)
    assert system.state.reported_loss[0, 1] == received[0, 1]


def test_the_age_of_a_device_counts_from_its_arrival(start):
    system = start({**ASYNCHRONOUS, **SILENT})
    rounds(system, who(0, 1, 2), NOBODY)
    assert system.state.age[0, :3].tolist() == [1, 0, 2]


@both
def test_a_row_goes_on_as_it_does_alone(start, learning):
    together, alone = start(learning, seeds=(5, 6, 7)), start(learning, seeds=(6,))
    rng = np.random.default_rng(0)
    for _ in range(5):
        chosen = rng.random((3, 6)) < 0.5
        together.step(Decision(chosen)), alone.step(Decision(chosen[1:2]))
    np.testing.assert_array_equal(together.state.busy_s[1], alone.state.busy_s[0])
    np.testing.assert_allclose(together.state.parameters[1], alone.state.parameters[0], atol=1e-5)


@both
def test_what_is_under_way_arrives_in_another_process_as_here(start, learning):
    system = start(learning)
    system.step(EVERYBODY)
    copied = pickle.loads(pickle.dumps(system))
    for each in (system, copied):
        each.step(NOBODY)
    np.testing.assert_array_equal(copied.state.parameters, system.state.parameters)


# servers that wait


def test_a_synchronous_round_lasts_as_long_as_its_slowest_participant_takes(start):
    report = start({"aggregation": "synchronous", **SILENT}).step(who(0, 4))
    assert report.round_s.item() == pytest.approx(8, **soon)


def test_a_synchronous_server_hears_all_who_are_ready_before_patience_ends(start):
    report = start({"aggregation": "synchronous", **SILENT}).step(EVERYBODY)
    assert report.delivered.tolist() == [[True] * 5 + [False]]


def test_a_synchronous_server_waits_for_who_never_comes_until_patience_ends(start):
    report = start({"aggregation": "synchronous", **SILENT}).step(EVERYBODY)
    assert report.round_s.item() == pytest.approx(12.0)


def test_a_synchronous_round_without_participants_lasts_until_the_deadline(start):
    assert start({"aggregation": "synchronous", **SILENT}).step(NOBODY).round_s.item() == 4.0


def test_nobody_goes_on_after_a_synchronous_round(start):
    system = start({"aggregation": "synchronous", **SILENT})
    system.step(EVERYBODY)
    assert system.available().all()
