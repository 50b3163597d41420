"""Devices: processors shared with other work, batteries, and what a round of training takes on them.

Times and energies follow the usual models (Yang et al. 2021, IEEE TWC 20(3)): a CPU of clock f takes cycles / f seconds
and kappa cycles f^2 joules. A quantum processor takes circuits x shots x seconds per shot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qfl_envs.quantum.circuits import Circuit
from qfl_envs.scenario import Fleet, Scenario


def draw_per_device(bounds: tuple[float, float], uniform: np.ndarray, spread: float = 1.0) -> np.ndarray:
    """One value per device, uniform in the logarithm between the bounds, or in a share of that interval's middle."""
    low, high = bounds
    if low == high:
        return np.full(uniform.shape, low)
    return low * (high / low) ** (0.5 + spread * (uniform - 0.5))


def load(fleet: Fleet, normal: np.ndarray) -> np.ndarray:
    """Share of the processors taken by other work, from 0 to 0.9: mean + std x, clipped."""
    return np.clip(fleet.load_mean + fleet.load_std * normal, 0.0, 0.9)


def next_load_normal(fleet: Fleet, current: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """The AR(1) process behind the load, one round later."""
    memory = fleet.load_memory
    return memory * current + np.sqrt(1 - memory**2) * normal


def circuit_of(scenario: Scenario) -> Circuit:
    """The circuit that the scenario's quantum learners run."""
    quantum = scenario.quantum
    return Circuit(quantum.num_qubits, quantum.num_layers, quantum.encoder, quantum.entangler)  # type: ignore[arg-type]


def shots_per_step(scenario: Scenario, head_only: bool = False) -> float:
    """Shots of one local step on a quantum processor: every sample runs its circuit and two shifted ones per angle.

    A scenario that simulates the network alone, and a surrogate, keep the cost of the quantum learner. The gradient of
    the last layer alone (``head_only``) needs no shifted circuits.
    """
    if scenario.learning.model not in ("qnn", "surrogate", "none"):
        return 0.0
    circuits = 1 if head_only else 1 + 2 * circuit_of(scenario).num_gate_angles
    return float(scenario.learning.batch_size * circuits * scenario.quantum.shots)


@dataclass(frozen=True)
class Work:
    """What computing takes: seconds and joules, (E, N) each."""

    seconds: np.ndarray
    energy_j: np.ndarray


def step_seconds(scenario: Scenario, cpu_hz: np.ndarray, shot_s: np.ndarray, load_share: np.ndarray) -> np.ndarray:
    """Seconds of one local step.

    Args:
        scenario: Cost of a step.
        cpu_hz: (E, N) clock that is left for training.
        shot_s: (E, N) seconds per shot of the idle quantum processor.
        load_share: (E, N) share of it that other work takes.

    Returns:
        (E, N).
    """
    cycles = scenario.learning.batch_size * scenario.fleet.cycles_per_sample
    return cycles / cpu_hz + shots_per_step(scenario) * shot_s / (1 - load_share)


def wait_seconds(scenario: Scenario) -> float:
    """Wait for the quantum processor, once a round; none where the learner is classical."""
    return scenario.fleet.queue_s if shots_per_step(scenario) > 0 else 0.0


def compute_work(
    scenario: Scenario,
    local_steps: np.ndarray,
    cpu_hz: np.ndarray,
    shot_s: np.ndarray,
    load_share: np.ndarray,
    step_shots: np.ndarray | None = None,
) -> Work:
    """Time and energy of a round's local steps.

    Args:
        scenario: Cost of a step.
        local_steps: (E, N).
        cpu_hz: (E, N) clock that is left for training.
        shot_s: (E, N) seconds per shot of the idle quantum processor.
        load_share: (E, N) share of it that other work takes.
        step_shots: (E, 1) shots of a step; None for :func:`shots_per_step`.

    Returns:
        Arrays (E, N).
    """
    fleet = scenario.fleet
    shots = shots_per_step(scenario) if step_shots is None else step_shots
    wait_s = np.where(local_steps > 0, wait_seconds(scenario), 0.0)
    cycles = local_steps * (scenario.learning.batch_size * fleet.cycles_per_sample)
    circuits_s = local_steps * shots * shot_s
    seconds = wait_s + cycles / cpu_hz + circuits_s / (1 - load_share)
    return Work(seconds, fleet.capacitance * cycles * cpu_hz**2 + fleet.quantum_w * circuits_s)
