"""Simulated quantum annealing of quadratic problems over choices: path-integral Monte Carlo.

A quantum annealer minimises an energy E by a driver that fades away, H = E - Gamma sum_i (J - I)_i, where J - I moves a
variable from any of its A options to any other: the mixer of QAOA, and for bits the transverse field. At a temperature
T, the partition function of H is in the limit that of P copies of the problem, its Trotter slices, each with the energy
E / P, in a ring in which a variable likes to have in one slice the option that it has in the next one::

    weight = exp(-sum_k E(slice k) / (P T)) prod_i,k (1 + [same option in slices k and k + 1] A / (e^(A tau) - 1))

with tau = Gamma / (P T), as exp(tau (J - I)) = e^-tau (I + (e^(A tau) - 1) J / A). While Gamma falls, the slices freeze
into one (Martonak, Santoro & Tosatti 2002, Phys. Rev. B 66, 094203). No penalty holds a choice together: all moves keep
it one. A quadratic problem of bits is the one with two options.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qfl_envs.compiled import compiled, ready
from qfl_envs.errors import InvalidValueError


@dataclass(frozen=True)
class Schedule:
    """How an annealing run goes, energies in units of ``scale``.

    Attributes:
        scale: Typical difference of energy between two options of a variable.
        slices: P, Trotter slices; 1 is annealing at a fixed temperature without a driver.
        sweeps: Turns of all variables in all slices.
        strong: Gamma in the first sweep.
        weak: Gamma in the last; in between it falls geometrically.
        temperature: T times P, at which a slice by itself would be.
        exchanges: Whether variables exchange options with each other too.
    """

    scale: float = 1.0
    slices: int = 16
    sweeps: int = 100
    strong: float = 3.0
    weak: float = 0.001
    temperature: float = 3.0
    exchanges: bool = True

    def __post_init__(self) -> None:
        """Refuse what is no run.

        Raises:
            InvalidValueError: Naming the field.
        """
        for name in ("slices", "sweeps"):
            if getattr(self, name) < 1:
                raise InvalidValueError(name, getattr(self, name), "at least 1")
        for name in ("scale", "weak", "temperature"):
            if not 0.0 < getattr(self, name) < np.inf:
                raise InvalidValueError(name, getattr(self, name), "a finite number above 0")
        if not self.weak <= self.strong < np.inf:
            raise InvalidValueError("strong", self.strong, f"a finite number of at least {self.weak} (weak)")

    def bonds(self, options: int) -> np.ndarray:
        """Logarithm (sweeps) of how much likelier than another the same option in the next slice is."""
        if self.slices == 1:
            return np.zeros(self.sweeps)
        turn = options * np.geomspace(self.strong, self.weak, self.sweeps) / self.temperature
        return np.log1p(options / np.expm1(np.minimum(turn, 700.0)))


def path_integral(linear: np.ndarray, pair: np.ndarray, schedule: Schedule, rng: np.random.Generator) -> np.ndarray:
    """The choice of least energy that a run of simulated quantum annealing came by.

    Each sweep gives every variable in every slice an option given all else, then every variable moves in all slices at
    once: its options are shifted by one number, and it exchanges its options with another one, where exchanges are
    made; each move is drawn from the distribution above. The best slice ever seen is then moved to a local minimum.

    Args:
        linear: (M, A) energy of an option alone.
        pair: (M, M, A) energy that two variables with the same option add; symmetric, 0 on the diagonal.
        schedule: How it goes on.
        rng: Source of all draws.

    Returns:
        (M) option of each variable.

    Raises:
        InvalidValueError: For energies of other shapes, or that are not finite.
    """
    if linear.ndim != 2 or pair.shape != (len(linear), len(linear), linear.shape[-1]):
        raise InvalidValueError("shapes of linear and pair", (linear.shape, pair.shape), "(M, A) and (M, M, A)")
    if not (np.isfinite(linear).all() and np.isfinite(pair).all()):
        raise InvalidValueError("energies", "not finite", "finite numbers")
    variables, options = linear.shape
    choice = rng.integers(options, size=(schedule.slices, variables))
    # what a change of one variable touches lies together: (M, A, M)
    together = ready(pair.swapaxes(1, 2))
    fields = _fields(linear, pair, choice)
    energy = ready(_energies(linear, fields, choice))
    rate = 1.0 / (schedule.scale * schedule.temperature)
    uniform = rng.random((schedule.sweeps, variables, schedule.slices + 2))
    best = choice[0].copy()
    _run(together, choice, fields, energy, rate, schedule.bonds(options), schedule.exchanges, uniform, best)
    _descend(together, best, _fields(linear, pair, best[None])[0])
    return best


def _fields(linear: np.ndarray, pair: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """Energy (P, A, M) that each variable would add with each option, given the others, for choices (P, M)."""
    chosen = np.eye(linear.shape[1])[choice]
    return ready(linear.T + np.einsum("ija,pja->pai", pair, chosen, optimize=True))


def _energies(linear: np.ndarray, fields: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """Energy (P) of choices (P, M); their fields have every pair twice."""
    chosen = np.take_along_axis(fields, choice[:, None], axis=1)[:, 0]
    return 0.5 * (np.take_along_axis(linear.T[None], choice[:, None], axis=1)[:, 0] + chosen).sum(-1)


@compiled
def _run(
    pair: np.ndarray,
    choice: np.ndarray,
    fields: np.ndarray,
    energy: np.ndarray,
    rate: float,
    bonds: np.ndarray,
    exchanges: bool,
    uniform: np.ndarray,
    best: np.ndarray,
) -> None:
    """Sweeps of slices (P, M) with uniform numbers (sweeps, M, P + 2); fills ``best`` (M) with the best slice seen."""
    slices, variables = choice.shape
    weight = np.empty(max(fields.shape[1], variables))
    least = np.inf
    for sweep in range(len(bonds)):
        for i in range(variables):
            drawn = uniform[sweep, i]
            _local_moves(i, pair, choice, fields, energy, rate, bonds[sweep], weight, drawn)
            _shift(i, pair, choice, fields, energy, rate, weight, drawn[slices])
            if exchanges:
                _exchange(i, pair, choice, fields, energy, rate, weight, drawn[slices + 1])
        for k in range(slices):
            if energy[k] < least:
                least = energy[k]
                for i in range(variables):
                    best[i] = choice[k, i]


@compiled
def _change(i: int, option: int, pair: np.ndarray, choice: np.ndarray, fields: np.ndarray) -> float:
    """Give a variable of one slice an option; returns the change of its energy."""
    before = choice[i]
    if option == before:
        return 0.0
    gained = fields[option, i] - fields[before, i]
    for j in range(len(choice)):
        fields[before, j] -= pair[i, before, j]
        fields[option, j] += pair[i, option, j]
    choice[i] = option
    return gained


@compiled
def _draw(exponent: np.ndarray, count: int, uniform: float) -> int:
    """An index below a count, with a probability proportional to the exponential of its entry; overwrites them."""
    highest = exponent[0]
    for a in range(1, count):
        highest = max(highest, exponent[a])
    total = 0.0
    for a in range(count):
        total += math.exp(exponent[a] - highest)
        exponent[a] = total
    for a in range(count):
        if uniform * total < exponent[a]:
            return a
    return count - 1


@compiled
def _local_moves(
    i: int,
    pair: np.ndarray,
    choice: np.ndarray,
    fields: np.ndarray,
    energy: np.ndarray,
    rate: float,
    bond: float,
    exponent: np.ndarray,
    uniform: np.ndarray,
) -> None:
    """One variable in one slice after the other, given the others and the neighbouring slices."""
    slices = len(choice)
    for k in range(slices):
        for a in range(fields.shape[1]):
            exponent[a] = -rate * fields[k, a, i]
        exponent[choice[k - 1, i]] += bond
        exponent[choice[(k + 1) % slices, i]] += bond
        energy[k] += _change(i, _draw(exponent, fields.shape[1], uniform[k]), pair, choice[k], fields[k])


@compiled
def _shift(
    i: int,
    pair: np.ndarray,
    choice: np.ndarray,
    fields: np.ndarray,
    energy: np.ndarray,
    rate: float,
    exponent: np.ndarray,
    uniform: float,
) -> None:
    """One variable in all slices at once: its options are shifted by the same number, round and round."""
    options = fields.shape[1]
    for shift in range(options):
        total = 0.0
        for k in range(len(choice)):
            total += fields[k, (choice[k, i] + shift) % options, i]
        exponent[shift] = -rate * total
    shift = _draw(exponent, options, uniform)
    for k in range(len(choice)):
        energy[k] += _change(i, (choice[k, i] + shift) % options, pair, choice[k], fields[k])


@compiled
def _exchange(
    i: int,
    pair: np.ndarray,
    choice: np.ndarray,
    fields: np.ndarray,
    energy: np.ndarray,
    rate: float,
    exponent: np.ndarray,
    uniform: float,
) -> None:
    """One variable in all slices at once: it exchanges its options with those of another one, or of itself."""
    variables = choice.shape[1]
    for j in range(variables):
        exponent[j] = 0.0
    for k in range(len(choice)):
        mine = choice[k, i]
        for j in range(variables):
            theirs = choice[k, j]
            if theirs != mine:
                gained = fields[k, theirs, i] - fields[k, mine, i] + fields[k, mine, j] - fields[k, theirs, j]
                # each finds the other gone from where it goes
                exponent[j] -= rate * (gained - pair[i, mine, j] - pair[i, theirs, j])
    j = _draw(exponent, variables, uniform)
    for k in range(len(choice)):
        mine, theirs = choice[k, i], choice[k, j]
        energy[k] += _change(i, theirs, pair, choice[k], fields[k])
        energy[k] += _change(j, mine, pair, choice[k], fields[k])


@compiled
def _descend(pair: np.ndarray, choice: np.ndarray, fields: np.ndarray) -> None:
    """Best single moves, one variable after the other, to a local minimum."""
    moved = True
    while moved:
        moved = False
        for i in range(len(choice)):
            option = 0
            for a in range(1, len(fields)):
                if fields[a, i] < fields[option, i]:
                    option = a
            # an equal option is no reason to change, or rounding could make it go round in circles
            if fields[option, i] < fields[choice[i], i] - 1e-12:
                _change(i, option, pair, choice, fields)
                moved = True
