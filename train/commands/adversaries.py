"""Attacks, protection and the ledger."""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qfl_envs.errors import InvalidValueError
from train.commands.options import Commands, add_json, positive
from train.commands.printing import print_rows


def add(commands: Commands) -> None:
    """Say what may be typed."""
    parser = commands.add(
        "security",
        "Measure what protection costs, what attacks do and what defences win back; a table per part, or a picture.",
        security,
    )
    parser.add_argument(
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
    parser.add_argument(
        "--rounds", type=positive, default=20, help="federated rounds behind an accuracy or a screening"
    )
    parser.add_argument("--seeds", type=positive, default=3, help="systems behind a mean, victims of a leakage")
    parser.add_argument("--preset", default="tiny", help="scenario of the attacked learners")
    parser.add_argument("--partition", default="iid", help="how their data are dealt out in part defences")
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="picture to write")
    add_json(parser)

    parser = commands.add("ledger", "Write or verify a signed, chained ledger of updates.", ledger)
    parser.add_argument(
        "action",
        choices=("verify", "record"),
        help="verify: every entry's hash, link and signature; record: play rounds whose updates are written down",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="ledger, one JSON object per line")
    parser.add_argument("--preset", default="tiny", help="scenario of the rounds that are recorded")
    parser.add_argument("--rounds", type=positive, default=5, help="federated rounds that are recorded")
    parser.add_argument("--signature", default="ml-dsa-44", help="what devices sign with: one of ML-DSA, or ecdsa-p256")
    add_json(parser)


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
            print_rows(rows, False)
    if options.out is not None:
        draw(parts, options.out)


def ledger(options: Namespace) -> None:
    """Write or verify a ledger of updates."""
    from qfl_envs.system.security.ledger import verify

    if options.action == "record":
        from train.security.recording import record

        record(options.file, options.preset, options.rounds, options.signature)
    found = verify(options.file)
    print_rows([dataclasses.asdict(found)], options.json)
    if found.problem is not None:
        raise InvalidValueError(
            "ledger", str(options.file), f"one that verifies; entry {found.entries}: {found.problem}"
        )
