"""The joint parity that an entangled critic measures: how it concentrates with more devices, and how fast it is had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from agents.multi_agent import reference
from agents.multi_agent.local_circuits import columns, operators
from agents.multi_agent.shared_states import SharedState
from qfl_envs.errors import QflError
from qfl_envs.quantum.circuits import Circuit, z_signs
from train.benchmarks.timing import interleaved_medians

CIRCUIT = Circuit(num_qubits=4, num_layers=3)
DEVICES = (1, 2, 3, 4, 8, 16, 200)
LARGEST_STATE = 12
"""Qubits up to which PennyLane holds the joint state."""
TOLERANCE = 1e-7


class ParitiesDisagreeError(QflError):
    """The exact parity and that of the joint state differ, so that their times cannot be compared."""


def measure(draws: int = 400, repeats: int = 5) -> list[dict[str, Any]]:
    """Spread of the parity over random circuits and inputs, and the time of one against PennyLane's joint state.

    Args:
        draws: Random clusters of each size.
        repeats: Measured calls of each, at least 3.

    Returns:
        A row per number of devices: ``devices``, ``qubits``, ``deviation`` of the parity, ``seconds`` of one,
        ``seconds_against`` of ``lightning.qubit`` on the joint state, and the ``ratio``.

    Raises:
        ParitiesDisagreeError: If the two differ.
    """
    return [_row(devices, draws, repeats) for devices in DEVICES]


def _row(devices: int, draws: int, repeats: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    parameters = {name: _angles(draws, devices, shape, generator) for name, shape in CIRCUIT.shape().items()}
    parameters["inputs"] = _angles(draws, devices, (CIRCUIT.num_qubits,), generator)
    shared = SharedState("phi+", devices, CIRCUIT.num_qubits)
    first = {name: values[0] for name, values in parameters.items()}
    runs: dict[str, Callable[[], Any]] = {"exact": lambda: _parities(shared, first)}
    if devices * CIRCUIT.num_qubits <= LARGEST_STATE:
        runs["joint"] = lambda: reference.parity(shared, CIRCUIT, **first, device="lightning.qubit")
        difference = abs(float(runs["exact"]()) - float(runs["joint"]()))
        if not difference <= TOLERANCE:
            raise ParitiesDisagreeError(f"parities of {devices} devices differ by {difference:.1e}; {TOLERANCE:.0e}")
    medians = interleaved_medians(runs, repeats)
    against = medians.get("joint")
    return {
        "devices": devices,
        "qubits": devices * CIRCUIT.num_qubits,
        "deviation": float(_parities(shared, parameters).std()),
        "seconds": medians["exact"],
        "seconds_against": against,
        "ratio": None if against is None else against / medians["exact"],
    }


def _angles(draws: int, devices: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return 6.3 * torch.rand(draws, devices, *shape, generator=generator, dtype=torch.float64)


def _parities(shared: SharedState, parameters: dict[str, Tensor]) -> Tensor:
    """Of one cluster, or of as many as the parameters have in front of the devices."""
    states = columns(CIRCUIT, **parameters, num_shared=CIRCUIT.num_qubits)
    return shared.expectation(operators(states, torch.tensor(z_signs(CIRCUIT.num_qubits)).prod(-1)))
