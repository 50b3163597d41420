"""A task seen and decided by its devices, each an agent of its own.

Translates between the joint form of a :class:`~qfl_envs.envs.task.Task` and the form of one device, for many systems at
once. It decides nothing: what an action does, which choices are open and what is observed is the task's.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from gymnasium import spaces

from qfl_envs.envs.features import Feature
from qfl_envs.envs.masks import choice_sizes
from qfl_envs.envs.task import Task
from qfl_envs.errors import InvalidValueError


class DeviceAgents:
    """The N devices of a task as agents with O options and F observed numbers each.

    Attributes:
        names: ``"device_0"`` to ``"device_{N-1}"``.
        options: (O, A) what each option is, as an entry for each of the A choices that the task asks of a device. Where
            the task lets devices idle, option 0 is to idle; the others are all combinations of the other choices.
        columns: Where each feature is in what an agent observes: first all that is the device's own, then what is
            shared, both in the order of the task.
    """

    def __init__(self, task: Task) -> None:
        """Translate for a task.

        Raises:
            InvalidValueError: For a task whose action is not choice after choice, each with one entry per device.
        """
        if not isinstance(task.action_space, spaces.MultiDiscrete):
            raise InvalidValueError("action space of a task of agents", task.action_space, "MultiDiscrete")
        self.num_devices = task.scenario.num_devices
        self.names = [f"device_{device}" for device in range(self.num_devices)]
        self._sizes = choice_sizes(task.action_space.nvec, self.num_devices)
        ranges = [range(size) for size in self._sizes]
        if task.allow_idle:
            idle = [(0,) * len(ranges)]
            self.options = np.array([*idle, *product(ranges[0][1:], *ranges[1:])])
        else:
            self.options = np.array(list(product(*ranges)))
        self.columns: dict[str, slice] = {}
        self._own: list[str] = []
        self._shared: list[str] = []
        begin = 0
        for name, feature in task.features.items():
            (self._shared if self._is_shared(feature) else self._own).append(name)
        for name in (*self._own, *self._shared):
            size = task.features[name].size // (self.num_devices if name in self._own else 1)
            self.columns[name] = slice(begin, begin + size)
            begin += size
        self.observation_size = begin

    def _is_shared(self, feature: Feature) -> bool:
        return feature.shared or feature.size % self.num_devices > 0

    @property
    def observation_box(self) -> spaces.Box:
        """A new space of what one agent observes."""
        return spaces.Box(-1.0, 1.0, (self.observation_size,), np.float32)

    @property
    def option_space(self) -> spaces.Discrete:
        """A new space of one agent's options."""
        return spaces.Discrete(len(self.options))

    def joint_actions(self, options: np.ndarray) -> np.ndarray:
        """Actions (E, A * N) of the task for the options (E, N) that the devices chose."""
        return self.options[options].swapaxes(1, 2).reshape(len(options), -1)

    def observe(self, observations: Mapping[str, np.ndarray]) -> np.ndarray:
        """What each device observes, (E, N, F) float32 in [-1, 1], of observations (E, size) of the task."""
        systems = len(next(iter(observations.values())))
        rows = np.empty((systems, self.num_devices, self.observation_size), dtype=np.float32)
        for name in self._own:
            rows[..., self.columns[name]] = observations[name].reshape(systems, self.num_devices, -1)
        for name in self._shared:
            rows[..., self.columns[name]] = observations[name][:, None]
        return rows

    def masks(self, masks: np.ndarray) -> np.ndarray:
        """Which options of each device are open, (E, N, O) bool: those of which every choice is.

        Args:
            masks: (E, sum(nvec)) bool, as the task gives them.
        """
        systems, begin = len(masks), 0
        is_open = np.ones((systems, self.num_devices, len(self.options)), dtype=bool)
        for choice, size in enumerate(self._sizes):
            end = begin + self.num_devices * size
            is_open &= masks[:, begin:end].reshape(systems, self.num_devices, size)[..., self.options[:, choice]]
            begin = end
        return is_open

    def infos(self, info: Mapping[str, Any]) -> list[dict[str, Any]]:
        """One info per device of the info of one system: of an array over devices its own entry, all else as it is."""
        infos: list[dict[str, Any]] = [{} for _ in self.names]
        for name, value in info.items():
            if isinstance(value, np.ndarray) and value.shape == (self.num_devices,):
                for of_device, entry in zip(infos, value.tolist(), strict=True):
                    of_device[name] = entry
            else:
                for of_device in infos:
                    of_device[name] = value.copy() if isinstance(value, dict | np.ndarray) else value
        return infos
