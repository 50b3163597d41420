"""How fast circuits of QAOA are simulated, and how soon one decides for a whole fleet."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.qaoa.angles import linear_ramp, transferred
from agents.qaoa.one_hot import OneHotQAOA
from agents.qaoa.one_shot import one_shot
from agents.qaoa.qubits import QubitQAOA
from baselines.allocation.alternating import alternating_sca
from baselines.allocation.one_hot import OneHotQuadratic
from baselines.allocation.problem import AllocationProblem
from qfl_envs.errors import QflError
from train.benchmarks.timing import interleaved_medians
from train.evaluation import make_env

TOLERANCE = 1e-5
"""Largest difference of a probability between the simulators."""
DEPTH = 3


class SimulatorsDisagreeError(QflError):
    """Two simulators of one circuit with different results, whose times cannot be compared."""


def measure(repeats: int = 7) -> list[dict[str, Any]]:
    """Time of circuits in the one-hot subspace against PennyLane's, and of a one-shot decision against alternating SCA.

    Circuits have depth 3, random pairwise costs and a ramp of angles; all probabilities are computed. PennyLane runs
    the same unitaries gate by gate on ``lightning.qubit``; where it cannot hold the state there is no ratio. The
    decision is that of ``qaoa-one-shot`` for the 200 devices and 20 sub-channels of ``paper``, with all that is
    classical about it, against 150 alternations of SCA from maximum power.

    All run in this process, by turns; the medians are compared.

    Args:
        repeats: Measured calls of each, at least 3; slow alternatives get 3.

    Returns:
        One row per workload: ``qubits``, ``seconds``, ``against`` whom, their ``seconds_against`` and the ``ratio``.
    """
    return [_small_circuit(repeats), _circuit(4, 20, repeats), _circuit(5, 20, repeats), _decision(repeats)]


def random_problem(devices: int, options: int, seed: int = 0) -> OneHotQuadratic:
    """A quadratic problem of standard normal energies."""
    rng = np.random.default_rng(seed)
    pair = rng.normal(size=(1, devices, devices, options))
    pair = np.where(np.eye(devices)[None, :, :, None] > 0, 0.0, (pair + pair.transpose(0, 2, 1, 3)) / np.sqrt(2))
    return OneHotQuadratic(rng.normal(size=(1, devices, options)), pair)


def diagonal(problem: OneHotQuadratic) -> np.ndarray:
    """Energies (B, A, ..., A) of all choices."""
    instances, devices, options = problem.linear.shape
    cost = np.zeros((instances, *[options] * devices))
    each = np.arange(options)
    for i in range(devices):
        cost += problem.linear[:, i].reshape(instances, *(-1 if axis == i else 1 for axis in range(devices)))
        for j in range(i + 1, devices):
            both = np.zeros((instances, options, options))
            both[:, each, each] = problem.pair[:, i, j]
            cost += both.reshape(instances, *(options if axis in (i, j) else 1 for axis in range(devices)))
    return cost


def _small_circuit(repeats: int) -> dict[str, Any]:
    """4 devices x 4 sub-channels on both simulators."""
    problem, angles = random_problem(4, 4), linear_ramp(DEPTH, 4)
    cost = diagonal(problem)
    scale = float(cost.std())
    qubits = QubitQAOA(problem, scale=scale, device="lightning.qubit")
    difference = np.abs(qubits.one_hot_probabilities(angles) - OneHotQAOA(cost).probabilities(angles)[0]).max()
    if not difference <= TOLERANCE:
        raise SimulatorsDisagreeError(
            f"lightning.qubit differs by {difference:.1e} from the one-hot simulator; allowed: {TOLERANCE:.0e}"
        )
    runs = {
        "one-hot": lambda: OneHotQAOA(cost).probabilities(angles),
        "lightning": lambda: qubits.probabilities(angles),
    }
    medians = interleaved_medians(runs, repeats)
    return _row(_name(4, 4), 16, medians["one-hot"], "lightning.qubit", medians["lightning"])


def _circuit(devices: int, options: int, repeats: int) -> dict[str, Any]:
    """A circuit too large for qubits."""
    cost, angles = diagonal(random_problem(devices, options)), linear_ramp(DEPTH, options)
    medians = interleaved_medians({"one-hot": lambda: OneHotQAOA(cost).probabilities(angles)}, repeats)
    return _row(_name(devices, options), devices * options, medians["one-hot"])


def _decision(repeats: int) -> dict[str, Any]:
    """The one-shot decision of ``paper``."""
    from agents.qaoa.allocators import OneShot

    env: Any = make_env("qfl/Allocation-v0", "test", {"scenario": "paper", "learning": {"model": "none"}})
    observation, _ = env.reset(seed=0)
    problem = AllocationProblem.from_view(env.unwrapped.view(observation), may_idle=True)
    angles = transferred("one-shot", 1, problem.num_subchannels)
    runs = {
        "one shot": lambda: one_shot(problem, angles, OneShot.budget(problem), np.random.default_rng(0)),
        "sca": lambda: alternating_sca(problem),
    }
    medians = interleaved_medians(runs, repeats)
    qubits = problem.num_devices * problem.num_subchannels
    name = f"one-shot decision, {problem.num_devices} devices x {problem.num_subchannels} sub-channels"
    return _row(name, qubits, medians["one shot"], "alternating SCA, 150 alternations", medians["sca"])


def _name(devices: int, options: int) -> str:
    return f"circuit of depth {DEPTH}, {devices} devices x {options} sub-channels"


def _row(
    workload: str, qubits: int, seconds: float, against: str | None = None, seconds_against: float | None = None
) -> dict[str, Any]:
    return {
        "workload": workload,
        "qubits": qubits,
        "seconds": seconds,
        "against": against,
        "seconds_against": seconds_against,
        "ratio": None if seconds_against is None else seconds_against / seconds,
    }
