"""Stable-Baselines3 on the multi-agent environments: one policy that all devices share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from qfl_envs.envs.base import RESET_OPTIONS, row_of
from qfl_envs.errors import InvalidValueError
from qfl_envs.parallel import FederatedParallelEnv
from train.episodes import side_by_side


def parallel_to_sb3(parallel_env: FederatedParallelEnv, num_envs: int = 1) -> DeviceVecEnv:
    """An SB3 ``VecEnv`` in which each row is one device of one episode, for PPO, MaskablePPO and the like.

    Args:
        parallel_env: Says what is played: scenario, task, split and ``max_cycles``. It is never played itself.
        num_envs: Episodes side by side, in one batch. There are ``num_envs`` x N rows.

    Raises:
        InvalidValueError: For anything but a multi-agent environment of this package without wrappers, and for a number
            of episodes that is not allowed.
    """
    return DeviceVecEnv(parallel_env, num_envs)


class DeviceVecEnv(VecEnv):
    """``num_envs`` episodes of N devices as ``num_envs`` x N rows, device after device and episode after episode.

    The rows of an episode are what the parallel environment of its seed gives to its agents: the same observations,
    rewards and masks. Two things are different, since SB3 knows neither dicts of agents nor agents that leave:

    * An observation is the agent's vector alone. The mask comes from ``env_method("action_masks")``, one
      (rows, options) bool array, where MaskablePPO looks for it.
    * The row of a device that has left stays until its episode ends, with all other rows of the episode. Only idling is
      open to it, what it chooses has no effect, and its reward is 0. At the end it counts as terminated: its
      ``TimeLimit.truncated`` is False even if the episode was truncated. The same holds for devices that a curriculum
      leaves out of the fleet.

    Episodes begin anew by themselves. Infos of a running episode are empty; in the last step of an episode they are
    those of the agents, with ``terminal_observation``.

    Attributes:
        vector_env: The episodes, in the form of the single-agent sibling.
        devices: How rows and episodes belong together.
    """

    def __init__(self, parallel_env: FederatedParallelEnv, num_envs: int = 1) -> None:
        """See :func:`parallel_to_sb3`."""
        if not isinstance(parallel_env, FederatedParallelEnv):
            raise InvalidValueError(
                "parallel_env", str(parallel_env), "a multi-agent environment of qfl_envs, without wrappers"
            )
        template = deepcopy(parallel_env)  # its curriculum goes on with the rows
        self.vector_env = side_by_side(template, num_envs)
        self.devices = template.devices
        self._template = template
        super().__init__(num_envs * self.devices.num_devices, self.devices.observation_box, self.devices.option_space)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the instances of the next reset: the episode at place e gets ``seed + e``, in all of its rows."""
        first = super().seed(seed)[0]
        assert first is not None
        self._seeds = [first + episode for episode in range(self.vector_env.num_envs) for _ in self.devices.names]
        return self._seeds

    def reset(self) -> VecEnvObs:
        """Begin all episodes, with the seeds and options set before; options of an episode are those of its first row.

        Raises:
            InvalidValueError: For an instance outside the split.
        """
        each = self.devices.num_devices
        options = {name: [row.get(name) for row in self._options[::each]] for name in RESET_OPTIONS}
        observations, infos = self.vector_env.reset(seed=self._seeds[::each], options=options)
        self._remember_beginning(infos, range(self.vector_env.num_envs))
        self._reset_seeds()
        self._reset_options()
        return self._rows(observations)

    def step_async(self, actions: np.ndarray) -> None:
        """Remember the actions for :meth:`step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Play one round in every episode.

        Raises:
            InvalidValueError: For actions that are not one option per row.
        """
        played = self.vector_env.system.state.active
        joint = self.devices.joint_actions(self._checked(self._actions))
        observations, rewards, terminated, truncated, infos = self.vector_env.step(joint)
        done = terminated | truncated
        of_rows = np.where(played, rewards[:, None], 0.0).astype(np.float32).ravel()
        row_infos: list[dict[str, Any]] = [{"TimeLimit.truncated": False} for _ in range(self.num_envs)]
        rows = self._rows(observations)
        if done.any():
            limited = (truncated & ~terminated)[:, None] & self.vector_env.system.state.active
            self._end(done, limited, rows, infos, row_infos)
            observations, infos = self.vector_env.reset(options={"reset_mask": done})
            self._remember_beginning(infos, np.flatnonzero(done).tolist())
            rows = self._rows(observations)
        return rows, of_rows, np.repeat(done, self.devices.num_devices), row_infos

    def action_masks(self) -> np.ndarray:
        """(rows, options) bool, which options are open in the states that the last observations show."""
        return self.devices.masks(self.vector_env.action_masks()).reshape(self.num_envs, -1)

    def _mask_of(self, row: int) -> np.ndarray:
        return self.action_masks()[row]

    def close(self) -> None:
        """Close the episodes."""
        self.vector_env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """The last round of every episode, one picture for all of its rows."""
        return list(self.vector_env.render() or [None])

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the rows' environments: what differs between episodes is theirs, all else the template's."""
        if attr_name == "action_masks":
            return [partial(self._mask_of, row) for row in self._get_indices(indices)]
        if attr_name in ("instance", "np_random_seed"):
            values = self.vector_env.get_attr(attr_name)
            return [values[row // self.devices.num_devices] for row in self._get_indices(indices)]
        return [getattr(self._template, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refused: the rows are one object.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(f"cannot set {attr_name!r} of single rows; set it on vector_env")

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> Any:
        """``action_masks`` as one array; other methods are called once, on the template, which is never played."""
        if method_name == "action_masks":
            masks = self.action_masks()
            return masks if indices is None else masks[list(self._get_indices(indices))]
        answer = getattr(self._template, method_name)(*method_args, **method_kwargs)
        return [answer for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """No row is wrapped."""
        return [False for _ in self._get_indices(indices)]

    def _rows(self, observations: dict[str, np.ndarray]) -> np.ndarray:
        """(rows, F) observations of the devices."""
        return self.devices.observe(observations).reshape(self.num_envs, -1)

    def _checked(self, actions: Any) -> np.ndarray:
        """(episodes, N) options."""
        options, count = np.asarray(actions), len(self.devices.options)
        fits = options.shape == (self.num_envs,) and options.dtype.kind in "iu"
        if not fits or (options < 0).any() or (options >= count).any():
            shown = f"{options.dtype} array of shape {options.shape}"
            raise InvalidValueError("actions", shown, f"{self.num_envs} whole numbers from 0 to {count - 1}")
        return options.reshape(self.vector_env.num_envs, -1)

    def _end(
        self,
        done: np.ndarray,
        limited: np.ndarray,
        rows: np.ndarray,
        infos: dict[str, Any],
        row_infos: list[dict[str, Any]],
    ) -> None:
        """Complete the infos of the rows whose episodes have ended."""
        for episode in np.flatnonzero(done).tolist():
            for device, info in enumerate(self.devices.infos(row_of(infos, episode))):
                row = episode * self.devices.num_devices + device
                info["terminal_observation"] = rows[row].copy()
                info["TimeLimit.truncated"] = bool(limited[episode, device])
                row_infos[row] = info

    def _remember_beginning(self, infos: dict[str, Any], episodes: Iterable[int]) -> None:
        for episode in episodes:
            for device, info in enumerate(self.devices.infos(row_of(infos, episode))):
                self.reset_infos[episode * self.devices.num_devices + device] = info
