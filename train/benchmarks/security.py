"""What protecting every update adds to federated rounds of quantum learners.

What protection takes is measured inside of the round that it protects, since two rounds differ by more than that. Wall
time is what a user waits for; devices sign in threads, so that time of the processor is more, and on a busy machine the
fairer measure. The ratios hold for one thread of PyTorch (``OMP_NUM_THREADS=1``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import numpy as np

from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem

PARTICIPANTS = 20
SCHEMES = {
    "ECDSA P-256, X25519": {"signature": "ecdsa-p256", "key_exchange": "x25519"},
    "ML-DSA-44": {"signature": "ml-dsa-44"},
    "ML-DSA-65": {"signature": "ml-dsa-65"},
    "ML-DSA-65, ML-KEM-768": {"signature": "ml-dsa-65", "key_exchange": "ml-kem-768"},
}
MODES = ("modelled", "executed")
PARTS_OF_A_ROUND = ("begin", "protect", "poison_data", "send", "merge", "move_on")
"""Methods of a guard, which are all that protection adds to a round."""
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


class _Protected:
    """Rounds of one system in which all take part, are heard, and protect their updates."""

    def __init__(self, preset: str, changes: Mapping[str, Any], protection: Mapping[str, Any]) -> None:
        scenario = Scenario.preset(preset).replace(_ALL_ARE_HEARD).replace(changes).replace({"security": protection})
        self.system = FederatedSystem(scenario)
        self.system.reset([np.random.default_rng(0)])
        self.everybody = Decision(participate=np.ones((1, PARTICIPANTS), dtype=bool))
        self.wall_s = self.cpu_s = 0.0
        for name in PARTS_OF_A_ROUND:
            setattr(self.system.guard, name, self._timed(getattr(self.system.guard, name)))

    def _timed(self, part: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(part)
        def timed(*arguments: Any) -> Any:
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            done = part(*arguments)
            self.wall_s += time.perf_counter() - wall_s
            self.cpu_s += time.process_time() - cpu_s
            return done

        return timed

    def play(self) -> np.ndarray:
        """(2, 2) seconds of a round without what protection adds, and of what it adds: wall, and of the processor."""
        self.wall_s = self.cpu_s = 0.0
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        self.system.step(self.everybody)
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        return np.array([[wall_s - self.wall_s, cpu_s - self.cpu_s], [self.wall_s, self.cpu_s]])


def measure(repeats: int = 15, budget_s: float = 5.0) -> list[dict[str, Any]]:
    """Time of rounds of 20 participants with protection, over that without.

    Args:
        repeats: Measured rounds of each kind, one that is not measured before them.
        budget_s: Seconds of rounds of one kind after which there are no more repeats than three.

    Returns:
        One row per round of :data:`ROUNDS`, scheme, and mode, ``modelled`` or ``executed``: ``ratio`` of a protected
        round to a plain one, the plain round's ``plain_ms``, and what protection adds, ``added_ms``, all in wall time;
        and the ratio in time of the processor, ``cpu_ratio``. Medians.
    """
    rows = []
    for kind, (preset, changes) in ROUNDS.items():
        for name, scheme in SCHEMES.items():
            for mode in MODES:
                rounds = _Protected(preset, changes, {**scheme, "protection": mode})
                rounds.play()
                taken: list[np.ndarray] = []
                while len(taken) < repeats and (len(taken) < 3 or np.sum(taken, axis=0)[:, 0].sum() < budget_s):
                    taken.append(rounds.play())
                (plain, plain_cpu), (added, added_cpu) = np.median(taken, axis=0)
                rows.append(
                    {
                        "round": kind,
                        "protection": name,
                        "mode": mode,
                        "ratio": float(1.0 + added / plain),
                        "cpu_ratio": float(1.0 + added_cpu / plain_cpu),
                        "plain_ms": float(1e3 * plain),
                        "added_ms": float(1e3 * added),
                    }
                )
    return rows
