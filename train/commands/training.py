"""Commands that train, tune and compare what learns."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown
from train.commands.options import (
    Commands,
    add_folder,
    add_json,
    add_scenario,
    arguments_of,
    known_env,
    natural,
    positive,
    short_name,
)
from train.commands.printing import print_rows, say

if TYPE_CHECKING:
    from train.training.plans import TrainingPlan


def add(commands: Commands) -> None:
    """Say what may be typed."""
    parser = commands.add("train", "Train an agent; writes a model, its plan and TensorBoard events.", train)
    parser.add_argument("--agent", default="ppo", help="who is trained; qfl competitors lists all")
    parser.add_argument("--env", default="qfl/Scheduling-v0", metavar="ID", help="environment")
    parser.add_argument("--steps", type=positive, help="environment steps; the shipped budget if not given")
    parser.add_argument("--seed", type=natural, default=0, help="seed of network, exploration and instances")
    add_scenario(parser)
    add_folder(parser)

    parser = commands.add(
        "tune", "Search for better settings of an agent on the val split; goes on where it was stopped.", tune
    )
    parser.add_argument("--agent", default="ppo", help="whose settings; qfl competitors lists all")
    parser.add_argument("--env", default="qfl/Scheduling-v0", metavar="ID", help="environment")
    parser.add_argument("--trials", type=positive, default=20, help="settings to try, the shipped ones first")
    parser.add_argument(
        "--steps", type=positive, help="environment steps of each; the shipped quick budget if not given"
    )
    parser.add_argument("--seed", type=natural, default=0, help="seed of the search and of every training")
    add_scenario(parser)
    add_folder(parser)

    parser = commands.add(
        "compare-teams",
        "Train teams of devices and their controls on several seeds, on the surrogate tier, and compare them; goes on "
        "where it was stopped.",
        compare_teams,
    )
    parser.add_argument(
        "--env", action="append", metavar="ID", help="environment, may be repeated; all of devices if not given"
    )
    parser.add_argument(
        "--team", action="append", metavar="NAME", help="team, may be repeated, the one to compare with first; or all"
    )
    parser.add_argument("--preset", default="small", help="scenario")
    parser.add_argument("--seeds", type=positive, default=5, help="trainings of each team")
    parser.add_argument("--steps", type=positive, default=30_000, help="environment steps of each training")
    add_folder(parser)
    add_json(parser)

    parser = commands.add(
        "curves", "Draw how the return of finished trainings rose, from their TensorBoard events.", curves
    )
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="with runs of qfl train, also beneath it"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="picture to write; only a table if not given")
    parser.add_argument("--page", type=Path, metavar="FILE.md", help="page to write, with results of qfl leaderboard")
    add_json(parser)


def train(options: Namespace) -> None:
    """Train an agent."""
    from train.progress import progress_bar
    from train.runs import make_writable
    from train.training.deep_rl import train as run_training
    from train.training.plans import MODEL_FILE, read_plan

    plan = _plan(options)
    folder = options.out / (options.name or f"{short_name(plan.env_id)}-{plan.agent}-{plan.preset}-seed{plan.seed}")
    if (folder / MODEL_FILE).exists():
        raise InvalidValueError("run folder", str(folder), "one without a finished model; choose another --name")
    make_writable(folder)
    with progress_bar(plan.steps, "step") as bar:
        run_training(plan, folder, lambda steps: bar.update(min(steps, plan.steps) - bar.n) and None)
    print(f"model: {folder / MODEL_FILE}, {read_plan(folder).parameters} parameters")
    print(f"curves: tensorboard --logdir {folder}")
    print(f"evaluate it with: qfl evaluate --model {folder}")


def tune(options: Namespace) -> None:
    """Search for better settings."""
    from train.runs import RunFolder
    from train.training import settings
    from train.training.tuning import BEST_FILE, Search, as_toml
    from train.training.tuning import tune as search_settings

    reject_unknown([options.agent], [name for name in settings.names() if not settings.is_team(name)], "agent to tune")
    plan = _plan(options, quick=True)
    search = Search(plan, options.trials)
    config = search.config()
    name = options.name or f"tune-{short_name(plan.env_id)}-{plan.agent}-{plan.preset}-seed{plan.seed}"
    folder = RunFolder(options.out / name, config)
    found = search_settings(search, folder, say=say)
    print(as_toml(search, found), end="")
    print(f"# written: {folder.path / BEST_FILE}; merge it into the settings of {plan.agent}")


def compare_teams(options: Namespace) -> None:
    """Compare teams of devices."""
    from agents.multi_agent import configurations as teams
    from qfl_envs.presets import PRESETS
    from qfl_envs.registration import MULTI_AGENT_ENVIRONMENTS
    from train.runs import RunFolder
    from train.training.team_comparison import Comparison, compare

    environments, names = options.env or list(MULTI_AGENT_ENVIRONMENTS), options.team or teams.names()
    reject_unknown(environments, MULTI_AGENT_ENVIRONMENTS, "environment of devices")
    reject_unknown(names, teams.names(), "team")
    reject_unknown([options.preset], PRESETS, "preset")
    comparison = Comparison(tuple(environments), tuple(names), options.preset, options.steps, options.seeds)
    folder = RunFolder(options.out / (options.name or f"teams-{options.preset}"), comparison.config())
    print_rows(compare(comparison, folder, say), options.json)


def curves(options: Namespace) -> None:
    """Draw learning curves."""
    from train.runs import write_atomically
    from train.training import curves as learning_curves

    if options.out is not None and options.out.suffix != ".png":
        raise InvalidValueError("--out", str(options.out), "a file that ends in .png")
    found = learning_curves.find(options.folders)
    if options.out is not None:
        learning_curves.draw(found, options.out)
    if options.page is not None:
        picture = None if options.out is None else os.path.relpath(options.out, options.page.parent)
        write_atomically(options.page, learning_curves.page(found, options.folders, picture))
    print_rows([curve.to_row() for curve in found], options.json)


def _plan(options: Namespace, quick: bool = False) -> TrainingPlan:
    """What the options ask for; a wrong preset or argument is found here, before there is a folder."""
    from train.evaluation import make_env
    from train.training.plans import plan_training

    env_id, arguments = known_env(options.env), arguments_of(options)
    plan = plan_training(options.agent, env_id, options.preset, arguments, options.steps, options.seed, quick)
    make_env(plan.env_id, "train", {"scenario": plan.preset, **plan.arguments}).close()
    return plan
