"""What the harness of the leaderboard costs: the same episodes in a bare loop, and through all of it.

Everything is time of processors, since wall time would measure whoever else uses the machine. Bare episodes and those
of the harness take turns in one process, a few at a time, so that a machine that is slow for a while slows both; what a
run costs however short it is, is measured apart.
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
from typing import Any

import gymnasium as gym
import torch

from qfl_envs.competitor import Competitor
from train import competitors
from train.benchmarks.timing import medians_of_turns
from train.evaluation import make_env
from train.jobs import Done, Job, perform
from train.leaderboard import run
from train.matrix import Matrix
from train.protocol import SPLIT
from train.results import Entry
from train.runs import RunFolder

SEEDS = 5
"""Episodes of a turn, the fewest that a leaderboard has."""
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


def measure(
    env_id: str = "qfl/Scheduling-v0",
    names: tuple[str, ...] = ("random", "round-robin", "everyone", "age-and-speed"),
    preset: str = "small",
    repeats: int = 5,
) -> list[dict[str, Any]]:
    """Time of the harness over that of the bare loop.

    Args:
        env_id: Environment, with the quantum learner.
        names: Who plays.
        preset: Scenario.
        repeats: Measured turns of everybody in either way, at least 3.

    Returns:
        One row: ``env_id``, ``episodes`` behind either time, time of the processor per episode ``bare_s`` and
        ``harness_s``, what the harness adds to episodes, ``overhead``, 0.05 for 5 %, what a run costs beside them,
        ``fixed_s``, and after how many of these episodes all of that is under 5 %, ``episodes_to_5_percent``, null for
        never.
    """
    torch.set_num_threads(1)
    env = make_env(env_id, SPLIT, {"scenario": preset})
    turns: dict[str, Callable[[], float]] = {}
    for name in names:
        turns[f"bare {name}"] = partial(_seconds, partial(_play_bare, env, competitors.make(name)))
        turns[f"harness {name}"] = partial(_in_harness_s, Matrix((env_id,), (name,), preset, seeds=SEEDS))
    medians = medians_of_turns(turns, repeats, budget_s=30.0)
    bare_s, harness_s = (
        sum(medians[f"{way} {name}"] for name in names) / (SEEDS * len(names)) for way in ("bare", "harness")
    )
    overhead, fixed_s = harness_s / bare_s - 1.0, _fixed_s(env_id)
    return [
        {
            "env_id": env_id,
            "episodes": SEEDS * len(names) * repeats,
            "bare_s": bare_s,
            "harness_s": harness_s,
            "overhead": overhead,
            "fixed_s": fixed_s,
            "episodes_to_5_percent": fixed_s / ((ENOUGH - overhead) * bare_s) if overhead < ENOUGH else None,
        }
    ]


def _play_bare(env: gym.Env[Any, Any], player: Competitor) -> None:
    """Episodes and nothing else."""
    for seed in range(SEEDS):
        observation, _ = env.reset(seed=seed)
        player.reset(env, seed)
        ended = False
        while not ended:
            observation, _, terminated, truncated, _ = env.step(player.act(observation))
            ended = terminated or truncated


def _in_harness_s(matrix: Matrix) -> float:
    """Time of the processor for all episodes of a competition, from the first job to the last result on disk."""
    with tempfile.TemporaryDirectory() as name, redirect_stderr(StringIO()):
        folder = RunFolder(Path(name), matrix.config())
        return _seconds(partial(run, matrix, folder, nullcontext(_Here()), lambda line: None))


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
