"""What holds in any scenario, under any actions: examples that hypothesis draws, the same in every run."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playing import ENV_IDS, PROTECTING_IDS, ids_where, make, open_action

from qfl_envs.security import AGGREGATIONS, ATTACKS, KEY_EXCHANGES, SCREENINGS, SIGNATURES
from qfl_envs.system.learning.adaptation import uploaded_bits
from qfl_envs.system.report import RoundReport

ROUNDS = 5
SERVER_RULES = {
    "deadline": ("fedadam", "fedavg", "q-fedavg", "fednova", "scaffold"),
    "synchronous": ("fedadam", "fedavg", "q-fedavg", "fednova", "scaffold"),
    "asynchronous": ("fedasync",),
    "buffered": ("fedadam", "fedavg"),
}
ADAPTING_IDS = ids_where(lambda env: env.task.adapts)
every_env = pytest.mark.parametrize("env_id", ENV_IDS)


def numbers(low, high):
    return st.floats(low, high, allow_subnormal=False)


def powers_of_ten(low, high):
    return numbers(low, high).map(lambda exponent: 10.0**exponent)


def intervals(ends):
    return st.tuples(ends, ends).map(sorted).map(list)


def sections(**fields):
    """Objects with some of the fields, so that the others keep their defaults."""
    return st.fixed_dictionaries({}, optional=fields)


RADIO = sections(
    num_cells=st.integers(1, 3),
    num_subchannels=st.integers(1, 4),
    subchannel_hz=powers_of_ten(3, 6),
    cell_radius_m=powers_of_ten(1, 4),
    placement=st.sampled_from(["uniform_distance", "uniform_area"]),
    shadowing_db=numbers(0, 12),
    rician_k_db=numbers(-40, 40),
    rician_k_std_db=numbers(0, 10),
    noise_figure_db=numbers(0, 30),
    min_power_dbm=numbers(-60, 10),
    max_power_dbm=numbers(10, 40),
    access=st.sampled_from(["interference", "time_share"]),
    sinr_cap_db=st.none() | numbers(-20, 60),
    waterfall=st.just(0.0) | powers_of_ten(-3, 2),
    link_drop=numbers(0, 1),
    link_recover=numbers(0, 1),
)
FLEET = sections(
    speed_mps=numbers(0, 50),
    speed_std_mps=numbers(0, 10),
    velocity_memory=numbers(0, 0.99),
    cpu_hz=intervals(powers_of_ten(6, 10)),
    cycles_per_sample=st.just(0.0) | powers_of_ten(3, 9),
    shot_s=intervals(powers_of_ten(-8, -3)) | st.just([0.0, 0.0]),
    queue_s=st.just(0.0) | powers_of_ten(-3, 1),
    quantum_w=st.just(0.0) | powers_of_ten(-2, 2),
    transmit_circuit_w=st.just(0.0) | powers_of_ten(-2, 1),
    load_mean=numbers(0, 0.9),
    load_std=numbers(0, 0.9),
    battery_j=intervals(powers_of_ten(-3, 3)) | st.just([0.0, 0.0]),
    harvest_w=st.just(0.0) | powers_of_ten(-2, 2),
    reserve=numbers(0, 0.9),
)
LEARNING = sections(
    partition=st.sampled_from(["iid", "dirichlet", "shards", "one_label"]),
    dirichlet_alpha=powers_of_ten(-3, 2),
    shards_per_device=st.integers(1, 4),
    samples_per_device=st.none() | st.integers(1, 20),
    size_spread=numbers(0, 0.9),
    local_steps=st.integers(1, 4),
    batch_size=st.integers(1, 32),
    local_rate=powers_of_ten(-9, 0),
    dropout=numbers(0, 0.9),
    activation_bits=st.none() | st.integers(1, 16),
    server_rate=st.just(0.0) | powers_of_ten(-3, 0),
    fairness_q=st.just(0.0) | numbers(0, 3),
    patience=numbers(1, 20),
    buffer_size=st.integers(1, 12),
    mixing=numbers(0, 1),
    staleness=st.sampled_from(["constant", "polynomial", "hinge"]),
    staleness_exponent=numbers(0, 2),
    hinge_slope=numbers(0, 20),
    hinge_delay=st.integers(0, 3),
    warm_start_steps=st.sampled_from([0, 3]),
    monitored=st.booleans(),
    bits_per_parameter=st.integers(1, 64),
    eval_samples=st.integers(1, 400),
    device_eval_samples=st.integers(1, 16),
)
DRIFT = sections(
    kind=st.sampled_from(["none", "abrupt", "gradual", "recurring"]),
    moves=st.sampled_from(["data", "label", "concept"]),
    strength=st.just(0.5),
    swapped_labels=st.integers(2, 10),
    onset_round=intervals(numbers(0, 3)),
    stagger_rounds=numbers(0, 3),
    duration_rounds=numbers(1, 5),
    period_rounds=numbers(2, 6),
)
SECURITY = sections(protection_bits=st.integers(0, 100_000), protection_cycles=st.just(0.0) | powers_of_ten(3, 9))
THREATS = sections(
    signature=st.sampled_from(SIGNATURES),
    key_exchange=st.sampled_from(KEY_EXCHANGES),
    sends_key=st.booleans(),
    aggregation=st.sampled_from(AGGREGATIONS),
    screening=st.sampled_from(SCREENINGS),
    assumed_attackers=numbers(0, 1),
    group_size=st.none() | st.integers(3, 6),
    key_pool_bits=powers_of_ten(2.5, 5),
    qkd_availability=numbers(0, 1),
    qkd_fallback=st.sampled_from(["wait", "x25519", "ml-kem-768"]),
    attack=st.sampled_from([name for name in ATTACKS if name != "backdoor"]),
    attacker_share=numbers(0, 1),
    tampered_share=numbers(0, 1),
    eavesdropped_share=numbers(0, 1),
    intercepted_share=numbers(0, 1),
    jammed_share=numbers(0, 1),
    intrusion=st.booleans(),
    threat_begins=numbers(0, 1),
    threat_ends=numbers(0, 1),
    quantum_computer=st.booleans(),
    q_day_round=intervals(numbers(0, 4)),
)
# one transform per number of features, since each combination of them takes a while to prepare
TRANSFORMS = {4: "rotation", 6: "brightness", 8: "noise"}
CURRICULA = st.lists(
    sections(fleet=numbers(0.01, 1), heterogeneity=numbers(0, 1), drift=numbers(0, 1)), min_size=1, max_size=3
)


@st.composite
def arguments(draw, aggregations, attacked):
    """Arguments of an environment: a scenario from all sections, and a curriculum at one of its stages."""
    qubits = draw(st.sampled_from(sorted(TRANSFORMS)))
    quantum = {"num_qubits": qubits, "num_layers": draw(st.integers(1, 3)), "shots": draw(st.integers(1, 200))}
    aggregation = draw(st.sampled_from(aggregations))
    chosen = {
        "model": draw(st.sampled_from(["surrogate", "none"])),
        "aggregation": aggregation,
        "server_rule": draw(st.sampled_from(SERVER_RULES[aggregation][: 2 if attacked else None])),
    }
    stages = draw(st.none() | CURRICULA)
    return {
        "scenario": {
            "num_devices": draw(st.integers(1, 12)),
            "max_rounds": draw(st.integers(1, 8)),
            "target_accuracy": draw(numbers(0, 1)),
            "deadline_s": draw(powers_of_ten(-3, 2)),
            "radio": draw(RADIO),
            "fleet": draw(FLEET),
            "learning": draw(LEARNING) | chosen,
            "drift": draw(DRIFT) | {"transform": TRANSFORMS[qubits]},
            "security": draw(SECURITY) | (draw(THREATS) if attacked else {}),
            "quantum": quantum,
        },
        "curriculum": stages,
        "curriculum_stage": draw(st.integers(0, len(stages) - 1)) if stages else None,
    }


@dataclass(frozen=True)
class Round:
    """A round, and what the system knew before and after it."""

    action: np.ndarray
    report: RoundReport
    before: object
    after: object
    harvested_j: np.ndarray
    step: tuple


def resets_and_rounds(env, seed):
    """What resets returned, and rounds of random actions, every other one of those that are open."""
    system, rng = env.unwrapped.system, np.random.default_rng(seed)
    env.action_space.seed(seed)
    reports, play = [], system.step
    system.step = lambda decision: reports.append(play(decision)) or reports[-1]
    resets, rounds, ended = [], [], True
    for number in range(ROUNDS):
        if ended:
            resets.append(env.reset(seed=seed if number == 0 else None))
        action = env.action_space.sample() if number % 2 else open_action(env, rng)
        before, devices = system.state.copy(), env.unwrapped.scenario.num_devices
        # the first numbers of a round are those of packets, links and harvests
        uniform = copy.deepcopy(system.generators[0]).random(3 * devices)[2 * devices :]
        step = env.step(action)
        harvested_j = 2 * env.unwrapped.scenario.fleet.harvest_w * reports[-1].round_s[0] * uniform
        rounds.append(Round(action, reports[-1], before, system.state.copy(), harvested_j, step))
        ended = step[2] or step[3]
    return resets, rounds


def fuzzed(examples):
    """Decorate a test of an environment and what was played in it, for every id and many scenarios."""

    def decorate(test):
        @every_env
        @settings(
            max_examples=examples,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        @given(data=st.data(), seed=st.integers(0, 2**31))
        def run(env_id, data, seed):
            # rounds that adapt the model, or are attacked, are refused where devices go on from one to the next
            attacked = env_id in PROTECTING_IDS
            aggregations = ["deadline", "synchronous"] if attacked or env_id in ADAPTING_IDS else sorted(SERVER_RULES)
            env = make(env_id, **data.draw(arguments(aggregations, attacked)))
            test(env, *resets_and_rounds(env, seed))

        run.__name__ = run.__qualname__ = test.__name__
        return run

    return decorate


@fuzzed(20)
def test_observations_are_finite_and_in_the_space(env, resets, rounds):
    for returned in (*resets, *(played.step for played in rounds)):
        for name, value in returned[0].items():
            assert np.isfinite(value).all(), name
            assert env.observation_space[name].contains(value), name


@fuzzed(20)
def test_rewards_and_infos_are_finite(env, resets, rounds):
    for played in rounds:
        _, reward, _, _, info = played.step
        assert np.isfinite(reward)
        nested = [value for value in info.values() if isinstance(value, dict)]
        flat = {name: value for name, value in info.items() if not isinstance(value, dict)}
        flat = {name: value for part in (flat, *nested) for name, value in part.items()}
        for name, value in flat.items():
            assert np.isfinite(value).all(), name


@fuzzed(20)
def test_charge_is_conserved_and_stays_between_nothing_and_full(env, resets, rounds):
    for played in rounds:
        report, before, after = played.report, played.before, played.after
        full_j = before.full_battery_j[0]
        assert (after.battery_j >= 0).all() and (after.battery_j[0] <= full_j).all()
        gained_j = after.battery_j[0] - before.battery_j[0]
        spent_j = played.harvested_j - gained_j
        tolerance_j = 1e-12 * (full_j + played.harvested_j)
        # a device that is full may have been given more than it could store
        assert spent_j.sum() >= report.energy_j[0] - tolerance_j.sum()
        if (after.battery_j[0] < full_j).all():
            assert spent_j.sum() <= report.energy_j[0] + tolerance_j.sum()
        idle = ~report.participation[0]
        expected_j = np.minimum(before.battery_j[0] + played.harvested_j, full_j)
        assert (np.abs(after.battery_j[0] - expected_j) <= tolerance_j)[idle].all()
        assert np.isclose(after.energy_j[0] - before.energy_j[0], report.energy_j[0], atol=1e-9)


@fuzzed(20)
def test_nobody_sends_more_than_the_payload_and_nobody_idle_sends_anything(env, resets, rounds):
    task, scenario = env.unwrapped.task, env.unwrapped.scenario
    for played in rounds:
        report, payload = played.report, env.unwrapped.system.payload_bits
        if task.protects:
            payload = report.payload_bits
        if task.adapts:
            payload = uploaded_bits(scenario, task.adaptation[played.action]) + scenario.security.protection_bits
        assert (report.bits_sent >= 0).all() and (report.bits_sent <= payload).all()
        assert (report.bits_sent[~report.participation] == 0).all()
        sent_in_full = np.isclose(report.bits_sent, payload)
        in_time = report.participation & ~report.late & ~report.depleted
        assert sent_in_full[in_time].all()


@fuzzed(20)
def test_a_round_lasts_no_longer_than_the_longest(env, resets, rounds):
    for played in rounds:
        assert 0 < played.report.round_s[0] <= env.unwrapped.scenario.longest_round_s
        assert played.after.elapsed_s[0] == played.before.elapsed_s[0] + played.report.round_s[0]


@fuzzed(20)
def test_an_update_is_delivered_at_most_once_and_only_after_its_device_took_part(env, resets, rounds):
    under_way = np.zeros(env.unwrapped.scenario.num_devices, dtype=int)
    for played in rounds:
        if played.before.round_index[0] == 0:
            under_way[:] = 0
        report = played.report
        assert not (report.participation[0] & (played.before.busy_s[0] > 0)).any()
        under_way = np.where(report.participation[0], 1, under_way)
        assert (under_way[report.delivered[0]] == 1).all()
        under_way[report.delivered[0]] = 0
        if not env.unwrapped.scenario.goes_on:
            under_way[:] = 0


@fuzzed(20)
def test_what_becomes_of_an_update_is_one_thing_only(env, resets, rounds):
    for played in rounds:
        report = played.report
        refused = np.zeros_like(report.late) if report.guarded is None else report.guarded.refused
        outcomes = np.stack([report.late, report.lost, report.depleted & ~report.late, refused])
        assert (outcomes.sum(0) <= 1).all()
        assert not outcomes[:, ~report.participation].any()
        if not env.unwrapped.scenario.goes_on:
            assert (report.participation == (report.delivered | outcomes.any(0))).all()
            assert not (report.delivered & outcomes.any(0)).any()


def test_what_is_played_here_is_what_the_environment_plays():
    env = make("qfl/Scheduling-v0", learning={"model": "none"})
    resets, rounds = resets_and_rounds(env, 0)
    assert (len(resets), len(rounds)) == (1, ROUNDS)
    assert all(played.step[4]["energy_j"] == played.report.energy_j[0] for played in rounds)
    assert all(played.harvested_j.any() for played in rounds)
