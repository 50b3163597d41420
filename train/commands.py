"""What each command of ``qfl`` does; options are those of :mod:`train.cli`."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown
from qfl_envs.registration import ENVIRONMENTS

RESERVED = {"scenario": "--preset", "split": "the command", "render_mode": "the command"}
"""Arguments of an environment that ``--set`` may not hold, and what sets them."""
EXIT_OK, EXIT_FAILED = 0, 3


def envs(options: Namespace) -> None:
    """List the environments, or describe a preset."""
    import gymnasium as gym

    if options.describe is not None:
        from train.describe import describe

        if options.json:
            raise InvalidValueError("--json", True, "nothing beside --describe, which prints text")
        print(describe(options.describe, _arguments(options), options.episodes))
        return
    rows = []
    for env_id in ENVIRONMENTS:
        env = gym.make(env_id, disable_env_checker=True, **_arguments(options)).unwrapped
        summary = (type(env).__doc__ or "").strip().splitlines()[0]
        rows.append({"id": env_id, "action_space": type(env.action_space).__name__, "summary": summary})
    _print_rows(rows, options.json)


def competitors(options: Namespace) -> None:
    """List the competitors."""
    from qfl_envs.competitor import Competitor
    from train import competitors as known

    rows = []
    for name in known.names():
        trained = known.is_trained(name)
        of = Competitor if trained else type(known.make(name))
        summary = f"trained with: qfl train --agent {name}" if trained else (of.__doc__ or "").strip().splitlines()[0]
        rows.append(
            {
                "name": name,
                "kind": known.kind(name),
                "by_default": name in known.default_names(),
                "environments": ", ".join(env_id for env_id in ENVIRONMENTS if known.supports(name, env_id)),
                "summary": summary,
            }
        )
    _print_rows(rows, options.json)


def train(options: Namespace) -> None:
    """Train an agent."""
    from train.plans import MODEL_FILE, plan_training, read_plan
    from train.progress import progress_bar
    from train.runs import make_writable
    from train.training import train as run_training

    plan = plan_training(
        options.agent,
        _known_env(options.env),
        options.preset,
        _arguments(options),
        options.steps,
        options.seed,
    )
    # a wrong preset or argument must not leave a folder behind
    _make_env(plan.env_id, "train", {"scenario": plan.preset, **plan.arguments}).close()
    folder = options.out / (options.name or f"{_short(plan.env_id)}-{plan.agent}-{plan.preset}-seed{plan.seed}")
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
    from train import settings
    from train.plans import plan_training
    from train.runs import RunFolder
    from train.tuning import BEST_FILE, Search, as_toml
    from train.tuning import tune as search_settings

    reject_unknown([options.agent], [name for name in settings.names() if not settings.is_team(name)], "agent to tune")
    plan = plan_training(
        options.agent,
        _known_env(options.env),
        options.preset,
        _arguments(options),
        options.steps,
        options.seed,
        quick=True,
    )
    search = Search(plan, options.trials)
    config = search.config()
    _make_env(plan.env_id, "train", {"scenario": plan.preset, **plan.arguments}).close()
    name = options.name or f"tune-{_short(plan.env_id)}-{plan.agent}-{plan.preset}-seed{plan.seed}"
    folder = RunFolder(options.out / name, config)
    found = search_settings(search, folder, say=_say)
    print(as_toml(search, found), end="")
    print(f"# written: {folder.path / BEST_FILE}; merge it into the settings of {plan.agent}")


def compare_teams(options: Namespace) -> None:
    """Compare teams of devices."""
    from agents.multi_agent import configurations as teams
    from qfl_envs.presets import PRESETS
    from qfl_envs.registration import MULTI_AGENT_ENVIRONMENTS
    from train.runs import RunFolder
    from train.team_comparison import Comparison, compare

    environments, names = options.env or list(MULTI_AGENT_ENVIRONMENTS), options.team or teams.names()
    reject_unknown(environments, MULTI_AGENT_ENVIRONMENTS, "environment of devices")
    reject_unknown(names, teams.names(), "team")
    reject_unknown([options.preset], PRESETS, "preset")
    comparison = Comparison(tuple(environments), tuple(names), options.preset, options.steps, options.seeds)
    folder = RunFolder(options.out / (options.name or f"teams-{options.preset}"), comparison.config())
    _print_rows(compare(comparison, folder, _say), options.json)


def evaluate(options: Namespace) -> None:
    """Play some episodes."""
    from train import summaries, table
    from train.evaluation import make_env_of, play
    from train.progress import progress_bar
    from train.scores import find_scale

    env_id, environment, competitor = _player(options)
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


def pretrained(options: Namespace) -> None:
    """List the policies that come with the package, or add to them."""
    from train import pretrained as shipped

    for folder in options.keep or ():
        _say(f"kept: {shipped.keep(folder)}")
    shown = ("env_id", "agent", "preset", "steps", "seed", "parameters")
    rows = [{name: getattr(plan, name) for name in shown} for plan in shipped.known().values()]
    _print_rows(rows, options.json)


def curves(options: Namespace) -> None:
    """Draw learning curves."""
    from train import curves as learning_curves
    from train.runs import write_atomically

    if options.out is not None and options.out.suffix != ".png":
        raise InvalidValueError("--out", str(options.out), "a file that ends in .png")
    found = learning_curves.find(options.folders)
    if options.out is not None:
        learning_curves.draw(found, options.out)
    if options.page is not None:
        picture = None if options.out is None else os.path.relpath(options.out, options.page.parent)
        write_atomically(options.page, learning_curves.page(found, options.folders, picture))
    _print_rows([curve.to_row() for curve in found], options.json)


def leaderboard(options: Namespace) -> int:
    """Let all compete, or put together what several people played."""
    if options.action == "merge":
        return _merge(options)
    from qfl_envs.presets import PRESETS
    from train.leaderboard import run
    from train.line_ups import line_up
    from train.runs import RunFolder

    presets = list(dict.fromkeys(options.preset or ["small"]))
    reject_unknown(presets, PRESETS, "preset")
    if options.quick and options.full:
        raise InvalidValueError("--quick", True, "one of --quick and --full")
    pace = "quick" if options.quick else "full" if options.full else None
    chosen, codes = line_up(pace), []
    for preset in presets:
        matrix = _matrix(options, preset, chosen)
        config = matrix.config()
        name = options.name or f"{pace or 'leaderboard'}-{preset}"
        folder = RunFolder(options.out / (f"{name}-{preset}" if options.name and len(presets) > 1 else name), config)
        results = run(matrix, folder, _pool(options), _say, options.entry_timeout, options.retry_failed)
        codes.append(_show(config, results, folder.path, "; --retry-failed plays them again"))
    return max(codes)


def _matrix(options: Namespace, preset: str, chosen: Any) -> Any:
    """What competes in one preset: what the options name, and else what the line-up does."""
    from train import competitors as known
    from train import outside
    from train.matrix import Matrix

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
        arguments=_arguments(options),
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
        from train.ray_pool import connect

        return connect(options.ray)
    from train.workers import start_workers

    return start_workers(options.workers or len(os.sched_getaffinity(0)))


def _merge(options: Namespace) -> int:
    from train.merging import merge

    config, results = merge(options.folders, options.out)
    return _show(config, results, options.out)


def _show(config: Mapping[str, Any], results: Any, folder: Path, advice: str = "") -> int:
    """Write and print the tables; the exit code. The advice is for entries that failed."""
    from train.leaderboard import publish
    from train.report.page import write_page
    from train.runs import RunFolderError

    print("\n" + publish(config, results, folder))
    files = ["leaderboard.md", "leaderboard.json", "leaderboard.png", "results.jsonl", "config.json"]
    try:
        files.insert(0, write_page(folder, _say).name)
    except RunFolderError as error:
        _say(f"no leaderboard.html: {error}")
    print(f"\nwritten: {folder}/{', '.join(files)}")
    failed = [entry for entry in config["entries"] if results.failure(tuple(entry)) is not None]
    if failed:
        _say(f"{len(failed)} of the entries failed{advice}")
    return EXIT_FAILED if failed else EXIT_OK


def report(options: Namespace) -> None:
    """Write the page of a leaderboard again, or its tables into another page."""
    from train.report.excerpt import write_into
    from train.report.page import write_page

    if options.into is not None:
        print(f"written: {write_into(options.folder, options.into)}")
        return
    print(f"written: {write_page(options.folder, _say, options.replays)}")


def claims(options: Namespace) -> None:
    """Measure the claims of the article."""
    from train.claims.data import load
    from train.claims.run import run

    catalogue = load("full" if options.full else "quick")
    known = {claim.name: claim for claim in catalogue.claims}
    reject_unknown(options.claim or (), known, "claim")
    sources = dict(options.sources)
    reject_unknown(sources, catalogue.plans, "experiment")
    folder = options.out / (options.name or ("claims" if options.full else "claims-quick"))
    chosen = [known[name] for name in options.claim or known]
    print(run(catalogue, folder, chosen, sources, _say))
    print(f"written: {folder}/claims.md, claims.json; each experiment has a folder of its own beside them")


def case_study(options: Namespace) -> None:
    """Reproduce Figure 4 of the article."""
    from train.case_study.run import run
    from train.case_study.settings import PARTS, plan_study
    from train.runs import RunFolder

    study = plan_study(
        options.preset,
        options.arguments,
        options.quick,
        allocators=None if options.allocator is None else tuple(options.allocator),
        instances=options.instances,
        seeds=options.seeds,
        rounds=options.rounds,
    )
    folder = RunFolder(
        options.out / (options.name or ("case-study-quick" if options.quick else "case-study")), study.config()
    )
    print(run(study, folder, PARTS if options.part is None else (options.part,), _say))
    print(f"written: {folder.path}/case_study.md, figure_4a.png, figure_4b.png, results.jsonl, config.json")


def render(options: Namespace) -> None:
    """Draw an episode."""
    from train.animation import WRITERS, draw_episode
    from train.evaluation import make_env_of

    if options.out is not None and options.out.suffix not in WRITERS:
        raise InvalidValueError("--out", str(options.out), "a file that ends in " + " or ".join(WRITERS))
    if options.out is not None and options.human:
        raise InvalidValueError("--out", str(options.out), "nothing beside --human, which writes no file")
    mode = "human" if options.human else "ansi" if options.out is None else "rgb_array"
    env_id, environment, competitor = _player(options)
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
        _print_rows(
            [{"env_id": row["env_id"], **shown} for row, shown in zip(rows, references.table(rows), strict=True)], False
        )


def calibrate(options: Namespace) -> None:
    """Fit the surrogate, and measure how the tiers agree."""
    from qfl_envs.presets import PRESETS
    from train import agreement, calibration
    from train.progress import progress_bar

    presets = options.preset or list(calibration.SIZES)
    reject_unknown(presets, PRESETS, "preset")
    if options.record:
        for preset in presets:
            systems, rounds = calibration.SIZES.get(preset, calibration.SIZES["small"])
            with progress_bar(rounds, "round") as bar:
                calibration.record(preset, systems, rounds, progress=bar.update).save(calibration.RECORDS)
    entries: dict[str, dict[str, Any]] = {}
    for key in dict.fromkeys(calibration.key_of(preset) for preset in presets):
        records = [calibration.Record.load(preset) for preset in presets if calibration.key_of(preset) == key]
        entries[key] = calibration.calibrate(records, options.iterations)
    rows = [
        {"calibration": key, "preset": preset, "rounds": part, **errors}
        for key, entry in entries.items()
        for part in ("fit", "held_out")
        for preset, errors in entry[part].items()
    ]
    ranks: list[dict[str, Any]] = []
    if options.agreement is not None:
        episodes = options.agreement * agreement.num_plays(list(ENVIRONMENTS))
        with progress_bar(episodes, "episode") as bar:
            found = agreement.measure(list(ENVIRONMENTS), "small", options.agreement, bar.update)
        ranks = [
            {"env_id": env_id, "preset": one["preset"], "seeds": one["seeds"], "kendall_tau": one["kendall_tau"]}
            for env_id, one in found.items()
        ]
    if options.write:
        calibration.write(entries)
        if ranks:
            agreement.write(found)
    if options.json:
        print(json.dumps({"calibrations": entries, "agreement": ranks}))
        return
    _print_rows(rows, False)
    if ranks:
        print()
        _print_rows(ranks, False)


def qaoa_angles(options: Namespace) -> None:
    """Tune the table of transferred angles."""
    from qfl_envs.presets import PRESETS
    from train import qaoa_angles as angles

    reject_unknown([options.preset], PRESETS, "preset")
    found = angles.tune(options.preset, options.instances)
    if options.write:
        angles.write(found)
    if options.json:
        print(json.dumps(found))
    else:
        _print_rows(angles.table(found), False)


def security(options: Namespace) -> None:
    """Measure attacks, protection and defences."""
    from train.security import answers, costs, defences, leaks, round_times, screening

    measures: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "protection": costs.protection_rows,
        "rounds": round_times.rows,
        "aggregation": costs.aggregation_rows,
        "keys": costs.key_rows,
        "distance": costs.distance_rows,
        "leakage": lambda: leaks.rows(options.preset, options.seeds),
        "answers": lambda: answers.rows(options.preset, options.rounds, options.seeds, options.partition),
        "screening": lambda: screening.rows(options.preset, options.rounds, options.seeds),
        "defences": lambda: defences.rows(options.preset, options.rounds, options.seeds, options.partition),
    }
    if options.out is not None and options.out.suffix != ".png":
        raise InvalidValueError("--out", str(options.out), "a file that ends in .png")
    if options.out is not None:
        # before what takes long
        from train.security.figures import PICTURES, draw

        if not options.out.parent.is_dir():
            raise InvalidValueError("--out", str(options.out), "a file in a folder that exists")
        if not PICTURES.keys() & set(options.part or measures):
            raise InvalidValueError("--part", ", ".join(options.part), f"with --out, also one of {', '.join(PICTURES)}")
    parts = {name: measures[name]() for name in options.part or measures}
    if options.json:
        print(json.dumps(parts, indent=2))
    else:
        for name, rows in parts.items():
            print(f"\n{name}")
            _print_rows(rows, False)
    if options.out is not None:
        draw(parts, options.out)


def ledger(options: Namespace) -> None:
    """Write or verify a ledger of updates."""
    from qfl_envs.system.security.ledger import verify

    if options.action == "record":
        from train.security.recording import record

        record(options.file, options.preset, options.rounds, options.signature)
    found = verify(options.file)
    _print_rows([dataclasses.asdict(found)], options.json)
    if found.problem is not None:
        raise InvalidValueError(
            "ledger", str(options.file), f"one that verifies; entry {found.entries}: {found.problem}"
        )


def benchmark(options: Namespace) -> None:
    """Measure."""
    from train.benchmarks import (
        allocation,
        annealing,
        circuits,
        environments,
        harness,
        learners,
        mobile_env,
        policies,
        qaoa,
        scaling,
        security,
        solvers,
        teams,
    )

    measures: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "allocation": allocation.measure,
        "annealing": annealing.measure,
        "circuits": circuits.measure,
        "envs": environments.measure,
        "harness": harness.measure,
        "learners": learners.measure,
        "scaling": scaling.measure_devices,
        "memory": scaling.measure_memory,
        "mobile-env": mobile_env.measure,
        "solvers": solvers.measure,
        "qaoa": qaoa.measure,
        "policies": policies.measure,
        "teams": teams.measure,
        "security": security.measure,
    }
    _print_rows(measures[options.subject](), options.json)


def _player(options: Namespace) -> tuple[str, dict[str, Any], Any]:
    """Environment, its arguments, and the competitor that the options name."""
    from train import competitors as known
    from train.loading import load

    arguments, execution = _arguments(options), _execution(options)
    pretrained = getattr(options, "pretrained", None)
    if options.model is None and pretrained is None:
        if execution is not None:
            raise InvalidValueError("--backend", execution.backend, "none without --model or --pretrained")
        env_id = _known_env(options.env or "qfl/Scheduling-v0")
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
        from train import pretrained as shipped

        trained = shipped.load(_known_env(options.env or "qfl/Scheduling-v0"), pretrained, execution)
    env_id = _known_env(options.env or trained.plan.env_id)
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


def _make_env(env_id: str, split: str, environment: Mapping[str, Any], **keywords: Any) -> Any:
    from train.evaluation import make_env

    return make_env(env_id, split, environment, **keywords)


def _known_env(env_id: str) -> str:
    reject_unknown([env_id], ENVIRONMENTS, "environment")
    return env_id


def _arguments(options: Namespace) -> dict[str, Any]:
    """The arguments of ``--set``, without those that are set elsewhere, under the method of ``--server``."""
    arguments: dict[str, Any] = options.arguments
    for name in arguments.keys() & RESERVED.keys():
        raise InvalidValueError(f"--set {name}", arguments[name], f"nothing; it is set by {RESERVED[name]}")
    if options.server is None:
        return arguments
    from baselines.servers import with_server

    return with_server(options.server, arguments)


def _cost_of_circuits(cost: Any) -> str:
    return (
        f"circuits: {cost.circuit_evaluations:g} a decision, {cost.shots:g} shots, {1e3 * cost.quantum_s:.3g} ms on "
        f"the modelled processor; {cost.quantum_parameters} parameters of {cost.parameters} are theirs, "
        f"{cost.classical_pre_parameters} before and {cost.classical_post_parameters} behind them are classical"
    )


def _short(env_id: str) -> str:
    return env_id.split("/")[-1]


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _print_rows(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    from tabulate import tabulate

    print(tabulate(rows, headers="keys", floatfmt=".4g"))
