"""What is trained, on what, how long: plans of trainings, and what a training leaves in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qfl_envs.errors import InvalidValueError, QflError
from qfl_envs.fields import reject_unknown
from train.training.algorithms import supports
from train.training.settings import configuration, names

PLAN_FILE, MODE_FILE, MODEL_FILE = "plan.json", "mode.json", "model.zip"


class ModelFileError(QflError):
    """A model file that cannot be used."""


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained, on what, how long.

    Attributes:
        agent: Name of the agent.
        env_id: Environment.
        preset: Preset of the scenario.
        steps: Environment steps.
        seed: Seed of the network, of the exploration and of the instances.
        arguments: Further arguments of the environment.
        settings: See :func:`train.training.settings.configuration`.
        parameters: Trainable numbers of all networks, known when the training is done.
        training_s: Wall time of the training, known when it is done.
    """

    agent: str
    env_id: str
    preset: str
    steps: int
    seed: int = 0
    arguments: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    parameters: int | None = None
    training_s: float | None = None

    @property
    def environment(self) -> dict[str, Any]:
        """Arguments of the environment in which the policy will play."""
        return {"scenario": self.preset, **self.arguments}

    def stages(self) -> list[tuple[dict[str, Any], int]]:
        """Arguments of the environments of the training, one after the other, with the steps in each.

        The first have what the settings say beneath what was asked for; the last steps can be played in the environment
        itself.
        """
        first = round(self.steps * self.settings["environment_share"])
        prepared = _merged(self.settings["environment"], self.environment)
        return [stage for stage in ((prepared, first), (self.environment, self.steps - first)) if stage[1] > 0]


def plan_training(
    agent: str,
    env_id: str,
    preset: str,
    arguments: Mapping[str, Any],
    steps: int | None = None,
    seed: int = 0,
    quick: bool = False,
) -> TrainingPlan:
    """A plan with the shipped settings; ``steps`` None takes the shipped budget, or the ``quick`` one.

    Raises:
        UnknownNameError: For an agent without settings.
        InvalidValueError: For an agent that cannot act in the environment.
    """
    reject_unknown([agent], names(), "trained agent")
    if not supports(agent, env_id):
        able = [name for name in names() if supports(name, env_id)]
        raise InvalidValueError(f"agent for the actions of {env_id}", agent, able)
    settings = configuration(agent, env_id, preset)
    if steps is None:
        steps = settings["quick_steps" if quick else "steps"]
    return TrainingPlan(agent, env_id, preset, steps, seed, dict(arguments), settings)


def model_name(env_id: str, agent: str) -> str:
    """Name of the folder of a model where those of several agents and environments lie together."""
    return f"{env_id.split('/')[-1]}-{agent}"


def read_plan(folder: Path) -> TrainingPlan:
    """The plan of a training run that is complete.

    Raises:
        ModelFileError: If there is none in the folder.
    """
    try:
        return TrainingPlan(**json.loads((folder / PLAN_FILE).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise ModelFileError(f"{folder} holds no finished training run ({error}); make one with: qfl train") from error


def _merged(beneath: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, with what is above where both have it; tables in them likewise."""
    merged = {**beneath, **above}
    for name in beneath.keys() & above.keys():
        if isinstance(beneath[name], Mapping) and isinstance(above[name], Mapping):
            merged[name] = _merged(beneath[name], above[name])
    return merged
