"""Nothing from after the decision, and nothing that no server could know, reaches the observation."""

import copy
import dataclasses

import numpy as np
import pytest
from playing import (
    ENV_IDS,
    PROTECTING_IDS,
    action_of,
    idle_action,
    make,
    of_shown,
    play,
    random_actions,
    rollout,
    same,
    shown_devices,
)

from qfl_envs.system.learning.shapes import NUM_CLASSES
from qfl_envs.system.state import SystemState

every_env = pytest.mark.parametrize("env_id", ENV_IDS)
every_unmonitored_env = pytest.mark.parametrize(
    "env_id", [env_id for env_id in ENV_IDS if not make(env_id).unwrapped.scenario.learning.monitored]
)
decides_who = pytest.mark.parametrize(
    "env_id", [env_id for env_id in every_unmonitored_env.args[1] if env_id not in PROTECTING_IDS]
)
SHOWN = {
    "active",
    "link_up",
    "max_cpu_hz",
    "shot_s",
    "load_normal",
    "battery_j",
    "full_battery_j",
    "busy_s",
    "num_samples",
    "reported_loss",
    "age",
    "round_index",
    "last_round_s",
}
HIDDEN = {
    "start_accuracy",
    "position_m",
    "velocity_mps",
    "mean_velocity_mps",
    "shadowing_db",
    "rician_k",
    "scatter",
    "sample_index",
    "label_map",
    "label_share",
    "onset_round",
    "drift_strength",
    "parameters",
    "first_moment",
    "second_moment",
    "adam_steps",
    "updates",
    "controls",
    "server_control",
    "flight",
    "flight_arrives",
    "flight_weight",
    "held_version",
    "received_loss",
    "loss",
    "device_loss",
    "device_accuracy",
    "elapsed_s",
    "energy_j",
    "hostile",
    "threats",
    "exposed",
}
DEPENDS = {
    "gain",
    "mean_gain",
    "accuracy",
    "best_accuracy",
    "local_rate",
    "dropout",
    "activation_bits",
    "key_bits",
    "signs",
    "q_day_round",
}
"""Fields that some tasks show; Q-day once it has come, so that a task without threats shows nothing of it."""
OF_SECURITY = {"signs", "q_day_round"}


def task_of(env_id):
    return make(env_id).unwrapped.task


def shown_by(task, name):
    """Whether a task shows a field of the state."""
    if name in ("gain", "mean_gain"):
        return task.gain_per_subchannel == (name == "gain")
    return name in SHOWN or (name in OF_SECURITY and task.protects) or (name in DEPENDS and name in task.features)


def shown_or_hidden(shown):
    return [
        (env_id, name)
        for env_id in ENV_IDS
        for name in sorted(SHOWN | HIDDEN | DEPENDS)
        if shown_by(task_of(env_id), name) == shown
    ]


def mask_of(env):
    return getattr(env.unwrapped, "action_masks", lambda: None)()


def observe(env):
    return env.unwrapped.task.observe(env.unwrapped.system)


def perturb(env, name):
    """Change every entry of a field of the state, to a value that the observation can show."""
    state = env.unwrapped.system.state
    value = getattr(state, name)
    if value.dtype == bool:
        changed = ~value
    elif value.dtype.kind == "i":
        changed = value + 1
    else:
        changed = value * 0.7 + (0.0317 if (value == 0.0).any() else 0.0)
    setattr(state, name, changed.astype(value.dtype))


def other_future(env):
    """A copy in the same state whose generator will draw something else."""
    twin = copy.deepcopy(env)
    twin.unwrapped.system.generators = [np.random.default_rng(12345)]
    return twin


def test_every_field_of_the_state_is_known_to_be_shown_or_hidden():
    assert SHOWN | HIDDEN | DEPENDS == {field.name for field in dataclasses.fields(SystemState)}


@pytest.mark.parametrize(("env_id", "name"), shown_or_hidden(shown=False))
def test_a_hidden_part_of_the_state_changes_neither_observation_nor_mask(env_id, name):
    env = make(env_id)
    rollout(env, seed=0, count=3)
    observation, mask = observe(env), mask_of(env)
    perturb(env, name)
    assert same(observe(env), observation)
    assert same(mask_of(env), mask)


@pytest.mark.parametrize(("env_id", "name"), shown_or_hidden(shown=True))
def test_a_shown_part_of_the_state_changes_the_observation(env_id, name):
    env = make(env_id)
    rollout(env, seed=0, count=3)
    observation = observe(env)
    perturb(env, name)
    if name == "full_battery_j":
        env.unwrapped.system.state.full_battery_j *= 1e6
    if name == "q_day_round":
        env.unwrapped.system.state.q_day_round[:] = 0.0
    assert not same(observe(env), observation)


@every_env
def test_what_will_be_drawn_changes_neither_observation_nor_mask(env_id):
    env = make(env_id)
    rollout(env, seed=0, count=3)
    twin = other_future(env)
    assert same(observe(env), observe(twin))
    assert same(mask_of(env), mask_of(twin))


@every_env
def test_what_is_drawn_after_the_decision_changes_the_next_observation(env_id):
    env = make(env_id)
    rollout(env, seed=0, count=3)
    twin, action = other_future(env), env.action_space.sample()
    assert not same(env.step(action)[0], twin.step(action)[0])


@every_env
def test_the_returned_observation_is_that_of_the_state_after_the_round(env_id):
    env = make(env_id)
    rollout(env, seed=0, count=3)
    returned = env.step(env.action_space.sample())[0]
    shown_again = observe(other_future(env))
    assert all(same(returned[name], shown_again[name][0]) for name in returned)


@every_env
def test_the_round_is_played_with_the_gains_and_clocks_of_the_observation_before_it(env_id):
    env = make(env_id, learning={"model": "none"})
    rollout(env, seed=0, count=3)
    # what protection takes is drawn in the round: the time of a signature, and which quantum channels are open
    action = idle_action(env) if env.unwrapped.task.protects else env.action_space.sample()
    decision = env.unwrapped.task.decide(env.unwrapped.system, action[None])
    report, twin_report = (each.unwrapped.system.step(decision) for each in (env, other_future(env)))
    for name in ("rates_bps", "compute_s", "upload_s", "round_s", "energy_j", "late", "depleted", "participation"):
        assert same(getattr(report, name), getattr(twin_report, name)), name


@decides_who
def test_a_device_that_never_delivered_shows_the_loss_of_a_uniform_guess(env_id):
    env = make(env_id)
    env.reset(seed=0)
    silent = np.arange(6) >= 3
    # in turn, two devices a round: the last observation shows one of these
    for _ in range(7):
        observation, *_, info = env.step(action_of(env, ~silent))
    seen = env.unwrapped.view(observation).loss
    never = of_shown(env, silent) & (shown_devices(env) >= 0)
    assert never.any()
    np.testing.assert_allclose(seen[never], np.log(NUM_CLASSES), rtol=1e-6)
    assert np.abs(info["device_loss"][silent] - np.log(NUM_CLASSES)).min() > 1e-3


@every_unmonitored_env
def test_the_shown_loss_is_that_of_the_model_which_the_device_received_when_it_last_delivered(env_id):
    env = make(env_id)
    env.reset(seed=0)
    expected = np.full(6, np.log(NUM_CLASSES))
    deliveries = 0
    for action in random_actions(env, 12, seed=1):
        received = env.unwrapped.system.state.device_loss[0].copy()
        observation, *_, info = env.step(action)
        expected = np.where(info["delivered"], received, expected)
        seen, shown = env.unwrapped.view(observation).loss, shown_devices(env) >= 0
        np.testing.assert_allclose(seen[shown], of_shown(env, expected)[shown], rtol=1e-5)
        deliveries += info["delivered"].sum()
    assert 0 < deliveries < 12 * 6


@every_env
def test_the_shown_age_counts_the_rounds_since_the_last_delivery(env_id):
    env = make(env_id)
    env.reset(seed=0)
    expected = np.zeros(6)
    for action in random_actions(env, 12, seed=1):
        observation, *_, info = env.step(action)
        expected = np.where(info["delivered"], 0, expected + 1)
        shown = shown_devices(env) >= 0
        assert (env.unwrapped.view(observation).age == of_shown(env, expected))[shown].all()


@every_env
def test_two_policies_meet_the_same_links_and_loads_under_one_seed(env_id):
    idle, busy = make(env_id), make(env_id)
    idle.reset(seed=0), busy.reset(seed=0)
    for action in random_actions(busy, 8):
        play(idle, [action_of(idle, np.zeros(6, dtype=bool))])
        play(busy, [action])
        states = idle.unwrapped.system.state, busy.unwrapped.system.state
        assert same(*(state.link_up for state in states))
        assert same(*(state.load_normal for state in states))
