"""Rules on what a Stable-Baselines3 ``VecEnv`` hands out, each checked on the values alone.

:func:`train.sb3.checker.check_vec_env` plays and asks for them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from qfl_envs.errors import QflError

OBSERVATIONS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
ACTIONS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
KINDS = "Box, Discrete, MultiDiscrete or MultiBinary"


class VecEnvCheckError(QflError, AssertionError):
    """A ``VecEnv`` that breaks a rule."""

    def __init__(self, found: str, expected: str) -> None:
        """Say what was found and what SB3 needs.

        Args:
            found: What is wrong, as a sentence without its full stop.
            expected: The rule.
        """
        super().__init__(f"{found}; expected: {expected}", found, expected)


def require(kept: Any, found: str, expected: str) -> None:
    """Refuse what breaks a rule.

    Raises:
        VecEnvCheckError: Unless the rule is kept.
    """
    if not kept:
        raise VecEnvCheckError(found, expected)


def check_spaces(observation_space: Any, action_space: Any) -> None:
    """Spaces that SB3 has networks and buffers for; warn of what works but not well."""
    if isinstance(observation_space, spaces.Dict):
        parts = {f"observation space {name!r}": part for name, part in observation_space.items()}
    else:
        parts = {"the observation space": observation_space}
    for name, part in parts.items():
        require(isinstance(part, OBSERVATIONS), f"{name} is {part}", f"{KINDS}, or a Dict of these of one level")
        if isinstance(part, spaces.Box) and part.dtype not in (np.float32, np.uint8):
            warnings.warn(f"{name} is {part}: float32 is recommended, uint8 for images", stacklevel=3)
    require(isinstance(action_space, ACTIONS), f"the action space is {action_space}", KINDS)
    if isinstance(action_space, spaces.Box):
        bounded = np.isfinite(action_space.low).all() and np.isfinite(action_space.high).all()
        require(bounded, f"the action space is {action_space}", "finite bounds of actions")
        if action_space.dtype != np.float32:
            warnings.warn(f"the action space is {action_space}: float32 is recommended", stacklevel=3)
    for name, part in {**parts, "the action space": action_space}.items():
        starts = np.asarray(getattr(part, "start", 0))
        require((starts == 0).all(), f"{name} is {part}", "choices that are counted from 0")


def check_observations(space: spaces.Space[Any], observations: Any, num_envs: int, of: str) -> None:
    """Observations of all rows: an array (N, ...), or a dict of these, of the space's type and in it."""
    if isinstance(space, spaces.Dict):
        kept = isinstance(observations, Mapping) and observations.keys() == space.spaces.keys()
        shown = sorted(observations) if isinstance(observations, Mapping) else type(observations).__name__
        require(kept, f"the observations of {of} are {shown}", f"a dict with {sorted(space.spaces)}")
        for name, part in space.items():
            _check_batch(part, observations[name], num_envs, f"observations {name!r} of {of}")
    else:
        _check_batch(space, observations, num_envs, f"the observations of {of}")


def check_terminal_observation(space: spaces.Space[Any], observation: Any, of: str) -> None:
    """The last observation of one row's episode: as one row of a batch."""
    if isinstance(space, spaces.Dict):
        batch: Any = {name: np.asarray(value)[None] for name, value in _items(observation, of)}
    else:
        batch = np.asarray(observation)[None]
    check_observations(space, batch, 1, of)


def _items(observation: Any, of: str) -> list[tuple[str, Any]]:
    require(isinstance(observation, Mapping), f"{of} is {type(observation).__name__}", "a dict, as the space says")
    return list(observation.items())


def _check_batch(space: spaces.Space[Any], batch: Any, num_envs: int, name: str) -> None:
    expected = f"an array of shape {(num_envs, *(space.shape or ()))} and type {space.dtype}"
    require(isinstance(batch, np.ndarray), f"{name} are {type(batch).__name__}", expected)
    fits = batch.shape == (num_envs, *(space.shape or ())) and batch.dtype == space.dtype
    require(fits, f"{name} are of shape {batch.shape} and type {batch.dtype}", expected)
    if isinstance(space, spaces.Box):
        # a number that is not a number is neither above nor below
        inside = (batch >= space.low) & (batch <= space.high)
        kept = bool(inside.all())
    else:
        kept = all(space.contains(row) for row in batch)
    require(kept, f"{name} leave the space", f"values in {space}")


def check_rewards(rewards: Any, num_envs: int) -> None:
    """Rewards (N) of floating type: SB3 adds the value of what a time limit cut off, which integers would lose."""
    expected = f"a writable array of shape {(num_envs,)} and type float32"
    require(isinstance(rewards, np.ndarray), f"the rewards are {type(rewards).__name__}", expected)
    found = f"the rewards are of shape {rewards.shape} and type {rewards.dtype}"
    require(rewards.shape == (num_envs,) and rewards.dtype.kind == "f", found, expected)
    require(rewards.flags.writeable, "the rewards cannot be written to", expected)
    require(np.isfinite(rewards).all(), f"the rewards are {rewards}", "finite numbers")


def check_dones(dones: Any, num_envs: int) -> None:
    """Ends (N) bool."""
    expected = f"an array of shape {(num_envs,)} and type bool"
    require(isinstance(dones, np.ndarray), f"the dones are {type(dones).__name__}", expected)
    found = f"the dones are of shape {dones.shape} and type {dones.dtype}"
    require(dones.shape == (num_envs,) and dones.dtype == bool, found, expected)


def check_info_list(infos: Any, num_envs: int, name: str) -> None:
    """Infos: one dict per row, none of them shared."""
    expected = f"a list of {num_envs} dicts, one per row"
    require(isinstance(infos, list | tuple), f"{name} are {type(infos).__name__}", expected)
    require(len(infos) == num_envs, f"{name} are {len(infos)}", expected)
    require(all(isinstance(info, dict) for info in infos), f"{name} are not all dicts", expected)
    require(len({id(info) for info in infos}) == num_envs, f"{name} have one dict for several rows", expected)


def check_ends(space: spaces.Space[Any], dones: np.ndarray, infos: Sequence[dict[str, Any]]) -> None:
    """``terminal_observation`` and ``TimeLimit.truncated`` where an episode ended, and nowhere else."""
    for row, (done, info) in enumerate(zip(dones.tolist(), infos, strict=True)):
        cut = info.get("TimeLimit.truncated", None)
        if not done:
            rule = "terminal_observation in the infos of those rows that ended, and only there"
            require("terminal_observation" not in info, f"row {row} goes on with a terminal_observation", rule)
            require(not cut, f"row {row} goes on with TimeLimit.truncated", "False, or no such entry, while it goes on")
            continue
        found = f"the info of row {row}, which ended, has no"
        require("terminal_observation" in info, f"{found} terminal_observation", "the last observation of the episode")
        rule = "True where a time limit cut the episode, False where it ended by itself"
        require(cut is not None, f"{found} TimeLimit.truncated", rule)
        require(isinstance(cut, bool | np.bool_), f"TimeLimit.truncated is {cut!r}", rule)
        check_terminal_observation(space, info["terminal_observation"], f"the terminal_observation of row {row}")


def checked_masks(masks: Any, action_space: spaces.Space[Any], num_envs: int) -> np.ndarray:
    """Action masks as one array (N, sum(nvec)) bool, a choice open in every entry of every row's action."""
    sizes = choice_sizes(action_space)
    expected = f"one bool array of shape {(num_envs, int(sizes.sum()))}, or a list of its rows"
    kinds = "Discrete, MultiDiscrete or MultiBinary actions where there are masks"
    require(sizes.size, f"the action space is {action_space}", kinds)
    require(isinstance(masks, np.ndarray | list | tuple), f"the action masks are {type(masks).__name__}", expected)
    shapes = {np.shape(mask) for mask in masks}
    require(len(masks) == num_envs, f"there are {len(masks)} action masks", expected)
    require(shapes == {(int(sizes.sum()),)}, f"the action masks are of shapes {sorted(shapes)}", expected)
    array = np.stack([np.asarray(mask) for mask in masks])
    require(array.dtype == bool, f"the action masks are of type {array.dtype}", expected)
    starts = np.cumsum(sizes) - sizes
    closed = np.argwhere(~np.logical_or.reduceat(array, starts, axis=1))
    where = f"row {closed[0][0]} has no open choice in entry {closed[0][1]} of its action" if len(closed) else ""
    require(not len(closed), where, "at least one open choice in every entry")
    return array


def choice_sizes(action_space: spaces.Space[Any]) -> np.ndarray:
    """(A) numbers of choices, entry after entry of the action; none for a Box."""
    if isinstance(action_space, spaces.Discrete):
        return np.array([action_space.n])
    if isinstance(action_space, spaces.MultiDiscrete):
        return np.asarray(action_space.nvec).reshape(-1)
    if isinstance(action_space, spaces.MultiBinary):
        return np.full(int(np.prod(action_space.shape)), 2)
    return np.zeros(0, dtype=np.int64)
