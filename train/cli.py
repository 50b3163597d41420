"""The command line ``qfl``; :mod:`train.commands` has what may be typed and what it does."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from qfl_envs.errors import QflError
from train.commands import adversaries, article, competition, listing, measuring, playing, training
from train.commands.options import EXIT_WRONG_INPUT, Commands, Parser

EXIT_INTERRUPTED = 130
TOPICS = (listing, training, playing, competition, article, adversaries, measuring)
"""Modules of commands, in the order of the help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after ``qfl``; None for those of the process.

    Returns:
        0, 2 for wrong input, 3 if entries of a leaderboard failed, or 130 if interrupted.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = make_parser().parse_args(words)
    options.words = words
    try:
        code: int | None = options.run(options)
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


def make_parser() -> Parser:
    """What reads the words of a command line; the options that it finds have the command to run as ``run``."""
    parser = Parser(
        prog="qfl",
        description="Quantum federated learning over a wireless network: environments, competitors, leaderboard.",
        epilog="qfl COMMAND --help explains a command. Start with: qfl leaderboard --quick",
    )
    commands = Commands(parser)
    for topic in TOPICS:
        topic.add(commands)
    return parser
