"""Commands that fit, tune and measure what others use."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from qfl_envs.fields import reject_unknown
from qfl_envs.registration import ENVIRONMENTS
from train.commands.options import Commands, add_json, positive
from train.commands.printing import print_rows


def add(commands: Commands) -> None:
    """Say what may be typed."""
    parser = commands.add(
        "calibrate",
        "Fit the surrogate to recorded rounds of the quantum learner, and print how well it agrees.",
        calibrate,
    )
    parser.add_argument(
        "--preset",
        action="append",
        metavar="PRESET",
        help="whose rounds, may be repeated; tiny, small, paper if not given",
    )
    parser.add_argument(
        "--record", action="store_true", help="play the real rounds anew; the shipped ones if not given"
    )
    parser.add_argument("--iterations", type=positive, default=200, help="evaluations of the fit")
    parser.add_argument("--agreement", type=positive, metavar="SEEDS", help="compare how baselines rank on both tiers")
    parser.add_argument("--write", action="store_true", help="replace what is shipped by what was found")
    add_json(parser)

    parser = commands.add(
        "qaoa-angles",
        "Tune the angles that QAOA allocators use unchanged on all instances, and print them.",
        qaoa_angles,
    )
    parser.add_argument("--preset", default="small", help="whose instances of the train split")
    parser.add_argument("--instances", type=positive, default=40, help="how many")
    parser.add_argument("--write", action="store_true", help="replace the shipped angles by what was found")
    add_json(parser)

    parser = commands.add(
        "benchmark",
        "Measure speed and memory on this machine, as ratios taken in one run, or what allocators reach.",
        benchmark,
    )
    subjects = (
        *("circuits", "envs", "scaling", "memory", "mobile-env", "solvers"),
        *("qaoa", "allocation", "annealing", "learners", "policies", "teams", "harness", "security"),
    )
    parser.add_argument("subject", choices=subjects, help="what is measured")
    add_json(parser)


def calibrate(options: Namespace) -> None:
    """Fit the surrogate, and measure how the tiers agree."""
    from qfl_envs.presets import PRESETS
    from train.progress import progress_bar
    from train.surrogate import agreement, calibration

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
    print_rows(rows, False)
    if ranks:
        print()
        print_rows(ranks, False)


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
        print_rows(angles.table(found), False)


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
    print_rows(measures[options.subject](), options.json)
