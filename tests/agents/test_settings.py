"""QAOA for discrete training settings: the fitted energy, and the competitors."""

import gymnasium as gym
import numpy as np
import pytest

import agents
import baselines
import qfl_envs  # noqa: F401  registers the environments
from agents.qaoa.settings import FEATURES, OPTIONS, SettingsModel
from qfl_envs.errors import InvalidValueError
from qfl_envs.system.learning.adaptation import CANDIDATES, Adaptation
from train import competitors
from train.evaluation import make_env_of, play

SETTINGS = ("qaoa-settings", "uniform-settings", "exhaustive-settings")
WAYS = {"annealed-head": "annealed_head", "solved-head": "solved_head", **dict.fromkeys(SETTINGS, "settings")}


def make_env(adaptations=("annealed_head", "settings", "solved_head"), **arguments):
    return gym.make(
        "qfl/Drift-v0",
        scenario="tiny",
        learning={"model": "surrogate"},
        adaptations=list(adaptations),
        disable_env_checker=True,
        **arguments,
    )


def made(name, env, seed=0):
    competitor = (agents if name in agents.names() else baselines).make(name)
    competitor.reset(env, seed)
    return competitor


def test_the_options_are_those_of_the_candidates():
    for number, candidate in enumerate(CANDIDATES):
        rate, dropout, bits = np.unravel_index(number, OPTIONS)
        expected = ((0.5, 1.0, 2.0)[rate], (0.0, 0.2)[dropout], (0, 4)[bits])
        assert (candidate.rate_factor, candidate.dropout, candidate.activation_bits) == expected
        assert (
            FEATURES[number, :7].tolist()
            == np.concatenate([np.eye(3)[rate], np.eye(2)[dropout], np.eye(2)[bits]]).tolist()
        )


def test_the_energy_ranks_settings_that_were_never_tried_by_what_their_options_were_worth():
    model = SettingsModel(memory=1.0)
    worth = {"rate": [0.0, 0.1, 0.3], "dropout": [0.2, 0.0], "bits": [0.0, 0.1]}
    for chosen in [(0, 0, 0), (1, 1, 1), (2, 1, 0), (0, 1, 1), (1, 0, 0), (2, 1, 1)] * 3:
        gained = sum(of[option] for of, option in zip(worth.values(), chosen, strict=True))
        model.observe(int(np.ravel_multi_index(chosen, OPTIONS)), gained)
    assert np.unravel_index(model.cost().argmin(), OPTIONS) == (2, 0, 1)


def test_without_rounds_all_settings_are_equal():
    assert not SettingsModel().cost().any()


@pytest.mark.parametrize("name", WAYS)
def test_every_competitor_plays_with_actions_of_its_own_kind(name):
    env = make_env()
    observation, _ = env.reset(seed=0)
    competitor, task = made(name, env), env.unwrapped.task
    for _ in range(3):
        action = competitor.act(observation)
        observation, *_ = env.step(action)
        if name in SETTINGS:
            assert task.adaptation[action] == Adaptation.FINE_TUNE and task.setting[action] >= 0
        else:
            assert task.adaptation[action] in (Adaptation.ANNEAL_HEAD, Adaptation.SOLVE_HEAD)
    cost = competitor.cost()
    circuits = name == "qaoa-settings"
    assert (cost.circuit_evaluations, cost.shots, cost.quantum_parameters) == ((1, 4, 6) if circuits else (0, 0, 0))
    assert (cost.quantum_s > 0) == circuits


@pytest.mark.parametrize("name", WAYS)
def test_an_environment_without_the_way_to_adapt_is_refused_with_its_name(name):
    env = make_env(["head"])
    observation, _ = env.reset(seed=0)
    with pytest.raises(InvalidValueError, match=f"way to adapt is '{WAYS[name]}'; allowed: one of head; the argument"):
        made(name, env).act(observation)


def test_circuits_and_enumeration_choose_better_than_a_uniform_draw():
    picked = {}
    for name in SETTINGS:
        env = make_env()
        env.reset(seed=0)
        competitor = made(name, env)
        for setting in range(12):
            competitor.model.observe(setting, -float(setting))
        view = env.unwrapped.view(env.reset(seed=0)[0])
        picked[name] = np.mean([competitor.pick(view) for _ in range(200)])
    assert picked["exhaustive-settings"] == 0
    assert picked["qaoa-settings"] < picked["uniform-settings"] < 3


@pytest.mark.parametrize("name", WAYS)
def test_who_needs_another_way_to_adapt_plays_where_nobody_names_it(name):
    player, given = competitors.make(name), {"scenario": "tiny", "learning": {"model": "none"}, "max_rounds": 2}
    env = make_env_of(player, "qfl/Drift-v0", "test", given)
    assert env.unwrapped.task.adaptations == (WAYS[name],)
    assert play(env, player, 0).rounds == 2
    named = make_env_of(player, "qfl/Drift-v0", "test", {**given, "adaptations": ["head", WAYS[name]]})
    assert named.unwrapped.task.adaptations == ("head", WAYS[name])
