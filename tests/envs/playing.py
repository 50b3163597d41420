"""What several tests of the environments need: which ids there are, playing them, and comparing what they return."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces

import qfl_envs  # noqa: F401  (registers the environments)
from qfl_envs.system.decision import Decision

ENV_IDS = sorted(name for name in gym.registry if name.startswith("qfl/"))


def make(env_id, **arguments):
    """A small environment; Gymnasium's own checker has a test of its own."""
    return gym.make(env_id, disable_env_checker=True, **{"scenario": "tiny", **arguments})


def ids_where(condition):
    """The ids whose environment fulfils a condition."""
    return [env_id for env_id in ENV_IDS if condition(make(env_id).unwrapped)]


CONTINUOUS_IDS = ids_where(lambda env: isinstance(env.action_space, spaces.Box))
MASKED_IDS = [env_id for env_id in ENV_IDS if env_id not in CONTINUOUS_IDS]
PROTECTING_IDS = ids_where(lambda env: env.task.protects)
"""Where a rule says who takes part, whatever the action is."""
PER_DEVICE_IDS = ids_where(lambda env: isinstance(env.action_space, spaces.MultiDiscrete) and not env.task.protects)
"""Where every device has choices of its own."""
TARGET_IDS = ids_where(lambda env: env.task.ends_at_target)


def ids_with_terms(*terms):
    """The ids whose reward has all these terms."""
    return ids_where(lambda env: set(terms) <= env.task.default_weights.keys())


def random_actions(env, count, seed=0):
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(count)]


def choices_per_entry(space):
    """The nvec of a discrete space of either kind."""
    return np.array([space.n]) if isinstance(space, spaces.Discrete) else space.nvec


def open_action(env, rng):
    """A random action of those that the masks leave open; in a vector environment one for every row."""
    single = getattr(env.unwrapped, "single_action_space", env.action_space)
    if isinstance(single, spaces.Box):
        return rng.uniform(env.action_space.low, env.action_space.high).astype(np.float32)
    masks = env.unwrapped.action_masks()
    drawn = np.where(masks, rng.random(masks.shape), -1.0)
    of_entries = np.split(drawn, np.cumsum(choices_per_entry(single))[:-1], axis=-1)
    choices = np.stack([of_entry.argmax(-1) for of_entry in of_entries], axis=-1)
    return choices[..., 0] if isinstance(single, spaces.Discrete) else choices


def action_of(env, participate):
    """The action that comes closest to letting these devices take part and no others."""
    return env.unwrapped.task.encode(Decision(participate=of_shown(env, np.asarray(participate, dtype=bool))[None]))[0]


def shown_devices(env):
    """The devices that the environment's observation shows, place by place, -1 where a place is empty."""
    task, system = env.unwrapped.task, env.unwrapped.system
    return task.view({name: value[0] for name, value in task.observe(system).items()}).device


def of_shown(env, of_devices):
    """Values (N, ...) of the devices in the order in which the observation shows them; any value for an empty place."""
    return np.asarray(of_devices)[shown_devices(env)]


def idle_action(env):
    return action_of(env, np.zeros(env.unwrapped.scenario.num_devices))


def open_episode(env, seed=0):
    """Action and what the step returned, of one episode of random open actions."""
    env.reset(seed=seed)
    rng, ended = np.random.default_rng(seed), False
    while not ended:
        action = open_action(env, rng)
        step = env.step(action)
        ended = step[2] or step[3]
        yield action, step


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
