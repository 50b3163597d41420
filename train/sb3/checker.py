"""A checker of Stable-Baselines3 vector environments, as Gymnasium has one of single environments."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from hashlib import blake2b
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from train.sb3 import rules
from train.sb3.rules import VecEnvCheckError, require

__all__ = ["VecEnvCheckError", "check_vec_env"]

PROBE = "_check_vec_env"
"""Attribute that the check of ``set_attr`` sets, which nothing else can mean."""
KEPT_STEPS = 3
"""So many steps later, what a step returned must still be what it was."""


def check_vec_env(
    vec_env: VecEnv,
    *,
    steps: int = 1000,
    rollout_steps: int = 30,
    time_limit: int | None = None,
    options: dict[str, Any] | None = None,
    random: bool = True,
) -> None:
    """Play a vector environment and check all that SB3 and sb3-contrib rely on.

    Any ``VecEnv`` can be checked. It is played, so reset it before it is used again; if ``set_attr`` works, its rows
    keep an attribute ``_check_vec_env``. What works but not well, and what could not be checked, is warned of.

    Args:
        vec_env: What to check.
        steps: Most steps of the rows in the search for episodes that end.
        rollout_steps: Steps of each of the rollouts that are compared.
        time_limit: Length at which episodes are cut, if known: one that is cut must say so.
        options: Options of a reset that change the first observations, e.g. ``{"instance": 3}``; None where the rows
            know none, and then nothing is said of options.
        random: Whether anything in the environment is random; if not, nothing is said of differences between seeds
            and rows.

    Raises:
        VecEnvCheckError: For the first rule that is broken.
    """
    require(isinstance(vec_env, VecEnv), f"{type(vec_env).__name__} is no VecEnv of Stable-Baselines3", "a subclass")
    rules.check_spaces(vec_env.observation_space, vec_env.action_space)
    player = _Player(vec_env, time_limit)
    _check_attributes(vec_env, player)
    player.play(seed=7, steps=steps, stream=1, until_ended=True)
    player.check_what_ended()
    _check_seeds(player, rollout_steps, random)
    if options is not None:
        _check_options(player, options)


class _Player:
    """Plays a ``VecEnv`` at random among the open choices and checks all that it hands out."""

    def __init__(self, vec_env: VecEnv, time_limit: int | None) -> None:
        self.env, self.num_envs, self.time_limit = vec_env, vec_env.num_envs, time_limit
        self.masked = vec_env.has_attr("action_masks")
        self._mask_of: dict[bytes, bytes] = {}
        self._ended = self._cut_at_limit = self._reached_limit = 0
        self._terminal_is_first = True
        self._reward_type: Any = np.dtype(np.float32)

    def reset(self, seed: int) -> Any:
        """Seed and reset; the checked observations."""
        seeds = self.env.seed(seed)
        found = f"seed({seed}) returned {seeds!r}"
        require(seeds is not None and len(seeds) == self.num_envs, found, "a list of one seed, or None, per row")
        observations = self.env.reset()
        rules.check_observations(self.env.observation_space, observations, self.num_envs, "reset")
        rules.check_info_list(self.env.reset_infos, self.num_envs, "reset_infos")
        return observations

    def masks(self, observations: Any) -> np.ndarray | None:
        """The checked masks of the state that these observations show, if there are masks."""
        if not self.masked:
            return None
        masks = rules.checked_masks(self.env.env_method("action_masks"), self.env.action_space, self.num_envs)
        rows = _rows(observations, self.num_envs)
        for row, mask in zip(rows, masks, strict=True):
            known = self._mask_of.setdefault(blake2b(row.tobytes()).digest(), mask.tobytes())
            found = "the same observation had two different action masks"
            require(known == mask.tobytes(), found, "masks of the state that the last observations show")
        return masks

    def play(
        self, seed: int, steps: int, stream: int, alike: bool = False, until_ended: bool = False
    ) -> list[np.ndarray]:
        """Seed, reset and play.

        Args:
            seed: Of the environment.
            steps: Most steps.
            stream: Seed of the actions.
            alike: Whether rows of which the same choices are open do the same.
            until_ended: Whether to stop where every row has ended an episode, and a step more.

        Returns:
            What reset and every step returned, (N, ...) each; nothing with ``until_ended``, which may be long.
        """
        rng = np.random.default_rng(stream)
        observations = self.reset(seed)
        played = [] if until_ended else [_rows(observations, self.num_envs)]
        kept = [_Kept("the observations of reset", observations)]
        terminal: list[_Kept] = []
        lengths, ended = np.zeros(self.num_envs, dtype=np.int64), np.zeros(self.num_envs, dtype=bool)
        infos: Any = ()
        for _ in range(steps):
            enough = until_ended and ended.all()
            actions = random_actions(self.env.action_space, self.num_envs, self.masks(observations), rng, alike)
            before = {id(info) for info in infos}
            returned = self.env.step(actions)
            require(isinstance(returned, tuple) and len(returned) == 4, "step returned something else", "4 values")
            observations, rewards, dones, infos_now = returned
            self._check_step(observations, rewards, dones, infos_now)
            found = "the infos of the step before were handed out again"
            require(not before & {id(info) for info in infos_now}, found, "new dicts in every step")
            infos = infos_now
            lengths += 1
            for row in np.flatnonzero(dones).tolist():
                last = infos[row]["terminal_observation"]
                terminal.append(_Kept(f"the terminal_observation of row {row}", last))
                self._note_end(lengths[row], infos[row], last, _row(observations, row))
            lengths[dones] = 0
            ended |= dones
            if not until_ended:
                played.append(np.column_stack([_rows(observations, self.num_envs), rewards, dones]))
            kept = [*kept[-3 * KEPT_STEPS :], _Kept("the observations of a step", observations)]
            kept += [_Kept("the rewards of a step", rewards), _Kept("the dones of a step", dones)]
            for thing in (*kept, *terminal[-self.num_envs :]):
                thing.check()
            if enough:
                break
        for thing in terminal:
            thing.check()
        return played

    def check_what_ended(self) -> None:
        """Rules that only all ended episodes together can break; warns of what is left over."""
        if self._reward_type != np.float32:
            warnings.warn(f"the rewards are {self._reward_type}: float32 is recommended", stacklevel=3)
        if not self._ended:
            warnings.warn("no episode ended, so the rules on ends were not checked; give more steps", stacklevel=3)
            return
        found = "every terminal_observation equals the first observation of the next episode"
        require(not self._terminal_is_first, found, "the last observation of the episode that ended")
        found = f"{self._reached_limit} episodes lasted {self.time_limit} steps and none says TimeLimit.truncated"
        require(self._cut_at_limit or not self._reached_limit, found, "True in the info of an episode that was cut")

    def _check_step(self, observations: Any, rewards: Any, dones: Any, infos: Any) -> None:
        space = self.env.observation_space
        rules.check_observations(space, observations, self.num_envs, "step")
        rules.check_rewards(rewards, self.num_envs)
        self._reward_type = rewards.dtype
        rules.check_dones(dones, self.num_envs)
        rules.check_info_list(infos, self.num_envs, "the infos of step")
        rules.check_info_list(self.env.reset_infos, self.num_envs, "reset_infos")
        rules.check_ends(space, dones, infos)

    def _note_end(self, length: int, info: dict[str, Any], last: Any, first: Any) -> None:
        self._ended += 1
        self._terminal_is_first &= _equal(last, first)
        if length == self.time_limit:
            self._reached_limit += 1
            self._cut_at_limit += bool(info["TimeLimit.truncated"])


class _Kept:
    """Something that was returned, and what it was then."""

    def __init__(self, name: str, value: Any) -> None:
        self.name, self.value, self.copy = name, value, deepcopy(value)

    def check(self) -> None:
        """Refuse a value that has changed."""
        expected = "arrays of its own for every step, which later steps leave alone"
        require(_equal(self.value, self.copy), f"{self.name} changed in a later step", expected)


def random_actions(
    space: spaces.Space[Any], num_envs: int, masks: np.ndarray | None, rng: np.random.Generator, alike: bool = False
) -> np.ndarray:
    """Random actions (N, ...) among the open choices.

    Args:
        space: Actions of one row.
        num_envs: N.
        masks: (N, sum(nvec)) bool, open choices; None where all are.
        rng: Source of randomness.
        alike: Whether rows of which the same choices are open get the same action.
    """
    rows, shape = 1 if alike else num_envs, (num_envs, *(space.shape or ()))
    if isinstance(space, spaces.Box):
        share = np.broadcast_to(rng.random((rows, *space.shape)), shape)
        return (space.low + share * (space.high.astype(np.float64) - space.low)).astype(space.dtype)
    sizes = rules.choice_sizes(space)
    scores = np.broadcast_to(rng.random((rows, sizes.sum())), (num_envs, sizes.sum()))
    if masks is not None:
        scores = np.where(masks, scores, -1.0)
    parts = np.split(scores, np.cumsum(sizes)[:-1], axis=1)
    return np.stack([part.argmax(1) for part in parts], axis=1).reshape(shape).astype(space.dtype)


def _check_attributes(vec_env: VecEnv, player: _Player) -> None:
    """Answers of all rows and of some, and names that do not exist."""
    player.reset(seed=7)
    require(not vec_env.has_attr(PROBE + "_absent"), "has_attr is true of any name", "False where there is none")
    method = ("action_masks",) if player.masked else ("get_wrapper_attr", "action_space")
    calls = {
        "get_attr": ("render_mode", partial(vec_env.get_attr, "render_mode")),
        "env_method": (method[0], partial(vec_env.env_method, *method)),
        "env_is_wrapped": (None, partial(vec_env.env_is_wrapped, gym.Wrapper)),
    }
    for call, (name, ask) in calls.items():
        if name is not None and not vec_env.has_attr(name):
            warnings.warn(f"{call} was not checked, since the rows have no {name!r}", stacklevel=3)
            continue
        for indices, count in ((None, vec_env.num_envs), ([0], 1), (0, 1)):
            found = f"{call} gave {len(ask(indices=indices))} answers for indices={indices}"
            require(len(ask(indices=indices)) == count, found, f"{count}, one per row that is asked")
    try:
        vec_env.set_attr(PROBE, 1)
    except (NotImplementedError, AttributeError, TypeError, ValueError) as refusal:
        said = f"set_attr was refused with {str(refusal)!r}"
        require(PROBE in str(refusal), said, "a sentence that names the attribute which cannot be set")
        return
    values = vec_env.get_attr(PROBE)
    said = f"get_attr gave {values} after set_attr to 1"
    require(
        list(values) == [1] * vec_env.num_envs, said, "what was set, or an error of set_attr that names the attribute"
    )


def _check_seeds(player: _Player, steps: int, random: bool) -> None:
    """The same seed is the same rollout, another seed is another one, and rows are not copies of each other."""
    one, again = (player.play(seed=7, steps=steps, stream=2, alike=True) for _ in range(2))
    require(_equal(one, again), "two rollouts from seed(7) differ", "the same seed, the same rollout")
    zero, again = (player.play(seed=0, steps=steps, stream=2, alike=True) for _ in range(2))
    require(_equal(zero, again), "two rollouts from seed(0) differ", "0 is a seed like any other")
    if not random:
        return
    expected = "differences, or random=False in this check of an environment in which nothing is random"
    require(not _equal(one, zero), "rollouts from seed(7) and seed(0) are equal", expected)
    rows: dict[bytes, int] = {}
    for row in range(player.num_envs):
        other = rows.setdefault(b"".join(step[row].tobytes() for step in one), row)
        require(other == row, f"rows {other} and {row} play the same from seed(7)", expected)


def _check_options(player: _Player, options: dict[str, Any]) -> None:
    """Options count for the next reset, and for no other."""
    plain = _rows(player.reset(seed=7), player.num_envs)
    player.env.set_options(options)
    changed = _rows(player.reset(seed=7), player.num_envs)
    after = _rows(player.reset(seed=7), player.num_envs)
    found = f"set_options({options}) changed nothing at the next reset"
    require(not _equal(plain, changed), found, "options that are passed on")
    require(_equal(plain, after), f"set_options({options}) counted for a second reset", "options of one reset only")


def _row(observations: Any, row: int) -> Any:
    if isinstance(observations, Mapping):
        return {name: value[row] for name, value in observations.items()}
    return observations[row]


def _rows(observations: Any, num_envs: int) -> np.ndarray:
    """Observations as one array (N, D), copied."""
    parts = observations.values() if isinstance(observations, Mapping) else [observations]
    return np.concatenate([np.array(part, dtype=np.float64).reshape(num_envs, -1) for part in parts], axis=1)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(np.array_equal(one, other))
