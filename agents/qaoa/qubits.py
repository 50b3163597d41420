"""The same circuits gate by gate on qubits, as PennyLane runs them: for verification, other simulators and hardware.

Every option of every variable is a qubit. On one-hot states the energy of a quadratic problem is a sum of number
operators, whose phase is one phase shift per qubit and one controlled phase shift per pair.

The mixer exp(-i beta (J - I)) on A qubits needs no Trotter steps: a ladder of A - 1 rotations between neighbours turns
the first qubit's one-hot state into the uniform one and keeps the number of excitations. Between the inverse of the
ladder and the ladder, a phase shift of -beta A on the first qubit is the mixer, up to a global phase.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import pennylane as qml

from agents.qaoa.angles import Angles
from baselines.allocation.one_hot import OneHotQuadratic
from qfl_envs.errors import InvalidValueError
from qfl_envs.quantum.pennylane import open_device

Mixer = Literal["xy", "xy_trotter", "x"]
MIXERS: tuple[str, ...] = get_args(Mixer)
MAX_QUBITS = 24
"""Qubits that are simulated here: 2**24 amplitudes are a quarter of a GiB."""


class QubitQAOA:
    """QAOA of one quadratic one-hot problem on M A qubits.

    Attributes:
        num_qubits: M A, the qubit of option a of variable i being i A + a.
    """

    def __init__(
        self,
        problem: OneHotQuadratic,
        *,
        mixer: Mixer = "xy",
        penalty: float | None = None,
        scale: float = 1.0,
        device: str = "lightning.qubit",
        simulated: bool = True,
        **device_arguments: Any,
    ) -> None:
        """Take the problem.

        Args:
            problem: One instance.
            mixer: ``"xy"``, exact; ``"xy_trotter"``, one two-qubit gate per pair of options one after the other, which
                is exact for two options only; ``"x"``, a field on every qubit, which leaves the one-hot states, so that
                violations are charged by a penalty.
            penalty: With ``"x"``, energy of (number of options taken - 1)^2 of a variable; None is twice the largest
                change of energy by one variable. None with the other mixers, which need none.
            scale: What phases divide energies by.
            device: Name of a PennyLane device.
            simulated: Whether the number of qubits is limited to what a simulator can hold.
            device_arguments: For the device, e.g. a seed.

        Raises:
            InvalidValueError: For more than one instance, too many qubits, an unknown mixer, a scale not above 0, a
                penalty where there is none, or a device that is not installed.
        """
        if len(problem.linear) != 1:
            raise InvalidValueError("number of instances", len(problem.linear), "1")
        if mixer not in MIXERS:
            raise InvalidValueError("mixer", mixer, MIXERS)
        if not scale > 0:
            raise InvalidValueError("scale", scale, "a number above 0")
        if penalty is not None and mixer != "x":
            raise InvalidValueError("penalty", penalty, f"None with the mixer {mixer!r}, which keeps states one-hot")
        _, self._variables, self._options = problem.linear.shape
        self.num_qubits = self._variables * self._options
        if simulated and self.num_qubits > MAX_QUBITS:
            raise InvalidValueError("number of qubits", self.num_qubits, f"at most {MAX_QUBITS} on a simulator")
        self._mixer, self._scale = mixer, scale
        self._linear, self._pairs = _number_operators(problem)
        if mixer == "x":
            self._penalise(2 * _largest_change(problem) if penalty is None else penalty)
        self._device = open_device(device, self.num_qubits, **device_arguments)

    def probabilities(self, angles: Angles) -> np.ndarray:
        """(2,) * M A probability of every bit string, by exact simulation."""
        node = qml.QNode(lambda: self._measured(angles, qml.probs), self._device)
        found: np.ndarray = np.asarray(node()).reshape((2,) * self.num_qubits)
        return found

    def one_hot_probabilities(self, angles: Angles) -> np.ndarray:
        """(A,) * M probability of every choice; they sum to less than 1 where the mixer leaves the one-hot states."""
        everything = self.probabilities(angles)
        bits = np.eye(self._options, dtype=int)
        found = np.empty((self._options,) * self._variables)
        for choice in np.ndindex(found.shape):
            found[choice] = everything[tuple(np.concatenate([bits[option] for option in choice]))]
        return found

    def sample(self, angles: Angles, shots: int) -> np.ndarray:
        """Bits (shots, M, A) as the device measures them.

        Raises:
            InvalidValueError: For shots below 1.
        """
        if shots < 1:
            raise InvalidValueError("shots", shots, "at least 1")
        node = qml.QNode(lambda: self._measured(angles, qml.sample), self._device)
        measured = np.asarray(qml.set_shots(node, shots=shots)())
        return measured.reshape(shots, self._variables, self._options)

    def _measured(self, angles: Angles, measure: Callable[..., Any]) -> Any:
        """The circuit; QNodes record the gates as they are made."""
        if angles.gamma.ndim != 1:
            raise InvalidValueError("shape of the angles", angles.gamma.shape, "(p)")
        self._start()
        for gamma, beta in zip(angles.gamma, angles.beta, strict=True):
            for wire, energy in self._linear.items():
                qml.PhaseShift(-gamma * energy / self._scale, wires=wire)
            for wires, energy in self._pairs.items():
                qml.ControlledPhaseShift(-gamma * energy / self._scale, wires=wires)
            for variable in range(self._variables):
                self._mix(beta, self._wires(variable))
        return measure(wires=range(self.num_qubits))

    def _wires(self, variable: int) -> list[int]:
        return list(range(variable * self._options, (variable + 1) * self._options))

    def _start(self) -> None:
        for variable in range(self._variables):
            wires = self._wires(variable)
            if self._mixer == "x":
                for wire in wires:
                    qml.Hadamard(wires=wire)
            else:
                qml.PauliX(wires=wires[0])
                _ladder(wires)

    def _mix(self, beta: float, wires: list[int]) -> None:
        if self._mixer == "x":
            for wire in wires:
                qml.RX(2 * beta, wires=wire)
        elif self._mixer == "xy_trotter":
            for first in range(len(wires)):
                for second in range(first + 1, len(wires)):
                    qml.IsingXY(-2 * beta, wires=[wires[first], wires[second]])
        else:
            _ladder(wires, inverse=True)
            qml.PhaseShift(-beta * len(wires), wires=wires[0])
            _ladder(wires)

    def _penalise(self, penalty: float) -> None:
        """Add penalty (sum_a n_a - 1)^2 of every variable, without its constant; n^2 = n."""
        for variable in range(self._variables):
            wires = self._wires(variable)
            for place, wire in enumerate(wires):
                self._linear[wire] = self._linear.get(wire, 0.0) - penalty
                for other in wires[place + 1 :]:
                    self._pairs[wire, other] = self._pairs.get((wire, other), 0.0) + 2 * penalty


def _ladder(wires: list[int], inverse: bool = False) -> None:
    """Turn the one-hot state of the first wire into the uniform one-hot state of all, or back."""
    steps = list(zip(wires[:-1], wires[1:], range(len(wires), 1, -1), strict=True))
    for first, second, left in reversed(steps) if inverse else steps:
        angle = -2 * math.acos(math.sqrt(1 / left))
        qml.SingleExcitation(-angle if inverse else angle, wires=[first, second])


def _number_operators(problem: OneHotQuadratic) -> tuple[dict[int, float], dict[tuple[int, int], float]]:
    """Energies that are not 0, by qubit and by pair of qubits."""
    variables, options = problem.linear.shape[1:]
    linear = {
        i * options + a: float(problem.linear[0, i, a])
        for i in range(variables)
        for a in range(options)
        if problem.linear[0, i, a] != 0
    }
    pairs = {
        (i * options + a, j * options + a): float(problem.pair[0, i, j, a])
        for i in range(variables)
        for j in range(i + 1, variables)
        for a in range(options)
        if problem.pair[0, i, j, a] != 0
    }
    return linear, pairs


def _largest_change(problem: OneHotQuadratic) -> float:
    """Bound on what one variable can change of the energy."""
    return float((np.abs(problem.linear[0]) + np.abs(problem.pair[0]).sum(1)).max())
