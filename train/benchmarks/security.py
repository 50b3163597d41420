"""What protecting every update adds to a federated round of the quantum learner, in time of the processor.

Rounds and cryptography alternate on one thread, so that on an idle machine it is wall time; on a busy one, wall time
would measure the neighbours. The ratio holds for one thread of PyTorch (``OMP_NUM_THREADS=1``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
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


class _Rounds:
    """Rounds of one system in which all take part and are heard."""

    def __init__(self) -> None:
        scenario = Scenario.preset("small").replace(
            {
                "num_devices": PARTICIPANTS,
                "deadline_s": 1e3,
                "max_rounds": 10**6,
                "radio": {"link_drop": 0.0, "waterfall": 0.0},
                "fleet": {"battery_j": [1e9, 1e9]},
            }
        )
        self.system = FederatedSystem(scenario)
        self.system.reset([np.random.default_rng(0)])
        self.everybody = Decision(participate=np.ones((1, PARTICIPANTS), dtype=bool))

    def play(self) -> float:
        """Seconds of a round."""
        begin = time.process_time()
        self.system.step(self.everybody)
        return time.process_time() - begin

    def modelled(self, protection: Protection) -> float:
        """The same with the costs of protection computed."""
        begin = time.process_time()
        self.system.step(self.everybody)
        state, fleet = self.system.state, self.system.scenario.fleet
        uniform = self.system.generators[0].random((1, PARTICIPANTS))
        protection.work(self.everybody.participate, state.max_cpu_hz, fleet.capacitance, uniform)
        return time.process_time() - begin


class _Sealed(_Rounds):
    """Rounds whose updates are really signed, sent and verified."""

    def __init__(self, protection: Protection) -> None:
        super().__init__()
        self.payload = self.system.state.parameters[0].tobytes()
        self.receiver = Receiver(protection, len(self.payload))
        self.sealers = [Sealer(device, protection, self.receiver.public) for device in range(PARTICIPANTS)]
        for sealer in self.sealers:
            self.receiver.register(sealer.sender, sealer.public)
        self.round_index = 0

    def play(self) -> float:
        """Seconds of a round."""
        begin = time.process_time()
        self.system.step(self.everybody)
        for sealer in self.sealers:
            self.receiver.receive(sealer.seal(self.round_index, self.payload), self.round_index)
        self.round_index += 1
        return time.process_time() - begin


def measure(repeats: int = 9) -> list[dict[str, Any]]:
    """Time of a round of 20 participants with protection, over that without.

    Args:
        repeats: Rounds of each, in turns.

    Returns:
        One row per scheme and mode, ``modelled`` or ``executed``: ``ratio`` to a plain round, and the plain round's
        ``plain_ms``.
    """
    plain = _Rounds()
    turns: dict[tuple[str, str], Callable[[], float]] = {("none", "none"): plain.play}
    for name, protection in SCHEMES.items():
        modelled, sealed = _Rounds(), _Sealed(protection)
        turns[name, "modelled"] = partial(modelled.modelled, protection)
        turns[name, "executed"] = sealed.play
    medians = medians_of_turns({"|".join(key): turn for key, turn in turns.items()}, repeats, budget_s=60.0)
    alone = medians["none|none"]
    return [
        {"protection": name, "mode": mode, "ratio": medians[f"{name}|{mode}"] / alone, "plain_ms": 1e3 * alone}
        for name, mode in turns
        if mode != "none"
    ]
