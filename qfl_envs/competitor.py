"""The one interface through which everybody competes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

import gymnasium as gym
import numpy as np

from qfl_envs.envs.task import Task
from qfl_envs.errors import QflError
from qfl_envs.fields import reject_unknown
from qfl_envs.system.decision import Decision
from qfl_envs.view import NetworkView

Kind = Literal["classical", "quantum", "privileged"]


@dataclass(frozen=True)
class Cost:
    """What a competitor takes.

    Attributes:
        parameters: Trainable numbers.
        circuit_evaluations: Quantum circuits run per decision.
        shots: Shots per decision, of all circuits together.
        decision_s: Mean wall time of a decision.
        quantum_parameters: Those of the parameters that are angles of circuits.
        quantum_s: Seconds per decision that a quantum processor would take, as the scenario models it: the wait for it
            and the time of all shots. Simulators take ``decision_s`` instead.
        classical_pre_parameters: Those of the parameters that belong to classical layers before circuits, or to
            networks without circuits.
        classical_post_parameters: Those of classical layers, and scales, behind circuits.
    """

    parameters: int = 0
    circuit_evaluations: float = 0.0
    shots: float = 0.0
    decision_s: float = 0.0
    quantum_parameters: int = 0
    quantum_s: float = 0.0
    classical_pre_parameters: int = 0
    classical_post_parameters: int = 0


class UnsupportedEnvironmentError(QflError, ValueError):
    """A competitor in an environment that it has no answer for."""

    def __init__(self, name: str, env_id: str, supported: list[str]) -> None:
        """Say which environments the competitor supports."""
        super().__init__(
            f"{name!r} does not support {env_id}; it supports: {', '.join(supported)}", name, env_id, supported
        )


class Competitor:
    """Base of all competitors: ``reset`` before an episode, then ``act`` on every observation.

    Attributes:
        name: As the command line and the leaderboard call it.
        kind: ``"classical"``, ``"quantum"``, or ``"privileged"`` if it uses more than the observation.
        environments: Ids that it supports.
        by_default: Whether it competes where nobody is named; not if it needs much time or an optional package.
        arguments: Of the environment, without which it does not offer what the competitor decides.
    """

    name: str
    kind: Kind = "classical"
    by_default: bool = True
    environments: ClassVar[tuple[str, ...]] = ()
    arguments: ClassVar[Mapping[str, Any]] = {}

    def __init__(self) -> None:
        """Begin with no time spent."""
        self._decisions, self._seconds = 0, 0.0

    def supports(self, env_id: str) -> bool:
        """Whether it has an answer for this environment."""
        return env_id in self.environments

    def require(self, env_id: str) -> None:
        """Refuse an environment that it has no answer for.

        Raises:
            UnsupportedEnvironmentError: Naming those that it supports.
        """
        if not self.supports(env_id):
            raise UnsupportedEnvironmentError(self.name, env_id, list(self.environments))

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Prepare for an episode.

        Args:
            env: The environment, already reset.
            seed: Seed of the competitor's own randomness.

        Raises:
            UnsupportedEnvironmentError: If it does not support the environment.
        """
        self.require(env.spec.id if env.spec is not None else "an environment without a spec")
        self.env: Any = env.unwrapped
        self.rng = np.random.default_rng(seed)

    def act(self, observation: dict[str, np.ndarray]) -> Any:
        """The action for an observation; keeps account of the time."""
        begin = time.perf_counter()
        action = self.choose(observation)
        self._seconds += time.perf_counter() - begin
        self._decisions += 1
        return action

    def choose(self, observation: dict[str, np.ndarray]) -> Any:
        """The action for an observation."""
        raise NotImplementedError

    def cost(self) -> Cost:
        """What it has taken so far."""
        return Cost(decision_s=self._seconds / max(self._decisions, 1))


class Rule(Competitor):
    """A competitor that reads the observation in physical units and decides for every device."""

    def choose(self, observation: dict[str, np.ndarray]) -> Any:
        """The action that comes closest to the rule's decision."""
        task: Task = self.env.task
        return task.encode(self.decide(task.view(observation)))[0]

    def decide(self, view: NetworkView) -> Decision:
        """The decision for one system, with a leading axis of one."""
        raise NotImplementedError


class Registry:
    """Competitors of one package by name, loaded when they are made."""

    def __init__(self, of: str, entry_points: dict[str, str]) -> None:
        """Name them.

        Args:
            of: What errors call them, e.g. ``"baseline"``.
            entry_points: Name to ``"module:Class"``.
        """
        self._of, self._entry_points = of, entry_points

    def names(self) -> list[str]:
        """Names that :meth:`make` knows."""
        return list(self._entry_points)

    def make(self, name: str) -> Competitor:
        """A new competitor.

        Raises:
            UnknownNameError: Naming all competitors of the package.
        """
        reject_unknown([name], self._entry_points, self._of)
        module, attribute = self._entry_points[name].split(":")
        competitor: Competitor = getattr(import_module(module), attribute)()
        return competitor
