"""What several tests of the environments need: which ids there are, playing them, and comparing what they return."""

import gymnasium as gym
import numpy as np

import qfl_envs  # noqa: F401  (registers the environments)

ENV_IDS = sorted(name for name in gym.registry if name.startswith("qfl/"))


def make(env_id, **arguments):
    """A small environment; Gymnasium's own checker has a test of its own."""
    return gym.make(env_id, disable_env_checker=True, **{"scenario": "tiny", **arguments})


def random_actions(env, count, seed=0):
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(count)]


def play(env, actions):
    """What each action returned; an episode that ends is followed by the next of the sequence."""
    steps = []
    for action in actions:
        steps.append(env.step(action))
        if steps[-1][2] or steps[-1][3]:
            steps.append(env.reset())
    return steps


def rollout(env, seed, count=12):
    """A reset and random actions that do not depend on the seed."""
    return [env.reset(seed=seed), *play(env, random_actions(env, count))]


def same(one, other):
    """Whether two nested structures are equal to the last bit."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return one == other


def arrays_in(value):
    """All arrays in a nested structure."""
    if isinstance(value, np.ndarray):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [array for part in parts for array in arrays_in(part)]
