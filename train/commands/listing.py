"""Commands that list what there is."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from qfl_envs.errors import InvalidValueError
from qfl_envs.registration import ENVIRONMENTS
from train.commands.options import Commands, add_json, add_overrides, arguments_of, positive
from train.commands.printing import print_rows, say


def add(commands: Commands) -> None:
    """Say what may be typed."""
    parser = commands.add("envs", "List the environments, or print how a preset is calibrated.", envs)
    parser.add_argument("--describe", metavar="PRESET", help="histograms of times, batteries, links and accuracy")
    parser.add_argument("--episodes", type=positive, default=4, help="episodes behind the histograms")
    add_overrides(parser)
    add_json(parser)

    add_json(commands.add("competitors", "List the competitors.", competitors))

    parser = commands.add("pretrained", "List the trained policies that come with the package.", pretrained)
    parser.add_argument(
        "--keep", nargs="+", type=Path, metavar="FOLDER", help="put finished runs of qfl train among them"
    )
    add_json(parser)


def envs(options: Namespace) -> None:
    """List the environments, or describe a preset."""
    import gymnasium as gym

    if options.describe is not None:
        from train.describe import describe

        if options.json:
            raise InvalidValueError("--json", True, "nothing beside --describe, which prints text")
        print(describe(options.describe, arguments_of(options), options.episodes))
        return
    rows = []
    for env_id in ENVIRONMENTS:
        env = gym.make(env_id, disable_env_checker=True, **arguments_of(options)).unwrapped
        summary = (type(env).__doc__ or "").strip().splitlines()[0]
        rows.append({"id": env_id, "action_space": type(env.action_space).__name__, "summary": summary})
    print_rows(rows, options.json)


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
    print_rows(rows, options.json)


def pretrained(options: Namespace) -> None:
    """List the policies that come with the package, or add to them."""
    from train.training import pretrained as shipped

    for folder in options.keep or ():
        say(f"kept: {shipped.keep(folder)}")
    shown = ("env_id", "agent", "preset", "steps", "seed", "parameters")
    rows = [{name: getattr(plan, name) for name in shown} for plan in shipped.known().values()]
    print_rows(rows, options.json)
