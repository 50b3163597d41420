"""Commands that test the article."""

from __future__ import annotations

from argparse import Namespace

from qfl_envs.fields import reject_unknown
from train.commands.options import Commands, add_changes, add_folder, named_folder, positive
from train.commands.printing import say


def add(commands: Commands) -> None:
    """Say what may be typed."""
    parser = commands.add(
        "claims",
        "Measure what the article claims, and say claim by claim what holds; goes on where it was stopped.",
        claims,
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_true", help="small experiments; what is done if nothing else is asked for"
    )
    size.add_argument("--full", action="store_true", help="experiments of full size, which take hours")
    parser.add_argument("--claim", action="append", metavar="NAME", help="claim, may be repeated; all if not given")
    parser.add_argument(
        "--from",
        action="append",
        type=named_folder,
        default=[],
        dest="sources",
        metavar="EXPERIMENT=FOLDER",
        help="read an experiment from the results of another command, such as sum-rate=runs/case-study",
    )
    add_folder(parser)

    parser = commands.add(
        "case-study",
        "Reproduce Figure 4 of the article: sum-rate of all allocators, and learning under their rates; goes on where "
        "it was stopped.",
        case_study,
    )
    parser.add_argument("--part", choices=("4a", "4b"), help="only this figure; both if not given")
    parser.add_argument("--quick", action="store_true", help="few instances, seeds and rounds, without the slow ones")
    parser.add_argument("--instances", type=positive, help="instances of Figure 4a; 2 with --quick, else 20")
    parser.add_argument("--seeds", type=positive, help="episodes of each series of Figure 4b; 1 with --quick, else 5")
    parser.add_argument("--rounds", type=positive, help="rounds of an episode; 10 with --quick, else 100")
    parser.add_argument(
        "--allocator", action="append", metavar="NAME", help="of Figure 4a, may be repeated; all if not given"
    )
    parser.add_argument("--preset", default="paper", help="scenario to start from")
    add_changes(parser, """changes of the scenario, e.g. '{"num_devices": 50}'""")
    add_folder(parser)


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
    print(run(catalogue, folder, chosen, sources, say))
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
    print(run(study, folder, PARTS if options.part is None else (options.part,), say))
    print(f"written: {folder.path}/case_study.md, figure_4a.png, figure_4b.png, results.jsonl, config.json")
