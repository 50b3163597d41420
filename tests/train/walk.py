"""A small ``VecEnv`` that keeps every rule, written so that a subclass can break any one of them."""

from copy import deepcopy

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

LENGTH = 4
"""Steps after which an episode is cut."""


class Walk(VecEnv):
    """Rows whose places are random; half of the places close a choice."""

    place_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    time_space = spaces.Box(0.0, 1.0, (1,), np.float32)

    def __init__(self, observation_space=None, action_space=None, num_envs=3):
        self.generators = [np.random.default_rng(row) for row in range(num_envs)]
        self.places = np.zeros((num_envs, 2), np.float32)
        self.rounds = np.zeros(num_envs, np.int64)
        super().__init__(
            num_envs,
            observation_space or spaces.Dict({"place": self.place_space, "time": self.time_space}),
            action_space or spaces.MultiDiscrete([2, 3]),
        )

    def begin(self, row, start=None):
        self.rounds[row] = 0
        self.places[row] = self.generators[row].uniform(-1, 1, 2) if start is None else start
        self.reset_infos[row] = {"start": float(self.places[row, 0])}

    def observe(self):
        return {"place": self.places.copy(), "time": (self.rounds[:, None] / LENGTH).astype(np.float32)}

    def seeded(self, row):
        if self._seeds[row] is not None:
            self.generators[row] = np.random.default_rng(self._seeds[row])

    def reset(self):
        for row in range(self.num_envs):
            self.seeded(row)
            self.begin(row, self._options[row].get("start"))
        self._reset_seeds()
        self._reset_options()
        return self.observe()

    def step_async(self, actions):
        self.actions = actions

    def step_wait(self):
        for row in range(self.num_envs):
            self.places[row] = self.generators[row].uniform(-1, 1, 2)
        self.rounds += 1
        rewards = self.places[:, 0] + self.actions[:, 0].astype(np.float32)
        dones = self.rounds == LENGTH
        last = self.observe()
        infos = [{} for _ in range(self.num_envs)]
        for row in np.flatnonzero(dones):
            final = {name: value[row].copy() for name, value in last.items()}
            infos[row] = {"terminal_observation": final, "TimeLimit.truncated": True}
            self.begin(row)
        return self.observe(), rewards, dones, infos

    def close(self):
        pass

    def action_masks(self):
        masks = np.ones((self.num_envs, 5), dtype=bool)
        masks[:, 2] = self.places[:, 0] > 0
        return masks

    def has_attr(self, attr_name):
        return attr_name in ("render_mode", "action_masks")

    def get_attr(self, attr_name, indices=None):
        if not self.has_attr(attr_name):
            raise AttributeError(attr_name)
        return [None for _ in self._get_indices(indices)]

    def set_attr(self, attr_name, value, indices=None):
        raise NotImplementedError(f"{attr_name} cannot be set")

    def env_method(self, method_name, *method_args, indices=None, **method_kwargs):
        return self.action_masks()[list(self._get_indices(indices))]

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False for _ in self._get_indices(indices)]


def breaking(**methods):
    """The walk with some methods replaced."""
    return type("Broken", (Walk,), methods)()


def breaking_step(change):
    """The walk with ``change(env, observations, rewards, dones, infos)`` instead of what a step returns."""
    return breaking(step_wait=lambda env: change(env, *Walk.step_wait(env)))


def breaking_infos(change):
    """The walk with ``change(info)`` done to every info that ends an episode, on a copy."""

    def changed(env, observations, rewards, dones, infos):
        infos = deepcopy(infos)
        for row in np.flatnonzero(dones):
            change(infos[row])
        return observations, rewards, dones, infos

    return breaking_step(changed)
