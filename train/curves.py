"""Learning curves of finished trainings, from their TensorBoard events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Learning
from train.training import PLAN_FILE, TrainingPlan, read_plan

TAG = "rollout/ep_rew_mean"
"""Mean return of the last 100 episodes of training, as Stable-Baselines3 names it."""


@dataclass(frozen=True)
class Curve:
    """How one training went.

    Attributes:
        folder: Of the training.
        plan: What was trained.
        steps: (P) environment steps.
        returns: (P) mean return of the last episodes, with the weights and the learner of the training.
    """

    folder: Path
    plan: TrainingPlan
    steps: np.ndarray
    returns: np.ndarray

    def to_row(self) -> dict[str, Any]:
        """As plain values for a table."""
        plan = self.plan
        learners = [arguments.get("learning", {}).get("model", Learning().model) for arguments, _ in plan.stages()]
        return {
            "env_id": plan.env_id,
            "agent": plan.agent,
            "preset": plan.preset,
            "steps": plan.steps,
            "seed": plan.seed,
            "learner_in_training": ", ".join(dict.fromkeys(learners)),
            "parameters": plan.parameters,
            "first_return": float(self.returns[0]),
            "last_return": float(self.returns[-1]),
        }


def find(folders: Sequence[Path]) -> list[Curve]:
    """Curves of all finished trainings in folders and beneath them, in the order of their environments.

    Raises:
        InvalidValueError: If there are none in one of them.
    """
    found = []
    for folder in folders:
        runs = [plan.parent for plan in sorted(folder.rglob(PLAN_FILE))]
        curves = [curve for curve in map(_curve, runs) if len(curve.steps)]
        if not curves:
            raise InvalidValueError("folder of learning curves", str(folder), "one with finished runs of qfl train")
        found += curves
    return sorted(found, key=lambda curve: (curve.plan.env_id, curve.plan.agent, str(curve.folder)))


def draw(curves: Sequence[Curve], path: Path) -> None:
    """Draw return against steps, one panel per environment.

    Args:
        curves: What to draw.
        path: PNG to write.
    """
    environments = list(dict.fromkeys(curve.plan.env_id for curve in curves))
    agents = sorted({curve.plan.agent for curve in curves})
    colours = {agent: colormaps["tab10"](index % 10) for index, agent in enumerate(agents)}
    figure = Figure(figsize=(5.2 * len(environments), 4.0), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(environments), squeeze=False)[0]
    for axes, env_id in zip(panels, environments, strict=True):
        for curve in (one for one in curves if one.plan.env_id == env_id):
            label = f"{curve.plan.agent}, seed {curve.plan.seed}"
            axes.plot(curve.steps, curve.returns, label=label, color=colours[curve.plan.agent], linewidth=1.4)
        axes.set_title(env_id)
        axes.set_xlabel("environment steps")
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8, loc="lower right")
    panels[0].set_ylabel("return in training, mean of 100 episodes")
    figure.savefig(path)


def _curve(run: Path) -> Curve:
    events = EventAccumulator(str(next(run.glob("tensorboard_*"), run)), size_guidance={"scalars": 0})
    events.Reload()
    points = events.Scalars(TAG) if TAG in events.Tags()["scalars"] else []
    steps, returns = (np.array([getattr(point, name) for point in points]) for name in ("step", "value"))
    return Curve(run, read_plan(run), steps, returns)
