"""What the harness of the leaderboard costs: the same episodes in a bare loop, and through all of it."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from train.benchmarks.timing import medians_of_turns
from train.benchmarks.timing import seconds as seconds_of
from train.leaderboard import publish, run
from train.matrix import Matrix
from train.runs import RunFolder
from train.workers import start_workers

BARE = """
import gymnasium, sys, torch
import qfl_envs
from train import competitors
torch.set_num_threads(1)
env_id, names, seeds = sys.argv[1], sys.argv[2].split(","), int(sys.argv[3])
env = gymnasium.make(env_id, scenario="small", split="test", disable_env_checker=True)
for name in names:
    player = competitors.make(name)
    for seed in range(seeds):
        observation, _ = env.reset(seed=seed)
        player.reset(env, seed)
        ended = False
        while not ended:
            observation, _, terminated, truncated, _ = env.step(player.act(observation))
            ended = terminated or truncated
"""
"""Episodes and nothing else; one environment and one of each competitor serve all of them."""


def measure(
    env_id: str = "qfl/Scheduling-v0",
    names: tuple[str, ...] = ("random", "round-robin", "everyone", "age-and-speed"),
    seeds: int = 20,
    repeats: int = 3,
) -> list[dict[str, Any]]:
    """Time of the harness over that of the bare loop, one process each, its start included in both.

    Args:
        env_id: Environment, of the preset ``small``, with the quantum learner.
        names: Who plays.
        seeds: Episodes of each.
        repeats: Measured runs of each, at least 3.

    Returns:
        One row: ``env_id``, ``episodes``, wall and processor times ``bare_s``, ``harness_s``, ``bare_cpu_s`` and
        ``harness_cpu_s``, and what the harness adds to each: ``overhead`` and ``overhead_cpu``, 0.05 for 5 %. The
        latter holds on a busy machine.
    """
    matrix = Matrix((env_id,), names, preset="small", seeds=seeds)

    def bare() -> None:
        subprocess.run([sys.executable, "-c", BARE, env_id, ",".join(names), str(seeds)], check=True)

    def harness() -> None:
        config = matrix.config()
        with tempfile.TemporaryDirectory() as name:
            results = run(matrix, RunFolder(Path(name), config), start_workers(1), lambda line: None)
            publish(config, results, Path(name))

    processor: dict[str, list[float]] = {"bare": [], "harness": []}

    def turn(name: str, work: Callable[[], None]) -> float:
        before = _processor_s()
        wall = seconds_of(work)
        processor[name].append(_processor_s() - before)
        return wall

    turns = {"bare": lambda: turn("bare", bare), "harness": lambda: turn("harness", harness)}
    wall = medians_of_turns(turns, repeats, budget_s=0.0, warm_up=False)
    cpu = {name: statistics.median(times) for name, times in processor.items()}
    return [
        {
            "env_id": env_id,
            "episodes": seeds * len(names),
            "bare_s": wall["bare"],
            "harness_s": wall["harness"],
            "overhead": wall["harness"] / wall["bare"] - 1.0,
            "bare_cpu_s": cpu["bare"],
            "harness_cpu_s": cpu["harness"],
            "overhead_cpu": cpu["harness"] / cpu["bare"] - 1.0,
        }
    ]


def _processor_s() -> float:
    """Of this process and of all that it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
