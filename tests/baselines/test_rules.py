import gymnasium as gym
import numpy as np
import pytest

import baselines
import qfl_envs  # noqa: F401  (registers the environments)
from baselines.estimates import alone_rate_bps, round_seconds
from qfl_envs.competitor import UnsupportedEnvironmentError
from qfl_envs.errors import UnknownNameError
from qfl_envs.system.decision import Decision
from train.evaluation import play

ENV_IDS = ["qfl/Allocation-v0", "qfl/Scheduling-v0"]
CASES = [
    (env_id, name)
    for env_id in ENV_IDS
    for name in baselines.names()
    if baselines.make(name).supports(env_id) and baselines.make(name).by_default
]
RADIO_ONLY = {"learning": {"model": "none"}, "max_rounds": 6}


def make_env(env_id="qfl/Scheduling-v0", **arguments):
    return gym.make(env_id, disable_env_checker=True, scenario="tiny", **{**RADIO_ONLY, **arguments})


def first_decision(name, env, seed=0):
    observation, _ = env.reset(seed=seed)
    competitor = baselines.make(name)
    competitor.reset(env, seed)
    view = env.unwrapped.view(observation)
    return view, competitor.decide(view)


@pytest.mark.parametrize(("env_id", "name"), CASES)
def test_every_rule_plays_an_episode_with_allowed_actions_only(env_id, name):
    env = make_env(env_id)
    competitor = baselines.make(name)
    observation, _ = env.reset(seed=1)
    competitor.reset(env, 1)
    for _ in range(4):
        action = competitor.act(observation)
        masks = np.split(env.unwrapped.action_masks(), np.cumsum(env.action_space.nvec)[:-1])
        assert env.action_space.contains(action)
        assert all(mask[choice] for mask, choice in zip(masks, action, strict=True))
        observation, *_ = env.step(action)


@pytest.mark.parametrize(("env_id", "name"), CASES)
def test_every_rule_repeats_itself_under_one_seed(env_id, name):
    one, two = (play(make_env(env_id), baselines.make(name), 3) for _ in range(2))
    assert (one.episode_return, one.simulated_s, one.energy_j) == (two.episode_return, two.simulated_s, two.energy_j)


def test_everyone_means_all_that_are_available():
    view, decision = first_decision("everyone", make_env())
    assert np.array_equal(decision.participate[0], view.available)


def test_round_robin_reaches_every_available_device_before_anyone_twice():
    always = {"link_drop": 0.0, "link_recover": 1.0, "num_subchannels": 2}
    env = make_env(radio=always, fleet={"battery_j": [1e6, 1e6]})
    observation, _ = env.reset(seed=0)
    competitor = baselines.make("round-robin")
    competitor.reset(env, 0)
    picked = [np.flatnonzero(competitor.act(observation)).tolist() for _ in range(6)]
    assert picked == [[0, 1], [2, 3], [4, 5]] * 2


def test_channel_greedy_takes_the_best_pair_of_device_and_subchannel_first():
    view, decision = first_decision("channel-greedy", make_env("qfl/Allocation-v0"))
    rates = np.where(view.available[:, None], alone_rate_bps(view), -np.inf)
    best_device, best_channel = np.unravel_index(rates.argmax(), rates.shape)
    assert decision.participate[0, best_device]
    assert decision.subchannel[0, best_device] == best_channel
    used = decision.subchannel[0][decision.participate[0]]
    assert len(set(used)) == len(used) == view.gain.shape[2]


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_deadline_greedy_expects_to_meet_the_deadline_and_could_take_nobody_more(env_id):
    env = make_env(env_id, deadline_s=0.4, num_devices=12)
    for seed in range(5):
        view, decision = first_decision("deadline-greedy", env, seed)
        chosen = decision.participate[0]
        assert chosen.any()
        assert round_seconds(view, chosen) <= 0.4
        assert not (chosen & ~view.available).any()
        # the rule asks each device once, against those that were chosen before it
        quickest_left_out = [device for device in np.flatnonzero(view.available & ~chosen)]
        assert all(round_seconds(view, chosen | (np.arange(12) == device)) > 0.4 for device in quickest_left_out[:1])


def test_the_estimated_round_is_the_one_that_is_played():
    env = make_env(
        radio={"waterfall": 0.0, "link_drop": 0.0, "link_recover": 1.0, "num_subchannels": 1}, deadline_s=1e3
    )
    observation, _ = env.reset(seed=2)
    view = env.unwrapped.view(observation)
    estimated = round_seconds(view, view.available)
    *_, info = env.step(np.where(view.available, 2, 0))
    # the estimate leaves out the model on its way down, which takes microseconds at the power of a base station
    assert info["round_s"] == pytest.approx(estimated, rel=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_no_rule_has_a_higher_sum_rate_in_one_cell_than_hungarian(seed):
    env = make_env("qfl/Allocation-v0", max_rounds=1, num_devices=8, radio={"num_subchannels": 4})
    rates = {name: play(env, baselines.make(name), seed).sum_rate_bps for env_id, name in CASES if env_id == ENV_IDS[0]}
    assert rates["hungarian"] >= (1 - 1e-4) * max(rates.values())


def test_a_rule_refuses_an_environment_that_it_has_no_answer_for():
    env = make_env("qfl/Scheduling-v0")
    env.reset(seed=0)
    with pytest.raises(UnsupportedEnvironmentError, match="supports: qfl/Allocation-v0"):
        baselines.make("hungarian").reset(env, 0)


def test_an_unknown_rule_is_refused_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="did you mean 'random'.*hungarian"):
        baselines.make("randon")


def test_the_rate_of_a_device_alone_is_the_one_that_it_sends_with():
    env = gym.make("qfl/Allocation-v0", scenario="tiny", disable_env_checker=True).unwrapped
    observation, _ = env.reset(seed=0)
    expected = alone_rate_bps(env.view(observation))
    device = int(np.flatnonzero(env.system.available()[0])[0])
    alone = np.arange(6)[None] == device
    start = env.get_state()
    for subchannel in range(2):
        env.set_state(start)
        report = env.system.step(Decision(alone, subchannel=np.full((1, 6), subchannel)))
        # the observation is in single precision
        assert report.rates_bps[0, device] == pytest.approx(expected[device, subchannel], rel=1e-4)
