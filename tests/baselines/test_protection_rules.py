import dataclasses

import gymnasium as gym
import numpy as np
import pytest

import baselines
import qfl_envs  # noqa: F401  (registers the environments)
from baselines.protection import ProtectionPhases, ThreatThreshold, Unprotected

NAMES = [name for name in baselines.names() if isinstance(baselines.make(name), Unprotected)]


@pytest.fixture(scope="module")
def env():
    return gym.make("qfl/Security-v0", scenario="tiny", learning={"model": "none"}, disable_env_checker=True)


@pytest.fixture(scope="module")
def view(env):
    observation, _ = env.reset(seed=0)
    return env.unwrapped.view(observation)


def noticing(view, **signs):
    return dataclasses.replace(view, security=dataclasses.replace(view.security, **signs))


def chosen_by(rule, env, views):
    """What a rule chooses in rounds that begin with these views, by names."""
    rule.reset(env, 0)
    return [rule.decide(seen).protection.names(0) for seen in views]


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_plays(name, env):
    rule = baselines.make(name)
    observation, _ = env.reset(seed=0)
    rule.reset(env, 0)
    for _ in range(3):
        action = rule.choose(observation)
        assert env.action_space.contains(action)
        observation, *_ = env.step(action)


def test_they_protect_as_they_say(env, view):
    signatures = {name: chosen_by(baselines.make(name), env, [view])[0]["signature"] for name in NAMES}
    assert signatures == {
        "no-protection": "none",
        "all-on": "ml-dsa-65",
        "classical-only": "ecdsa-p256",
        "post-quantum-only": "ml-dsa-44",
        "quantum-keys-only": "none",
        "masked-only": "ecdsa-p256",
        "threat-threshold": "none",
    }


def test_the_threshold_signs_for_some_rounds_after_a_forgery(env, view):
    quiet, forged = noticing(view), noticing(view, refused=0.3)
    chosen = chosen_by(ThreatThreshold(signs_for=2), env, [quiet, forged, quiet, quiet])
    assert [one["signature"] for one in chosen] == ["none", "ecdsa-p256", "ecdsa-p256", "none"]
    broken = noticing(view, screened=0.3, classical_broken=True)
    assert chosen_by(ThreatThreshold(), env, [broken])[0]["signature"] == "ml-dsa-44"


def test_the_threshold_encrypts_while_somebody_listens_and_not_where_nothing_comes_through(env, view):
    chosen = chosen_by(ThreatThreshold(), env, [noticing(view, qber=rate) for rate in (0.02, 0.17, 0.5)])
    assert [one["key_exchange"] for one in chosen] == ["none", "ml-kem-768", "none"]


def test_phases_begin_with_the_first(env, view):
    first = {"signature": "ml-dsa-65", "key_exchange": "none", "aggregation": "mean", "screening": "none"}
    chosen = chosen_by(ProtectionPhases(first, 2, 1), env, [view] * 3)
    assert [one["signature"] for one in chosen] == ["ml-dsa-65", "ml-dsa-65", "none"]
    assert chosen[2]["screening"] == "norm"


def test_the_oracle_is_no_worse_than_the_rules_on_the_same_instance(env):
    def played(competitor):
        observation, _ = env.reset(seed=3)
        competitor.reset(env, 0)
        total, ended = 0.0, False
        while not ended:
            observation, reward, terminated, truncated, _ = env.step(competitor.choose(observation))
            total, ended = total + reward, terminated or truncated
        return total

    rules = [played(baselines.make(name)) for name in NAMES]
    assert played(baselines.make("oracle")) >= np.max(rules) - 1e-9
