"""Held-out accuracy of the quantum learner under attack, by the rule that merges the updates."""

from __future__ import annotations

from typing import Any

import numpy as np

from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.security.attacked import KINDS, Adversary, AttackedSystem, Defence
from qfl_envs.system.security.robust import RULES
from train.progress import progress_bar

DEVICES, SHARE = 10, 0.2
"""Devices, and the share of them that is hostile, and that the rules assume to be."""
CLIP_NORM = 0.3
LONGEST = 100.0


def scenario_of(preset: str, partition: str) -> Scenario:
    """A preset in which nothing but learning binds: everybody takes part and is heard."""
    return Scenario.preset(preset).replace(
        {
            "num_devices": DEVICES,
            "deadline_s": 1e3,
            "radio": {"link_drop": 0.0, "waterfall": 0.0},
            "fleet": {"battery_j": [1e6, 1e6]},
            "learning": {"partition": partition},
            "max_rounds": 1000,
        }
    )


def rows(preset: str = "tiny", rounds: int = 20, seeds: int = 3, partition: str = "iid") -> list[dict[str, Any]]:
    """Mean accuracy after some rounds in which everybody takes part: one row per attack, one column per rule.

    Args:
        preset: Scenario to start from.
        rounds: Federated rounds.
        seeds: Systems side by side, the same for all attacks and rules.
        partition: How data are dealt out.
    """
    scenario, found = scenario_of(preset, partition), []
    everybody = Decision(participate=np.ones((seeds, scenario.num_devices), dtype=bool))
    with progress_bar(len(KINDS) * len(RULES), "attacking") as bar:
        for kind in KINDS:
            row: dict[str, Any] = {"attack": kind}
            for rule in RULES:
                defence = Defence(rule, SHARE, CLIP_NORM, LONGEST)
                system = AttackedSystem(scenario, seeds, Adversary(kind, SHARE), defence)
                system.reset([np.random.default_rng(seed) for seed in range(seeds)])
                for _ in range(rounds):
                    system.step(everybody)
                row[rule] = float(system.state.accuracy.mean())
                bar.update()
            found.append(row)
    return found
