"""The presets, as data: what each changes of the scenario's defaults.

``tiny`` is for tests. ``small`` trains on a laptop: computing and uploading take times of the same order that spread
about tenfold over the fleet, batteries and the deadline bind now and then, and who takes part decides how fast the
model learns. ``paper`` is the case study of the article, whose open choices (path loss, Rician K, model, processors)
are filled as the scenario's fields say. ``city`` has several cells that interfere.
"""

from __future__ import annotations

from typing import Any

_STRAGGLERS: dict[str, Any] = {
    "speed_mps": 3.0,
    "speed_std_mps": 1.0,
    "shot_s": [4e-7, 8e-6],
    "queue_s": 0.01,
    "quantum_w": 5.0,
    "transmit_circuit_w": 0.5,
    "load_mean": 0.2,
    "load_std": 0.2,
    "battery_j": [6.0, 60.0],
    "harvest_w": 0.2,
    "reserve": 0.1,
}
_URBAN: dict[str, Any] = {
    "placement": "uniform_area",
    "min_distance_m": 10.0,
    "shadowing_db": 6.0,
    "rician_k_db": 7.0,
    "rician_k_std_db": 4.0,
    "noise_figure_db": 5.0,
    "sinr_cap_db": 30.0,
    "waterfall": 1.005,
    "link_drop": 0.05,
    "link_recover": 0.4,
}
_POST_QUANTUM: dict[str, Any] = {"protection_bits": 50_792, "protection_cycles": 8.6e6}
"""An ML-DSA-65 key and signature and an ML-KEM-768 ciphertext; signing, encapsulating and hashing on a Cortex-M4."""

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "num_devices": 6,
        "max_rounds": 40,
        "target_accuracy": 0.4,
        "deadline_s": 1.0,
        "radio": {
            **_URBAN,
            "num_subchannels": 2,
            "subchannel_hz": 90e3,
            "cell_radius_m": 1000.0,
            "max_power_dbm": 17.0,
        },
        "fleet": {**_STRAGGLERS, "battery_j": [3.0, 30.0]},
        "learning": {
            "batch_size": 4,
            "server_rate": 0.2,
            "partition": "shards",
            "size_spread": 0.5,
            "eval_samples": 60,
            "device_eval_samples": 4,
        },
        "security": _POST_QUANTUM,
        "quantum": {"num_qubits": 4, "num_layers": 2},
    },
    "small": {
        "num_devices": 20,
        "max_rounds": 80,
        "target_accuracy": 0.6,
        "deadline_s": 2.0,
        "radio": {
            **_URBAN,
            "num_subchannels": 5,
            "subchannel_hz": 60e3,
            "cell_radius_m": 1000.0,
            "max_power_dbm": 17.0,
        },
        "fleet": _STRAGGLERS,
        "learning": {"batch_size": 4, "server_rate": 0.15, "size_spread": 0.5, "device_eval_samples": 8},
        "security": _POST_QUANTUM,
    },
    "paper": {
        "num_devices": 200,
        "max_rounds": 100,
        "target_accuracy": 0.75,
        "deadline_s": 1.0,
        "fleet": {"shot_s": [4e-7, 5e-6]},
        "learning": {"batch_size": 4, "server_rate": 0.15, "device_eval_samples": 4},
        "quantum": {"num_qubits": 8, "num_layers": 3},
    },
    "city": {
        "num_devices": 1000,
        "max_rounds": 100,
        "target_accuracy": 0.7,
        "deadline_s": 1.0,
        "radio": {**_URBAN, "num_cells": 7, "num_subchannels": 20, "cell_radius_m": 500.0, "max_power_dbm": 23.0},
        "fleet": _STRAGGLERS,
        "learning": {"batch_size": 4, "server_rate": 0.15, "samples_per_device": 16, "device_eval_samples": 2},
        "security": _POST_QUANTUM,
    },
}
