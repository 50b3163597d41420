"""What a competitor with circuits has run on the modelled processor."""

from __future__ import annotations

from qfl_envs.competitor import Cost
from qfl_envs.scenario import Fleet
from qfl_envs.system.devices import server_seconds


class CircuitAccount:
    """Circuits, shots and seconds of all decisions so far."""

    def __init__(self) -> None:
        """Begin with no circuit run."""
        self.circuits, self.shots, self.quantum_s = 0, 0, 0.0
        self._charged = 0

    def ran(self, circuits: int, shots: int) -> None:
        """Count circuits of some shots each."""
        self.circuits += circuits
        self.shots += circuits * shots

    def end_decision(self, fleet: Fleet) -> None:
        """Charge the time of what ran since the last decision: one wait, and all shots one after the other."""
        if self.shots > self._charged:
            self.quantum_s += server_seconds(fleet, self.shots - self._charged)
            self._charged = self.shots

    def cost(self, decisions: int, seconds: float, angles: int) -> Cost:
        """Means per decision, of so many that took so many seconds in all, with so many angles in the circuits."""
        decisions = max(decisions, 1)
        return Cost(
            parameters=angles,
            circuit_evaluations=self.circuits / decisions,
            shots=self.shots / decisions,
            decision_s=seconds / decisions,
            quantum_parameters=angles,
            quantum_s=self.quantum_s / decisions,
        )
