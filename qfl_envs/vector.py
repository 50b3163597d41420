"""The native vector environments: many episodes on one batched system.

Row i equals the scalar environment that was seeded with that row's seed, in every autoreset mode: both are views on the
same system, task and instances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from qfl_envs.envs.allocation import AllocationEnv
from qfl_envs.envs.base import RESET_OPTIONS, FederatedEnv, checked_action
from qfl_envs.envs.drift import DriftEnv
from qfl_envs.envs.instances import draw_instance, instance_generator
from qfl_envs.envs.power import PowerEnv
from qfl_envs.envs.scheduling import SchedulingEnv
from qfl_envs.envs.security import SecurityEnv
from qfl_envs.envs.straggler_fairness import StragglerFairnessEnv
from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown
from qfl_envs.system.federation import FederatedSystem

Info = dict[str, Any]


class FederatedVectorEnv(VectorEnv[dict[str, np.ndarray], np.ndarray, np.ndarray]):
    """Base of the vector environments.

    Attributes:
        template: A scalar environment of the same arguments; it is never played.
        task: What is decided, seen and rewarded.
        system: The simulated systems, one per row.
        autoreset_mode: What happens to a row whose episode has ended.
    """

    env_class: ClassVar[type[FederatedEnv]]

    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        template: FederatedEnv | None = None,
        **arguments: Any,
    ) -> None:
        """Build the systems.

        Args:
            num_envs: Rows.
            autoreset_mode: ``NextStep``, ``SameStep`` or ``Disabled``, see Gymnasium.
            max_episode_steps: Rounds after which a row is truncated, if fewer than the scenario's.
            template: A scalar environment that has the arguments already; it is not played.
            arguments: Those of the scalar environment, where there is no template.

        Raises:
            InvalidValueError: For a number of rows or a mode that is not allowed.
        """
        if isinstance(num_envs, bool) or not isinstance(num_envs, int) or num_envs < 1:
            raise InvalidValueError("num_envs", num_envs, "a whole number of at least 1")
        try:
            self.autoreset_mode = AutoresetMode(autoreset_mode)
        except ValueError as error:
            raise InvalidValueError("autoreset_mode", autoreset_mode, [mode.value for mode in AutoresetMode]) from error
        if max_episode_steps is not None and (not isinstance(max_episode_steps, int) or max_episode_steps < 1):
            raise InvalidValueError("max_episode_steps", max_episode_steps, "null or a whole number of at least 1")
        if template is not None and arguments:
            raise InvalidValueError("arguments beside a template", sorted(arguments), "none: the template has its own")
        self.template = self.env_class(**arguments) if template is None else template
        self.num_envs = num_envs
        self.task, self.scenario = self.template.task, self.template.scenario
        self.system = FederatedSystem(
            self.scenario,
            num_envs,
            self.task.max_local_steps,
            self.template.system.device,
            self.task.adapts,
            self.task.protects,
        )
        self.max_episode_steps = max_episode_steps
        self.metadata = {**self.template.metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = self.template.render_mode
        self.single_observation_space = self.template.observation_space
        self.single_action_space = self.template.action_space
        self.reward_space = self.task.reward_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._seeds: list[int] = [-1] * num_envs
        self._sequences = [np.random.default_rng(0)] * num_envs
        self._instances = np.zeros(num_envs, dtype=np.int64)
        self._ended, self._begun = np.zeros(num_envs, dtype=bool), False
        self._recordings: list[Any] = []

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], Info]:
        """Begin episodes.

        Args:
            seed: One seed, to which row i adds i; or one per row, None continuing the row's sequence of instances.
            options: ``reset_mask``: (num_envs) bool, the rows to reset, all others go on. ``instance``: one instance
                for all these rows, or one per row of the environment.

        Raises:
            UnknownNameError: For an option that does not exist.
            InvalidValueError: For a number of seeds, a mask or an instance that does not fit.
            gymnasium.error.ResetNeeded: For a first reset that leaves rows out.
        """
        options = dict(options or {})
        reject_unknown(options, (*RESET_OPTIONS, "reset_mask"), "reset option")
        mask = self._checked_mask(options.get("reset_mask"))
        if not mask.all():
            self._require_reset()
        rows = np.flatnonzero(mask)
        instances = options.get("instance")
        if not isinstance(instances, Sequence | np.ndarray):
            instances = [instances] * self.num_envs
        if len(instances) != self.num_envs:
            raise InvalidValueError("number of instances", len(instances), f"one, or {self.num_envs}, one per row")
        row_seeds = self._row_seeds(seed)
        for row in rows.tolist():
            row_seed = row_seeds[row]
            if row_seed is not None or self._seeds[row] == -1:
                self._sequences[row], self._seeds[row] = seeding.np_random(row_seed)
        info = self._begin(rows, instances)
        return self.task.observe(self.system), info

    def step(self, actions: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, Info]:
        """Play one round in every row, but begin a new episode in rows that ended before, in the mode ``NextStep``.

        Raises:
            InvalidValueError: For actions outside the action space, or rows that should have been reset.
            gymnasium.error.ResetNeeded: Before the first reset of all rows.
        """
        self._require_reset()
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            raise InvalidValueError(
                "step", f"rows {np.flatnonzero(self._ended).tolist()} ended", "a reset of them first"
            )
        resting = self._ended.copy()
        decision = self.task.decide(self.system, self._checked_actions(actions))
        report = self.system.step(decision)
        outcome = self.task.judge(self.system, report)
        info = _masked(self.task.info(self.system, report, outcome), ~resting)
        reward = outcome.reward
        if resting.any():
            reward = np.where(resting.reshape(-1, *(1,) * (reward.ndim - 1)), 0.0, reward)
        terminated, truncated = outcome.terminated & ~resting, outcome.truncated & ~resting
        if self.max_episode_steps is not None:
            truncated |= (self.system.state.round_index >= self.max_episode_steps) & ~resting
        for row, recording in enumerate(self._recordings):
            if not resting[row]:
                recording.add(self.system.state, report)
        ended = terminated | truncated
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            if ended.any():
                final: Info = {"final_obs": self._final_observations(ended), "_final_obs": ended.copy()}
                final |= {"final_info": _masked(info, ended), "_final_info": ended.copy()}
                info = _merged(_without(info, ended), self._begin(np.flatnonzero(ended))) | final
        else:
            if resting.any():
                info = _merged(info, self._begin(np.flatnonzero(resting)))
            self._ended = ended
        return self.task.observe(self.system), reward, terminated, truncated, info

    def action_masks(self) -> np.ndarray:
        """(num_envs, sum(nvec)) bool masks of the states that the last observations show."""
        self._require_reset()
        return self.task.action_masks(self.system)

    def set_curriculum_stage(self, stage: int) -> None:
        """Make the episodes from the next reset of each row on those of a stage, 0 being the easiest.

        Raises:
            InvalidValueError: If there is no such stage.
        """
        self.template.set_curriculum_stage(stage)

    def advance_curriculum(self) -> bool:
        """Make the episodes from the next reset of each row on those of the next stage; whether there was one."""
        return self.template.advance_curriculum()

    def call(self, name: str, *arguments: Any, **keywords: Any) -> tuple[Any, ...]:
        """What the scalar environments of all rows would answer."""
        if name == "action_masks" and hasattr(self.template, name):
            return tuple(self.action_masks())
        if name == "np_random_seed":
            return self.np_random_seed
        if name == "instance":
            return tuple(int(instance) for instance in self._instances)
        value = getattr(self.template, name)
        value = value(*arguments, **keywords) if callable(value) else value
        return (value,) * self.num_envs

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute of the scalar environments of all rows."""
        return self.call(name)

    def render(self) -> tuple[Any, ...] | None:
        """The last round of every row."""
        if self.render_mode is None or not self._recordings:
            return None
        if self.render_mode == "ansi":
            return tuple(recording.text() for recording in self._recordings)
        from qfl_envs.rendering import draw

        return tuple(draw(recording) for recording in self._recordings)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """Seed of every row."""
        return tuple(self._seeds)

    def _require_reset(self) -> None:
        if not self._begun:
            raise ResetNeeded("call reset() of all rows before step(), action_masks() or a reset of some rows")

    def _begin(self, rows: np.ndarray, instances: Sequence[int | None] | np.ndarray | None = None) -> Info:
        """Begin episodes in some rows."""
        for row in rows:
            wanted = None if instances is None else instances[row]
            self._instances[row] = draw_instance(self.template.split, self._sequences[row], wanted)
        self.system.difficulty = self.template.curriculum.difficulty
        self.system.reset([instance_generator(int(self._instances[row])) for row in rows], rows)
        self._ended[rows], self._begun = False, True
        if self.render_mode is not None:
            self._record_beginning(rows)
        begun = np.zeros(self.num_envs, dtype=bool)
        begun[rows] = True
        return _masked({"instance": self._instances.copy(), "accuracy": self.system.state.accuracy.copy()}, begun)

    def _record_beginning(self, rows: np.ndarray) -> None:
        from qfl_envs.rendering import Recording

        if not self._recordings:
            self._recordings = [Recording(self.scenario, self.system.sites_m, row) for row in range(self.num_envs)]
        for row in rows:
            self._recordings[row].begin(self.system.state)

    def _final_observations(self, ended: np.ndarray) -> np.ndarray:
        """The last observation of each ended row, None for others."""
        rows = np.flatnonzero(ended)
        observations = self.task.observe(self.system, rows)
        final = np.full(self.num_envs, None, dtype=object)
        for number, row in enumerate(rows):
            final[row] = {name: value[number].copy() for name, value in observations.items()}
        return final

    def _row_seeds(self, seed: int | Sequence[int | None] | None) -> Sequence[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + row for row in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise InvalidValueError("number of seeds", len(seed), f"{self.num_envs}, one per row")
        return [None if row_seed is None else int(row_seed) for row_seed in seed]

    def _checked_mask(self, mask: Any) -> np.ndarray:
        if mask is None:
            return np.ones(self.num_envs, dtype=bool)
        fits = isinstance(mask, np.ndarray) and mask.shape == (self.num_envs,) and mask.dtype == bool and mask.any()
        if not fits:
            raise InvalidValueError("reset_mask", mask, f"a bool array of shape ({self.num_envs},) with a true entry")
        return np.asarray(mask)

    def _checked_actions(self, actions: Any) -> np.ndarray:
        return checked_action(
            self.action_space, actions, lambda given: f"{type(given).__name__} of {np.size(given)} numbers"
        )


def _masked(info: Mapping[str, Any], rows: np.ndarray) -> Info:
    """Gymnasium's form of a batch of infos: every entry with a mask of the rows that have it, zero elsewhere."""
    masked: Info = {}
    if not rows.any():
        return masked
    absent = None if rows.all() else ~rows
    for name, value in info.items():
        if name.startswith("_"):
            continue
        if isinstance(value, Mapping):
            masked[name] = _masked(value, rows)
        else:
            masked[name] = value.copy()
            if absent is not None:
                masked[name][absent] = 0
        masked[f"_{name}"] = rows.copy()
    return masked


def _without(info: Info, rows: np.ndarray) -> Info:
    """An info of :func:`_masked`, changed in place: some rows no longer have its entries."""
    if rows.all():
        return {}
    for value in info.values():
        if isinstance(value, dict):
            _without(value, rows)
        else:
            value[rows] = 0  # False, in the masks
    return info


def _merged(one: Info, other: Info) -> Info:
    """Two infos of different rows as one."""
    merged = dict(one)
    for name, value in other.items():
        if name.startswith("_"):
            merged[name] = one[name] | value if name in one else value
        elif name in one:
            merged[name] = np.where(other[f"_{name}"], value, one[name])
        else:
            merged[name] = value
    return merged


class AllocationVectorEnv(FederatedVectorEnv):
    """Many rows of ``qfl/Allocation-v0``."""

    env_class = AllocationEnv


class DriftVectorEnv(FederatedVectorEnv):
    """Many rows of ``qfl/Drift-v0``."""

    env_class = DriftEnv


class PowerVectorEnv(FederatedVectorEnv):
    """Many rows of ``qfl/Power-v0``."""

    env_class = PowerEnv


class SchedulingVectorEnv(FederatedVectorEnv):
    """Many rows of ``qfl/Scheduling-v0``."""

    env_class = SchedulingEnv


class SecurityVectorEnv(FederatedVectorEnv):
    """Many rows of ``qfl/Security-v0``."""

    env_class = SecurityEnv


class StragglerFairnessVectorEnv(FederatedVectorEnv):
    """Many rows of ``qfl/StragglerFairness-v0``."""

    env_class = StragglerFairnessEnv
