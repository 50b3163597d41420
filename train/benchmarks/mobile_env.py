"""Rounds per second of the environments against mobile-env, the Gymnasium environment of mobile networks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym

import qfl_envs  # noqa: F401  registers the environments
from qfl_envs.errors import QflError
from train.benchmarks.environments import native, scalar_rounds, vector_rounds
from train.benchmarks.timing import medians_of_turns

ENV_ID = "qfl/Scheduling-v0"
FAST_MODEL = "surrogate"
"""``learning.model`` of the tier that is compared like with like: mobile-env trains nothing either."""
FAST_ROWS, LEARNING_ROWS = 256, 16
STEPS = 100
"""Of every alternative in one turn: an episode of mobile-env, so that each turn has its share of resets."""
PYTHON_VARIABLE = "QFL_MOBILE_ENV_PYTHON"
PLAYER = Path(__file__).with_name("mobile_env_player.py")
OWN_PYTHON = Path(__file__).parents[2] / ".venv-mobile-env" / "bin" / "python"
"""Where the Makefile installs it: it needs pygame, which occupies the same folder as our pygame-ce."""

_Env = gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any]


class MobileEnvError(QflError):
    """mobile-env is missing, or its process ended."""


def measure(steps: int = STEPS, repeats: int = 5, budget_s: float = 15.0) -> list[dict[str, Any]]:
    """Rounds per second of ours and steps per second of mobile-env, under random actions, on equally many devices.

    All take turns and the median counts. Every step decides for all devices and moves them, their channels and their
    rates on. Resets of ended episodes are timed, the choice of actions is not.

    Args:
        steps: Of each in one turn, a step of a vector environment being one in every row.
        repeats: Measured turns of each, at least 3, after one that does not count.
        budget_s: Time after which an alternative gets by with 3 turns.

    Returns:
        One row per way to play ours: ``env``, ``steps_per_second`` (of all rows together),
        ``steps_per_second_mobile_env`` and ``ratio``.

    Raises:
        MobileEnvError: If mobile-env is not installed or stops.
    """
    with _player() as player:
        few: dict[str, Any] = {"scenario": "small", "num_devices": player.users}
        fast = {**few, "learning": {"model": FAST_MODEL}}
        alternatives: dict[str, tuple[int, _Env]] = {
            f"{FAST_MODEL}, one at a time": (1, gym.make(ENV_ID, disable_env_checker=True, **fast)),
            f"{FAST_MODEL}, {FAST_ROWS} rows": (FAST_ROWS, native(ENV_ID, FAST_ROWS, **fast)),
            f"real learning, {LEARNING_ROWS} rows": (LEARNING_ROWS, native(ENV_ID, LEARNING_ROWS, **few)),
        }
        turns = {
            name: scalar_rounds(env, steps) if isinstance(env, gym.Env) else vector_rounds(env, steps)
            for name, (_, env) in alternatives.items()
        }
        medians = medians_of_turns({**turns, "mobile-env": lambda: player.play(steps)}, repeats, budget_s)
        for _, env in alternatives.values():
            env.close()
    theirs = steps / medians["mobile-env"]
    rows: list[dict[str, Any]] = []
    for name, (num_envs, _) in alternatives.items():
        ours = steps * num_envs / medians[name]
        rows.append(
            {
                "env": name,
                "steps_per_second": ours,
                "steps_per_second_mobile_env": theirs,
                "ratio": ours / theirs,
            }
        )
    return rows


class _Player:
    """mobile-env in a process of its own.

    Attributes:
        users: How many devices it has.
    """

    def __init__(self, process: subprocess.Popen[str], python: str) -> None:
        self._process, self._python = process, python
        self.users = int(self._answer()["users"])

    def play(self, steps: int) -> float:
        """Seconds of so many steps, as the process itself measures them."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> Any:
        assert self._process.stdout is not None and self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            said = self._process.stderr.read().strip().splitlines() or ["nothing"]
            raise MobileEnvError(
                f"mobile-env does not run in {self._python} ({said[-1]}); use make benchmark-mobile-env, which "
                f"installs it, or set {PYTHON_VARIABLE} to a Python that has it"
            )
        return json.loads(line)


@contextmanager
def _player() -> Iterator[_Player]:
    """Start mobile-env in the interpreter that has it."""
    python = os.environ.get(PYTHON_VARIABLE) or str(OWN_PYTHON if OWN_PYTHON.exists() else sys.executable)
    # isolated: neither this folder, whose files are named like modules of theirs, nor PYTHONPATH may be searched
    command = [python, "-I", "-W", "ignore", str(PLAYER)]
    quiet = {**os.environ, "PYGAME_HIDE_SUPPORT_PROMPT": "1"}  # pygame greets on standard output
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=quiet)
    except OSError as error:
        raise MobileEnvError(f"{PYTHON_VARIABLE} is {python!r}: {error.strerror}") from error
    with process:
        try:
            yield _Player(process, python)
        finally:
            process.kill()
