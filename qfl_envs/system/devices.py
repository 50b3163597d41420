"""Devices: processors shared with other work, batteries, and what a round of training takes on them.

Times and energies follow the usual models (Yang et al. 2021, IEEE TWC 20(3)): a CPU of clock f takes cycles / f seconds
and kappa cycles f^2 joules. A quantum processor takes circuits x shots x seconds per shot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qfl_envs.compiled import compiled, elementwise, ready
from qfl_envs.quantum.circuits import Circuit
from qfl_envs.scenario import Fleet, Scenario
from qfl_envs.system.state import SystemState


def server_seconds(fleet: Fleet, shots: int) -> float:
    """Time on a quantum processor of the server that is an average one of the fleet: the wait for it, and all shots."""
    return fleet.queue_s + shots * math.sqrt(fleet.shot_s[0] * fleet.shot_s[1])


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
    share, cpu_hz, step_s = np.empty(shot_s.shape), np.empty(shot_s.shape), np.empty(shot_s.shape)
    _offer(load_normal, max_cpu_hz, shot_s, fleet.load_mean, fleet.load_std, cycles, shots, share, cpu_hz, step_s)
    return Offer(share, cpu_hz, step_s)


@compiled
def _offer(
    load_normal: np.ndarray,
    max_cpu_hz: np.ndarray,
    shot_s: np.ndarray,
    load_mean: float,
    load_std: float,
    cycles: float,
    shots: float,
    load_share: np.ndarray,
    cpu_hz: np.ndarray,
    step_s: np.ndarray,
) -> None:
    """Fill the last three arrays, the attributes of :class:`Offer`."""
    for e in range(load_share.shape[0]):
        for n in range(load_share.shape[1]):
            share = min(max(load_mean + load_std * load_normal[e, n], 0.0), 0.9)
            load_share[e, n] = share
            cpu_hz[e, n] = max_cpu_hz[e, n] * (1.0 - share)
            step_s[e, n] = cycles / cpu_hz[e, n] + shots * shot_s[e, n] / (1.0 - share)


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
    seconds, energy_j = np.empty(cpu_hz.shape), np.empty(cpu_hz.shape)
    _work(
        ready(local_steps, np.int64),
        ready(cpu_hz),
        ready(shot_s),
        ready(load_share),
        ready(step_shots),
        wait_seconds(scenario),
        scenario.learning.batch_size * fleet.cycles_per_sample,
        fleet.capacitance,
        fleet.quantum_w,
        seconds,
        energy_j,
    )
    return Work(seconds, energy_j)


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
    seconds: np.ndarray,
    energy_j: np.ndarray,
) -> None:
    """Fill the last two arrays with seconds and joules of :func:`compute_work`."""
    seconds[:] = 0.0
    energy_j[:] = 0.0
    for e in range(local_steps.shape[0]):
        for n in range(local_steps.shape[1]):
            if local_steps[e, n] > 0:
                cycles = local_steps[e, n] * step_cycles
                circuits_s = local_steps[e, n] * step_shots[e, 0] * shot_s[e, n]
                seconds[e, n] = wait_s + cycles / cpu_hz[e, n] + circuits_s / (1.0 - load_share[e, n])
                energy_j[e, n] = capacitance * cycles * cpu_hz[e, n] ** 2 + quantum_w * circuits_s


def protection_work(scenario: Scenario, participate: np.ndarray, cpu_hz: np.ndarray) -> Work:
    """Time and energy of protecting the updates of those who take part (E, N), at a clock (E, N)."""
    seconds, energy_j = np.empty(cpu_hz.shape), np.empty(cpu_hz.shape)
    _protect(participate, cpu_hz, scenario.security.protection_cycles, scenario.fleet.capacitance, seconds, energy_j)
    return Work(seconds, energy_j)


@compiled
def _protect(
    participate: np.ndarray,
    cpu_hz: np.ndarray,
    all_cycles: float,
    capacitance: float,
    seconds: np.ndarray,
    energy_j: np.ndarray,
) -> None:
    """Fill the last two arrays with seconds and joules of :func:`protection_work`."""
    for e in range(cpu_hz.shape[0]):
        for n in range(cpu_hz.shape[1]):
            cycles = all_cycles if participate[e, n] else 0.0
            seconds[e, n] = cycles / cpu_hz[e, n]
            energy_j[e, n] = capacitance * cycles * cpu_hz[e, n] ** 2


def available(fleet: Fleet, state: SystemState) -> np.ndarray:
    """(E, N) bool, devices that can take part: of the fleet, linked, free, with charge above the reserve."""
    able = np.empty(state.active.shape, dtype=np.bool_)
    _available(
        state.active,
        state.link_up,
        state.battery_j,
        state.full_battery_j,
        state.busy_s,
        fleet.reserve,
        able,
    )
    return able


@compiled
def _available(
    active: np.ndarray,
    link_up: np.ndarray,
    battery_j: np.ndarray,
    full_battery_j: np.ndarray,
    busy_s: np.ndarray,
    reserve: float,
    able: np.ndarray,
) -> None:
    """Fill the last array with :func:`available`."""
    for e in range(able.shape[0]):
        for n in range(able.shape[1]):
            charged = not is_empty(battery_j[e, n], full_battery_j[e, n], reserve)
            able[e, n] = active[e, n] and link_up[e, n] and charged and busy_s[e, n] == 0.0


@elementwise
def is_empty(battery_j: float, full_j: float, reserve: float) -> bool:
    """Whether a charge is down to the reserve."""
    return battery_j <= reserve * full_j
