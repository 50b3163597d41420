"""QAOA on variables that take one of several options each, exact in the one-hot subspace. Classically simulated.

A processor would spend one qubit on every option of every variable and start in one-hot states, which the XY mixer
never leaves (Hadfield et al. 2019, Algorithms 12(2), 34; Wang et al. 2020, Phys. Rev. A 101, 012320). The state of M
variables with A options is then a tensor of A^M amplitudes instead of 2^(M A): the phase of a layer is one product with
a diagonal, and the mixer on the complete graph of a variable's options is

    exp(-i beta (J - I)) = e^(i beta) (I + (e^(-i beta A) - 1) J / A),

with J the matrix of ones: one mean per variable. Nothing is approximated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from agents.qaoa.angles import Angles
from qfl_envs.errors import InvalidValueError

MAX_AMPLITUDES = 2**26
"""Amplitudes of all systems together: half a GiB in single precision, and a few times that while a circuit runs."""
PRECISIONS: dict[str, tuple[type[Any], type[Any]]] = {
    "single": (np.float32, np.complex64),
    "double": (np.float64, np.complex128),
}


class OneHotQAOA:
    """QAOA circuits on B systems side by side, each with a diagonal cost of its own.

    Attributes:
        cost: (B, A_1, ..., A_M) cost of every choice of options, to be minimised.
        scale: (B) what the phase layers divide the cost by.
        options: A_1, ..., A_M.
    """

    def __init__(
        self,
        cost: np.ndarray,
        *,
        start: Sequence[np.ndarray] | None = None,
        scale: np.ndarray | float | None = None,
        precision: Literal["single", "double"] = "single",
    ) -> None:
        """Take the cost.

        Args:
            cost: (B, A_1, ..., A_M), any diagonal: pairwise or of higher order, and options of different numbers.
            start: For each variable (B, A_i) probabilities of a warm start, of any sum above 0; None is uniform. The
                mixer then turns about that product state instead of the uniform one (as Egger et al. 2021, Quantum 5,
                479, do for bits), so that options of probability 0 stay closed.
            scale: (B) or a number above 0, what costs are divided by in phases; None is their standard deviation over
                all choices, 1 where that is 0.
            precision: ``"single"`` (complex64) or ``"double"`` (complex128).

        Raises:
            InvalidValueError: For a size past the limit, costs that are not finite, or a start or scale that does not
                fit.
        """
        if precision not in PRECISIONS:
            raise InvalidValueError("precision", precision, PRECISIONS)
        self._real, self._complex = PRECISIONS[precision]
        if cost.ndim < 2 or 0 in cost.shape:
            raise InvalidValueError("shape of the cost", cost.shape, "(B, A_1, ..., A_M), M and all sizes at least 1")
        if cost.size > MAX_AMPLITUDES:
            systems, qubits = len(cost), sum(cost.shape[1:])
            raise InvalidValueError(
                f"number of amplitudes of {systems} systems of {qubits} qubits",
                cost.size,
                f"at most {MAX_AMPLITUDES}; take fewer variables or options",
            )
        if not np.isfinite(cost).all():
            raise InvalidValueError("cost", "not finite", "finite numbers; close options by a start of probability 0")
        self.cost = cost
        self.options: tuple[int, ...] = tuple(cost.shape[1:])
        self._axes = tuple(range(1, cost.ndim))
        self.scale = _spread(cost) if scale is None else np.broadcast_to(np.asarray(scale, dtype=float), len(cost))
        if not ((self.scale > 0) & np.isfinite(self.scale)).all():
            raise InvalidValueError("scale", scale, "finite numbers above 0")
        # the mean is a global phase, and taking it away keeps phases small and precise
        centred = cost - cost.mean(self._axes, keepdims=True)
        self._phase = (centred / self._shaped(self.scale)).astype(self._real)
        self._mixed = None if start is None else self._amplitudes(start)

    @property
    def num_qubits(self) -> int:
        """Qubits that a processor would need for each system."""
        return sum(self.options)

    def state(self, angles: Angles) -> np.ndarray:
        """Amplitudes after the circuit, up to a global phase.

        Args:
            angles: The same for all systems (p), or of each (B, p).

        Returns:
            (B, A_1, ..., A_M) complex.

        Raises:
            InvalidValueError: For angles of another number of systems.
        """
        if angles.gamma.ndim == 2 and len(angles.gamma) != len(self.cost):
            raise InvalidValueError("systems that the angles are for", len(angles.gamma), f"{len(self.cost)}")
        state = self._initial()
        for layer in range(angles.depth):
            state *= self._turns(angles.gamma[..., layer])
            self._mix(state, angles.beta[..., layer])
        return state

    def probabilities(self, angles: Angles) -> np.ndarray:
        """Probability (B, A_1, ..., A_M) of every choice."""
        return _probabilities(self.state(angles))

    def expectation(self, angles: Angles) -> np.ndarray:
        """Mean cost (B) of what the circuit measures."""
        return self._mean_cost(self.state(angles))

    def gradient(self, angles: Angles) -> tuple[np.ndarray, Angles]:
        """Mean cost in units of the scale, and its derivative by the angles, by running the circuit backwards.

        Returns:
            (B) mean costs, and the derivative: of the mean over systems where the systems share their angles, else each
            system's by its own angles.
        """
        state = self.state(angles)
        value = self._mean_cost(state) / self.scale
        costate = state * (self.cost / self._shaped(self.scale)).astype(self._real)
        by_gamma, by_beta = (np.empty((len(self.cost), angles.depth)) for _ in range(2))
        for layer in reversed(range(angles.depth)):
            by_beta[:, layer] = 2 * sum(
                size * np.einsum("bi,bi->b", self._overlap(costate, i).conj(), self._overlap(state, i)).imag
                for i, size in enumerate(self.options)
            )
            turns = self._turns(-angles.gamma[..., layer])
            for part in (state, costate):
                self._mix(part, -angles.beta[..., layer])
            rotated = costate.conj() * state
            by_gamma[:, layer] = 2 * (rotated.imag * self._phase).sum(self._axes, dtype=np.float64)
            state *= turns
            costate *= turns
        if angles.gamma.ndim == 1:
            return value, Angles(by_gamma.mean(0), by_beta.mean(0))
        return value, Angles(by_gamma, by_beta)

    def sample(self, angles: Angles, shots: int, generators: Sequence[np.random.Generator]) -> np.ndarray:
        """What a processor would measure.

        Args:
            angles: Of the circuit.
            shots: Measurements of every system, at least 1.
            generators: One per system.

        Returns:
            (B, shots, M) chosen options.

        Raises:
            InvalidValueError: For shots below 1, or another number of generators.
        """
        if shots < 1:
            raise InvalidValueError("shots", shots, "at least 1")
        if len(generators) != len(self.cost):
            raise InvalidValueError("number of generators", len(generators), f"{len(self.cost)}, one per system")
        ladder = self.probabilities(angles).reshape(len(self.cost), -1).cumsum(1, dtype=np.float64)
        drawn = np.empty((len(ladder), shots), dtype=np.int64)
        for system, generator in enumerate(generators):
            steps = ladder[system]
            drawn[system] = np.searchsorted(steps, generator.random(shots) * steps[-1], side="right")
        return np.stack(np.unravel_index(np.minimum(drawn, ladder.shape[1] - 1), self.options), axis=-1)

    def best_of_shots(
        self, angles: Angles, shots: int, generators: Sequence[np.random.Generator]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The cheapest choice (B, M) that was measured, and its cost (B); arguments and errors as :meth:`sample`."""
        measured = self.sample(angles, shots, generators)
        costs = self.cost_of(measured)
        best, rows = costs.argmin(1), np.arange(len(costs))
        return measured[rows, best], costs[rows, best]

    def cost_of(self, choices: np.ndarray) -> np.ndarray:
        """Cost (B, S) of choices (B, S, M)."""
        flat = np.ravel_multi_index(tuple(np.moveaxis(choices, -1, 0)), self.options)
        return np.take_along_axis(self.cost.reshape(len(self.cost), -1), flat, axis=1)

    def _initial(self) -> np.ndarray:
        """The state before the first layer."""
        if self._mixed is None:
            return np.full(self.cost.shape, 1 / math.sqrt(math.prod(self.options)), dtype=self._complex)
        state = np.ones(self.cost.shape, dtype=self._complex)
        for vector in self._mixed:
            state *= vector
        return state

    def _turns(self, gamma: np.ndarray) -> np.ndarray:
        """Factors of a phase layer."""
        angle = self._shaped(-gamma).astype(self._real) * self._phase
        turns = np.empty(angle.shape, dtype=self._complex)
        np.cos(angle, out=turns.real)
        np.sin(angle, out=turns.imag)
        return turns

    def _mix(self, state: np.ndarray, beta: np.ndarray) -> None:
        """Apply a mixer layer in place."""
        for variable, size in enumerate(self.options):
            factor = self._shaped(np.expm1(-1j * beta * size)).astype(self._complex)
            if self._mixed is None:
                state += (factor / size) * state.sum(variable + 1, keepdims=True)
            else:
                vector = self._mixed[variable]
                state += vector * (factor * (vector * state).sum(variable + 1, keepdims=True))

    def _overlap(self, state: np.ndarray, variable: int) -> np.ndarray:
        """(B, rest) amplitudes of the others, one variable being in the state that it started in."""
        if self._mixed is None:
            overlap = state.sum(variable + 1) / math.sqrt(self.options[variable])
        else:
            overlap = (self._mixed[variable] * state).sum(variable + 1)
        flat: np.ndarray = overlap.reshape(len(state), -1)
        return flat

    def _mean_cost(self, state: np.ndarray) -> np.ndarray:
        mean: np.ndarray = (_probabilities(state) * self.cost).sum(self._axes, dtype=np.float64)
        return mean

    def _shaped(self, value: np.ndarray) -> np.ndarray:
        """A number, or one per system, shaped to multiply states."""
        return np.asarray(value).reshape(-1, *[1] * len(self.options))

    def _amplitudes(self, start: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Unit vectors of a warm start, each shaped to multiply states."""
        wanted = [(len(self.cost), size) for size in self.options]
        given = [np.asarray(part, dtype=np.float64) for part in start]
        if [part.shape for part in given] != wanted:
            raise InvalidValueError("shapes of the start", [part.shape for part in given], f"{wanted}")
        vectors = []
        for variable, part in enumerate(given):
            total = part.sum(1, keepdims=True)
            if not (np.isfinite(part).all() and (part >= 0).all() and (total > 0).all()):
                raise InvalidValueError(
                    f"start of variable {variable}", part.tolist(), "probabilities, one of each system above 0"
                )
            shape = [1] * len(self.options)
            shape[variable] = self.options[variable]
            vectors.append(np.sqrt(part / total).astype(self._real).reshape(-1, *shape))
        return vectors


def _spread(cost: np.ndarray) -> np.ndarray:
    """Standard deviation (B) over all choices; 1 where the cost is flat but for rounding."""
    axes = tuple(range(1, cost.ndim))
    spread = cost.std(axes, dtype=np.float64)
    return np.where(spread > 1e-9 * np.abs(cost).max(axes), spread, 1.0)


def _probabilities(state: np.ndarray) -> np.ndarray:
    probabilities: np.ndarray = np.square(state.real) + np.square(state.imag)
    return probabilities
