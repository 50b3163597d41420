"""Views of a network, made or observed, and the same network with its devices in another order."""

import dataclasses

import gymnasium as gym
import numpy as np

import qfl_envs  # noqa: F401  (registers the environments)

PER_DEVICE = (
    "gain",
    "serving_cell",
    "payload_bits",
    "num_samples",
    "cpu_hz",
    "step_s",
    "battery_j",
    "available",
    "loss",
    "age",
)


def make_env(env_id="qfl/Scheduling-v0", **arguments):
    """A tiny environment without learning, unless the arguments say otherwise."""
    arguments = {"learning": {"model": "none"}, "max_rounds": 8, **arguments}
    return gym.make(env_id, disable_env_checker=True, scenario="tiny", **arguments)


def observed(env, seed=0, **changes):
    """What the server sees at the start, with some fields changed."""
    observation, _ = env.reset(seed=seed)
    return dataclasses.replace(env.unwrapped.view(observation), **changes)


def varied(env, seed):
    """A first view whose devices differ in everything, ages included."""
    rng = np.random.default_rng(seed)
    n = env.unwrapped.scenario.num_devices
    changes = {"age": rng.permutation(n), "loss": rng.uniform(0.5, 3.0, n), "available": rng.random(n) < 0.8}
    return observed(env, seed, **changes)


def reordered(view, order):
    """The same network with its devices in another order."""
    return dataclasses.replace(view, **{name: getattr(view, name)[order] for name in PER_DEVICE})
