"""Stable-Baselines3 on the native vector environments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from qfl_envs.envs.base import RESET_OPTIONS
from qfl_envs.envs.instances import check_split
from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown
from qfl_envs.vector import FederatedVectorEnv
from train.training.algorithms import has_masks

OF_ONE_ROW = ("reset", "step", "get_state", "set_state", "close")
"""Methods that play or change a single environment; rows of a batch have none of their own."""
SETTABLE: dict[str, Callable[[Any], None]] = {"split": check_split}
"""Attributes that can be set while the environment runs, each with the check of its value."""


class SB3VecEnv(VecEnv):
    """A native vector environment as an SB3 ``VecEnv``: whole batches, no work per row but where an episode ended.

    SB3 expects the first observation of the next episode together with the end of the last one, so the vector
    environment must be in the autoreset mode ``SameStep``. Infos of a running episode are empty but for
    ``info_keys``; in the last step of an episode they are complete, with ``terminal_observation`` and
    ``TimeLimit.truncated``. Actions and observations can be of any space that SB3 knows.
    """

    def __init__(self, vector_env: FederatedVectorEnv, info_keys: Sequence[str] = ()) -> None:
        """Wrap a vector environment.

        Args:
            vector_env: From ``gymnasium.make_vec(id, num_envs=N, autoreset_mode="SameStep")``.
            info_keys: Entries of the step's info that every row's info is given in every step.

        Raises:
            InvalidValueError: For another autoreset mode, or rewards that are vectors.
        """
        if vector_env.metadata["autoreset_mode"] is not AutoresetMode.SAME_STEP:
            raise InvalidValueError(
                "autoreset_mode of the vector environment",
                vector_env.metadata["autoreset_mode"].value,
                "'SameStep', the one that SB3 works with: gymnasium.make_vec(..., autoreset_mode='SameStep')",
            )
        if vector_env.task.vector_reward:
            raise InvalidValueError(
                "vector_reward of the environment", True, "False, since SB3 learns from one number per step"
            )
        self.vector_env = vector_env
        self.info_keys = tuple(info_keys)
        super().__init__(vector_env.num_envs, vector_env.single_observation_space, vector_env.single_action_space)

    def reset(self) -> VecEnvObs:
        """Begin all episodes, with the seeds and options set before.

        Raises:
            UnknownNameError: For an option that does not exist.
        """
        names = {name for row in self._options for name in row}
        reject_unknown(sorted(names), RESET_OPTIONS, "reset option")
        options = {name: [row.get(name) for row in self._options] for name in names}
        observations, infos = self.vector_env.reset(seed=self._seeds, options=options)
        self.reset_infos = _row_infos(infos, np.arange(self.num_envs), infos)
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Remember the actions (N, ...) for :meth:`step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Play one round in every row."""
        observations, rewards, terminated, truncated, infos = self.vector_env.step(self._actions)
        done = terminated | truncated
        rows: list[dict[str, Any]]
        if self.info_keys:
            rows = _row_infos(infos, np.arange(self.num_envs), self.info_keys)
        else:
            rows = [{} for _ in range(self.num_envs)]
        if done.any():
            ended = np.flatnonzero(done)
            last = _row_infos(infos["final_info"], ended, infos["final_info"])
            begun = _row_infos(infos, ended, infos.keys() - {"final_obs", "final_info"})
            for row, last_info, first_info in zip(ended.tolist(), last, begun, strict=True):
                last_info["terminal_observation"] = _copied(infos["final_obs"][row])
                last_info["TimeLimit.truncated"] = bool(truncated[row] and not terminated[row])
                rows[row], self.reset_infos[row] = last_info, first_info
        return observations, rewards.astype(np.float32), done, rows

    def close(self) -> None:
        """Close the vector environment."""
        self.vector_env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """The last round of every row."""
        return list(self.vector_env.render() or [None] * self.num_envs)

    def has_attr(self, attr_name: str) -> bool:
        """Whether :meth:`get_attr` and :meth:`env_method` know the name; calls nothing."""
        if attr_name == "action_masks":
            return has_masks(self.vector_env.task)
        return hasattr(self.vector_env.template, attr_name) or hasattr(self.vector_env, attr_name)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the rows' environments; a method of theirs as a function to call.

        Raises:
            AttributeError: If there is none of that name.
        """
        self._require_attr(attr_name)
        rows = list(self._get_indices(indices))
        if self._is_method(attr_name):
            return [partial(self._call_row, attr_name, row) for row in rows]
        values = self.vector_env.get_attr(attr_name)
        return [values[row] for row in rows]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set one of :data:`SETTABLE` for all rows, from the next episode of each on; all else is fixed.

        Raises:
            InvalidValueError: For another attribute, or for some of the rows only.
            UnknownNameError: For a split that does not exist.
        """
        if attr_name not in SETTABLE:
            raise InvalidValueError("attribute to set", attr_name, list(SETTABLE))
        if set(self._get_indices(indices)) != set(range(self.num_envs)):
            raise InvalidValueError(f"indices of set_attr({attr_name!r})", indices, "None, since all rows share it")
        SETTABLE[attr_name](value)
        setattr(self.vector_env.template, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> Any:
        """A method of the rows' environments, called once for the batch.

        Returns:
            A list with what each row answers; for ``action_masks`` the one array (N, sum(nvec)) bool, row for row the
            same.

        Raises:
            AttributeError: If there is none of that name.
            InvalidValueError: For a method that would play a single row.
        """
        self._require_attr(method_name)
        rows = list(self._get_indices(indices))
        if method_name == "action_masks":
            return self.vector_env.action_masks()[rows]
        if method_name == "render":
            images = self.get_images()
            return [images[row] for row in rows]
        if method_name in OF_ONE_ROW:
            raise InvalidValueError("method of the rows", method_name, f"any but {', '.join(OF_ONE_ROW)}")
        values = self.vector_env.call(method_name, *method_args, **method_kwargs)
        # rows of a batch answer with one object, but no row may change another's
        return [deepcopy(values[row]) for row in rows]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """No row is wrapped."""
        return [False for _ in self._get_indices(indices)]

    def _require_attr(self, name: str) -> None:
        if not self.has_attr(name):
            raise AttributeError(f"the rows of {type(self.vector_env).__name__} have no {name!r}")

    def _is_method(self, name: str) -> bool:
        owner = self.vector_env.template if hasattr(self.vector_env.template, name) else self.vector_env
        return callable(getattr(owner, name))

    def _call_row(self, name: str, row: int, *arguments: Any, **keywords: Any) -> Any:
        return self.env_method(name, *arguments, indices=row, **keywords)[0]


def _copied(observation: Any) -> Any:
    """An observation that shares no memory with the given one."""
    if isinstance(observation, Mapping):
        return {name: np.array(value) for name, value in observation.items()}
    return np.array(observation)


def _row_infos(infos: Mapping[str, Any], rows: np.ndarray, names: Iterable[str]) -> list[dict[str, Any]]:
    """Some rows of Gymnasium's batched infos, column after column.

    Args:
        infos: Arrays (N, ...) or dicts of them, each ``name`` with a mask (N) ``_name`` of the rows that have it.
        rows: (R) numbers of rows.
        names: Which entries; masks among them are left out.

    Returns:
        R dicts: numbers as Python's own, arrays as copies.
    """
    found: list[dict[str, Any]] = [{} for _ in rows]
    for name in names:
        mask = infos.get(f"_{name}")
        if name.startswith("_") or mask is None:
            continue
        having = mask[rows].tolist()
        if not any(having):
            continue
        column = infos[name]
        if isinstance(column, Mapping):
            values: list[Any] = list(_row_infos(column, rows, column))
        else:
            values = column[rows].tolist() if column.ndim == 1 else list(column[rows])
        for info, has, value in zip(found, having, values, strict=True):
            if has:
                info[name] = value
    return found
