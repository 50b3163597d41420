"""How time and memory grow with the fleet."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from train.benchmarks.timing import interleaved_medians

COUNTS = (200, 2000, 20000)
MEMORY_LIMIT_GIB = 1.5
"""What a learning round of the article's 200 devices may take."""


def measure_devices(counts: Sequence[int] = COUNTS, repeats: int = 7) -> list[dict[str, Any]]:
    """Time of a round of the network alone (preset ``paper``, no learning, everyone takes part) per size of the fleet.

    Args:
        counts: Numbers of devices, ascending.
        repeats: Measured rounds of each, at least 3; the sizes take turns.

    Returns:
        One row per count: ``devices``, ``seconds_per_round`` (median), ``microseconds_per_device``, and ``slope``, the
        growth of log time with log devices since the row before: 1 where time grows in proportion; None in the first.
    """
    medians = interleaved_medians({str(count): _Round(count) for count in counts}, repeats)
    rows: list[dict[str, Any]] = []
    for count in counts:
        taken_s, slope = medians[str(count)], None
        if rows:
            before = rows[-1]
            slope = math.log(taken_s / before["seconds_per_round"]) / math.log(count / before["devices"])
        rows.append(
            {
                "devices": count,
                "seconds_per_round": taken_s,
                "microseconds_per_device": 1e6 * taken_s / count,
                "slope": slope,
            }
        )
    return rows


class _Round:
    """A system of some size; calling it plays one round."""

    def __init__(self, num_devices: int) -> None:
        scenario = Scenario.preset("paper").replace({"num_devices": num_devices, "learning": {"model": "none"}})
        self.system = FederatedSystem(scenario)
        self.system.reset([np.random.default_rng(0)])
        self.decision = Decision(np.ones((1, num_devices), dtype=bool))

    def __call__(self) -> None:
        self.system.step(self.decision)


def measure_memory(num_devices: int = 200, preset: str = "paper") -> list[dict[str, Any]]:
    """Peak memory of a process of its own that loads the system and plays a round in which everyone trains.

    Args:
        num_devices: Size of the fleet.
        preset: Scenario; its deadline is lifted and devices take turns, so that every update arrives and is computed.

    Returns:
        One row: ``workload``, ``peak_gib`` (interpreter, torch and data included) and ``limit_gib``.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        peak_gib, trained = pool.apply(_learning_round, (preset, num_devices))
    return [
        {
            "workload": f"{preset}, {trained} of {num_devices} devices train in one round",
            "peak_gib": peak_gib,
            "limit_gib": MEMORY_LIMIT_GIB,
        }
    ]


def _learning_round(preset: str, num_devices: int) -> tuple[float, int]:
    """Peak memory of this process in GiB after two rounds, and how many updates arrived in the smaller of them."""
    scenario = Scenario.preset(preset).replace({"num_devices": num_devices, "deadline_s": 1e9})
    system = FederatedSystem(scenario)
    system.reset([np.random.default_rng(0)])
    decision = Decision(np.ones((1, num_devices), dtype=bool), time_share=np.ones(1, dtype=bool))
    # the second round shows what remains of the first
    trained = min(int(system.step(decision).delivered.sum()) for _ in range(2))
    return peak_memory_gib(), trained


def peak_memory_gib() -> float:
    """Most memory that this process has held at once."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux counts in ru_maxrss what the parent held when it forked, which says nothing about this process
        kib = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(kib) / 2**20
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
