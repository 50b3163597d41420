"""Learning curves of finished trainings, from their TensorBoard events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Learning
from train import competitors
from train.competition.results import record_from_row
from train.competition.summaries import REFERENCE, Row
from train.competition.summaries import rows as summarise
from train.evaluation import Episode
from train.panels import line_styles, panels
from train.runs import RESULTS_FILE, read_lines
from train.statistics import Estimate
from train.training.plans import PLAN_FILE, TrainingPlan, read_plan

TAG = "rollout/ep_rew_mean"
"""Mean return of the last 100 episodes of training, as Stable-Baselines3 names it."""
INTRODUCTION = """\
# Learning curves

<!-- Written by qfl curves --page; run it again instead of editing. -->

What trained agents reach with the shipped settings. The curves are those of TensorBoard (`rollout/ep_rew_mean`, the
mean return of the last 100 episodes), with the learner and the reward weights of the training; the first points are of
those episodes that ended first. Returns are of the test split, with the learner of the evaluation: interquartile mean
and 95 % bootstrap interval over seeds. One training of each: the intervals are those of instances, not of trainings.
"""


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
        curves = [curve for curve in map(curve_of, runs) if len(curve.steps)]
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
    styles = line_styles(agents)
    figure, all_axes = panels(len(environments), 5.2, 4.0, dpi=100)
    for axes, env_id in zip(all_axes, environments, strict=True):
        for curve in (one for one in curves if one.plan.env_id == env_id):
            label = f"{curve.plan.agent}, seed {curve.plan.seed}"
            axes.plot(curve.steps, curve.returns, label=label, linewidth=1.4, **styles[curve.plan.agent])
        axes.set_title(env_id)
        axes.set_xlabel("environment steps")
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8, loc="lower right")
    figure.supylabel("return in training, mean of 100 episodes", fontsize="medium")
    figure.savefig(path)


def page(curves: Sequence[Curve], folders: Sequence[Path], picture: str | None) -> str:
    """A page with the curves, how they were made, and how the agents did on the test split.

    Args:
        curves: Those of the folders.
        folders: Where ``qfl leaderboard`` or ``qfl train`` wrote; results of the former are compared.
        picture: Address of the picture, None for none.
    """
    parts = [INTRODUCTION]
    if picture is not None:
        parts.append(f"![Return against environment steps]({picture})\n")
    parts.append(tabulate([_made_by(curve) for curve in curves], headers="keys", tablefmt="github") + "\n")
    episodes = [episode for folder in folders for episode in _episodes(folder)]
    for env_id in dict.fromkeys(episode.env_id for episode in episodes):
        rows = summarise([episode for episode in episodes if episode.env_id == env_id])
        parts.append(f"## {env_id}\n\n" + _standings(rows) + "\n")
    return "\n".join(parts)


def _made_by(curve: Curve) -> dict[str, str]:
    """How a training is repeated, for the page."""
    plan, row = curve.plan, curve.to_row()
    arguments = f" --set '{json.dumps(dict(plan.arguments))}'" if plan.arguments else ""
    return {
        "training": f"`qfl train --agent {plan.agent} --env {plan.env_id} --preset {plan.preset} --steps {plan.steps} "
        f"--seed {plan.seed}{arguments}`",
        "learner in training": f"`{row['learner_in_training']}`",
        "parameters": f"{plan.parameters:,}",
        "first return": f"{row['first_return']:.2f}",
        "last return": f"{row['last_return']:.2f}",
    }


def _standings(rows: Sequence[Row]) -> str:
    """Everybody's return, and how the trained ones stand to random play and to the best rule."""
    rules = [row for row in rows if not competitors.is_trained(row.competitor) and row.kind == "classical"]
    random = next((row for row in rules if row.competitor == REFERENCE), None)
    best = max((row for row in rules if row is not random), key=lambda row: row.episode_return.value, default=None)
    shown = []
    for row in rows:
        trained = competitors.is_trained(row.competitor)
        shown.append(
            {
                "competitor": row.competitor,
                "episodes": row.episodes,
                "return": str(row.episode_return),
                "against random": _stand(row.episode_return, random) if trained else "",
                f"against {best.competitor if best else 'the best rule'}": _stand(row.episode_return, best)
                if trained
                else "",
                "seconds": f"{row.means['simulated_s'].value:.1f}",
                "joules": f"{row.means['energy_j'].value:.0f}",
            }
        )
    return tabulate(shown, headers="keys", tablefmt="github")


def _stand(found: Estimate, other: Row | None) -> str:
    """Above or below another, or not to be told apart."""
    if other is None:
        return "did not play"
    if found.overlaps(other.episode_return):
        return "intervals overlap"
    return "above" if found.value > other.episode_return.value else "below"


def _episodes(folder: Path) -> list[Episode]:
    records = read_lines(folder / RESULTS_FILE, record_from_row)
    return [record for record in records if isinstance(record, Episode)]


def curve_of(run: Path) -> Curve:
    """The curve of one training, without points if no episode ended in it."""
    events = EventAccumulator(str(next(run.glob("tensorboard_*"), run)), size_guidance={"scalars": 0})
    events.Reload()
    points = events.Scalars(TAG) if TAG in events.Tags()["scalars"] else []
    steps, returns = (np.array([getattr(point, name) for point in points]) for name in ("step", "value"))
    return Curve(run, read_plan(run), steps, returns)
