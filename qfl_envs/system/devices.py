"""Devices: processors shared with other work, batteries, and what a round of training takes on them.

Times and energies follow the usual models (Yang et al. 2021, IEEE TWC 20(3)): a CPU of clock f takes cycles / f seconds
and kappa cycles f^2 joules. A quantum processor takes circuits x shots x seconds per shot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qfl_envs.quantum.circuits import Circuit
from qfl_envs.scenario import Fleet, Scenario
from qfl_envs.system.compiled import compiled, elementwise, ready


def draw_per_device(bounds: tuple[float, float], uniform: np.ndarray, spread: float = 1.0) -> np.ndarray:
    """One value per device, uniform in the logarithm between the bounds, or in a share of that interval's middle."""
    low, high = bounds
    if low == high:
        return np.full(uniform.shape, low)
    return low * (high / low) ** (0.5 + spread * (uniform - 0.5))


def next_load_normal(fleet: Fleet, current: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """The AR(1) process behind the load, one round later."""
    return np.asarray(next_load(current, normal, fleet.load_memory))  # type: ignore[arg-type]


@elementwise
def next_load(current: float, normal: float, memory: float) -> float:
    """The same of one device."""
    return memory * current + math.sqrt(1.0 - memory**2) * normal


@elementwise
def next_charge(battery_j: float, spent_j: float, harvested_j: float, full_j: float) -> float:
    """Charge of a battery after a round; it holds no more than at the start."""
    return min(battery_j - spent_j + harvested_j, full_j)


@dataclass(frozen=True)
class Offer:
    """What devices have for training this round, (E, N) each.

    Attributes:
        load_share: Share of the processors that other work takes.
        cpu_hz: Clock that is left.
        step_s: Seconds of one local step.
    """

    load_share: np.ndarray
    cpu_hz: np.ndarray
    step_s: np.ndarray


def offer(scenario: Scenario, load_normal: np.ndarray, max_cpu_hz: np.ndarray, shot_s: np.ndarray) -> Offer:
    """What devices have for training, from the AR(1) process (E, N) behind their load.

    Args:
        scenario: Load, and cost of a step.
        load_normal: (E, N) standard normal; the share is mean + std x, clipped to 0 ... 0.9.
        max_cpu_hz: (E, N) fastest clock.
        shot_s: (E, N) seconds per shot of the idle quantum processor.
    """
    fleet = scenario.fleet
    cycles = scenario.learning.batch_size * fleet.cycles_per_sample
    shots = shots_per_step(scenario)
    return Offer(*_offer(load_normal, max_cpu_hz, shot_s, fleet.load_mean, fleet.load_std, cycles, shots))


@compiled
def _offer(
    load_normal: np.ndarray,
    max_cpu_hz: np.ndarray,
    shot_s: np.ndarray,
    load_mean: float,
    load_std: float,
    cycles: float,
    shots: float,
) -> np.ndarray:
    """The attributes of :class:`Offer`, (3, E, N)."""
    systems, devices = load_normal.shape
    offered = np.empty((3, systems, devices))
    for e in range(systems):
        for n in range(devices):
            share = min(max(load_mean + load_std * load_normal[e, n], 0.0), 0.9)
            hz = max_cpu_hz[e, n] * (1.0 - share)
            offered[0, e, n] = share
            offered[1, e, n] = hz
            offered[2, e, n] = cycles / hz + shots * shot_s[e, n] / (1.0 - share)
    return offered


def circuit_of(scenario: Scenario) -> Circuit:
    """The circuit that the scenario's quantum learners run."""
    quantum = scenario.quantum
    return _circuit(quantum.num_qubits, quantum.num_layers, quantum.encoder, quantum.entangler)


_circuit = lru_cache(Circuit)


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
    if step_shots is None:
        step_shots = np.full((len(local_steps), 1), shots_per_step(scenario))
    return Work(
        *_work(
            ready(local_steps, np.int64),
            ready(cpu_hz),
            ready(shot_s),
            ready(load_share),
            ready(step_shots),
            wait_seconds(scenario),
            scenario.learning.batch_size * fleet.cycles_per_sample,
            fleet.capacitance,
            fleet.quantum_w,
        )
    )


@compiled
def _work(
    local_steps: np.ndarray,
    cpu_hz: np.ndarray,
    shot_s: np.ndarray,
    load_share: np.ndarray,
    step_shots: np.ndarray,
    wait_s: float,
    step_cycles: float,
    capacitance: float,
    quantum_w: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and joules of :func:`compute_work`."""
    seconds, energy_j = np.zeros(local_steps.shape), np.zeros(local_steps.shape)
    for e in range(local_steps.shape[0]):
        for n in range(local_steps.shape[1]):
            if local_steps[e, n] > 0:
                cycles = local_steps[e, n] * step_cycles
                circuits_s = local_steps[e, n] * step_shots[e, 0] * shot_s[e, n]
                seconds[e, n] = wait_s + cycles / cpu_hz[e, n] + circuits_s / (1.0 - load_share[e, n])
                energy_j[e, n] = capacitance * cycles * cpu_hz[e, n] ** 2 + quantum_w * circuits_s
    return seconds, energy_j
