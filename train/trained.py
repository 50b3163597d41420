"""Trained SB3 models as competitors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from qfl_envs.competitor import Competitor, Cost
from qfl_envs.errors import InvalidValueError, QflError


class ModelFileError(QflError):
    """A model file that cannot be used."""


class TrainedModel(Competitor):
    """The most likely action of a model that SB3 saved."""

    def __init__(self, name: str, path: Path) -> None:
        """Load the model.

        Args:
            name: The agent's name, e.g. ``"ppo"``.
            path: ``model.zip`` of a training run.

        Raises:
            ModelFileError: If there is no such model.
        """
        from train.training import ALGORITHMS

        super().__init__()
        self.name = name
        if not path.is_file():
            raise ModelFileError(f"no model {path}; train one with: qfl train --agent {name}")
        try:
            self.model = ALGORITHMS[name].load(path, device="cpu")
        except (ValueError, KeyError, OSError, AttributeError) as error:
            raise ModelFileError(f"{path} is no model of {name!r} ({error})") from error

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Check that the model was trained on such an environment.

        Raises:
            InvalidValueError: If its spaces differ.
        """
        super().reset(env, seed)
        for space, trained, given in (
            ("observation", self.model.observation_space, env.observation_space),
            ("action", self.model.action_space, env.action_space),
        ):
            if trained != given:
                raise InvalidValueError(
                    f"{space} space of the environment", str(given), f"{trained}, on which the model was trained"
                )

    def choose(self, observation: dict[str, np.ndarray]) -> Any:
        """The most likely action."""
        action, _ = self.model.predict(observation, deterministic=True)
        return action

    def cost(self) -> Cost:
        """With the number of the policy's parameters."""
        parameters = sum(parameter.numel() for parameter in self.model.policy.parameters())
        return Cost(parameters=parameters, decision_s=super().cost().decision_s)
