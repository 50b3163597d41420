"""Trained SB3 models as competitors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from qfl_envs.competitor import Competitor, Cost
from qfl_envs.errors import InvalidValueError
from train.playing import chosen_actions, seed_choices
from train.training import ALGORITHMS, MODE_FILE, MODEL_FILE, ModelFileError, count_parameters, read_plan


class TrainedModel(Competitor):
    """A policy that SB3 trained, in the environment that it was trained in."""

    def __init__(self, folder: Path) -> None:
        """Load the model.

        Args:
            folder: Where ``qfl train`` left it.

        Raises:
            ModelFileError: If there is no such model.
        """
        super().__init__()
        self.plan = read_plan(folder)
        self.name = self.plan.agent
        self.environments = (self.plan.env_id,)  # type: ignore[misc]  # a class variable of all others
        try:
            # who plays needs no memory of past rounds, which would be as large as in training
            self.model = ALGORITHMS[self.name].load(
                folder / MODEL_FILE, device="cpu", custom_objects={"buffer_size": 1}
            )
            self.deterministic = bool(json.loads((folder / MODE_FILE).read_text())["deterministic"])
        except (ValueError, KeyError, OSError, AttributeError) as error:
            raise ModelFileError(f"{folder / MODEL_FILE} is no model of {self.name!r} ({error})") from error

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
                raise InvalidValueError(
                    f"{space} space of the environment", str(given), f"{trained}, on which the model was trained"
                )
        seed_choices(self.model, seed)

    def choose(self, observation: dict[str, np.ndarray]) -> Any:
        """The most likely action or a sampled one, whichever was better on the val split."""
        return chosen_actions(self.model, observation, self.deterministic, lambda: self.env.action_masks())

    def cost(self) -> Cost:
        """With the number of the policy's parameters."""
        return Cost(parameters=count_parameters(self.model), decision_s=super().cost().decision_s)
