"""Held-out accuracy of the quantum learner under attack, by the rule that merges the updates."""

from __future__ import annotations

from typing import Any

import numpy as np

from qfl_envs.scenario import Scenario
from qfl_envs.security import ATTACKS, ROBUST_RULES
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from train.progress import progress_bar

DEVICES, SHARE = 10, 0.2
"""Devices, and the share of them that is hostile, and that the rules assume to be."""
CLIP_NORM = 0.3
RULES = ("mean", *ROBUST_RULES)


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

    A backdoor has a second row: the share of triggered samples that are taken for its target.

    Args:
        preset: Scenario to start from.
        rounds: Federated rounds.
        seeds: Systems side by side, the same for all attacks and rules.
        partition: How data are dealt out.
    """
    scenario, found = scenario_of(preset, partition), []
    everybody = Decision(participate=np.ones((seeds, scenario.num_devices), dtype=bool))
    with progress_bar(len(ATTACKS) * len(RULES), "attacking") as bar:
        for attack in ATTACKS:
            row: dict[str, Any] = {"attack": attack}
            success: dict[str, Any] = {"attack": f"{attack}: success"}
            for rule in RULES:
                system = FederatedSystem(scenario.replace({"security": _under(attack, rule)}), seeds)
                system.reset([np.random.default_rng(seed) for seed in range(seeds)])
                for _ in range(rounds):
                    guarded = system.step(everybody).guarded
                row[rule] = float(system.state.accuracy.mean())
                # a rule is something to guard, whatever the attack
                success[rule] = float(guarded.attack_success.mean()) if guarded is not None else float("nan")
                bar.update()
            found += [row] if attack != "backdoor" else [row, success]
    return found


def _under(attack: str, rule: str) -> dict[str, Any]:
    """An attack by some devices, and a rule that assumes as many."""
    return {
        "attack": attack,
        "attacker_share": SHARE,
        "aggregation": rule,
        "assumed_attackers": SHARE,
        "clip_norm": CLIP_NORM,
    }
