"""A federation whose accepted updates go into a signed, chained ledger."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.security.ledger import Ledger
from qfl_envs.system.security.primitives import SigningKey


def record(path: Path, preset: str, rounds: int, signature: str, seed: int = 0) -> int:
    """Play rounds in which everybody takes part who can, and write down what the server accepts.

    Args:
        path: Ledger to write; one that exists is not overwritten.
        preset: Scenario of the federation.
        rounds: Federated rounds.
        signature: Scheme that devices sign their updates and entries with, in earnest.
        seed: Of the episode.

    Returns:
        How many updates the ledger has.

    Raises:
        InvalidValueError: For a file that exists, a preset that learns nothing, or a signature that does not exist.
    """
    protected = {"signature": signature, "protection": "executed"}
    scenario = Scenario.preset(preset).replace({"security": protected})
    if signature == "none":
        raise InvalidValueError("signature", signature, "a signature scheme")
    system, written = FederatedSystem(scenario), 0
    ledger = Ledger(path, {device: SigningKey(signature) for device in range(scenario.num_devices)})
    system.reset([np.random.default_rng(seed)])
    for number in range(rounds):
        guarded = system.step(Decision(participate=system.available())).guarded
        assert guarded is not None  # updates are signed
        if guarded.accepted is None:
            continue
        for device, change in zip(guarded.accepted.device, guarded.accepted.change, strict=True):
            ledger.add(number, int(device), change.tobytes())
            written += 1
    return written
