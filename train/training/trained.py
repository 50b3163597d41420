"""Trained SB3 models as competitors."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

from agents.policies.circuit_layer import circuit_layers
from agents.policies.circuit_policy import CircuitPolicy
from agents.policies.execution import Execution
from qfl_envs.competitor import Competitor, Cost
from qfl_envs.errors import InvalidValueError
from qfl_envs.system.devices import server_seconds
from train.training.deep_rl import ALGORITHMS, count_parameters
from train.training.plans import MODE_FILE, MODEL_FILE, ModelFileError, read_plan
from train.training.playing import chosen_actions, seed_choices

UNLOADABLE = (
    *(AssertionError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError),
    *(pickle.PickleError, EOFError),
)
"""What SB3 raises where a file is no model of the algorithm."""


class SB3Model(Competitor):
    """A policy that SB3 trained, in environments with the spaces that it was trained on."""

    def __init__(self, model: BaseAlgorithm, deterministic: bool, execution: Execution | None = None) -> None:
        """Let a model play.

        Args:
            model: The model.
            deterministic: Whether it takes its most likely actions, or samples.
            execution: Where its circuits run; None for the fast simulator, without shots.

        Raises:
            InvalidValueError: For an execution of a model without circuits.
        """
        super().__init__()
        self.model, self.deterministic = model, deterministic
        policy = self.model.policy
        self._circuits = policy if isinstance(policy, CircuitPolicy) and circuit_layers(policy) else None
        self._quantum_s = 0.0
        if self._circuits is not None:
            self._circuits.run_on(execution or Execution())
        elif execution is not None:
            raise InvalidValueError("backend", execution.backend, f"none for {self.name!r}, which has no circuit")

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Check that the model was trained on such spaces; seed its choices.

        Raises:
            InvalidValueError: If they differ.
        """
        super().reset(env, seed)
        for space, trained, given in (
            ("observation", self.model.observation_space, env.observation_space),
            ("action", self.model.action_space, env.action_space),
        ):
            if trained != given:
                here, there = _differing(given, trained)
                raise InvalidValueError(
                    f"{space} space of the environment",
                    here,
                    f"{there}, on which the model was trained; play it in the environment, preset and sizes of its "
                    "training",
                )
        seed_choices(self.model, seed)
        if self._circuits is not None:
            self._circuits.execution.seed(seed)

    def choose(self, observation: dict[str, np.ndarray]) -> Any:
        """The most likely action or a sampled one, whichever was better on the val split."""
        return chosen_actions(self.model, observation, self.deterministic, lambda: self.env.action_masks())

    def act(self, observation: dict[str, np.ndarray]) -> Any:
        """The action for an observation; keeps account of circuits, too."""
        before = self._circuits_run()
        action = super().act(observation)
        if self._circuits is not None:
            shots = (self._circuits_run() - before) * self._shots()
            self._quantum_s += server_seconds(self.env.scenario.fleet, shots)
        return action

    def cost(self) -> Cost:
        """With the number of the policy's parameters, of all networks; those of circuits and beside them apart.

        Where a simulator gives exact values, as many shots are counted as the scenario's processors take for a circuit.
        """
        cost = Cost(parameters=count_parameters(self.model), decision_s=super().cost().decision_s)
        if self._circuits is None:
            return cost
        decisions, parts = max(self._decisions, 1), self._circuits.parts()
        circuits = self._circuits_run() / decisions
        return replace(
            cost,
            circuit_evaluations=circuits,
            shots=circuits * self._shots() if self._decisions else 0.0,
            quantum_parameters=parts.quantum,
            quantum_s=self._quantum_s / decisions,
            classical_pre_parameters=parts.pre,
            classical_post_parameters=parts.post,
        )

    def _circuits_run(self) -> int:
        return 0 if self._circuits is None else self._circuits.execution.circuits

    def _shots(self) -> int:
        assert self._circuits is not None
        return self._circuits.execution.shots or int(self.env.scenario.quantum.shots)


class TrainedModel(SB3Model):
    """What ``qfl train`` left in a folder, in the environment that it was trained in."""

    def __init__(self, folder: Path, execution: Execution | None = None, model: BaseAlgorithm | None = None) -> None:
        """Load the model.

        Args:
            folder: Where ``qfl train`` left it.
            execution: Where its circuits run; None for the fast simulator, without shots.
            model: The model, where the folder has no file of it.

        Raises:
            ModelFileError: If there is no such model.
            InvalidValueError: For an execution of a model without circuits.
        """
        self.plan = read_plan(folder)
        self.name = self.plan.agent
        self.kind = self.plan.settings["kind"]
        self.environments = (self.plan.env_id,)  # type: ignore[misc]  # a class variable of all others
        try:
            deterministic = bool(json.loads((folder / MODE_FILE).read_text())["deterministic"])
        except (ValueError, KeyError, OSError) as error:
            raise ModelFileError(f"{folder / MODE_FILE} does not say how {self.name!r} plays ({error})") from error
        if model is None:
            model = load_model(folder / MODEL_FILE, self.plan.settings["trained_by"])
        super().__init__(model, deterministic, execution)


def _differing(given: gym.Space[Any], trained: gym.Space[Any]) -> tuple[str, str]:
    """Both as text; of those with named parts, the first that differs, and of those with other names, the names."""
    if not isinstance(given, gym.spaces.Dict) or not isinstance(trained, gym.spaces.Dict):
        return str(given), str(trained)
    if given.keys() != trained.keys():
        return ", ".join(given), ", ".join(trained)
    name = next(name for name in given if given[name] != trained[name])
    return f"{name}: {given[name]}", f"{name}: {trained[name]}"


def load_model(file: Path, algorithm: str) -> BaseAlgorithm:
    """What an algorithm of SB3 saved; such files can hold code, and are for those who trust their author.

    Raises:
        ModelFileError: If it cannot be loaded.
    """
    try:
        # who plays needs no memory of past rounds, which would be as large as in training
        return ALGORITHMS[algorithm].load(file, device="cpu", custom_objects={"buffer_size": 1})
    except UNLOADABLE as error:
        raise ModelFileError(f"{file} is no model of {algorithm!r} ({error})") from error
