"""What ``qfl train`` left in a folder, as a competitor: the model of Stable-Baselines3, or the team."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qfl_envs.errors import InvalidValueError
from train.training import settings

if TYPE_CHECKING:
    from agents.policies.execution import Execution
    from train.training.trained import TrainedModel
    from train.training.trained_team import TrainedTeam


def load(folder: Path, execution: Execution | None = None) -> TrainedModel | TrainedTeam:
    """What ``qfl train`` left in a folder, as a competitor.

    Args:
        folder: Of the training run.
        execution: Where circuits of an agent of SB3 run; None for the fast simulator, without shots.

    Raises:
        ModelFileError: If there is no finished training.
        InvalidValueError: For an execution of what has no such circuits.
    """
    from train.training.plans import read_plan
    from train.training.trained import TrainedModel
    from train.training.trained_team import TrainedTeam

    agent = read_plan(folder).agent
    if not settings.is_team(agent):
        return TrainedModel(folder, execution)
    if execution is not None:
        raise InvalidValueError("backend", execution.backend, f"none for {agent!r}, a team of devices")
    return TrainedTeam(folder)
