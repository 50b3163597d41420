"""Commands that play: a competitor, a picture of an episode, the references of all environments."""

from __future__ import annotations

import dataclasses
import json
import shlex
from argparse import Namespace
from pathlib import Path
from typing import Any

from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown
from qfl_envs.registration import ENVIRONMENTS
from train.commands.options import (
    Commands,
    add_folder,
    add_json,
    add_scenario,
    arguments_of,
    known_env,
    natural,
    positive,
)
from train.commands.printing import print_rows


def add(commands: Commands) -> None:
    """Say what may be typed."""
    parser = commands.add("evaluate", "Play episodes with one competitor, or with a trained model.", evaluate)
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--model", type=Path, metavar="FOLDER", help="folder that qfl train wrote")
    who.add_argument("--competitor", metavar="NAME", help="a competitor that needs no training")
    who.add_argument(
        "--pretrained",
        nargs="?",
        const="ppo",
        metavar="AGENT",
        help="a policy that comes with the package, ppo if not named; qfl pretrained lists them",
    )
    parser.add_argument("--env", metavar="ID", help="environment; that of the model if not given")
    parser.add_argument("--seeds", type=positive, default=10, help="episodes, on seeds 0, 1, ...")
    parser.add_argument("--split", default="test", help="train, val or test instances")
    parser.add_argument(
        "--backend",
        metavar="NAME",
        help="where the circuits of a model run: batched, or a device of PennyLane, e.g. pennylane:lightning.qubit; "
        "the fast simulator, batched, if not given",
    )
    parser.add_argument("--shots", type=positive, help="shots of each circuit; exact values if not given")
    parser.add_argument(
        "--noise",
        type=float,
        metavar="P",
        help="probability that a gate depolarises a qubit; on pennylane:default.mixed",
    )
    add_scenario(parser, "that of the model, or small, if not given", None)
    add_json(parser)

    parser = commands.add(
        "render", "Play an episode and draw it as an animation, a picture, text or in a window.", render
    )
    parser.add_argument("--env", metavar="ID", help="environment; qfl/Scheduling-v0, or that of the model")
    parser.add_argument("--competitor", default="round-robin", metavar="NAME", help="who plays")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="let a trained model play")
    parser.add_argument("--seed", type=natural, default=0, help="seed of the test instance")
    parser.add_argument("--rounds", type=positive, help="rounds to draw; the whole episode if not given")
    parser.add_argument("--out", type=Path, metavar="FILE", help=".gif for all rounds, .png for the last; else text")
    parser.add_argument("--human", action="store_true", help="show a window instead")
    add_scenario(parser, "that of the model, or small, if not given", None)

    parser = commands.add(
        "reference",
        "Play random, the reference of every environment (score 1) and other baselines; goes on where it was stopped.",
        reference,
    )
    parser.add_argument("--env", action="append", metavar="ID", help="environment, may be repeated; all if not given")
    parser.add_argument(
        "--preset", action="append", metavar="PRESET", help="scenario, may be repeated; tiny and small if not given"
    )
    parser.add_argument(
        "--competitor",
        action="append",
        metavar="NAME",
        help="who plays beside random and the reference, may be repeated; the default baselines if not given",
    )
    parser.add_argument("--split", default="test", help="train, val or test instances")
    parser.add_argument("--tier", choices=("real", "surrogate"), default="real", help="who learns")
    parser.add_argument("--seeds", type=positive, default=10, help="episodes of each, on seeds 0, 1, ...")
    parser.add_argument("--speed", action="store_true", help="measure federated rounds per second as well")
    parser.add_argument("--write", action="store_true", help="replace these rows of what scores and pages use")
    add_folder(parser)
    add_json(parser)


def evaluate(options: Namespace) -> None:
    """Play some episodes."""
    from train.competition import summaries, table
    from train.competition.scores import find_scale
    from train.evaluation import make_env_of, play
    from train.progress import progress_bar

    env_id, environment, competitor = player_of(options)
    arguments = {name: value for name, value in environment.items() if name != "scenario"}
    env = make_env_of(competitor, env_id, options.split, environment)
    scale, meaning = find_scale(env_id, environment["scenario"], options.split, arguments)
    episodes = []
    with progress_bar(options.seeds, "episode") as bar:
        for seed in range(options.seeds):
            episodes.append(play(env, competitor, seed))
            bar.update()
    if options.json:
        scores = [None if scale is None else float(scale.score(episode.episode_return)) for episode in episodes]
        cost = dataclasses.asdict(competitor.cost())
        rows = [{**one.to_row(), "score": score, "cost": cost} for one, score in zip(episodes, scores, strict=True)]
        print(json.dumps(rows))
    else:
        print(f"{env_id}, {options.seeds} episodes of split {options.split!r}")
        print(table.render(summaries.rows(episodes, scale), "simple"))
        if competitor.cost().circuit_evaluations > 0:
            print("\n" + _cost_of_circuits(competitor.cost()))
        print("\n" + meaning)
        print("\n" + table.LEGEND)


def render(options: Namespace) -> None:
    """Draw an episode."""
    from train.animation import WRITERS, draw_episode
    from train.evaluation import make_env_of

    if options.out is not None and options.out.suffix not in WRITERS:
        raise InvalidValueError("--out", str(options.out), "a file that ends in " + " or ".join(WRITERS))
    if options.out is not None and options.human:
        raise InvalidValueError("--out", str(options.out), "nothing beside --human, which writes no file")
    mode = "human" if options.human else "ansi" if options.out is None else "rgb_array"
    env_id, environment, competitor = player_of(options)
    env = make_env_of(competitor, env_id, "test", environment, render_mode=mode)
    frames = draw_episode(env, competitor, options.seed, options.rounds)
    if mode == "ansi":
        for frame in frames:
            print(frame, end="\n\n")
    elif mode == "rgb_array":
        WRITERS[options.out.suffix](options.out, frames)
        print(f"written: {options.out}")
    else:
        for _ in frames:
            pass


def reference(options: Namespace) -> None:
    """Play the references, and those they are compared with."""
    from qfl_envs.envs.instances import SPLITS
    from qfl_envs.presets import PRESETS
    from train import competitors as known
    from train import reference as references
    from train.progress import progress_bar

    environments, presets = options.env or list(ENVIRONMENTS), options.preset or ["tiny", "small"]
    reject_unknown(environments, ENVIRONMENTS, "environment")
    reject_unknown(presets, PRESETS, "preset")
    reject_unknown([options.split], SPLITS, "split")
    for name in options.competitor or ():
        if known.is_trained(name):
            raise InvalidValueError("--competitor", name, "one that needs no training")
        if not any(known.supports(name, env_id) for env_id in environments):
            raise InvalidValueError("--competitor", name, f"one that supports {' or '.join(environments)}")
    plan = references.Plan(
        environments=environments,
        presets=presets,
        split=options.split,
        tier=options.tier,
        seeds=options.seeds,
        competitors=options.competitor,
        command=shlex.join(["qfl", *options.words]),
        speed=options.speed,
    )
    with progress_bar(plan.episodes(), "episode") as bar:
        rows = references.measure(plan, references.work_folder(options.out / (options.name or "reference")), bar.update)
    if options.write:
        references.write(rows)
    if options.json:
        print(json.dumps(rows))
    else:
        print_rows(
            [{"env_id": row["env_id"], **shown} for row, shown in zip(rows, references.table(rows), strict=True)], False
        )


def player_of(options: Namespace) -> tuple[str, dict[str, Any], Any]:
    """Environment, its arguments, and the competitor that the options name."""
    from train import competitors as known
    from train.training.loading import load

    arguments, execution = arguments_of(options), _execution(options)
    pretrained = getattr(options, "pretrained", None)
    if options.model is None and pretrained is None:
        if execution is not None:
            raise InvalidValueError("--backend", execution.backend, "none without --model or --pretrained")
        env_id = known_env(options.env or "qfl/Scheduling-v0")
        if known.is_trained(options.competitor):
            raise InvalidValueError(
                "--competitor",
                options.competitor,
                "one that needs no training; those that do play from --model FOLDER, which qfl train writes",
            )
        competitor = known.make(options.competitor)
        competitor.require(env_id)
        return env_id, {"scenario": options.preset or "small", **arguments}, competitor
    if pretrained is None:
        trained = load(options.model, execution)
    else:
        from train.training import pretrained as shipped

        trained = shipped.load(known_env(options.env or "qfl/Scheduling-v0"), pretrained, execution)
    env_id = known_env(options.env or trained.plan.env_id)
    trained.require(env_id)
    return env_id, {"scenario": options.preset or trained.plan.preset, **trained.plan.arguments, **arguments}, trained


def _execution(options: Namespace) -> Any:
    """Where the circuits of a model run; None where the options do not say."""
    given: dict[str, Any] = {name: getattr(options, name, None) for name in ("backend", "shots", "noise")}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return None
    from agents.policies.execution import Execution

    return Execution(**given)


def _cost_of_circuits(cost: Any) -> str:
    return (
        f"circuits: {cost.circuit_evaluations:g} a decision, {cost.shots:g} shots, {1e3 * cost.quantum_s:.3g} ms on "
        f"the modelled processor; {cost.quantum_parameters} parameters of {cost.parameters} are theirs, "
        f"{cost.classical_pre_parameters} before and {cost.classical_post_parameters} behind them are classical"
    )
