"""The return tells the truth: its terms add up to what the episode achieved and took."""

import dataclasses

import numpy as np
import pytest
from playing import TARGET_IDS, action_of, ids_with_terms, make, random_actions

from qfl_envs.system.decision import Decision
from qfl_envs.system.network.radio import best_alone_bps

TERMS_TO_THE_TARGET = ("progress", "time", "energy")
with_terms_to_the_target = pytest.mark.parametrize("env_id", ids_with_terms(*TERMS_TO_THE_TARGET))
with_energy = pytest.mark.parametrize("env_id", ids_with_terms("energy"))
with_target = pytest.mark.parametrize("env_id", TARGET_IDS)


def play_episode(env, seed, everybody=True):
    """Accuracy and stored energy at the start, and the infos of an episode in which everybody or nobody takes part."""
    _, info = env.reset(seed=seed)
    system = env.unwrapped.system
    start = {"accuracy": info["accuracy"], "stored_j": system.state.full_battery_j.sum()}
    infos, ended = [], False
    while not ended:
        participate = system.available() & everybody
        *_, terminated, truncated, info = env.step(action_of(env, participate[0]))
        infos.append(info)
        ended = terminated or truncated
    return start, infos


def total(infos, term):
    return sum(info["reward_terms"][term] for info in infos)


def judged_return(env, rounds):
    """Return of an episode of made-up rounds (accuracy, duration, energy), which the environment's own task judges."""
    env.reset(seed=0)
    task, system = env.unwrapped.task, env.unwrapped.system
    report = system.step(Decision(participate=np.zeros((1, task.scenario.num_devices), dtype=bool)))
    best, reward = 0.1, 0.0
    system.state.start_accuracy[:] = best
    for number, (accuracy, round_s, energy_j) in enumerate(rounds, start=1):
        system.state.round_index[:] = number
        system.state.elapsed_s[:] = sum(duration_s for _, duration_s, _ in rounds[:number])
        outcome = task.judge(
            system,
            dataclasses.replace(
                report,
                accuracy=np.array([accuracy]),
                best_accuracy=np.array([max(accuracy, best)]),
                best_accuracy_gain=np.array([max(accuracy - best, 0.0)]),
                round_s=np.array([round_s]),
                energy_j=np.array([energy_j]),
            ),
        )
        best, reward = max(accuracy, best), reward + float(outcome.reward[0])
    assert outcome.terminated[0] == (accuracy >= task.scenario.target_accuracy)
    return reward


def test_the_ids_with_the_terms_to_the_target_are_not_none():
    assert {"qfl/Allocation-v0", "qfl/Scheduling-v0", "qfl/Power-v0"} <= set(ids_with_terms(*TERMS_TO_THE_TARGET))


@with_terms_to_the_target
@pytest.mark.parametrize("target", [0.15, 0.9], ids=["reached", "not reached"])
def test_progress_adds_up_to_the_share_of_the_way_that_the_best_model_made(env_id, target):
    start, infos = play_episode(make(env_id, target_accuracy=target), seed=1)
    assert infos[-1]["target_reached"] == (target < 0.5)
    best = max(info["accuracy"] for info in infos)
    gained = min(best, target) - start["accuracy"]
    assert gained > 0
    assert total(infos, "progress") == pytest.approx(gained / (target - start["accuracy"]), abs=1e-12)


@with_terms_to_the_target
def test_an_accuracy_that_falls_and_rises_again_makes_no_progress(env_id):
    env = make(env_id, target_accuracy=0.9, reward_weights={"time": 0.0, "energy": 0.0})
    steady, wavering = [(0.3, 0.5, 2.0), (0.3, 0.5, 2.0)], [(0.3, 0.5, 2.0), (0.2, 0.5, 2.0), (0.3, 0.5, 2.0)]
    assert judged_return(env, steady) == pytest.approx(judged_return(env, wavering), abs=1e-12)


@with_terms_to_the_target
def test_an_episode_that_misses_the_target_has_used_all_of_the_time_in_its_last_round(env_id):
    env = make(env_id, target_accuracy=1.0, max_rounds=4, deadline_s=100.0)
    _, infos = play_episode(env, seed=1)
    longest_s = env.unwrapped.scenario.deadline_s * 4
    before_the_last = [-info["round_s"] / longest_s for info in infos[:-1]]
    assert [info["reward_terms"]["time"] for info in infos[:-1]] == pytest.approx(before_the_last)
    assert total(infos, "time") == pytest.approx(-1.0)


@with_terms_to_the_target
def test_a_target_that_is_reached_in_the_last_round_saves_the_time_that_is_left(env_id):
    weights = {"progress": 0.0, "time": 1.0, "energy": 0.0}
    env = make(env_id, target_accuracy=0.4, max_rounds=1, reward_weights=weights)
    assert judged_return(env, [(0.4, 0.2, 2.0)]) == pytest.approx(-0.2 / env.unwrapped.scenario.deadline_s)
    assert judged_return(env, [(0.3, 0.2, 2.0)]) == pytest.approx(-1.0)


@with_terms_to_the_target
@pytest.mark.parametrize("everybody", [True, False], ids=["everybody", "nobody"])
def test_time_adds_up_to_the_share_of_the_longest_episode(env_id, everybody):
    # without a link nobody takes part, whoever says who does
    radio = {} if everybody else {"link_drop": 1.0, "link_recover": 0.0}
    env = make(env_id, max_rounds=20, target_accuracy=0.2 if everybody else 1.0, radio=radio)
    _, infos = play_episode(env, seed=1, everybody=everybody)
    longest_s = env.unwrapped.scenario.deadline_s * 20
    assert infos[-1]["target_reached"] == everybody
    assert total(infos, "time") == pytest.approx(-infos[-1]["elapsed_s"] / longest_s, abs=1e-12)
    assert everybody or total(infos, "time") == pytest.approx(-1.0)


@with_energy
def test_energy_adds_up_to_the_share_of_the_stored_energy(env_id):
    start, infos = play_episode(make(env_id, max_rounds=8), seed=1)
    assert infos[-1]["total_energy_j"] > 0
    assert total(infos, "energy") == pytest.approx(-infos[-1]["total_energy_j"] / start["stored_j"], abs=1e-12)


@with_target
def test_less_time_to_the_target_at_equal_energy_has_the_higher_return(env_id):
    env = make(env_id, target_accuracy=0.4)
    slow = [(0.2, 0.9, 2.0), (0.3, 0.9, 2.0), (0.45, 0.9, 2.0)]
    fast_in_more_rounds = [(0.15, 0.3, 1.5), (0.3, 0.4, 1.5), (0.2, 0.3, 1.5), (0.41, 0.2, 1.5)]
    assert judged_return(env, fast_in_more_rounds) > judged_return(env, slow)


@with_target
def test_less_energy_to_the_target_in_equal_time_has_the_higher_return(env_id):
    env = make(env_id, target_accuracy=0.4)
    hungry, frugal = [(0.2, 0.5, 3.0), (0.5, 0.5, 3.0)], [(0.3, 0.25, 1.0), (0.2, 0.25, 1.0), (0.4, 0.5, 1.0)]
    assert judged_return(env, frugal) > judged_return(env, hungry)


@with_target
def test_equal_time_and_energy_to_the_target_have_equal_returns_whatever_the_way_there(env_id):
    env = make(env_id, target_accuracy=0.4)
    one, other = [(0.3, 0.5, 2.0), (0.7, 0.5, 2.0)], [(0.05, 0.2, 3.0), (0.2, 0.3, 0.5), (0.4, 0.5, 0.5)]
    assert judged_return(env, one) == pytest.approx(judged_return(env, other), abs=1e-12)


def test_the_sum_rate_has_no_weight_by_default():
    assert make("qfl/Allocation-v0").unwrapped.task.weights["sum_rate"] == 0.0


def test_the_sum_rate_term_is_the_shortfall_from_the_best_device_alone_on_each_subchannel():
    env = make("qfl/Allocation-v0", learning={"model": "none"})
    env.reset(seed=0)
    system, scenario = env.unwrapped.system, env.unwrapped.scenario
    for action in random_actions(env, 5):
        gain = system.state.gain
        best_bps = best_alone_bps(scenario.radio, gain, gain.mean(-1).argmax(-1))[0]
        *_, info = env.step(action)
        expected = (info["sum_rate_bps"] / best_bps - 1) / scenario.max_rounds
        assert info["reward_terms"]["sum_rate"] == pytest.approx(expected, abs=1e-12)


def test_the_sum_rate_term_adds_up_to_minus_one_when_nobody_ever_transmits():
    _, infos = play_episode(make("qfl/Allocation-v0", max_rounds=4), seed=0, everybody=False)
    assert total(infos, "sum_rate") == pytest.approx(-1.0)


def test_the_best_device_alone_on_each_subchannel_has_no_shortfall():
    radio = {"link_drop": 0.0, "link_recover": 1.0}
    env = make("qfl/Allocation-v0", num_devices=40, radio=radio, learning={"model": "none"})
    for seed in range(200):
        env.reset(seed=seed)
        best = env.unwrapped.system.state.gain[0, :, 0].argmax(0)
        if len(set(best.tolist())) == len(best):
            break
    slots = np.zeros(40, dtype=int)
    slots[best] = 1 + np.arange(len(best))
    action = np.concatenate([slots, np.full(40, 3)])
    *_, info = env.step(action)
    assert info["reward_terms"]["sum_rate"] == pytest.approx(0.0, abs=1e-12)


def test_weights_can_make_the_return_pure_sum_rate():
    weights = {"progress": 0, "time": 0, "energy": 0, "sum_rate": 1}
    env = make("qfl/Allocation-v0", reward_weights=weights, learning={"model": "none"})
    env.reset(seed=0)
    _, reward, *_, info = env.step(random_actions(env, 1)[0])
    assert reward == info["reward_terms"]["sum_rate"]
