"""Trained policies that come with the package: their weights alone, in files that cannot hold code."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from agents.policies.execution import Execution
from qfl_envs.errors import InvalidValueError
from train.training.deep_rl import untrained_model
from train.training.plans import MODE_FILE, MODEL_FILE, PLAN_FILE, ModelFileError, TrainingPlan, model_name, read_plan
from train.training.settings import is_team
from train.training.trained import UNLOADABLE, TrainedModel, load_model

FOLDER = Path(__file__).parent / "pretrained_models"
WEIGHTS_FILE = "weights.pt"
MOST_BYTES = 1_000_000
"""Of the weights of one policy."""


def known() -> dict[tuple[str, str], TrainingPlan]:
    """How every policy that is there was trained, by environment and agent."""
    plans = [read_plan(file.parent) for file in sorted(FOLDER.glob(f"*/{PLAN_FILE}"))]
    return {(plan.env_id, plan.agent): plan for plan in plans}


def load(env_id: str, agent: str, execution: Execution | None = None) -> TrainedModel:
    """A policy that comes with the package.

    Args:
        env_id: Environment that it was trained in.
        agent: Name of the agent.
        execution: As of :class:`train.training.trained.TrainedModel`.

    Raises:
        InvalidValueError: If there is none, with those that there are.
        ModelFileError: If its files are damaged, or belong to other settings than they say.
    """
    plans = known()
    if (env_id, agent) not in plans:
        there = [f"{name} in {place}" for place, name in plans]
        raise InvalidValueError("pretrained agent", f"{agent} in {env_id}", there or "none: there are no such policies")
    folder, model = FOLDER / model_name(env_id, agent), untrained_model(plans[env_id, agent])
    try:
        model.policy.load_state_dict(torch.load(folder / WEIGHTS_FILE, map_location="cpu", weights_only=True))
    except UNLOADABLE as error:
        raise ModelFileError(f"{folder / WEIGHTS_FILE} holds no weights of {agent!r} ({error})") from error
    return TrainedModel(folder, execution, model)


def keep(trained: Path) -> Path:
    """Put what ``qfl train`` left in a folder among the policies that come with the package.

    Returns:
        Where it is.

    Raises:
        InvalidValueError: For a team, or for weights that are too large.
        ModelFileError: If the folder holds no finished training.
    """
    plan = read_plan(trained)
    if is_team(plan.agent):
        raise InvalidValueError("agent to keep", plan.agent, "one that Stable-Baselines3 trained")
    weights = load_model(trained / MODEL_FILE, plan.settings["trained_by"]).policy.state_dict()
    size = sum(part.numel() * part.element_size() for part in weights.values())
    if size > MOST_BYTES:
        raise InvalidValueError(f"bytes of {plan.agent} in {plan.env_id}", size, f"up to {MOST_BYTES}")
    folder = FOLDER / model_name(plan.env_id, plan.agent)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (PLAN_FILE, MODE_FILE):
        shutil.copyfile(trained / name, folder / name)
    torch.save(weights, folder / WEIGHTS_FILE)
    return folder
