"""What is particular to qfl/Drift-v0: what the actions adapt, what that costs, and what the model is judged by."""

import numpy as np
import pytest
from playing import make, open_episode, play, random_actions

from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.learning.adaptation import CANDIDATES, RETRAIN_FACTOR, Adaptation

NUM_DEVICES = 6
KEEP, HEAD, FINE_TUNE, RETRAIN, REOPTIMISE = 0, 5, 6, 7, 8
"""Actions in which all take part, beside keeping the model."""
KINDS = {
    HEAD: Adaptation.HEAD,
    FINE_TUNE: Adaptation.FINE_TUNE,
    RETRAIN: Adaptation.RETRAIN,
    REOPTIMISE: Adaptation.REOPTIMISE,
}
ALWAYS_LINKED = {"link_drop": 0.0, "link_recover": 1.0}


def begin(seed=0, **arguments):
    """An environment in which everybody is linked, unless the arguments say otherwise."""
    radio = ALWAYS_LINKED | arguments.pop("radio", {})
    learning = {"model": "surrogate"} | arguments.pop("learning", {})
    env = make("qfl/Drift-v0", radio=radio, learning=learning, **arguments)
    env.reset(seed=seed)
    return env


def decision_of(env, action):
    return env.unwrapped.task.decide(env.unwrapped.system, np.array([action]))


def participants(env, action):
    return set(np.flatnonzero(decision_of(env, action).participate[0]).tolist())


def state_of(env):
    return env.unwrapped.system.state


@pytest.mark.parametrize("action", range(9))
def test_actions_go_through_all_kinds_for_one_share_of_devices_after_the_other(action):
    env = begin(participation_choices=(0.5, 1.0))
    expected = {0: 0} | {number: 3 if number < 5 else 6 for number in range(1, 9)}
    assert len(participants(env, action)) == expected[action]
    if action > 0:
        kind = [Adaptation.HEAD, Adaptation.FINE_TUNE, Adaptation.RETRAIN, Adaptation.REOPTIMISE][(action - 1) % 4]
        assert decision_of(env, action).adaptation[0] == kind


def test_there_are_four_actions_for_every_share_of_devices_and_one_to_keep_the_model():
    assert make("qfl/Drift-v0", participation_choices=[0.1, 0.2, 0.9]).action_space.n == 1 + 4 * 3


def test_other_ways_to_adapt_come_in_by_name_in_the_order_that_they_are_named_in():
    env = begin(adaptations=["settings", "annealed_head", "head"], participation_choices=[0.5, 1.0])
    task = env.unwrapped.task
    assert env.action_space.n == 1 + 2 * 14
    kinds = [Adaptation.FINE_TUNE] * 12 + [Adaptation.ANNEAL_HEAD, Adaptation.HEAD]
    assert task.adaptation[1:].tolist() == kinds * 2
    assert task.setting[1:].tolist() == [*range(12), -1, -1] * 2
    for action in (1, 5, 13, 20):
        assert task.encode(decision_of(env, action))[0] == action


def test_a_share_of_the_devices_is_rounded_up():
    assert len(participants(begin(participation_choices=[0.01]), 1)) == 1
    assert len(participants(begin(participation_choices=[0.51]), 1)) == 4


def test_the_devices_with_the_largest_reported_losses_take_part():
    env = begin(participation_choices=[0.5])
    state_of(env).reported_loss[0] = [0.3, 2.0, 0.1, 0.7, 1.5, 0.2]
    assert participants(env, 1) == {1, 3, 4}


def test_those_who_cannot_take_part_are_passed_over():
    env = begin(participation_choices=[0.5])
    state_of(env).reported_loss[0] = [0.3, 2.0, 0.1, 0.7, 1.5, 0.2]
    state_of(env).link_up[0, [1, 4]] = False
    assert participants(env, 1) == {0, 3, 5}


def test_all_who_can_take_part_where_they_are_fewer_than_asked_for():
    env = begin()
    state_of(env).link_up[0] = np.arange(NUM_DEVICES) < 2
    assert participants(env, FINE_TUNE) == {0, 1}


def test_keeping_the_model_costs_neither_time_nor_energy():
    env = begin()
    for _ in range(5):
        *_, info = env.step(KEEP)
        assert not info["participation"].any()
        assert (info["reward_terms"]["time"], info["reward_terms"]["energy"]) == (0.0, 0.0)
        assert (info["energy_j"], info["round_s"]) == (0.0, env.unwrapped.scenario.deadline_s)


def test_keeping_the_model_keeps_it():
    env = begin()
    before = state_of(env).parameters.copy()
    env.step(KEEP)
    assert (state_of(env).parameters == before).all()


@pytest.mark.parametrize("action", KINDS, ids=lambda action: KINDS[action].name)
def test_every_kind_of_adaptation_changes_the_model_and_costs_time_and_energy(action):
    env = begin()
    before, stored_j = state_of(env).parameters.copy(), state_of(env).full_battery_j.sum()
    *_, info = env.step(action)
    assert info["delivered"].any()
    assert (state_of(env).parameters != before).any()
    scenario = env.unwrapped.scenario
    longest_s = scenario.longest_round_s * scenario.max_rounds
    assert info["reward_terms"]["time"] == pytest.approx(-info["round_s"] / longest_s) and info["round_s"] > 0
    assert info["reward_terms"]["energy"] == pytest.approx(-info["energy_j"] / stored_j) and info["energy_j"] > 0


@pytest.mark.parametrize("action", KINDS, ids=lambda action: KINDS[action].name)
def test_nothing_of_an_adaptation_is_repaired(action):
    env = begin(radio={"link_drop": 0.5})
    for _ in range(10):
        *_, info = env.step(action)
        assert not info["repaired"].any()


@pytest.mark.parametrize("action", KINDS, ids=lambda action: KINDS[action].name)
def test_an_adaptation_without_anybody_is_a_round_in_which_the_model_is_kept(action):
    env, kept = begin(), begin()
    for each in (env, kept):
        state_of(each).link_up[:] = False
    info, expected = env.step(action)[4], kept.step(KEEP)[4]
    assert info["reward_terms"] == expected["reward_terms"]
    assert not info["repaired"].any()
    assert (state_of(env).parameters == state_of(kept).parameters).all()


def test_adapting_is_closed_exactly_where_nobody_can_take_part():
    env, seen = begin(radio={"link_drop": 0.8, "link_recover": 0.2}), set()
    for _ in range(30):
        some = bool(env.unwrapped.system.available().any())
        assert env.unwrapped.action_masks().tolist() == [True] + [some] * 8
        seen.add(some)
        env.step(KEEP)
    assert seen == {True, False}


def test_the_head_alone_is_a_shorter_upload_and_fewer_circuits():
    head, all_layers = (begin(deadline_s=100.0).step(action)[4] for action in (HEAD, FINE_TUNE))
    assert 0 < head["bits_sent"] < all_layers["bits_sent"]
    assert 0 < head["energy_j"] < all_layers["energy_j"]


def test_retraining_makes_more_local_steps():
    steps = []
    for action in (FINE_TUNE, RETRAIN):
        env = begin()
        steps.append(env.unwrapped.system.step(decision_of(env, action)).local_steps)
    assert (steps[0] > 0).all()
    assert (steps[1] == RETRAIN_FACTOR * steps[0]).all()


def test_what_reoptimising_found_shows_in_the_observations_from_then_on():
    env = begin(learning={"model": "qnn", "warm_start_steps": 5})
    rate = env.unwrapped.scenario.learning.local_rate
    views = [env.unwrapped.view(step[0]) for step in play(env, [KEEP, REOPTIMISE, KEEP, FINE_TUNE])]
    seen = [(view.local_rate, view.dropout, view.activation_bits) for view in views]
    assert seen[0] == (pytest.approx(rate), 0.0, 0)
    candidates = [
        (pytest.approx(rate * one.rate_factor, rel=1e-6), pytest.approx(one.dropout, abs=1e-6), one.activation_bits)
        for one in CANDIDATES
    ]
    assert seen[1] in candidates
    assert seen[1] == seen[2] == seen[3]
    assert seen[1][0] == pytest.approx(state_of(env).local_rate[0])


def test_the_accuracy_adds_up_to_the_mean_over_the_rounds():
    env = begin(max_rounds=12)
    infos = [step[4] for _, step in open_episode(env)]
    assert len(infos) == 12
    total = sum(info["reward_terms"]["accuracy"] for info in infos)
    assert total == pytest.approx(np.mean([info["accuracy"] for info in infos]))


@pytest.mark.parametrize("target", [0.0, 1.0], ids=["target reached", "target missed"])
def test_rounds_that_are_not_played_because_all_batteries_are_empty_count_with_the_last_accuracy(target):
    env = begin(max_rounds=10, target_accuracy=target)
    env.step(KEEP), env.step(KEEP)
    state_of(env).battery_j[:] = 0.0
    state_of(env).full_battery_j[:] = 1e9
    _, _, terminated, truncated, info = env.step(KEEP)
    assert (terminated, truncated) == (True, False)
    assert info["reward_terms"]["accuracy"] == pytest.approx(info["accuracy"] * 8 / 10)


def test_an_end_by_empty_batteries_charges_no_time():
    env = begin(max_rounds=10)
    state_of(env).battery_j[:] = 0.0
    state_of(env).full_battery_j[:] = 1e9
    *_, info = env.step(KEEP)
    assert info["reward_terms"]["time"] == 0.0


def test_neither_accuracy_is_shown():
    env = begin()
    observation, *_ = env.step(FINE_TUNE)
    assert not {"accuracy", "best_accuracy"} & observation.keys()
    view = env.unwrapped.view(observation)
    assert (view.accuracy, view.best_accuracy) == (None, None)


def test_the_data_drift_while_the_model_is_kept_and_that_costs_accuracy():
    env = begin(max_rounds=40)
    infos = [env.step(KEEP)[4] for _ in range(40)]
    assert (infos[0]["drifted"], infos[-1]["drifted"]) == (0.0, 1.0)
    assert infos[-1]["accuracy"] < infos[0]["accuracy"] - 0.1


def test_losses_are_reported_in_every_round_so_that_drift_can_be_seen():
    env = begin(max_rounds=40)
    before, *_, after = (env.unwrapped.view(env.step(KEEP)[0]).loss for _ in range(40))
    np.testing.assert_allclose(after, state_of(env).device_loss[0], rtol=1e-5)
    assert after.mean() > before.mean() + 0.1


@pytest.mark.parametrize(
    ("count", "kind", "action"),
    [(0, Adaptation.HEAD, 0), (1, Adaptation.HEAD, 1), (2, None, 2), (6, None, 6), (5, Adaptation.RETRAIN, 7)],
)
def test_a_decision_becomes_the_action_of_its_kind_with_the_closest_number_of_participants(count, kind, action):
    decision = Decision(
        participate=(np.arange(NUM_DEVICES) < count)[None], adaptation=None if kind is None else np.array([kind])
    )
    assert make("qfl/Drift-v0").unwrapped.task.encode(decision).tolist() == [action]


def test_presets_by_name_drift_and_other_scenarios_are_left_as_they_are():
    assert make("qfl/Drift-v0").unwrapped.scenario.drift.kind == "abrupt"
    assert make("qfl/Drift-v0").unwrapped.scenario.learning.warm_start_steps > 0
    assert make("qfl/Drift-v0", scenario=Scenario.preset("tiny")).unwrapped.scenario == Scenario.preset("tiny")


def test_random_actions_play_a_whole_episode():
    env = begin(max_rounds=20)
    steps = [env.step(action) for action in random_actions(env, 20)]
    assert [step[3] for step in steps] == [False] * 19 + [True]
