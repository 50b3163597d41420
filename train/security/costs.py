"""What protection costs on the air, and what quantum channels yield."""

from __future__ import annotations

from typing import Any

import numpy as np

from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.shapes import num_parameters
from qfl_envs.system.security import bb84, e91
from qfl_envs.system.security.aggregation_cost import expansion, grouped_cost
from qfl_envs.system.security.ghz_sum import states_needed
from qfl_envs.system.security.key_pool import FreeSpace
from qfl_envs.system.security.key_rate import Fibre, decoy_state, error_rate, secret_fraction
from qfl_envs.system.security.protection import Protection
from qfl_envs.system.security.quantisation import modulus_bits

SCHEMES = {
    "ECDSA P-256, X25519": Protection("ecdsa-p256", "x25519", sends_key=True),
    "RSA-2048": Protection("rsa-2048", "rsa-2048", sends_key=True),
    "Falcon-512, ML-KEM-768": Protection("falcon-512", "ml-kem-768", sends_key=True),
    "ML-DSA-44, ML-KEM-768": Protection("ml-dsa-44", "ml-kem-768", sends_key=True),
    "ML-DSA-65, ML-KEM-768": Protection("ml-dsa-65", "ml-kem-768", sends_key=True),
    "ML-DSA-87, ML-KEM-1024": Protection("ml-dsa-87", "ml-kem-1024", sends_key=True),
    "ML-DSA-65, ML-KEM-768, key known": Protection("ml-dsa-65", "ml-kem-768"),
}
CLIENTS, GROUP, SUM_BITS = 20, 5, 16
HIDDEN = 512
"""Hidden units of the dense network that the circuit is compared with."""
CORTEX_M4_HZ = 168e6
"""Clock of the board whose cycles are known, to turn them into seconds."""
DISTANCES_KM = (0.0, 1.8, 20.0, 50.0, 100.0, 140.0, 150.0)
AIR_M = (50.0, 200.0, 500.0, 1000.0, 1800.0)
INTERCEPTED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.44, 0.5, 1.0)
PULSES = 200_000


def models() -> dict[str, int]:
    """Parameters of a compact circuit and of a dense network on the same data."""
    small = Scenario.preset("small")
    dense = small.replace({"learning": {"model": "mlp", "hidden": HIDDEN}})
    return {"qnn": num_parameters(small), "dnn": num_parameters(dense)}


def protection_rows() -> list[dict[str, Any]]:
    """Bytes, expansion of an upload of 32-bit parameters, and mean seconds of a device on a Cortex-M4, by scheme."""
    parameters, rows = models(), []
    uniform = (np.arange(10_000) + 0.5) / 10_000
    for name, protection in SCHEMES.items():
        measured = "rsa-2048" not in (protection.signature, protection.exchange)
        cycles = protection.cycles(uniform) if measured else np.full(1, np.nan)
        rows.append(
            {
                "protection": name,
                "quantum_safe": protection.quantum_safe,
                "bytes": protection.upload_bytes,
                **{f"{model}_expansion": protection.expansion(32.0 * size) for model, size in parameters.items()},
                "device_ms": float(cycles.mean()) / CORTEX_M4_HZ * 1e3,
                "device_ms_p99": float(np.quantile(cycles, 0.99)) / CORTEX_M4_HZ * 1e3,
            }
        )
    return rows


def aggregation_rows() -> list[dict[str, Any]]:
    """Expansion of secure aggregation among 20, in one group and in groups of 5, and of sums in GHZ states."""
    rows = []
    for model, size in models().items():
        grouped = grouped_cost(CLIENTS, size, GROUP, SUM_BITS)
        rows.append(
            {
                "model": model,
                "parameters": size,
                "masked_expansion": expansion(CLIENTS, size, SUM_BITS),
                "grouped_expansion": grouped.client_bits / (SUM_BITS * size),
                "hidden_among": grouped.largest,
                "ghz_states": states_needed(size, modulus_bits(CLIENTS, SUM_BITS)),
            }
        )
    return rows


def key_rows(seed: int = 0) -> list[dict[str, Any]]:
    """QBER, key and CHSH value where a share of the pulses is intercepted: simulated, beside the formula.

    Args:
        seed: Of choices and outcomes.
    """
    rows = []
    for share in INTERCEPTED:
        pulses = bb84.run(PULSES, np.random.default_rng(seed), share)
        pairs = e91.run(PULSES, np.random.default_rng(seed), share)
        expected = float(error_rate(share, 0.0))
        rows.append(
            {
                "intercepted": share,
                "qber": pulses.error_rate,
                "qber_formula": expected,
                "key_per_sifted": len(pulses.key) / (pulses.sifted - pulses.compared),
                "key_formula": float(secret_fraction(expected)),
                "chsh": pairs.chsh,
                "e91_key_per_sifted": len(pairs.key) / pairs.sifted,
            }
        )
    return rows


def distance_rows() -> list[dict[str, Any]]:
    """Key rates of a fibre with decoy states, quiet and with a tenth intercepted, and of a channel through the air."""
    fibre, air = Fibre(), FreeSpace()
    rows: list[dict[str, Any]] = []
    for kilometres in DISTANCES_KM:
        quiet, heard = decoy_state(fibre, kilometres), decoy_state(fibre, kilometres, 0.1)
        rows.append(
            {
                "channel": "fibre",
                "metres": 1e3 * kilometres,
                "qber": float(quiet.error_rate),
                "key_bps": float(quiet.per_pulse) * fibre.pulses_hz,
                "key_bps_tapped": float(heard.per_pulse) * fibre.pulses_hz,
            }
        )
    for metres in AIR_M:
        quiet_bps, heard_bps = (float(air.rate_bps(np.array(metres), share)) for share in (0.0, 0.1))
        qber = float(error_rate(0.0, air.device_error))
        rows.append(
            {"channel": "air", "metres": metres, "qber": qber, "key_bps": quiet_bps, "key_bps_tapped": heard_bps}
        )
    return rows
