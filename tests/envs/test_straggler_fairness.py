"""What is particular to qfl/StragglerFairness-v0: the reward for speed and fairness, and updates that are under way."""

import numpy as np
import pytest
from playing import make, open_action, open_episode

from qfl_envs.scenario import Scenario

NUM_DEVICES = 6
AGGREGATIONS = {
    "deadline": "fedadam",
    "synchronous": "fedadam",
    "asynchronous": "fedasync",
    "buffered": "fedavg",
}
ALWAYS_LINKED = {"link_drop": 0.0, "link_recover": 1.0}
every_aggregation = pytest.mark.parametrize("aggregation", AGGREGATIONS)
where_devices_go_on = pytest.mark.parametrize("aggregation", ["asynchronous", "buffered"])


def begin(aggregation="deadline", **arguments):
    learning = {"model": "surrogate", "aggregation": aggregation, "server_rule": AGGREGATIONS[aggregation]}
    learning |= {"buffer_size": 2} | arguments.pop("learning", {})
    env = make("qfl/StragglerFairness-v0", learning=learning, **arguments)
    env.reset(seed=0)
    return env


def choices_open(env):
    """(N, choices) bool."""
    return env.unwrapped.action_masks().reshape(NUM_DEVICES, -1)


def test_the_reward_terms_follow_from_the_infos_of_two_rounds():
    env = begin(target_accuracy=0.9)
    _, start = env.reset(seed=3)
    scenario, stored_j = env.unwrapped.scenario, env.unwrapped.system.state.full_battery_j.sum()
    one, other = (env.step([3] * NUM_DEVICES)[4] for _ in range(2))
    progress = (other["best_accuracy"] - one["best_accuracy"]) / (0.9 - start["accuracy"])
    time = -other["round_s"] / (scenario.longest_round_s * scenario.max_rounds)
    energy = -other["energy_j"] / stored_j
    assert other["reward_terms"]["efficiency"] == pytest.approx(progress + 2 * time + energy, abs=1e-12)
    worst = (other["worst_accuracy"] - one["worst_accuracy"]) / 0.9
    even = other["jain"] - one["jain"]
    assert other["reward_terms"]["fairness"] == pytest.approx((worst + even) / 2, abs=1e-12)
    assert 0 not in (progress, time, energy, worst, even)


@every_aggregation
def test_fairness_adds_up_to_what_is_gained_from_start_to_end(aggregation):
    env = begin(aggregation)
    accuracy = env.unwrapped.system.state.device_accuracy[0].copy()
    worst, jain = accuracy.min(), accuracy.sum() ** 2 / (NUM_DEVICES * (accuracy**2).sum())
    infos = [step[4] for _, step in open_episode(env, seed=0)]
    target = env.unwrapped.scenario.target_accuracy
    gained = (infos[-1]["worst_accuracy"] - worst) / target + infos[-1]["jain"] - jain
    assert sum(info["reward_terms"]["fairness"] for info in infos) == pytest.approx(gained / 2, abs=1e-9)


@pytest.mark.parametrize("aggregation", ["deadline", "synchronous"])
def test_an_episode_that_misses_the_target_is_charged_with_all_of_the_longest_time(aggregation):
    env = begin(aggregation, target_accuracy=1.0, max_rounds=3)
    _, start = env.reset(seed=0)
    stored_j = env.unwrapped.system.state.full_battery_j.sum()
    infos = [env.step([1] * NUM_DEVICES)[4] for _ in range(3)]
    progress = (max(info["best_accuracy"] for info in infos) - start["accuracy"]) / (1.0 - start["accuracy"])
    energy = -infos[-1]["total_energy_j"] / stored_j
    total = sum(info["reward_terms"]["efficiency"] for info in infos)
    assert total == pytest.approx(progress - 2.0 + energy, abs=1e-9)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_weight_of_fairness_leaves_the_rest_to_efficiency(weight):
    env = begin(fairness_weight=weight)
    for _, (_, reward, _, _, info) in open_episode(env):
        terms = info["reward_terms"]
        expected = (1 - weight) * terms["efficiency"] + weight * terms["fairness"]
        assert reward == pytest.approx(expected, abs=1e-12)


def test_a_reward_weight_wins_over_the_weight_of_fairness():
    env = make("qfl/StragglerFairness-v0", fairness_weight=0.2, reward_weights={"fairness": 3.0})
    assert env.unwrapped.task.weights == {"efficiency": 0.8, "fairness": 3.0}


@every_aggregation
def test_an_episode_can_be_played_to_its_end(aggregation):
    env = begin(aggregation, target_accuracy=1.0, max_rounds=60, fleet={"battery_j": [1e4, 1e4]}, deadline_s=10.0)
    delivered, rounds = np.zeros(NUM_DEVICES, dtype=int), 0
    for _, (observation, _, _, _, info) in open_episode(env):
        assert env.observation_space.contains(observation)
        delivered += info["delivered"]
        rounds += 1
    assert rounds == 60
    assert (delivered > 0).all()


@every_aggregation
def test_the_model_learns(aggregation):
    env = begin(
        aggregation,
        target_accuracy=1.0,
        fleet={"battery_j": [1e4, 1e4]},
        learning={"model": "logistic", "local_rate": 0.5},
    )
    start = env.unwrapped.system.state.accuracy[0]
    infos = [step[4] for _, step in open_episode(env)]
    assert infos[-1]["best_accuracy"] > start + 0.1


@where_devices_go_on
def test_updates_arrive_in_later_rounds_than_their_devices_took_part_in(aggregation):
    env = begin(aggregation, radio=ALWAYS_LINKED)
    *_, info = env.step([1] * NUM_DEVICES)
    under_way = info["participation"] & ~info["delivered"]
    assert info["delivered"].any() and under_way.any()
    later = np.zeros(NUM_DEVICES, dtype=bool)
    for _ in range(10):
        *_, info = env.step([0] * NUM_DEVICES)
        assert not info["participation"].any()
        later |= info["delivered"]
    assert (later <= under_way).all() and later.any()


@where_devices_go_on
def test_taking_part_is_closed_to_devices_under_way_and_deferring_is_open(aggregation):
    env = begin(aggregation, radio=ALWAYS_LINKED)
    env.step([1] * NUM_DEVICES)
    busy = env.unwrapped.system.state.busy_s[0] > 0
    assert busy.any() and not busy.all()
    assert choices_open(env)[:, 0].all()
    assert not choices_open(env)[busy, 1:].any()


@where_devices_go_on
def test_a_device_under_way_is_shown_as_not_available(aggregation):
    env = begin(aggregation, radio=ALWAYS_LINKED)
    observation, *_ = env.step([1] * NUM_DEVICES)
    busy = env.unwrapped.system.state.busy_s[0] > 0
    assert busy.any()
    assert not env.unwrapped.view(observation).available[busy].any()


@where_devices_go_on
def test_a_device_under_way_that_is_asked_again_is_repaired_and_goes_on(aggregation):
    env = begin(aggregation, radio=ALWAYS_LINKED)
    env.step([1] * NUM_DEVICES)
    busy = env.unwrapped.system.state.busy_s[0] > 0
    *_, info = env.step([1] * NUM_DEVICES)
    assert busy.any()
    assert (info["repaired"] == busy).all()
    assert not info["participation"][busy].any()


@where_devices_go_on
def test_taking_part_is_open_again_once_the_update_has_arrived(aggregation):
    env = begin(aggregation, radio=ALWAYS_LINKED, fleet={"reserve": 0.0})
    arrived = np.zeros(NUM_DEVICES, dtype=bool)
    env.step([1] * NUM_DEVICES)
    for _ in range(10):
        *_, info = env.step([0] * NUM_DEVICES)
        charged = env.unwrapped.system.state.battery_j[0] > 0
        assert choices_open(env)[info["delivered"] & charged, 1:].all()
        arrived |= info["delivered"]
    assert arrived.any()


@pytest.mark.parametrize("aggregation", ["deadline", "synchronous"])
def test_nobody_is_under_way_after_a_round_that_waits(aggregation):
    env, rng = begin(aggregation), np.random.default_rng(0)
    for _ in range(5):
        *_, info = env.step(open_action(env, rng))
        assert not env.unwrapped.system.state.busy_s.any()
        assert (info["delivered"] <= info["participation"]).all()


def test_a_synchronous_round_may_last_longer_than_the_deadline():
    env = begin("synchronous", deadline_s=0.2)
    longest_s = max(step[4]["round_s"] for _, step in open_episode(env))
    assert 0.2 < longest_s <= env.unwrapped.scenario.longest_round_s


def test_choices_are_local_steps_and_0_defers():
    env = begin(local_step_choices=(1, 5))
    decision = env.unwrapped.task.decide(env.unwrapped.system, np.array([[0, 1, 2, 0, 2, 1]]))
    assert decision.participate.tolist() == [[False, True, True, False, True, True]]
    assert decision.local_steps[decision.participate].tolist() == [1, 5, 5, 1]


def test_presets_by_name_are_q_fair_and_other_scenarios_are_left_as_they_are():
    changed, left = (
        make("qfl/StragglerFairness-v0", scenario=one).unwrapped.scenario for one in ("tiny", Scenario.preset("tiny"))
    )
    assert (changed.learning.fairness_q, left.learning.fairness_q) == (1.0, 0.0)
