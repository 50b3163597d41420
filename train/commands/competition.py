"""The leaderboard and its page."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown
from qfl_envs.registration import ENVIRONMENTS
from train.commands.options import Commands, Help, add_folder, add_overrides, arguments_of, natural, positive
from train.commands.printing import say

EXIT_OK, EXIT_FAILED = 0, 3


def add(commands: Commands) -> None:
    """Say what may be typed."""
    parser = commands.add(
        "leaderboard",
        "Train and play all competitors on the same instances; goes on where it was stopped.",
        leaderboard,
    )
    parser.add_argument(
        "--quick", action="store_true", help="the line-up that takes minutes: docs/leaderboard.md lists it"
    )
    parser.add_argument(
        "--full", action="store_true", help="the line-up with everybody, which takes days on one machine"
    )
    parser.add_argument("--env", action="append", metavar="ID", help="environment, may be repeated; all if not given")
    parser.add_argument(
        "--competitor",
        action="append",
        metavar="NAME",
        help="competitor, may be repeated, also module:Name or path.zip of your own; if not given, those of the "
        "line-up, or all that qfl competitors lists as by default",
    )
    parser.add_argument("--seeds", type=positive, help="test seeds; those of the line-up, or 50, if not given")
    parser.add_argument(
        "--steps", type=positive, help="training steps of each agent; as the line-up, or as shipped, if not given"
    )
    parser.add_argument("--training-seed", type=natural, default=0, help="seed of the training")
    parser.add_argument("--workers", type=positive, help="processes; one per processor core if not given")
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="play on a Ray cluster: host:port of its head, or auto on one of its nodes; on this machine if not given",
    )
    parser.add_argument(
        "--entry-timeout",
        type=positive,
        metavar="SECONDS",
        help="wall time of an entry, training and all its episodes together; no limit if not given",
    )
    parser.add_argument("--retry-failed", action="store_true", help="play entries again that failed before")
    parser.add_argument(
        "--preset", action="append", metavar="NAME", help="scenario, may be repeated, a table each; small if not given"
    )
    add_overrides(parser)
    add_folder(parser)
    merging = parser.add_subparsers(
        dest="action", metavar="merge", help="put the runs of several people together"
    ).add_parser(
        "merge",
        description="Put runs together that have protocol, code and settings in common, and write their leaderboard.",
        formatter_class=Help,
    )
    merging.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="run folder of qfl leaderboard")
    merging.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="run folder to write")
    merging.set_defaults(run=merge)

    parser = commands.add(
        "report", "Write the page of a leaderboard again, leaderboard.html, from the folder of its run.", report
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="that qfl leaderboard wrote")
    parser.add_argument(
        "--no-replays", action="store_false", dest="replays", help="without an episode of each environment"
    )
    parser.add_argument(
        "--into", type=Path, metavar="FILE", help="put its tables between the marks of a Markdown page instead"
    )


def leaderboard(options: Namespace) -> int:
    """Let all compete."""
    from qfl_envs.presets import PRESETS
    from train.competition.leaderboard import run
    from train.competition.line_ups import line_up
    from train.runs import RunFolder

    presets = list(dict.fromkeys(options.preset or ["small"]))
    reject_unknown(presets, PRESETS, "preset")
    if options.quick and options.full:
        raise InvalidValueError("--quick", True, "one of --quick and --full")
    pace = "quick" if options.quick else "full" if options.full else None
    chosen, codes = line_up(pace), []
    for preset in presets:
        matrix = matrix_of(options, preset, chosen)
        config = matrix.config()
        name = options.name or f"{pace or 'leaderboard'}-{preset}"
        folder = RunFolder(options.out / (f"{name}-{preset}" if options.name and len(presets) > 1 else name), config)
        results = run(matrix, folder, _pool(options), say, options.entry_timeout, options.retry_failed)
        codes.append(_show(config, results, folder.path, "; --retry-failed plays them again"))
    return max(codes)


def report(options: Namespace) -> None:
    """Write the page of a leaderboard again, or its tables into another page."""
    from train.report.excerpt import write_into
    from train.report.page import write_page

    if options.into is not None:
        print(f"written: {write_into(options.folder, options.into)}")
        return
    print(f"written: {write_page(options.folder, say, options.replays)}")


def matrix_of(options: Namespace, preset: str, chosen: Any) -> Any:
    """What competes in one preset: what the options name, and else what the line-up does."""
    from train import competitors as known
    from train.competition import outside
    from train.competition.matrix import Matrix

    of_line_up = [env_id for env_id in ENVIRONMENTS if env_id in chosen.competitors]
    environments = tuple(dict.fromkeys(options.env or of_line_up or ENVIRONMENTS))
    reject_unknown(environments, ENVIRONMENTS, "environment")
    if options.competitor:
        names, only = tuple(dict.fromkeys(options.competitor)), {}
    else:
        only = {env_id: chosen.competitors[env_id] for env_id in environments if env_id in chosen.competitors}
        names = tuple(dict.fromkeys(name for of in only.values() for name in of)) or tuple(known.default_names())
    reject_unknown([name for name in names if not outside.is_outside(name)], known.names(), "competitor")
    steps = chosen.steps if options.steps is None else dict.fromkeys(environments, options.steps)
    matrix = Matrix(
        environments=environments,
        competitors=names,
        only=only,
        preset=preset,
        arguments=arguments_of(options),
        seeds=options.seeds or chosen.seeds,
        steps={env_id: steps[env_id] for env_id in environments if env_id in steps},
        training_seed=options.training_seed,
    )
    for name in options.competitor or ():
        if not any(matrix.supports(name, env_id) for env_id in environments):
            of_model = ", with the observation and action space of its training" if outside.is_model(name) else ""
            raise InvalidValueError("--competitor", name, f"one that supports {' or '.join(environments)}{of_model}")
    return matrix


def _pool(options: Namespace) -> AbstractContextManager[Any]:
    """Where jobs run."""
    if options.ray is not None:
        from train.competition.ray_pool import connect

        return connect(options.ray)
    from train.competition.workers import start_workers

    return start_workers(options.workers or len(os.sched_getaffinity(0)))


def merge(options: Namespace) -> int:
    """Put together what several people played."""
    from train.competition import merging

    config, results = merging.merge(options.folders, options.out)
    return _show(config, results, options.out)


def _show(config: Mapping[str, Any], results: Any, folder: Path, advice: str = "") -> int:
    """Write and print the tables; the exit code. The advice is for entries that failed."""
    from train.competition.leaderboard import publish
    from train.report.page import write_page
    from train.runs import RunFolderError

    print("\n" + publish(config, results, folder))
    files = ["leaderboard.md", "leaderboard.json", "leaderboard.png", "results.jsonl", "config.json"]
    try:
        files.insert(0, write_page(folder, say).name)
    except RunFolderError as error:
        say(f"no leaderboard.html: {error}")
    print(f"\nwritten: {folder}/{', '.join(files)}")
    failed = [entry for entry in config["entries"] if results.failure(tuple(entry)) is not None]
    if failed:
        say(f"{len(failed)} of the entries failed{advice}")
    return EXIT_FAILED if failed else EXIT_OK
