import copy
import pickle
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from qfl_envs import security as names
from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.learning.adaptation import Adaptation
from qfl_envs.system.learning.aggregation import Updates
from qfl_envs.system.security import robust, schemes
from qfl_envs.system.security.choices import OPTIONS, Choices
from qfl_envs.system.security.round_cost import usual_cycles

# no packet is lost, no battery empty and nobody late
SCENARIO = Scenario.preset("tiny").replace(
    {
        "learning": {"model": "logistic"},
        "num_devices": 8,
        "deadline_s": 1e3,
        "radio": {"link_drop": 0.0, "waterfall": 0.0, "cell_radius_m": 100.0, "shadowing_db": 0.0},
        "fleet": {"battery_j": [1e6, 1e6]},
        "security": {"protection_bits": 0, "protection_cycles": 0.0},
    }
)


def system_of(systems=2, scenario=SCENARIO, protects=False, **security):
    return FederatedSystem(scenario.replace({"security": security}), systems, protects=protects)


def play(system, rounds=2, seeds=(0, 1), protection=None):
    system.reset([np.random.default_rng(seed) for seed in seeds])
    everybody = np.ones((len(seeds), SCENARIO.num_devices), dtype=bool)
    return [system.step(Decision(participate=everybody, protection=protection)) for _ in range(rounds)]


def test_names_are_those_of_what_implements_them():
    assert set(names.SIGNATURES) <= set(schemes.SIGNATURE_NAMES)
    assert set(names.KEY_EXCHANGES) - {"qkd"} <= set(schemes.KEY_EXCHANGE_NAMES)
    assert ("mean", *names.ROBUST_RULES) == tuple(robust.RULES)


def test_a_guard_that_does_nothing_changes_nothing_and_draws_last():
    plain, guarded = FederatedSystem(SCENARIO, 2), FederatedSystem(SCENARIO, 2, protects=True)
    for system in (plain, guarded):
        system.reset([np.random.default_rng(seed) for seed in (0, 1)])
    assert not plain.state.threats.size and guarded.state.threats.shape == (2, 5)
    assert np.array_equal(plain.state.gain, guarded.state.gain)
    assert np.array_equal(plain.state.parameters, guarded.state.parameters)
    plain.generators = copy.deepcopy(guarded.generators)
    everybody = Decision(participate=np.ones((2, 8), dtype=bool))
    one, other = plain.step(everybody), guarded.step(everybody)
    assert one.guarded is None and other.guarded is not None
    for name in ("rates_bps", "round_s", "energy_j", "bits_sent", "delivered", "accuracy", "loss"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert np.array_equal(plain.state.parameters, guarded.state.parameters)


@pytest.mark.parametrize("attack", ["sign-flip", "gaussian", "ipm", "alie", "boost", "label-flip", "backdoor"])
def test_attacks_change_the_model_and_batches_are_rows(attack):
    of = {"attack": attack, "attacker_share": 0.25}
    honest, both, alone = system_of(protection="executed"), system_of(**of), system_of(1, **of)
    reports = play(both)
    play(honest), play(alone, seeds=(1,))
    assert both.state.hostile.sum(1).tolist() == [2, 2]
    assert not np.allclose(honest.state.parameters, both.state.parameters, atol=1e-4)
    assert np.allclose(both.state.parameters[1], alone.state.parameters[0], atol=1e-6)
    assert reports[0].guarded.poisoned.sum() == 4 and (reports[0].guarded.steered > 0.0).all()
    assert np.isnan(reports[0].guarded.attack_success).all() == (attack != "backdoor")


def test_a_row_is_guarded_bit_for_bit_as_if_alone():
    threats = {"attack": "ipm", "attacker_share": 0.25, "tampered_share": 0.4, "eavesdropped_share": 0.5}
    threats |= {"intercepted_share": 0.6, "jammed_share": 0.5, "intrusion": True, "quantum_computer": True}
    threats |= {"threat_begins": 0.4, "threat_ends": 0.3, "q_day_round": [0.0, 6.0], "key_pool_bits": 600}
    scenario, rng = SCENARIO.replace({"security": threats}), np.random.default_rng(0)
    together, alone = (FederatedSystem(scenario, systems, protects=True) for systems in (3, 1))
    together.reset([np.random.default_rng(seed) for seed in (5, 6, 7)])
    alone.reset([np.random.default_rng(6)])
    for _ in range(6):
        drawn = {part: rng.integers(len(options), size=3) for part, options in OPTIONS.items()}
        of_one = {part: places[1:2] for part, places in drawn.items()}
        many = together.step(Decision(np.ones((3, 8), dtype=bool), protection=Choices(**drawn))).guarded
        one = alone.step(Decision(np.ones((1, 8), dtype=bool), protection=Choices(**of_one))).guarded
        for name in ("refused", "screened", "forged", "poisoned", "read", "recorded", "opened", "failed", "keyless"):
            assert np.array_equal(getattr(many, name)[1], getattr(one, name)[0]), name
        assert np.isclose(many.steered[1], one.steered[0], atol=1e-5)
    for name in ("hostile", "threats", "key_bits", "exposed"):
        assert np.array_equal(getattr(together.state, name)[1], getattr(alone.state, name)[0]), name


def test_a_backdoor_is_learned():
    backdoor = system_of(attack="backdoor", attacker_share=0.4, attack_strength=4.0, aggregation="mean")
    reports = play(backdoor, 10)
    assert (reports[-1].guarded.attack_success > 0.8).all()
    assert (play(system_of(attack="backdoor", attacker_share=0.0), 10)[-1].guarded.attack_success < 0.5).all()


def test_the_success_of_a_backdoor_counts_samples_of_other_classes_alone():
    system = system_of(1, attack="backdoor", attacker_share=0.25)
    play(system, 1, (0,))
    labels = system.learner.data.worlds[0].test_labels[: SCENARIO.learning.eval_samples]
    assert len(system.guard.poisoner._triggered) == (labels != 0).sum() < len(labels)


def test_a_robust_rule_keeps_the_model_near_what_it_would_have_been():
    # data that are alike: where every device has labels of its own, a median differs from a mean without any attack
    alike, ends = SCENARIO.replace({"learning": {"partition": "iid", "server_rule": "fedavg", "server_rate": 1.0}}), {}
    noise = {"scenario": alike, "attack": "gaussian", "attacker_share": 0.25}
    for name, system in {
        "honest": system_of(scenario=alike),
        "mean": system_of(**noise),
        "median": system_of(**noise, aggregation="median"),
    }.items():
        play(system, 4)
        ends[name] = system.state.parameters
    far, near = (np.linalg.norm(ends[name] - ends["honest"]) for name in ("mean", "median"))
    assert near < far and np.isfinite(ends["median"]).all()


@pytest.mark.parametrize("screening", ["norm", "direction"])
def test_screening_throws_long_and_backward_updates_away(screening):
    alike = SCENARIO.replace({"learning": {"partition": "iid"}})
    system = system_of(scenario=alike, attack="sign-flip", attacker_share=0.25, screening=screening)
    guarded = play(system, 1)[0].guarded
    assert (guarded.screened & system.state.hostile).sum() == 4
    assert (guarded.screened & ~system.state.hostile).sum() == 0
    assert (guarded.steered == 0.0).all()


class Misbehaving(FederatedSystem):
    def _attack(self, state, work):
        updates = work.result.updates
        updates.change[updates.device == 0] = np.nan
        updates.change[updates.device == 1] = 1e30
        work.result = replace(work.result, updates=Updates(updates.row, updates.device, updates.change))
        super()._attack(state, work)


@pytest.mark.parametrize("aggregation", ["mean", "median", "secure"])
def test_what_is_no_update_is_counted_and_never_merged(aggregation):
    system = Misbehaving(SCENARIO.replace({"security": {"aggregation": aggregation, "signature": "ml-dsa-44"}}), 2)
    guarded = play(system, 1)[0].guarded
    # masked, nobody sees them: no number has no code, and a huge one has the largest
    assert guarded.screened[:, :2].all() == (aggregation != "secure") and not guarded.screened[:, 2:].any()
    assert np.isfinite(system.state.parameters).all() and np.abs(system.state.parameters).max() < 100


def test_what_is_no_update_does_not_hide_how_far_others_steer():
    system = Misbehaving(SCENARIO.replace({"security": {"tampered_share": 1.0}}), 1)
    assert play(system, 1, (0,))[0].guarded.steered[0] > 0.9


@pytest.mark.parametrize("attack", ["sign-flip", "gaussian", "label-flip"])
def test_a_model_that_only_hostile_devices_move_is_steered_altogether(attack):
    assert play(system_of(1, attack=attack, attacker_share=1.0), 1, (0,))[0].guarded.steered.tolist() == [1.0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("attack", ["sign-flip", "gaussian", "boost", "ipm", "alie"])
def test_updates_too_long_for_a_number_are_thrown_away_without_a_word(attack):
    of = {"attack": attack, "attack_strength": 1e300, "tampered_share": 0.3, "tampering_strength": 1e300}
    system = system_of(1, attacker_share=0.25, **of)
    guarded = play(system, 1, (0,))[0].guarded
    assert guarded.screened.sum() == (guarded.poisoned | guarded.forged).sum() > 2
    assert np.isfinite(system.state.parameters).all()


def test_a_round_with_too_many_attackers_fails_and_leaves_the_model():
    rule = {"aggregation": "krum", "assumed_attackers": 0.5}
    system = FederatedSystem(SCENARIO.replace({"security": rule}), 2, protects=True)
    system.reset([np.random.default_rng(seed) for seed in (0, 1)])
    before = system.state.parameters.copy()
    report = system.step(Decision(participate=np.ones((2, 8), dtype=bool)))
    assert report.guarded.failed.all() and np.array_equal(system.state.parameters, before)
    assert (system.state.signs[:, 2] == 1.0).all()


def test_masked_sums_are_the_mean_but_for_rounding_and_the_protocol_gives_the_same():
    plain, masked = FederatedSystem(SCENARIO, 2, protects=True), system_of(aggregation="secure")
    executed = system_of(aggregation="secure", protection="executed", group_size=4)
    modelled = system_of(aggregation="secure", group_size=4)
    for system in (plain, masked, executed, modelled):
        play(system)
    assert np.allclose(plain.state.parameters, masked.state.parameters, atol=5e-3)
    assert np.array_equal(executed.state.parameters, modelled.state.parameters)


def test_masks_fail_where_too_few_are_heard():
    system = system_of(1, aggregation="secure")
    system.reset([np.random.default_rng(0)])
    before = system.state.parameters.copy()
    # nearly all are late
    system._limit_s = 1e-9
    report = system.step(Decision(participate=np.ones((1, 8), dtype=bool)))
    assert not report.delivered.any() and np.array_equal(before, system.state.parameters)


@pytest.mark.parametrize(
    ("chosen", "refused", "forged"),
    [
        ({}, 0, 8),
        ({"key_exchange": "ml-kem-768"}, 0, 8),
        ({"signature": "ecdsa-p256"}, 0, 8),
        ({"signature": "ecdsa-p256", "key_exchange": "x25519"}, 0, 8),
        ({"signature": "ml-dsa-44"}, 8, 0),
        ({"signature": "ml-dsa-44", "key_exchange": "x25519"}, 8, 0),
        ({"key_exchange": "qkd"}, 8, 0),
        ({"signature": "ecdsa-p256", "key_exchange": "qkd"}, 8, 0),
    ],
)
def test_what_is_executed_is_what_is_modelled_after_q_day(chosen, refused, forged):
    threats = {"tampered_share": 1.0, "quantum_computer": True, "q_day_round": [0.0, 0.0]}
    ends = []
    for protection in ("modelled", "executed"):
        system = system_of(1, protects=True, protection=protection, **threats)
        guarded = play(system, 1, (0,), Choices.named(**chosen))[0].guarded
        assert (guarded.refused.sum(), guarded.forged.sum()) == (refused, forged)
        assert guarded.failed.all() == bool(refused)
        ends.append(system.state.parameters)
    assert np.array_equal(*ends)


def test_protection_is_chosen_only_where_decisions_choose_it():
    chosen = Decision(participate=np.ones((1, 8), dtype=bool), protection=Choices.named(signature="ml-dsa-44"))
    for security in ({}, {"signature": "ecdsa-p256"}):
        system = system_of(1, **security)
        system.reset([np.random.default_rng(0)])
        with pytest.raises(InvalidValueError, match="protects=True"):
            system.step(chosen)


def test_before_q_day_a_classical_signature_stands():
    for protection in ("modelled", "executed"):
        system = system_of(1, protection=protection, tampered_share=1.0, signature="ecdsa-p256")
        assert play(system, 1, (0,))[0].guarded.refused.sum() == 8


def test_what_is_recorded_is_read_on_q_day_and_never_if_it_is_quantum_safe():
    listening = {"eavesdropped_share": 1.0, "quantum_computer": True, "q_day_round": [2.0, 2.0]}
    for exchange, read in (("none", [8, 16, 24]), ("x25519", [0, 16, 24]), ("ml-kem-768", [0, 0, 0]), ("qkd", [0] * 3)):
        system = system_of(1, key_exchange=exchange, **listening)
        system.reset([np.random.default_rng(0)])
        seen = []
        for _ in range(3):
            system.step(Decision(participate=np.ones((1, 8), dtype=bool)))
            seen.append(system.state.exposed[0, 0])
        assert seen == read, exchange


def test_who_reads_on_the_server_reads_all_but_masked_updates():
    assert play(system_of(intrusion=True, key_exchange="ml-kem-768"), 1)[0].guarded.read.sum() == 16
    assert play(system_of(intrusion=True, aggregation="secure"), 1)[0].guarded.read.sum() == 0


def test_protection_costs_bits_and_seconds():
    plain, signed, masked = (
        play(system, 1)[0]
        for system in (
            system_of(),
            system_of(signature="ml-dsa-44", key_exchange="ml-kem-768"),
            system_of(aggregation="secure"),
        )
    )
    sealed = 8 * (52 + 2420 + 1088 + 16)
    assert np.allclose(signed.bits_sent - plain.bits_sent, sealed)
    # FIPS 203 and 204 for the former; for masks the published formula, in place of 32 bits per number
    numbers = int(plain.bits_sent[0, 0]) // 32
    assert np.allclose(masked.bits_sent, 256 * (7 * 8 - 4) + 19 * numbers)
    assert (signed.protect_s > 0.0).all() and (masked.protect_s > 3 * 0.02).all()
    assert (plain.protect_s == 0.0).all()


def test_quantum_channels_run_dry_when_they_are_tapped_or_jammed():
    for threat in ({"intercepted_share": 1.0}, {"jammed_share": 1.0}):
        system = system_of(1, key_exchange="qkd", key_pool_bits=512, **threat)
        keyless = [report.guarded.keyless.sum() for report in play(system, 3, (0,))]
        assert keyless == [0, 0, 8]
    waits = system_of(1, key_exchange="qkd", key_pool_bits=512, jammed_share=1.0)
    falls_back = system_of(1, key_exchange="qkd", key_pool_bits=512, jammed_share=1.0, qkd_fallback="x25519")
    assert not play(waits, 3, (0,))[2].delivered.any()
    keyed, _, fallen = play(falls_back, 3, (0,))
    # a tag, and then an ephemeral public key as well
    assert fallen.delivered.all() and np.allclose(fallen.bits_sent - keyed.bits_sent, 8 * 32)
    assert play(system_of(1, intercepted_share=1.0), 1, (0,))[0].guarded.qber[0] > 0.25


def test_key_that_comes_in_while_a_device_waits_for_it_is_used_up():
    # as slow a source as makes devices wait in rounds of few seconds
    system = system_of(1, key_exchange="qkd", key_pool_bits=256, qkd_availability=1.0, qkd_pulses_hz=3e3)
    waited = 0
    for number in range(4):
        if number == 0:
            system.reset([np.random.default_rng(0)])
        before = system.state.key_bits.copy()
        report = system.step(Decision(participate=np.ones((1, 8), dtype=bool)))
        came_in = report.guarded.key_bps * report.round_s[:, None]
        left = np.minimum(before + came_in - 256, 256)
        assert report.delivered.all() and np.allclose(system.state.key_bits, left)
        waited += report.guarded.keyless.sum()
    assert waited > 8


def test_who_waits_for_key_in_vain_keeps_what_came_in():
    system = system_of(1, key_exchange="qkd", key_pool_bits=300, qkd_availability=0.0)
    *_, last = play(system, 3, (0,))
    assert last.guarded.keyless.all() and not last.delivered.any()
    assert (system.state.key_bits == 300 - 256).all()


@pytest.mark.parametrize("protection", ["modelled", "executed"])
def test_who_falls_back_from_a_quantum_key_is_as_safe_as_what_is_taken_instead(protection):
    dry = {"key_exchange": "qkd", "key_pool_bits": 256, "qkd_availability": 0.0, "protection": protection}
    attacked = {"eavesdropped_share": 1.0, "quantum_computer": True, "q_day_round": [3.0, 3.0]}
    counts = {}
    for fallback in ("x25519", "ml-kem-768"):
        guarded = [r.guarded for r in play(system_of(1, qkd_fallback=fallback, **attacked, **dry), 4, (0,))]
        counts[fallback] = [(int(one.recorded.sum()), int(one.read.sum()), int(one.opened[0])) for one in guarded]
    # the first round has keys; Q-day comes after the third
    assert counts["x25519"] == [(0, 0, 0), (8, 0, 0), (8, 0, 16), (0, 8, 0)]
    assert counts["ml-kem-768"] == [(0, 0, 0)] * 4
    tampered = system_of(1, qkd_fallback="ml-kem-768", tampered_share=1.0, **dry)
    # anybody can encrypt to the server, but only a device has its quantum key
    refused = [(r.guarded.refused.sum(), r.guarded.forged.sum()) for r in play(tampered, 2, (0,))]
    assert refused == [(8, 0), (0, 8)]


def test_an_update_without_a_signature_carries_no_key():
    quiet = {"protection": "executed", "sends_key": True, "key_exchange": "ml-kem-768"}
    assert play(system_of(1, **quiet), 1, (0,))[0].delivered.all()
    assert play(system_of(1, **quiet, signature="ml-dsa-44"), 1, (0,))[0].delivered.all()


def test_threats_come_and_go():
    system = system_of(1, tampered_share=1.0, threat_begins=0.3, threat_ends=0.3)
    forged = [bool(report.guarded.forged.any()) for report in play(system, 30, (0,))]
    assert 5 < sum(forged) < 25 and any(a != b for a, b in zip(forged, forged[1:], strict=False))


@pytest.mark.parametrize(
    "extreme",
    [
        {"tampered_share": 0.5, "tampering_strength": 1e11},
        {"aggregation": "norm-clipping", "noise_multiplier": 1e6},
        {"aggregation": "secure", "sum_bits": 1},
    ],
)
def test_no_bound_is_so_large_that_a_model_is_lost(extreme):
    system = system_of(1, longest_update=1e12, clip_norm=1e12, sum_bound=1e12, **extreme)
    play(system, 4, (0,))
    assert np.isfinite(system.state.parameters).all() and np.isfinite(system.state.second_moment).all()


def test_noise_of_privacy_moves_the_model():
    # noise so small that only the clipping is left, and more
    still, noisy = (system_of(clip_norm=0.1, noise_multiplier=size) for size in (1e-9, 1.0))
    play(still), play(noisy)
    assert np.abs(still.state.parameters - noisy.state.parameters).mean() > 1e-3


def test_secret_keys_are_not_written():
    system = system_of(1, protection="executed", signature="ml-dsa-44")
    play(system, 1, (0,))
    mail = system.guard._mail
    assert mail._sealers and b"Sealer" not in pickle.dumps(system)
    copied = pickle.loads(pickle.dumps(system))
    assert not copied.guard._mail._sealers
    everybody = Decision(participate=np.ones((1, 8), dtype=bool))
    assert np.allclose(system.step(everybody).accuracy, copied.step(everybody).accuracy)


def test_bad_scenarios_are_refused():
    with pytest.raises(InvalidValueError, match="sign-flip"):
        system_of(attack="shout")
    with pytest.raises(InvalidValueError, match="median"):
        system_of(aggregation="mode")
    with pytest.raises(InvalidValueError, match="server_rule"):
        system_of(scenario=SCENARIO.replace({"learning": {"server_rule": "scaffold"}}), signature="ml-dsa-44")
    with pytest.raises(InvalidValueError, match="backdoor"):
        system_of(scenario=SCENARIO.replace({"learning": {"model": "surrogate"}}), attack="backdoor")
    with pytest.raises(InvalidValueError, match="falcon"):
        system_of(signature="falcon-512", protection="executed")
    with pytest.raises(InvalidValueError, match="median"):
        system_of(aggregation="median", noise_multiplier=1.0)
    with pytest.raises(InvalidValueError, match="screening"):
        system_of(screening="norm", noise_multiplier=1.0)
    with pytest.raises(InvalidValueError, match="signature"):
        Choices.named(signature="rsa-2048")
    # so long that their squares are infinite
    for name in ("longest_update", "clip_norm", "sum_bound", "noise_multiplier"):
        with pytest.raises(InvalidValueError, match=name):
            system_of(**{name: 1e20})
    other = SCENARIO.replace({"learning": {"aggregation": "buffered"}})
    with pytest.raises(InvalidValueError, match="learning.aggregation is 'buffered'"):
        system_of(scenario=other, signature="ml-dsa-44")
    with pytest.raises(InvalidValueError, match="merged in the round"):
        FederatedSystem(other, protects=True)


def test_what_rules_expect_of_protection_is_what_it_costs():
    env = gym.make(
        "qfl/Scheduling-v0",
        scenario=SCENARIO.replace({"security": {"signature": "ecdsa-p256", "key_exchange": "x25519"}}),
        disable_env_checker=True,
    )
    observation, _ = env.reset(seed=0)
    view = env.unwrapped.view(observation)
    *_, info = env.step(np.full(8, 2))
    assert info["security"]["refused"] == 0
    everybody = info["participation"]
    assert np.isclose(view.payload_bits[everybody].sum(), info["bits_sent"])
    assert np.isclose(
        (usual_cycles(view.scenario.security) / view.cpu_hz)[everybody].max(), info["protect_s"], rtol=1e-5
    )


def test_statistics_of_last_layers_go_past_every_protection_and_are_refused():
    scenario = SCENARIO.replace({"security": {"signature": "ml-dsa-44"}})
    with pytest.raises(InvalidValueError, match="solved_head"):
        gym.make("qfl/Drift-v0", scenario=scenario, adaptations=["head", "solved_head"], disable_env_checker=True)
    system = FederatedSystem(scenario, 1, adapts=True)
    system.reset([np.random.default_rng(0)])
    everybody = np.ones((1, 8), dtype=bool)
    with pytest.raises(InvalidValueError, match="statistics"):
        system.step(Decision(participate=everybody, adaptation=np.array([int(Adaptation.SOLVE_HEAD)])))
