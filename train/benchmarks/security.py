"""What protecting every update adds to federated rounds of quantum learners, in time of the processor.

Rounds and cryptography alternate on one thread, so that on an idle machine it is wall time; on a busy one, wall time
would measure the neighbours. The ratios hold for one thread of PyTorch (``OMP_NUM_THREADS=1``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.security.protection import Protection
from qfl_envs.system.security.sealed import Receiver, Sealer
from train.benchmarks.timing import medians_of_turns

PARTICIPANTS = 20
SCHEMES = {
    "ECDSA P-256, X25519": Protection("ecdsa-p256", "x25519"),
    "ML-DSA-44": Protection("ml-dsa-44"),
    "ML-DSA-65": Protection("ml-dsa-65"),
    "ML-DSA-65, ML-KEM-768": Protection("ml-dsa-65", "ml-kem-768"),
}
EPOCH_STEPS = 18
"""Local steps of 4 samples with which a device sees all of its own: 1,437 digits on 20 devices."""
ROUNDS: dict[str, tuple[str, dict[str, Any]]] = {
    "small": ("small", {}),
    "paper": ("paper", {}),
    "10 qubits, an epoch": (
        "small",
        {"quantum": {"num_qubits": 10, "num_layers": 5}, "learning": {"local_steps": EPOCH_STEPS}},
    ),
    "small, sampled shots": ("small", {"quantum": {"gradient": "parameter_shift", "sampled": True}}),
    "small, by PennyLane": ("small", {"quantum": {"executor": "pennylane", "gradient": "backprop"}}),
}
"""Rounds that are protected: preset, and what is changed beside the number of devices."""
_ALL_ARE_HEARD: dict[str, Any] = {
    "num_devices": PARTICIPANTS,
    "deadline_s": 1e3,
    "max_rounds": 10**6,
    "radio": {"link_drop": 0.0, "waterfall": 0.0},
    "fleet": {"battery_j": [1e9, 1e9]},
}


class _Rounds:
    """Rounds of one system in which all take part and are heard; their updates are protected in every way."""

    def __init__(self, preset: str, changes: Mapping[str, Any]) -> None:
        scenario = Scenario.preset(preset).replace(_ALL_ARE_HEARD).replace(changes)
        self.system = FederatedSystem(scenario)
        self.system.reset([np.random.default_rng(0)])
        self.everybody = Decision(participate=np.ones((1, PARTICIPANTS), dtype=bool))
        self.payload = self.system.state.parameters[0].tobytes()
        self.round_index = 0
        self.receivers = {name: Receiver(protection, len(self.payload)) for name, protection in SCHEMES.items()}
        self.sealers: dict[str, list[Sealer]] = {}
        for name, receiver in self.receivers.items():
            made = [Sealer(device, SCHEMES[name], receiver.public) for device in range(PARTICIPANTS)]
            self.sealers[name] = made
            for sealer in made:
                receiver.register(sealer.sender, sealer.public)

    def turns(self) -> dict[tuple[str, str], Callable[[], float]]:
        """What takes turns, by protection and mode: an unprotected round first."""
        turns: dict[tuple[str, str], Callable[[], float]] = {("none", "none"): self.play}
        for name in SCHEMES:
            turns[name, "modelled"] = partial(self.modelled, name)
            turns[name, "executed"] = partial(self.executed, name)
        return turns

    def play(self) -> float:
        """Seconds of a round without protection."""
        begin = time.process_time()
        self.system.step(self.everybody)
        self.round_index += 1
        return time.process_time() - begin

    def modelled(self, name: str) -> float:
        """Seconds of computing what protection costs."""
        state, fleet = self.system.state, self.system.scenario.fleet
        begin = time.process_time()
        uniform = self.system.generators[0].random((1, PARTICIPANTS))
        SCHEMES[name].work(self.everybody.participate, state.max_cpu_hz, fleet.capacitance, uniform)
        return time.process_time() - begin

    def executed(self, name: str) -> float:
        """Seconds of signing, encrypting, verifying and decrypting all updates."""
        receiver = self.receivers[name]
        begin = time.process_time()
        for sealer in self.sealers[name]:
            receiver.receive(sealer.seal(self.round_index, self.payload), self.round_index)
        return time.process_time() - begin


def measure(repeats: int = 15) -> list[dict[str, Any]]:
    """Time of rounds of 20 participants with protection, over that without.

    Args:
        repeats: Measured rounds of each kind, with every protection of their updates in between.

    Returns:
        One row per round of :data:`ROUNDS`, scheme, and mode, ``modelled`` or ``executed``: ``ratio`` of a protected
        round to a plain one, the plain round's ``plain_ms``, and what protection adds, ``added_ms``.
    """
    rows = []
    for kind, (preset, changes) in ROUNDS.items():
        turns = _Rounds(preset, changes).turns()
        medians = medians_of_turns({"|".join(key): turn for key, turn in turns.items()}, repeats, budget_s=5.0)
        plain = medians["none|none"]
        for name, mode in turns:
            if mode != "none":
                added = medians[f"{name}|{mode}"]
                rows.append(
                    {
                        "round": kind,
                        "protection": name,
                        "mode": mode,
                        "ratio": 1.0 + added / plain,
                        "plain_ms": 1e3 * plain,
                        "added_ms": 1e3 * added,
                    }
                )
    return rows
