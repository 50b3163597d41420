"""The scalar environments' common part: Gymnasium's loop around a batch of one system."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from qfl_envs.envs.curriculum import Curriculum
from qfl_envs.envs.instances import check_split, draw_instance, instance_generator
from qfl_envs.envs.task import Task
from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown
from qfl_envs.scenario import Scenario
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.report import RoundReport
from qfl_envs.view import NetworkView

if TYPE_CHECKING:
    from qfl_envs.rendering import Recording, Window

RESET_OPTIONS = ("instance",)


def make_scenario(
    scenario: str | Mapping[str, Any] | Scenario, overrides: Mapping[str, Any], changes: Mapping[str, Any] | None = None
) -> Scenario:
    """The scenario of a preset's name, of plain JSON values or as it is, with some fields changed.

    Args:
        scenario: Where to start.
        overrides: Fields that differ.
        changes: Fields that differ beforehand where the scenario is given by the name of a preset.

    Raises:
        UnknownNameError: For an unknown preset or field.
        InvalidValueError: For a value that is not allowed.
    """
    if isinstance(scenario, str):
        scenario = Scenario.preset(scenario).replace(changes or {})
    elif isinstance(scenario, Mapping):
        scenario = Scenario.from_dict(scenario)
    elif not isinstance(scenario, Scenario):
        raise InvalidValueError("scenario", scenario, "the name of a preset or an object of its fields")
    return scenario.replace(overrides)


class FederatedEnv(gym.Env[dict[str, np.ndarray], Any]):
    """Base of the environments: one federated system, one task.

    Attributes:
        scenario: What the system is.
        task: What is decided, seen and rewarded.
        system: The simulated system, a batch of one.
        curriculum: How hard new episodes are.
        reward_space: Where the vector of the reward's terms lies.
        split: Which instances :meth:`reset` draws from.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array", "ansi"], "render_fps": 4}
    task_class: ClassVar[type[Task]]

    def __init__(
        self,
        scenario: str | Mapping[str, Any] | Scenario = "small",
        *,
        split: str = "train",
        curriculum: Sequence[Mapping[str, Any]] | None = None,
        curriculum_stage: int | None = None,
        render_mode: str | None = None,
        device: str = "cpu",
        task_arguments: Mapping[str, Any],
        overrides: Mapping[str, Any],
    ) -> None:
        """Build the system; subclasses document the arguments."""
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise InvalidValueError("render_mode", render_mode, ["null", *self.metadata["render_modes"]])
        check_split(split)
        self.scenario = make_scenario(scenario, overrides, self.task_class.scenario_changes)
        self.task = self.task_class(self.scenario, **task_arguments)
        self.curriculum = Curriculum(curriculum, curriculum_stage)
        self.system = FederatedSystem(
            self.scenario, 1, self.task.max_local_steps, device, self.task.adapts, self.task.protects
        )
        self.observation_space = self.task.observation_space  # type: ignore[assignment]  # spaces.Dict of arrays
        self.action_space = self.task.action_space
        self.reward_space = self.task.reward_space
        self.split = split
        self.instance: int | None = None
        self.render_mode = render_mode
        self._recording: Recording | None = None
        self._window: Window | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: Seed of the sequence of instances; None continues it.
            options: ``{"instance": i}`` plays one instance of the split again.

        Raises:
            UnknownNameError: For an option that does not exist.
            InvalidValueError: For an instance outside the split.
        """
        super().reset(seed=seed)
        reject_unknown(options or {}, RESET_OPTIONS, "reset option")
        self.instance = draw_instance(self.split, self.np_random, (options or {}).get("instance"))
        self.system.difficulty = self.curriculum.difficulty
        self.system.reset([instance_generator(self.instance)])
        if self.render_mode is not None:
            self._record(None)
        return self._observation(), {"instance": self.instance, "accuracy": float(self.system.state.accuracy[0])}

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Play one federated round.

        Raises:
            InvalidValueError: For an action outside the action space.
            gymnasium.error.ResetNeeded: Before the first reset.
        """
        self._require_reset()
        decision = self.task.decide(self.system, self._checked(action)[None])
        report = self.system.step(decision)
        outcome = self.task.judge(self.system, report)
        info = row_of(self.task.info(self.system, report, outcome))
        if self.render_mode is not None:
            self._record(report)
        return (
            self._observation(),
            outcome.reward[0].copy() if self.task.vector_reward else float(outcome.reward[0]),
            bool(outcome.terminated[0]),
            bool(outcome.truncated[0]),
            info,
        )

    def set_curriculum_stage(self, stage: int) -> None:
        """Make the episodes from the next reset on those of a stage, 0 being the easiest.

        Raises:
            InvalidValueError: If there is no such stage.
        """
        self.curriculum.go_to(stage)

    def advance_curriculum(self) -> bool:
        """Make the episodes from the next reset on those of the next stage; whether there was one."""
        return self.curriculum.advance()

    def view(self, observation: Mapping[str, np.ndarray]) -> NetworkView:
        """The observation in physical units; nothing but the observation enters it."""
        return self.task.view(observation)

    def get_state(self) -> dict[str, Any]:
        """All that the future depends on; nothing in it is shared with the environment."""
        return copy.deepcopy(
            {
                "state": self.system.state,
                "generators": self.system.generators,
                "np_random": self.np_random,
                "instance": self.instance,
                "curriculum_stage": self.curriculum.stage,
                "recording": self._recording,
            }
        )

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`get_state` returned, any number of times."""
        self.set_curriculum_stage(state["curriculum_stage"])
        state = copy.deepcopy(dict(state))
        self.system.state, self.system.generators = state["state"], state["generators"]
        self.np_random, self.instance, self._recording = state["np_random"], state["instance"], state["recording"]

    def render(self) -> Any:
        """The last round, in the form that ``render_mode`` asks for; None where it is on the screen."""
        if self.render_mode is None or self._recording is None:
            gym.logger.warn("nothing to render: give gymnasium.make a render_mode, and reset first")
            return None
        if self.render_mode == "ansi":
            return self._recording.text()
        from qfl_envs import rendering

        picture = rendering.draw(self._recording)
        if self.render_mode == "rgb_array":
            return picture
        self._window = self._window or rendering.Window(self.metadata["render_fps"])
        self._window.show(picture)
        return None

    @property
    def recording(self) -> Recording | None:
        """What the next picture shows; None without a render mode, and before the first reset."""
        return self._recording

    def close(self) -> None:
        """Close the window of ``render_mode="human"``."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the window."""
        return {**self.__dict__, "_window": None}

    def _require_reset(self) -> None:
        if self.instance is None:
            raise gym.error.ResetNeeded("call reset() before step() or action_masks()")

    def _observation(self) -> dict[str, np.ndarray]:
        return {name: value[0] for name, value in self.task.observe(self.system).items()}

    def _checked(self, action: Any) -> np.ndarray:
        """The action as an array of the action space's type, if it is in it."""
        return checked_action(self.action_space, action, _shortened)

    def _record(self, report: RoundReport | None) -> None:
        """Remember what the next picture shows; in the mode of a window, show it."""
        if self._recording is None:
            from qfl_envs.rendering import Recording

            self._recording = Recording(self.scenario, self.system.sites_m)
        if report is None:
            self._recording.begin(self.system.state)
        else:
            self._recording.add(self.system.state, report)
        if self.render_mode == "human":
            self.render()


class ChoiceEnv(FederatedEnv):
    """Base of the environments whose actions are choices, some of which can be closed."""

    def action_masks(self) -> np.ndarray:
        """Flat bool mask of the open choices, in the order that sb3-contrib's MaskablePPO reads."""
        self._require_reset()
        return self.task.action_masks(self.system)[0]


def checked_action(space: gym.Space[Any], action: Any, shown: Callable[[Any], str]) -> np.ndarray:
    """An action as an array of the space's type.

    Args:
        space: Where it must lie.
        action: Any value.
        shown: How an error shows it.

    Raises:
        InvalidValueError: For an action outside the space.
    """
    try:
        array = np.asarray(action)
    except ValueError as error:  # rows of different lengths
        raise InvalidValueError("action", shown(action), str(space)) from error
    kinds = "biuf"
    # many rows of a MultiDiscrete are a Box of whole numbers, which no fraction is rounded to
    if isinstance(space, spaces.Box) and space.dtype.kind == "f":
        kinds = "iuf"
        array = array.astype(space.dtype) if array.dtype.kind in kinds else array
    if isinstance(space, spaces.MultiDiscrete) and array.dtype == space.dtype:
        # the same as its own check, which takes longer
        inside = array.shape == space.shape and bool(
            (array >= space.start).all() and (array <= space.start + (space.nvec - 1)).all()
        )
    else:
        inside = array.dtype.kind in kinds and space.contains(
            array[()] if isinstance(space, spaces.Discrete) else array
        )
    if not inside:
        raise InvalidValueError("action", shown(action), str(space))
    return array.astype(space.dtype)


def row_of(batch: Mapping[str, Any], row: int = 0) -> dict[str, Any]:
    """One row of a batch of infos: numbers as Python's own, arrays as copies; without Gymnasium's ``_name`` masks."""
    of_row: dict[str, Any] = {}
    for name, value in batch.items():
        if name[0] == "_":
            continue
        if isinstance(value, dict):
            of_row[name] = row_of(value, row)
        elif value.ndim == 1:
            of_row[name] = value.item(row)
        else:
            of_row[name] = value[row].copy()
    return of_row


def _shortened(action: Any) -> str:
    """An action as text that fits a line."""
    shown = " ".join(str(action).split())
    return shown if len(shown) <= 60 else shown[:57] + "..."
