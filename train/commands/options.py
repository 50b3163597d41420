"""What may be typed: parsers, kinds of values, options that several commands have, and what they mean."""

from __future__ import annotations

import argparse
import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown
from qfl_envs.registration import ENVIRONMENTS

EXIT_WRONG_INPUT = 2
RESERVED = {"scenario": "--preset", "split": "the command", "render_mode": "the command"}
"""Arguments of an environment that ``--set`` may not hold, and what sets them."""


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


class Commands:
    """The commands of a parser, each with what it does."""

    def __init__(self, parser: Parser) -> None:
        """Begin with none."""
        self._parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(self, name: str, text: str, run: Callable[[Namespace], int | None]) -> Parser:
        """A parser for the options of one more; ``run`` gets them as attributes, and may return an exit code."""
        command: Parser = self._parsers.add_parser(name, help=text, description=text, formatter_class=Help)
        command.set_defaults(run=run)
        return command


def add_scenario(parser: Parser, absent: str = "", default: str | None = "small") -> None:
    """Options of a preset and its changes."""
    parser.add_argument("--preset", default=default, help="scenario to start from" + (f"; {absent}" if absent else ""))
    add_overrides(parser)


def add_overrides(parser: Parser) -> None:
    """Options of changes of an environment, and of the method by which its server merges."""
    add_changes(parser, """arguments of the environment, e.g. '{"num_devices": 10, "radio": {"num_subchannels": 4}}'""")
    parser.add_argument(
        "--server", metavar="NAME", help="how the server merges, e.g. q-fedavg or fedprox; as the preset if not given"
    )


def add_changes(parser: Parser, text: str) -> None:
    """Option of changes, which are told as JSON."""
    parser.add_argument("--set", type=json_object, default={}, metavar="JSON", dest="arguments", help=text)


def add_folder(parser: Parser) -> None:
    """Options of where results lie."""
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="FOLDER", help="where run folders lie")
    parser.add_argument("--name", help="name of the run folder; made from the settings if not given")


def add_json(parser: Parser) -> None:
    """Option of another output."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def natural(text: str) -> int:
    """A whole number, 0 allowed."""
    return _integer(text, 0)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    return _integer(text, 1)


def _integer(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: a whole number of at least {least}")
    return number


def named_folder(text: str) -> tuple[str, Path]:
    """A name and its folder."""
    name, separator, folder = text.partition("=")
    if not (name and separator and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: EXPERIMENT=FOLDER")
    return name, Path(folder)


def json_object(text: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON ({error})") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: a JSON object")
    return value


def arguments_of(options: Namespace) -> dict[str, Any]:
    """The arguments of ``--set``, without those that are set elsewhere, under the method of ``--server``."""
    arguments: dict[str, Any] = options.arguments
    for name in arguments.keys() & RESERVED.keys():
        raise InvalidValueError(f"--set {name}", arguments[name], f"nothing; it is set by {RESERVED[name]}")
    if options.server is None:
        return arguments
    from baselines.servers import with_server

    return with_server(options.server, arguments)


def known_env(env_id: str) -> str:
    """The same, if it exists."""
    reject_unknown([env_id], ENVIRONMENTS, "environment")
    return env_id


def short_name(env_id: str) -> str:
    """What folders are named after."""
    return env_id.split("/")[-1]
