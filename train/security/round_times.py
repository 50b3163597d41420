"""What protection makes of federated rounds on the air: their time and energy, and who is still heard in time."""

from __future__ import annotations

from typing import Any

import numpy as np

from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem

PROTECTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "ECDSA P-256, X25519": {"signature": "ecdsa-p256", "key_exchange": "x25519"},
    "Falcon-512, ML-KEM-768": {"signature": "falcon-512", "key_exchange": "ml-kem-768"},
    "ML-DSA-44, ML-KEM-768": {"signature": "ml-dsa-44", "key_exchange": "ml-kem-768"},
    "ML-DSA-65, ML-KEM-768": {"signature": "ml-dsa-65", "key_exchange": "ml-kem-768"},
    "ML-DSA-87, ML-KEM-1024": {"signature": "ml-dsa-87", "key_exchange": "ml-kem-1024"},
    "ML-DSA-44, quantum keys": {"signature": "ml-dsa-44", "key_exchange": "qkd"},
    "masked, X25519": {"aggregation": "secure"},
    "masked in fives, X25519": {"aggregation": "secure", "group_size": 5},
}
ROUNDS = 20


def rows(preset: str = "small", seeds: int = 20) -> list[dict[str, Any]]:
    """Means over rounds in which every second device takes part: seconds, joules, bytes, and updates that arrive.

    Devices on one sub-channel take turns.

    Args:
        preset: Scenario of the network; nothing is learned, at the cost of the quantum learner.
        seeds: Systems side by side, the same for all protections.
    """
    found = []
    for name, protection in PROTECTIONS.items():
        security = {"protection_bits": 0, "protection_cycles": 0.0, **protection}
        scenario = Scenario.preset(preset).replace({"learning": {"model": "none"}, "security": security})
        system = FederatedSystem(scenario, seeds, protects=True)
        system.reset([np.random.default_rng(seed) for seed in range(seeds)])
        taken = []
        for number in range(ROUNDS):
            every_second = np.arange(scenario.num_devices) % 2 == number % 2
            in_turns = np.ones(seeds, dtype=bool)
            report = system.step(Decision(system.available() & every_second, time_share=in_turns))
            part = np.maximum(report.participation.sum(), 1)
            sent, arrived = report.payload_bits[report.participation].sum() / part, report.delivered.sum() / part
            taken.append((report.round_s.mean(), report.energy_j.mean(), sent / 8, arrived))
        round_s, energy_j, upload_bytes, arrived_in_time = np.mean(taken, axis=0)
        found.append(
            {
                "protection": name,
                "round_s": float(round_s),
                "energy_j": float(energy_j),
                "upload_bytes": float(upload_bytes),
                "arrived_in_time": float(arrived_in_time),
            }
        )
    return found
