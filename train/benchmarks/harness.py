"""What the harness of the leaderboard costs: all of its time, over that which a bare loop would take for the episodes.

Everything is time of processors, since wall time would measure whoever else uses the machine; and the loop's part is
taken within the harness's own episodes, so that a machine that is slow for a while slows both. What a run costs however
short it is, is measured apart.
"""

from __future__ import annotations

import json
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext, redirect_stderr
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, cast

import torch

from train.competition import jobs
from train.competition.jobs import Done, Job, perform
from train.competition.leaderboard import run
from train.competition.matrix import Matrix
from train.competition.results import Entry
from train.evaluation import Episode, play
from train.runs import RunFolder

SEEDS = 5
"""Episodes of the run that has as few as a run may have."""
ENOUGH = 0.05
"""Share of a run that the harness may add."""
NOTHING = ["import gymnasium, torch, qfl_envs", "from train import competitors"]
"""What a program that plays episodes loads at least."""


class _Here:
    """A pool that does every job at once, handed over and back as bytes, as between processes."""

    def __init__(self) -> None:
        self.done: list[Done] = []

    def free(self) -> int:
        return int(not self.done)

    def start(self, job: Job, limit_s: float | None = None) -> None:
        found = perform(pickle.loads(pickle.dumps(job)), lambda steps: None)
        self.done.append(pickle.loads(pickle.dumps(Done(job, found, 0.0))))

    def collect(self, timeout_s: float) -> list[Done]:
        done, self.done = self.done, []
        return done

    def steps_done(self) -> dict[Entry, int]:
        return {}


class _Timed:
    """Whatever it stands for; some of its methods are timed together."""

    def __init__(self, inner: Any, names: tuple[str, ...], clock: list[float]) -> None:
        self._inner, self._names, self._clock = inner, names, clock

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        def timed(*arguments: Any, **keywords: Any) -> Any:
            begin = time.process_time()
            answer = found(*arguments, **keywords)
            self._clock[0] += time.process_time() - begin
            return answer

        return timed


def measure(
    env_id: str = "qfl/Scheduling-v0",
    names: tuple[str, ...] = ("random", "round-robin", "everyone", "age-and-speed"),
    preset: str = "small",
    seeds: int = 20,
) -> list[dict[str, Any]]:
    """Time of the harness over that of a bare loop of resets, decisions and steps.

    Args:
        env_id: Environment, with the quantum learner.
        names: Who plays.
        preset: Scenario.
        seeds: Episodes of each.

    Returns:
        One row: ``env_id``, ``episodes``, time of the processor per episode ``bare_s`` and ``harness_s``, what the
        harness adds to episodes, ``overhead``, 0.05 for 5 %, what a run costs beside them, ``fixed_s``, and after how
        many of these episodes all of that is under 5 %, ``episodes_to_5_percent``, null for never.
    """
    torch.set_num_threads(1)
    _times(Matrix((env_id,), names[:1], preset, seeds=SEEDS))  # loads and compiles
    bare_s, harness_s = (
        total / (seeds * len(names)) for total in _times(Matrix((env_id,), names, preset, seeds=seeds))
    )
    overhead, fixed_s = harness_s / bare_s - 1.0, _fixed_s(env_id)
    return [
        {
            "env_id": env_id,
            "episodes": seeds * len(names),
            "bare_s": bare_s,
            "harness_s": harness_s,
            "overhead": overhead,
            "fixed_s": fixed_s,
            "episodes_to_5_percent": fixed_s / ((ENOUGH - overhead) * bare_s) if overhead < ENOUGH else None,
        }
    ]


def _times(matrix: Matrix) -> tuple[float, float]:
    """Of a bare loop, and of all from the first job to the last result on disk."""
    clock = [0.0]

    def play_timed(env: Any, competitor: Any, seed: int) -> Episode:
        timed_env, timed_player = _Timed(env, ("reset", "step"), clock), _Timed(competitor, ("reset", "act"), clock)
        return play(cast(Any, timed_env), cast(Any, timed_player), seed)

    where: Any = jobs
    where.play = play_timed
    try:
        with tempfile.TemporaryDirectory() as name, redirect_stderr(StringIO()):
            folder = RunFolder(Path(name), matrix.config())
            whole_s = _seconds(partial(run, matrix, folder, nullcontext(_Here()), lambda line: None))
    finally:
        where.play = play
    return clock[0], whole_s


def _fixed_s(env_id: str) -> float:
    """Of a leaderboard of episodes that take no time: processes that start, load and end, tables and pictures."""
    changes = json.dumps({"learning": {"model": "none"}, "max_rounds": 1})
    with tempfile.TemporaryDirectory() as name:
        command = ["-m", "train", "leaderboard", "--env", env_id, "--competitor", "random", "--preset", "tiny"]
        command += ["--seeds", str(SEEDS), "--set", changes, "--workers", "1", "--out", name]
        whole_s, bare_s = (_seconds(partial(_python, words)) for words in (command, ["-c", "\n".join(NOTHING)]))
    return whole_s - bare_s


def _python(words: list[str]) -> None:
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _seconds(work: Callable[[], Any]) -> float:
    """Time of the processor, of this process and of all that it has waited for."""
    before = _processor_s()
    work()
    return _processor_s() - before


def _processor_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
