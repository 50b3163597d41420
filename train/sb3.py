"""Stable-Baselines3 on the native vector environments."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from qfl_envs.errors import InvalidValueError
from qfl_envs.vector import FederatedVectorEnv
from train.parallel import parallel_to_sb3 as parallel_to_sb3


class SB3VecEnv(VecEnv):
    """A native vector environment as an SB3 ``VecEnv``, row by row and without copies in between.

    SB3 expects the first observation of the next episode together with the end of the last one, so the vector
    environment must be in the autoreset mode ``SameStep``. Infos of a running episode are empty but for
    ``info_keys``; in the last step of an episode they are complete, with ``terminal_observation``.
    """

    def __init__(self, vector_env: FederatedVectorEnv, info_keys: Sequence[str] = ()) -> None:
        """Wrap a vector environment.

        Args:
            vector_env: From ``gymnasium.make_vec(id, num_envs=N, autoreset_mode="SameStep")``.
            info_keys: Entries of the step's info that every row's info is given in every step.

        Raises:
            InvalidValueError: For another autoreset mode.
        """
        if vector_env.metadata["autoreset_mode"] is not AutoresetMode.SAME_STEP:
            raise InvalidValueError(
                "autoreset_mode of the vector environment",
                vector_env.metadata["autoreset_mode"].value,
                "'SameStep', the one that SB3 works with: gymnasium.make_vec(..., autoreset_mode='SameStep')",
            )
        self.vector_env = vector_env
        self.info_keys = tuple(info_keys)
        super().__init__(vector_env.num_envs, vector_env.single_observation_space, vector_env.single_action_space)

    def reset(self) -> VecEnvObs:
        """Begin all episodes, with the seeds and options set before."""
        options: dict[str, Any] = {}
        if any(self._options):
            unknown = {name for row in self._options for name in row} - {"instance"}
            if unknown:
                raise InvalidValueError("options", sorted(unknown), "'instance' in each row's options")
            options["instance"] = [row.get("instance") for row in self._options]
        observations, infos = self.vector_env.reset(seed=self._seeds, options=options)
        self.reset_infos = [_row_info(infos, row, tuple(infos)) for row in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Remember the actions for :meth:`step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Play one round in every row."""
        observations, rewards, terminated, truncated, infos = self.vector_env.step(self._actions)
        done = terminated | truncated
        rows: list[dict[str, Any]] = [_row_info(infos, row, self.info_keys) for row in range(self.num_envs)]
        for row in range(self.num_envs):
            rows[row]["TimeLimit.truncated"] = bool(truncated[row] and not terminated[row])
        for row in np.flatnonzero(done).tolist():
            final = infos["final_info"]
            rows[row] |= _row_info(final, row, tuple(final))
            rows[row]["terminal_observation"] = {k: v.copy() for k, v in infos["final_obs"][row].items()}
            self.reset_infos[row] = _row_info(infos, row, ("instance", "accuracy"))
        return observations, rewards.astype(np.float32), done, rows

    def close(self) -> None:
        """Close the vector environment."""
        self.vector_env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """The last round of every row."""
        return list(self.vector_env.render() or [None] * self.num_envs)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the rows' environments."""
        values = self.vector_env.get_attr(attr_name)
        return [values[row] for row in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refused: the rows are one object.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(f"cannot set {attr_name!r} of single rows; set it on vector_env")

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> Any:
        """A method of the rows' environments; ``action_masks`` gives one (N, sum(nvec)) array."""
        if method_name == "action_masks":
            masks = self.vector_env.action_masks()
            return masks if indices is None else masks[list(self._get_indices(indices))]
        values = self.vector_env.call(method_name, *method_args, **method_kwargs)
        return [deepcopy(values[row]) for row in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """No row is wrapped."""
        return [False for _ in self._get_indices(indices)]


def _row_info(infos: dict[str, Any], row: int, keys: Sequence[str]) -> dict[str, Any]:
    """One row of Gymnasium's batched infos."""
    info: dict[str, Any] = {}
    for key in keys:
        if key.startswith("_") or key not in infos or not infos[f"_{key}"][row]:
            continue
        value = infos[key]
        if isinstance(value, dict):
            info[key] = _row_info(value, row, tuple(value))
        else:
            info[key] = value[row].item() if value.ndim == 1 and value.dtype != object else value[row]
    return info
