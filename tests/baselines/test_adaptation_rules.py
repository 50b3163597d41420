import dataclasses
import sys

import gymnasium as gym
import numpy as np
import pytest

import baselines
import qfl_envs  # noqa: F401  (registers the environments)
from baselines.adaptation import AdwinTriggered, Keep, Phases, round_of
from qfl_envs.errors import MissingExtraError
from qfl_envs.system.learning.adaptation import Adaptation
from train.commands.listing import competitors as list_competitors
from train.competitors import default_names

NAMES = [name for name in baselines.names() if isinstance(baselines.make(name), Keep)]


@pytest.fixture(scope="module")
def env():
    return gym.make(
        "qfl/Drift-v0",
        scenario="tiny",
        learning={"model": "none", "warm_start_steps": 0},
        drift={"kind": "none"},
        adaptations=["head", "fine_tune", "retrain", "reoptimise", "solved_head"],
        disable_env_checker=True,
    )


@pytest.fixture(scope="module")
def view(env):
    observation, _ = env.reset(seed=0)
    return env.unwrapped.view(observation)


def started(rule, env):
    rule = baselines.make(rule) if isinstance(rule, str) else rule
    rule.reset(env, 0)
    return rule


def kinds(rule, env, view, losses):
    """What a rule does in rounds with these mean losses: (kind, participants) each, None where it keeps the model."""
    task, done = env.unwrapped.task, []
    for index, loss in enumerate(losses):
        seen = dataclasses.replace(view, loss=np.full(len(view.loss), loss), round_index=index)
        action = task.encode(rule.decide(seen))[0]
        share = task.participation[action]
        done.append(None if share == 0 else (Adaptation(task.adaptation[action]), share))
    return done


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_decides_what_the_environment_can_do(name, env, view):
    rule = started(name, env)
    for loss in (0.5, 0.5, 2.0, 1.0):
        decision = rule.decide(dataclasses.replace(view, loss=np.full(len(view.loss), loss)))
        assert env.action_space.contains(env.unwrapped.task.encode(decision)[0])


def test_never_always_and_now_and_then(env, view):
    losses = [1.0] * 9
    always = (Adaptation.FINE_TUNE, 1.0)
    assert kinds(started("keep", env), env, view, losses) == [None] * 9
    assert kinds(started("fine-tune", env), env, view, losses) == [always] * 9
    assert kinds(started("recalibrate", env), env, view, losses) == [(Adaptation.HEAD, 0.25)] * 9
    periodic = kinds(started("periodic", env), env, view, losses)
    assert periodic[:4] == [(Adaptation.HEAD, 0.25), None] * 2


@pytest.mark.parametrize("name", ["loss-triggered", "loss-triggered-head"])
def test_a_risen_loss_triggers_until_it_has_fallen(name, env, view):
    done = kinds(started(name, env), env, view, [1.2, 1.0, 1.49, 1.51, 3.0, 1.4])
    assert [one is not None for one in done] == [False, False, False, True, True, False]


def test_adwin_notices_a_rise_and_minds_no_fall(env, view):
    pytest.importorskip("river")
    rng = np.random.default_rng(0)
    rising = np.concatenate([rng.normal(1.0, 0.1, 30), rng.normal(2.5, 0.1, 30)])
    done = [one is not None for one in kinds(started("adwin", env), env, view, rising)]
    assert not any(done[:30])
    assert any(done[31:40])
    assert not any(kinds(started("adwin", env), env, view, rising[::-1]))


def test_adwin_adapts_for_some_rounds_and_then_waits(env, view, monkeypatch):
    pytest.importorskip("river")
    monkeypatch.setattr(AdwinTriggered, "rounds", 20)
    rule = started("adwin", env)
    done = [one is not None for one in kinds(rule, env, view, [1.0] * 30 + [3.0] * 60)]
    assert sum(done) >= rule.rounds
    assert not any(done[-10:])


def test_without_river_the_error_names_the_extra(env, monkeypatch):
    monkeypatch.setitem(sys.modules, "river", None)
    monkeypatch.setitem(sys.modules, "river.drift", None)
    with pytest.raises(MissingExtraError, match=r"'adwin' needs the package 'river'.*qfl-envs\[drift\]"):
        started("adwin", env)


def test_who_needs_much_time_or_an_optional_package_plays_only_where_named():
    missing = set(baselines.names()) - set(default_names())
    assert {"adwin", "oracle", "sca"} <= missing
    assert missing.isdisjoint({"oort", "hungarian", "periodic"})


def test_the_list_of_competitors_says_who_plays_by_default(capsys):
    list_competitors(type("Options", (), {"json": True}))
    shown = capsys.readouterr().out
    assert '"adwin"' in shown and '"privileged"' in shown


def test_phases_begin_in_one_way_and_go_on_in_the_usual_one(env, view):
    rule = started(Phases(Adaptation.RETRAIN, 1.0, rounds=2), env)
    usual = (Adaptation.HEAD, 0.25)
    assert kinds(rule, env, view, [1.0] * 4) == [(Adaptation.RETRAIN, 1.0)] * 2 + [usual] * 2
    rule.reset(env, 0)
    assert kinds(rule, env, view, [1.0])[0] == (Adaptation.RETRAIN, 1.0)


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.01, 1), (0.25, 2), (1.0, 6)])
def test_a_share_is_rounded_up_to_whole_devices(share, count, view):
    assert round_of(view, Adaptation.HEAD, share).participate.sum() == count
