"""What is particular to qfl/Security-v0: what the choices cost, what they hold off, and what the reward says of it."""

import numpy as np
import pytest
from playing import make

from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.security.choices import Choices

# nobody late, lost or out of charge, and one round in which all take part
QUIET = {
    "deadline_s": 100.0,
    "radio": {"link_drop": 0.0, "waterfall": 0.0, "cell_radius_m": 100.0, "shadowing_db": 0.0},
    "fleet": {"battery_j": [1e6, 1e6], "reserve": 0.0},
    "target_accuracy": 1.0,
}
NO_THREAT = {"attack": "none", "tampered_share": 0.0, "eavesdropped_share": 0.0, "intercepted_share": 0.0}
NO_THREAT |= {"jammed_share": 0.0, "intrusion": False, "quantum_computer": False}
ALWAYS = {"threat_begins": 1.0, "threat_ends": 0.0}


def env_under(threat=None, **arguments):
    return make(
        "qfl/Security-v0", security={**NO_THREAT, **ALWAYS, **(threat or {})}, participation=1.0, **QUIET, **arguments
    )


def action(env, **chosen):
    decision = Decision(np.ones((1, 6), dtype=bool), protection=Choices.named(**chosen))
    return env.unwrapped.task.encode(decision)[0]


def first_round(env, **chosen):
    env.reset(seed=0)
    *_, info = env.step(action(env, **chosen))
    return info


def test_the_presets_are_changed_where_they_are_named_and_left_alone_where_they_are_given():
    assert make("qfl/Security-v0").unwrapped.scenario.security.attack == "ipm"
    given = make("qfl/Security-v0", scenario=Scenario.preset("tiny"))
    assert given.unwrapped.scenario == Scenario.preset("tiny")
    given.reset(seed=0)
    assert given.step(given.action_space.sample())[4]["security"]["read"] == 0


def test_without_a_threat_nothing_leaks_and_nothing_is_steered():
    env = env_under()
    env.reset(seed=0)
    for _ in range(3):
        terms = env.step(np.zeros(4, dtype=int))[4]["reward_terms"]
        assert terms["leakage"] == 0.0 and terms["compromise"] == 0.0


@pytest.mark.parametrize(
    ("threat", "open_choice", "closed_choice"),
    [
        ({"eavesdropped_share": 1.0}, {}, {"key_exchange": "x25519"}),
        ({"eavesdropped_share": 1.0}, {"signature": "ml-dsa-44"}, {"key_exchange": "qkd"}),
        ({"intrusion": True}, {"signature": "ml-dsa-65", "key_exchange": "ml-kem-768"}, {"aggregation": "secure"}),
    ],
)
def test_leakage_counts_what_others_read(threat, open_choice, closed_choice):
    env = env_under(threat)
    exposed, hidden = first_round(env, **open_choice), first_round(env, **closed_choice)
    assert exposed["security"]["read"] == 6 and hidden["security"]["read"] == 0
    # six of all updates that an episode of 40 rounds can have
    assert exposed["reward_terms"]["leakage"] == pytest.approx(-1 / 40)
    assert hidden["reward_terms"]["leakage"] == 0.0


@pytest.mark.parametrize(
    ("threat", "open_choice", "closed_choice"),
    [
        ({"tampered_share": 0.5}, {"key_exchange": "ml-kem-768"}, {"signature": "ecdsa-p256"}),
        ({"tampered_share": 0.5}, {}, {"key_exchange": "qkd"}),
        ({"tampered_share": 0.2}, {"aggregation": "secure"}, {"screening": "norm"}),
        ({"attack": "sign-flip", "attacker_share": 0.2}, {"signature": "ml-dsa-44"}, {"screening": "norm"}),
    ],
)
def test_compromise_measures_how_far_the_model_is_steered(threat, open_choice, closed_choice):
    env = env_under(threat, learning={"partition": "iid"})
    astray, held = first_round(env, **open_choice), first_round(env, **closed_choice)
    assert astray["security"]["steered"] > 0.1
    assert astray["reward_terms"]["compromise"] == pytest.approx(-astray["security"]["steered"] / 40)
    assert held["reward_terms"]["compromise"] == 0.0
    assert astray["security"]["forged"] + astray["security"]["poisoned"] > 0


def test_what_is_recorded_when_the_episode_ends_counts_as_read():
    env = env_under({"eavesdropped_share": 1.0, "quantum_computer": True, "q_day_round": [50.0, 50.0]}, max_rounds=2)
    env.reset(seed=0)
    first = env.step(action(env, key_exchange="x25519"))[4]
    last = env.step(action(env, key_exchange="x25519"))[4]
    assert (first["security"]["recorded"], first["reward_terms"]["leakage"]) == (6, 0.0)
    assert last["reward_terms"]["leakage"] == pytest.approx(-1.0)


def test_protection_takes_time_and_what_it_takes_is_in_the_round():
    env = env_under()
    bare, signed = first_round(env), first_round(env, signature="ml-dsa-65", key_exchange="ml-kem-768")
    assert bare["protect_s"] == 0.0 < signed["protect_s"]
    assert signed["round_s"] > bare["round_s"] and signed["bits_sent"] > 10 * bare["bits_sent"]
    assert signed["reward_terms"]["time"] < bare["reward_terms"]["time"]


def test_the_signs_are_shown_in_the_next_observation():
    env = env_under({"tampered_share": 1.0, "intercepted_share": 1.0})
    env.reset(seed=0)
    observation, *_ = env.step(action(env, signature="ml-dsa-44"))
    noticed = env.unwrapped.view(observation).security
    assert noticed.refused == pytest.approx(1.0, abs=1e-6) and noticed.failed and not noticed.classical_broken
    assert noticed.qber == pytest.approx(0.26, abs=0.01)


def test_a_key_that_runs_out_keeps_a_device_waiting():
    env = env_under({"jammed_share": 1.0, "key_pool_bits": 300})
    first = first_round(env, key_exchange="qkd")
    second = env.step(action(env, key_exchange="qkd"))[4]
    assert (first["security"]["keyless"], second["security"]["keyless"]) == (0, 6)
    assert first["delivered"].all() and not second["delivered"].any()


def test_masks_close_rules_that_do_not_stand_the_assumed_attackers():
    many, few = env_under({"assumed_attackers": 0.3}), env_under({"assumed_attackers": 0.6})
    open_of_many, open_of_few = ((env.reset(seed=0), env.unwrapped.action_masks()[8:12])[1] for env in (many, few))
    # mean, trimmed mean, multi-Krum, masks: of six, two attackers are too many for Krum, and four for a trimmed mean
    assert open_of_many.tolist() == [True, True, False, True] and open_of_few.tolist() == [True, False, False, True]


def test_two_devices_cannot_hide_behind_masks():
    env = make("qfl/Security-v0", security=NO_THREAT, **QUIET, participation=0.3)
    env.reset(seed=0)
    assert env.unwrapped.action_masks()[8:12].tolist() == [True, False, False, False]


@pytest.mark.parametrize("group_size", [3, 4, 5, None])
def test_masks_hide_among_three_also_in_groups(group_size):
    env = env_under({"group_size": group_size})
    env.reset(seed=0)
    assert env.unwrapped.action_masks()[11]
    # five devices in groups of three, or of four at most, are three and two
    env = make("qfl/Security-v0", security={**NO_THREAT, "group_size": group_size}, **QUIET, participation=0.8)
    env.reset(seed=0)
    assert env.unwrapped.action_masks()[11] == (group_size in (5, None))


def test_a_backdoor_shows_its_success():
    env = env_under({"attack": "backdoor", "attacker_share": 0.34, "attack_strength": None})
    assert 0.0 <= first_round(env)["security"]["attack_success"] <= 1.0


def test_other_options_can_be_named():
    env = env_under(options={"signature": ["falcon-512"], "aggregation": ["mean", "median"]})
    assert env.action_space.nvec.tolist() == [1, 4, 2, 3]
    assert first_round(env, signature="falcon-512")["protect_s"] > 0.0
    with pytest.raises(InvalidValueError, match="falcon-512"):
        env.unwrapped.task.encode(Decision(np.ones((1, 6), dtype=bool)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"participation": 0.0}, ["participation", "above 0, up to 1"]),
        ({"participation": "all"}, ["participation", "'all'"]),
        ({"options": ["none"]}, ["options", "signature, key_exchange"]),
        ({"options": {"mode": ["none"]}}, ["options", "mode", "signature, key_exchange"]),
        ({"options": {"signature": []}}, ["options['signature']", "ml-dsa-44"]),
        ({"options": {"signature": ["rsa"]}}, ["rsa", "ml-dsa-44"]),
        ({"options": {"aggregation": ["median"]}}, ["aggregation", "begins with 'mean'"]),
        ({"learning": {"aggregation": "buffered"}}, ["learning", "merged in the round"]),
        (
            {"security": {"protection": "executed"}, "options": {"signature": ["none", "falcon-512"]}},
            ["falcon-512", "executed"],
        ),
        ({"security": {"noise_multiplier": 1.0}}, ["options['aggregation']", "trimmed-mean", "norm-clipping"]),
        (
            {"security": {"noise_multiplier": 1.0}, "options": {"aggregation": ["mean", "secure"]}},
            ["options['screening']", "norm"],
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, words):
    with pytest.raises(InvalidValueError) as caught:
        make("qfl/Security-v0", **arguments)
    assert all(word in str(caught.value) for word in words)


def test_those_take_part_who_were_not_heard_for_longest_and_of_equals_the_fastest():
    arguments = {**QUIET, "security": NO_THREAT, "participation": 0.5}
    env = make("qfl/Security-v0", **arguments)
    observation, _ = env.reset(seed=0)
    step_s = env.unwrapped.view(observation).step_s
    first = env.step(np.zeros(4, dtype=int))[4]["participation"]
    assert first.sum() == 3 and step_s[first].max() <= step_s[~first].min()
    second = env.step(np.zeros(4, dtype=int))[4]["participation"]
    assert (second == ~first).all()
