"""Teams of devices against their controls: several trainings of each, on the surrogate tier.

The protocol, fixed before anything is trained: every team is trained with the same settings and steps on seeds
0, 1, ...; how fast it learns is first chosen among :data:`RATES` by the return on the split val of one training each,
with a seed of its own. Every training then plays the same instances of the split test. Intervals are over trainings,
which differ more than instances do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu

from agents.multi_agent import configurations as teams
from qfl_envs.envs.device_agents import DeviceAgents
from train import competitors
from train.evaluation import make_env, play
from train.runs import RunFolder
from train.statistics import estimate
from train.training.deep_rl import train
from train.training.plans import TrainingPlan, plan_training
from train.training.trained_team import TrainedTeam, make_player
from train.training.validation import mean_return

RATES = (1e-3, 3e-3, 1e-2)
TUNING_SEED = 1000
EPISODES = 50
RULES = ("random", "age-and-speed")
ARGUMENTS = {"learning": {"model": "surrogate"}}


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        environments: Ids.
        names: Teams, the one that all others are compared with first.
        preset: Of the scenario.
        steps: Environment steps of each training.
        seeds: Trainings of each team.
    """

    environments: tuple[str, ...]
    names: tuple[str, ...]
    preset: str
    steps: int
    seeds: int

    def config(self) -> dict[str, Any]:
        """All that a result depends on; further seeds add to those that are there."""
        settings = {
            f"{name} {env_id}": teams.configuration(name, env_id, self.preset)
            for env_id in self.environments
            for name in self.names
        }
        chosen = {name: value for name, value in asdict(self).items() if name != "seeds"}
        return {**chosen, "settings": settings, "versions": {name: version(name) for name in ("torch", "numpy")}}


def compare(comparison: Comparison, folder: RunFolder, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Train and play what is missing in the folder.

    Args:
        comparison: What is compared.
        folder: Where models and results are kept.
        say: Called with a line on each training.

    Returns:
        A row for each environment and team, and for each rule: ``return`` is the mean over trainings with its 95 %
        bootstrap interval, ``p`` that of Mann and Whitney's test against the first team.
    """
    rows = []
    with folder.lock():
        known = {(row["env_id"], row["team"], row["rate"], row["seed"]): row for row in folder.read()}

        def result(env_id: str, team: str, rate: float, seed: int) -> dict[str, Any]:
            key = (env_id, team, rate, seed)
            if key not in known:
                known[key] = _result(comparison, folder.path / "models", env_id, team, rate, seed)
                folder.append(known[key])
            row = known[key]
            say(f"{env_id} {team} rate {rate} seed {seed}: val {row['val']:.3f}, test {row['test']:.3f}")
            return row

        for env_id in comparison.environments:
            rates: dict[str, float] = {}
            found: dict[str, list[dict[str, Any]]] = {}
            for team in comparison.names:
                tuned = {rate: result(env_id, team, rate, TUNING_SEED)["val"] for rate in RATES}
                rates[team], found[team] = max(RATES, key=tuned.__getitem__), []
            for seed in range(comparison.seeds):
                for team in comparison.names:
                    found[team].append(result(env_id, team, rates[team], seed))
            first = found[comparison.names[0]]
            rows += [_row(env_id, team, rates[team], found[team], first) for team in comparison.names]
            rows += [_rule_row(env_id, comparison, rule) for rule in RULES]
    return rows


def _result(comparison: Comparison, models: Path, env_id: str, team: str, rate: float, seed: int) -> dict[str, Any]:
    """Train once, and play the splits val and test."""
    plan = plan_training(team, env_id, comparison.preset, ARGUMENTS, comparison.steps, seed)
    plan = _with_rate(plan, rate)
    model = models / f"{env_id.split('/')[-1]}-{team}-{rate}-{seed}"
    model.mkdir(parents=True, exist_ok=True)
    train(plan, model)
    trained = TrainedTeam(model)
    env = make_env(env_id, "test", plan.environment)
    player = make_player(trained.actor, DeviceAgents(env.unwrapped.task), trained.greedy)  # type: ignore[attr-defined]
    counts = trained.actor.counts()
    return {
        "env_id": env_id,
        "team": team,
        "rate": rate,
        "seed": seed,
        "actor_parameters": counts.total,
        "greedy": trained.greedy,
        "val": trained.val_return,
        "test": mean_return(player, env_id, plan.environment, "test", EPISODES),
    }


def _with_rate(plan: TrainingPlan, rate: float) -> TrainingPlan:
    """A plan in which classical layers learn at a rate, and all else in its shipped proportion to them."""
    algorithm = plan.settings["algorithm"]
    share = rate / algorithm["rates"]["classical"]
    changed = {**algorithm, "rates": {name: share * shipped for name, shipped in algorithm["rates"].items()}}
    return replace(plan, settings={**plan.settings, "algorithm": changed})


def _row(
    env_id: str,
    team: str,
    rate: float,
    found: Sequence[dict[str, Any]],
    first: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    returns, others = (np.array([row["test"] for row in rows]) for rows in (found, first))
    return {
        "env_id": env_id,
        "team": team,
        "actor_parameters": found[0]["actor_parameters"],
        "rate": rate,
        "trainings": len(returns),
        "return": str(estimate(returns.tolist())),
        "worst": float(returns.min()),
        "best": float(returns.max()),
        "p": None if found is first else float(mannwhitneyu(others, returns).pvalue),
    }


def _rule_row(env_id: str, comparison: Comparison, rule: str) -> dict[str, Any]:
    env = make_env(env_id, "test", {"scenario": comparison.preset, **ARGUMENTS})
    player = competitors.make(rule)
    returns = [play(env, player, seed).episode_return for seed in range(EPISODES)]
    return {"env_id": env_id, "team": rule, "return": f"{np.mean(returns):.2f}"}
