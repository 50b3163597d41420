"""Every competitor by its name: baselines, quantum agents and trained models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import agents
import baselines
from agents.multi_agent import configurations as teams
from baselines.configurations import algorithms
from qfl_envs.competitor import Competitor, Kind
from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown
from qfl_envs.registration import MULTI_AGENT_ENVIRONMENTS
from train import algorithms as trained_agents

if TYPE_CHECKING:
    from train.trained import TrainedModel
    from train.trained_team import TrainedTeam

DEFAULT_AGENTS = ("ppo",)
"""Trained competitors that take part where nobody is named: to train all of them takes hours."""


def names() -> list[str]:
    """All names, trained ones last."""
    return [*baselines.names(), *agents.names(), *_trained()]


def _trained() -> list[str]:
    return [*algorithms(), *teams.names()]


def default_names() -> list[str]:
    """Those who compete where nobody is named: all that need no training and say so, and :data:`DEFAULT_AGENTS`."""
    return [name for name in names() if (name in DEFAULT_AGENTS if name in _trained() else make(name).by_default)]


def is_trained(name: str) -> bool:
    """Whether the competitor needs training first.

    Raises:
        UnknownNameError: Naming all competitors.
    """
    reject_unknown([name], names(), "competitor")
    return name in _trained()


def kind(name: str) -> Kind:
    """What a competitor is; of a team, what its devices are."""
    if name in teams.names():
        return "quantum" if teams.is_quantum(name) else "classical"
    return "classical" if is_trained(name) else make(name).kind


def supports(name: str, env_id: str) -> bool:
    """Whether the competitor has an answer for the environment; for what is trained, its actions decide."""
    if name in teams.names():
        return env_id in MULTI_AGENT_ENVIRONMENTS
    return trained_agents.supports(name, env_id) if is_trained(name) else make(name).supports(env_id)


def make(name: str, model: Path | None = None) -> Competitor:
    """A new competitor.

    Args:
        name: One of :func:`names`.
        model: Folder of the training run of a trained one.

    Raises:
        UnknownNameError: Naming all competitors.
        InvalidValueError: For a trained one without a model.
    """
    if is_trained(name):
        if model is None:
            raise InvalidValueError("model", None, f"the folder of a training run, since {name!r} is trained")
        return load(model)
    return baselines.make(name) if name in baselines.names() else agents.make(name)


def load(folder: Path) -> TrainedModel | TrainedTeam:
    """What ``qfl train`` left in a folder, as a competitor.

    Raises:
        ModelFileError: If there is no finished training.
    """
    from train.trained import TrainedModel
    from train.trained_team import TrainedTeam
    from train.training import read_plan

    return (TrainedTeam if read_plan(folder).agent in teams.names() else TrainedModel)(folder)
