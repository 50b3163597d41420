"""The command line ``qfl``: what may be typed; :mod:`train.commands` does the work."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from qfl_envs.errors import QflError

EXIT_WRONG_INPUT, EXIT_INTERRUPTED = 2, 130


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with the exit code of wrong input."""
        self.exit(EXIT_WRONG_INPUT, f"{self.prog}: error: {message}; see {self.prog} --help\n")


class Help(argparse.HelpFormatter):
    """Help with the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default in (None, False, {}, argparse.SUPPRESS)
        return action.help if silent else f"{action.help} (default: %(default)s)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after ``qfl``; None for those of the process.

    Returns:
        0, 2 for wrong input, 3 if entries of a leaderboard failed, or 130 if interrupted.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(words)
    options.words = words
    from train import commands

    try:
        code: int | None = getattr(commands, options.command.replace("-", "_"))(options)
    except QflError as error:
        print(f"qfl {options.command}: error: {error}", file=sys.stderr)
        return EXIT_WRONG_INPUT
    except KeyboardInterrupt:
        print(f"qfl {options.command}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # the reader, e.g. head, has seen enough; do not let the interpreter complain when it flushes
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115
        return 0
    return code or 0


def _parser() -> Parser:
    parser = Parser(
        prog="qfl",
        description="Quantum federated learning over a wireless network: environments, competitors, leaderboard.",
        epilog="qfl COMMAND --help explains a command. Start with: qfl leaderboard --quick",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> Parser:
        command: Parser = commands.add_parser(name, help=text, description=text, formatter_class=Help)
        return command

    envs = add("envs", "List the environments, or print how a preset is calibrated.")
    envs.add_argument("--describe", metavar="PRESET", help="histograms of times, batteries, links and accuracy")
    envs.add_argument("--episodes", type=_positive, default=4, help="episodes behind the histograms")
    _add_overrides(envs)
    _add_json(envs)

    _add_json(add("competitors", "List the competitors."))

    training = add("train", "Train an agent; writes a model, its plan and TensorBoard events.")
    training.add_argument("--agent", default="ppo", help="who is trained; qfl competitors lists all")
    training.add_argument("--env", default="qfl/Scheduling-v0", metavar="ID", help="environment")
    training.add_argument("--steps", type=_positive, help="environment steps; the shipped budget if not given")
    training.add_argument("--seed", type=_natural, default=0, help="seed of network, exploration and instances")
    _add_scenario(training)
    _add_folder(training)

    tuning = add("tune", "Search for better settings of an agent on the val split; goes on where it was stopped.")
    tuning.add_argument("--agent", default="ppo", help="whose settings; qfl competitors lists all")
    tuning.add_argument("--env", default="qfl/Scheduling-v0", metavar="ID", help="environment")
    tuning.add_argument("--trials", type=_positive, default=20, help="settings to try, the shipped ones first")
    tuning.add_argument(
        "--steps", type=_positive, help="environment steps of each; the shipped quick budget if not given"
    )
    tuning.add_argument("--seed", type=_natural, default=0, help="seed of the search and of every training")
    _add_scenario(tuning)
    _add_folder(tuning)

    comparison = add(
        "compare-teams",
        "Train teams of devices and their controls on several seeds, on the surrogate tier, and compare them; goes on "
        "where it was stopped.",
    )
    comparison.add_argument(
        "--env", action="append", metavar="ID", help="environment, may be repeated; all of devices if not given"
    )
    comparison.add_argument(
        "--team", action="append", metavar="NAME", help="team, may be repeated, the one to compare with first; or all"
    )
    comparison.add_argument("--preset", default="small", help="scenario")
    comparison.add_argument("--seeds", type=_positive, default=5, help="trainings of each team")
    comparison.add_argument("--steps", type=_positive, default=30_000, help="environment steps of each training")
    _add_folder(comparison)
    _add_json(comparison)

    evaluate = add("evaluate", "Play episodes with one competitor, or with a trained model.")
    who = evaluate.add_mutually_exclusive_group(required=True)
    who.add_argument("--model", type=Path, metavar="FOLDER", help="folder that qfl train wrote")
    who.add_argument("--competitor", metavar="NAME", help="a competitor that needs no training")
    who.add_argument(
        "--pretrained",
        nargs="?",
        const="ppo",
        metavar="AGENT",
        help="a policy that comes with the package, ppo if not named; qfl pretrained lists them",
    )
    evaluate.add_argument("--env", metavar="ID", help="environment; that of the model if not given")
    evaluate.add_argument("--seeds", type=_positive, default=10, help="episodes, on seeds 0, 1, ...")
    evaluate.add_argument("--split", default="test", help="train, val or test instances")
    evaluate.add_argument(
        "--backend",
        metavar="NAME",
        help="where the circuits of a model run: batched, or a device of PennyLane, e.g. pennylane:lightning.qubit; "
        "the fast simulator, batched, if not given",
    )
    evaluate.add_argument("--shots", type=_positive, help="shots of each circuit; exact values if not given")
    evaluate.add_argument(
        "--noise",
        type=float,
        metavar="P",
        help="probability that a gate depolarises a qubit; on pennylane:default.mixed",
    )
    _add_scenario(evaluate, "that of the model, or small, if not given", None)
    _add_json(evaluate)

    pretrained = add("pretrained", "List the trained policies that come with the package.")
    pretrained.add_argument(
        "--keep", nargs="+", type=Path, metavar="FOLDER", help="put finished runs of qfl train among them"
    )
    _add_json(pretrained)

    curves = add("curves", "Draw how the return of finished trainings rose, from their TensorBoard events.")
    curves.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="with runs of qfl train, also beneath it"
    )
    curves.add_argument("--out", type=Path, metavar="FILE.png", help="picture to write; only a table if not given")
    curves.add_argument("--page", type=Path, metavar="FILE.md", help="page to write, with results of qfl leaderboard")
    _add_json(curves)

    board = add("leaderboard", "Train and play all competitors on the same instances; goes on where it was stopped.")
    board.add_argument(
        "--quick", action="store_true", help="the line-up that takes minutes: docs/leaderboard.md lists it"
    )
    board.add_argument(
        "--full", action="store_true", help="the line-up with everybody, which takes days on one machine"
    )
    board.add_argument("--env", action="append", metavar="ID", help="environment, may be repeated; all if not given")
    board.add_argument(
        "--competitor",
        action="append",
        metavar="NAME",
        help="competitor, may be repeated, also module:Name or path.zip of your own; if not given, those of the "
        "line-up, or all that qfl competitors lists as by default",
    )
    board.add_argument("--seeds", type=_positive, help="test seeds; those of the line-up, or 50, if not given")
    board.add_argument(
        "--steps", type=_positive, help="training steps of each agent; as the line-up, or as shipped, if not given"
    )
    board.add_argument("--training-seed", type=_natural, default=0, help="seed of the training")
    board.add_argument("--workers", type=_positive, help="processes; one per processor core if not given")
    board.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="play on a Ray cluster: host:port of its head, or auto on one of its nodes; on this machine if not given",
    )
    board.add_argument(
        "--entry-timeout",
        type=_positive,
        metavar="SECONDS",
        help="wall time of an entry, training and all its episodes together; no limit if not given",
    )
    board.add_argument("--retry-failed", action="store_true", help="play entries again that failed before")
    board.add_argument(
        "--preset", action="append", metavar="NAME", help="scenario, may be repeated, a table each; small if not given"
    )
    _add_overrides(board)
    _add_folder(board)
    merging = board.add_subparsers(
        dest="action", metavar="merge", help="put the runs of several people together"
    ).add_parser(
        "merge",
        description="Put runs together that have protocol, code and settings in common, and write their leaderboard.",
        formatter_class=Help,
    )
    merging.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="run folder of qfl leaderboard")
    merging.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="run folder to write")

    page = add("report", "Write the page of a leaderboard again, leaderboard.html, from the folder of its run.")
    page.add_argument("folder", type=Path, metavar="FOLDER", help="that qfl leaderboard wrote")
    page.add_argument(
        "--no-replays", action="store_false", dest="replays", help="without an episode of each environment"
    )
    page.add_argument(
        "--into", type=Path, metavar="FILE", help="put its tables between the marks of a Markdown page instead"
    )

    tested = add(
        "claims",
        "Measure what the article claims, and say claim by claim what holds; goes on where it was stopped.",
    )
    size = tested.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_true", help="small experiments; what is done if nothing else is asked for"
    )
    size.add_argument("--full", action="store_true", help="experiments of full size, which take hours")
    tested.add_argument("--claim", action="append", metavar="NAME", help="claim, may be repeated; all if not given")
    tested.add_argument(
        "--from",
        action="append",
        type=_named_folder,
        default=[],
        dest="sources",
        metavar="EXPERIMENT=FOLDER",
        help="read an experiment from the results of another command, such as sum-rate=runs/case-study",
    )
    _add_folder(tested)

    study = add(
        "case-study",
        "Reproduce Figure 4 of the article: sum-rate of all allocators, and learning under their rates; goes on where "
        "it was stopped.",
    )
    study.add_argument("--part", choices=("4a", "4b"), help="only this figure; both if not given")
    study.add_argument("--quick", action="store_true", help="few instances, seeds and rounds, without the slow ones")
    study.add_argument("--instances", type=_positive, help="instances of Figure 4a; 2 with --quick, else 20")
    study.add_argument("--seeds", type=_positive, help="episodes of each series of Figure 4b; 1 with --quick, else 5")
    study.add_argument("--rounds", type=_positive, help="rounds of an episode; 10 with --quick, else 100")
    study.add_argument(
        "--allocator", action="append", metavar="NAME", help="of Figure 4a, may be repeated; all if not given"
    )
    study.add_argument("--preset", default="paper", help="scenario to start from")
    study.add_argument(
        "--set",
        type=_json_object,
        default={},
        metavar="JSON",
        dest="arguments",
        help="""changes of the scenario, e.g. '{"num_devices": 50}'""",
    )
    _add_folder(study)

    render = add("render", "Play an episode and draw it as an animation, a picture, text or in a window.")
    render.add_argument("--env", metavar="ID", help="environment; qfl/Scheduling-v0, or that of the model")
    render.add_argument("--competitor", default="round-robin", metavar="NAME", help="who plays")
    render.add_argument("--model", type=Path, metavar="FOLDER", help="let a trained model play")
    render.add_argument("--seed", type=_natural, default=0, help="seed of the test instance")
    render.add_argument("--rounds", type=_positive, help="rounds to draw; the whole episode if not given")
    render.add_argument("--out", type=Path, metavar="FILE", help=".gif for all rounds, .png for the last; else text")
    render.add_argument("--human", action="store_true", help="show a window instead")
    _add_scenario(render, "that of the model, or small, if not given", None)

    reference = add(
        "reference",
        "Play random, the reference of every environment (score 1) and other baselines; goes on where it was stopped.",
    )
    reference.add_argument(
        "--env", action="append", metavar="ID", help="environment, may be repeated; all if not given"
    )
    reference.add_argument(
        "--preset", action="append", metavar="PRESET", help="scenario, may be repeated; tiny and small if not given"
    )
    reference.add_argument(
        "--competitor",
        action="append",
        metavar="NAME",
        help="who plays beside random and the reference, may be repeated; the default baselines if not given",
    )
    reference.add_argument("--split", default="test", help="train, val or test instances")
    reference.add_argument("--tier", choices=("real", "surrogate"), default="real", help="who learns")
    reference.add_argument("--seeds", type=_positive, default=10, help="episodes of each, on seeds 0, 1, ...")
    reference.add_argument("--speed", action="store_true", help="measure federated rounds per second as well")
    reference.add_argument("--write", action="store_true", help="replace these rows of what scores and pages use")
    _add_folder(reference)
    _add_json(reference)

    calibrate = add(
        "calibrate", "Fit the surrogate to recorded rounds of the quantum learner, and print how well it agrees."
    )
    calibrate.add_argument(
        "--preset",
        action="append",
        metavar="PRESET",
        help="whose rounds, may be repeated; tiny, small, paper if not given",
    )
    calibrate.add_argument(
        "--record", action="store_true", help="play the real rounds anew; the shipped ones if not given"
    )
    calibrate.add_argument("--iterations", type=_positive, default=200, help="evaluations of the fit")
    calibrate.add_argument(
        "--agreement", type=_positive, metavar="SEEDS", help="compare how baselines rank on both tiers"
    )
    calibrate.add_argument("--write", action="store_true", help="replace what is shipped by what was found")
    _add_json(calibrate)

    angles = add("qaoa-angles", "Tune the angles that QAOA allocators use unchanged on all instances, and print them.")
    angles.add_argument("--preset", default="small", help="whose instances of the train split")
    angles.add_argument("--instances", type=_positive, default=40, help="how many")
    angles.add_argument("--write", action="store_true", help="replace the shipped angles by what was found")
    _add_json(angles)

    security = add(
        "security",
        "Measure what protection costs, what attacks do and what defences win back; a table per part, or a picture.",
    )
    security.add_argument(
        "--part",
        action="append",
        choices=(
            "protection",
            "rounds",
            "aggregation",
            "keys",
            "distance",
            "leakage",
            "answers",
            "screening",
            "defences",
        ),
        help="what is measured, may be repeated; all if not given",
    )
    security.add_argument(
        "--rounds", type=_positive, default=20, help="federated rounds behind an accuracy or a screening"
    )
    security.add_argument("--seeds", type=_positive, default=3, help="systems behind a mean, victims of a leakage")
    security.add_argument("--preset", default="tiny", help="scenario of the attacked learners")
    security.add_argument("--partition", default="iid", help="how their data are dealt out in part defences")
    security.add_argument("--out", type=Path, metavar="FILE.png", help="picture to write")
    _add_json(security)

    ledger = add("ledger", "Write or verify a signed, chained ledger of updates.")
    ledger.add_argument(
        "action",
        choices=("verify", "record"),
        help="verify: every entry's hash, link and signature; record: play rounds whose updates are written down",
    )
    ledger.add_argument("file", type=Path, metavar="FILE", help="ledger, one JSON object per line")
    ledger.add_argument("--preset", default="tiny", help="scenario of the rounds that are recorded")
    ledger.add_argument("--rounds", type=_positive, default=5, help="federated rounds that are recorded")
    ledger.add_argument("--signature", default="ml-dsa-44", help="what devices sign with: one of ML-DSA, or ecdsa-p256")
    _add_json(ledger)

    benchmark = add(
        "benchmark", "Measure speed and memory on this machine, as ratios taken in one run, or what allocators reach."
    )
    subjects = (
        *("circuits", "envs", "scaling", "memory", "mobile-env", "solvers"),
        *("qaoa", "allocation", "annealing", "learners", "policies", "teams", "harness", "security"),
    )
    benchmark.add_argument("subject", choices=subjects, help="what is measured")
    _add_json(benchmark)
    return parser


def _add_scenario(parser: Parser, absent: str = "", default: str | None = "small") -> None:
    parser.add_argument("--preset", default=default, help="scenario to start from" + (f"; {absent}" if absent else ""))
    _add_overrides(parser)


def _add_overrides(parser: Parser) -> None:
    parser.add_argument(
        "--set",
        type=_json_object,
        default={},
        metavar="JSON",
        dest="arguments",
        help="""arguments of the environment, e.g. '{"num_devices": 10, "radio": {"num_subchannels": 4}}'""",
    )
    parser.add_argument(
        "--server", metavar="NAME", help="how the server merges, e.g. q-fedavg or fedprox; as the preset if not given"
    )


def _add_folder(parser: Parser) -> None:
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="FOLDER", help="where run folders lie")
    parser.add_argument("--name", help="name of the run folder; made from the settings if not given")


def _add_json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _natural(text: str) -> int:
    return _integer(text, 0)


def _positive(text: str) -> int:
    return _integer(text, 1)


def _integer(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: a whole number of at least {least}")
    return number


def _named_folder(text: str) -> tuple[str, Path]:
    name, separator, folder = text.partition("=")
    if not (name and separator and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: EXPERIMENT=FOLDER")
    return name, Path(folder)


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON ({error})") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: a JSON object")
    return value
