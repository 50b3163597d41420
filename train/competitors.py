"""Every competitor by its name: baselines, quantum agents and trained models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import agents
import baselines
from qfl_envs.competitor import Competitor, Kind
from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown
from train.competition import outside
from train.training import algorithms as trained_agents
from train.training import settings
from train.training.loading import load

DEFAULT_AGENTS = ("ppo",)
"""Trained competitors that take part where nobody is named: to train all of them takes hours."""


def names() -> list[str]:
    """All names, trained ones last."""
    return [*baselines.names(), *agents.names(), *settings.names()]


def default_names() -> list[str]:
    """Those who compete where nobody is named: all that need no training and say so, and :data:`DEFAULT_AGENTS`."""
    return [name for name in names() if (name in DEFAULT_AGENTS if name in settings.names() else make(name).by_default)]


def is_trained(name: str) -> bool:
    """Whether the competitor needs training first; one from outside has had it.

    Raises:
        UnknownNameError: Naming all competitors.
    """
    if outside.is_outside(name):
        return False
    reject_unknown([name], names(), "competitor")
    return name in settings.names()


def kind(name: str) -> Kind:
    """What a competitor is; of what is trained, whether it has circuits."""
    return settings.kind(name) if is_trained(name) else make(name).kind


def supports(name: str, env_id: str, environment: Mapping[str, Any] | None = None) -> bool:
    """Whether the competitor has an answer for the environment; for what is trained, its actions decide.

    Args:
        name: Who.
        env_id: Environment.
        environment: Its arguments, on which the spaces depend that a model from outside must have been trained on.
    """
    if outside.is_model(name):
        return outside.fits(name, env_id, environment or {})
    if outside.is_outside(name):
        return outside.supports(name, env_id)
    return trained_agents.supports(name, env_id) if is_trained(name) else make(name).supports(env_id)


def make(name: str, model: Path | None = None) -> Competitor:
    """A new competitor.

    Args:
        name: One of :func:`names`, or one from outside, see :mod:`train.competition.outside`.
        model: Folder of the training run of a trained one; of a model from outside, its file, if it is not where its
            name says.

    Raises:
        UnknownNameError: Naming all competitors.
        InvalidValueError: For a trained one without a model.
    """
    if outside.is_outside(name):
        return outside.make(name, model)
    if is_trained(name):
        if model is None:
            raise InvalidValueError("model", None, f"the folder of a training run, since {name!r} is trained")
        return load(model)
    return baselines.make(name) if name in baselines.names() else agents.make(name)
