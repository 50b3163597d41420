"""Where the circuits of a policy run: on the fast simulator, or on any device of PennyLane, with shots and noise."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from qfl_envs.errors import InvalidValueError
from qfl_envs.quantum import batched
from qfl_envs.quantum.circuits import Circuit, z_signs
from qfl_envs.quantum.shots import Shots

BATCHED, PENNYLANE = "batched", "pennylane:"
NOISY_DEVICE = "default.mixed"


@dataclass
class Execution:
    """How circuits are run, and how many were.

    Attributes:
        backend: ``"batched"``, the fast simulator, or ``"pennylane:"`` and the name of a device of PennyLane, e.g.
            ``"pennylane:lightning.qubit"``. Training is fast on the first alone.
        shots: Shots of each circuit; None for exact values, which only simulators have.
        noise: Probability that a gate depolarises each qubit that it acts on; only ``"pennylane:default.mixed"``
            simulates any.
        circuits: Circuits run so far.

    Raises:
        InvalidValueError: For a backend that is not installed, and for shots or noise that it cannot have.
    """

    backend: str = BATCHED
    shots: int | None = None
    noise: float = 0.0
    circuits: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if self.shots is not None and self.shots < 1:
            raise InvalidValueError("shots", self.shots, "at least 1, or none for exact values")
        if not 0.0 <= self.noise <= 1.0:
            raise InvalidValueError("noise", self.noise, "0 to 1")
        if self.noise > 0 and self.backend != PENNYLANE + NOISY_DEVICE:
            raise InvalidValueError("noise", self.noise, f"0 on {self.backend}; {PENNYLANE}{NOISY_DEVICE} has noise")
        if self.backend != BATCHED:
            _check_device(self.backend)
        self.seed(0)

    def seed(self, seed: int) -> None:
        """Seed what is measured with shots, on simulators."""
        self._generator = np.random.default_rng(seed)

    def expectations(self, circuit: Circuit, rotations: Tensor, phases: Tensor, scales: Tensor, x: Tensor) -> Tensor:
        """Pauli-Z expectations (S, n) of samples x (S, n); the weights are one set, without the axis of clients."""
        self.circuits += len(x)
        if self.backend == BATCHED and self.shots is None:
            return batched.expectations(circuit, rotations[None], phases[None], scales[None], x[None])[0]
        if self.backend == BATCHED:
            signs = torch.tensor(z_signs(circuit.num_qubits)).to(x)
            return self._frequencies(circuit, rotations, phases, scales, x) @ signs
        return self._pennylane("z", circuit, rotations, phases, scales, x)

    def probabilities(self, circuit: Circuit, rotations: Tensor, phases: Tensor, scales: Tensor, x: Tensor) -> Tensor:
        """Probabilities, or frequencies, of all basis states: (S, 2**n)."""
        self.circuits += len(x)
        if self.backend == BATCHED and self.shots is None:
            return batched.probabilities(circuit, rotations[None], phases[None], scales[None], x[None])[0]
        if self.backend == BATCHED:
            return self._frequencies(circuit, rotations, phases, scales, x)
        return self._pennylane("probabilities", circuit, rotations, phases, scales, x)

    def _frequencies(self, circuit: Circuit, *tensors: Tensor) -> Tensor:
        exact = batched.probabilities(circuit, *(tensor[None] for tensor in tensors))
        measured = self._measurement()
        assert measured is not None
        return measured.frequencies(exact)[0]

    def _pennylane(self, measured: str, circuit: Circuit, *tensors: Tensor) -> Tensor:
        from qfl_envs.quantum import pennylane

        device = self.backend.removeprefix(PENNYLANE)
        # broadcast where a simulator can be differentiated through; a circuit per sample wherever there are shots
        gradient = "backprop" if device == "default.qubit" and self.shots is None else "parameter_shift"
        return pennylane.run(
            measured,
            circuit,
            *(tensor[None] for tensor in tensors),
            device=device,
            gradient=gradient,
            shots=self._measurement(),
            noise=self.noise,
        )[0]

    def _measurement(self) -> Shots | None:
        return None if self.shots is None else Shots(self.shots, [self._generator], np.zeros(1, dtype=int))


def _check_device(backend: str) -> None:
    """Refuse a backend that cannot be had."""
    from qfl_envs.quantum.pennylane import installed_devices, open_device

    allowed = f"'{BATCHED}', or '{PENNYLANE}' and an installed device: {', '.join(installed_devices())}"
    if not backend.startswith(PENNYLANE) or backend == PENNYLANE:
        raise InvalidValueError("backend", backend, allowed)
    try:
        open_device(backend.removeprefix(PENNYLANE), wires=1)
    except InvalidValueError as error:
        raise InvalidValueError("backend", backend, allowed) from error
