"""Simulated quantum annealing of one-hot problems: in the one-hot space itself, and of their penalty form."""

from __future__ import annotations

import numpy as np

from agents.annealing.penalty import PenaltyForm
from baselines.allocation.one_hot import OneHotQuadratic
from qfl_envs.errors import InvalidValueError
from qfl_envs.system.annealing import Schedule, path_integral

SCHEDULE = Schedule()
"""For energies in bit/s/Hz, as those of an allocation; found on instances of the train split of ``small``."""
UNDRIVEN = Schedule(slices=1, sweeps=SCHEDULE.slices * SCHEDULE.sweeps, temperature=0.2)
"""The control: as many moves without a driver, at a fixed temperature about that of all slices together."""
PENALTY = Schedule(exchanges=False)
"""For bits, which flip one at a time, as a transverse field flips them."""
MAX_BITS = 2000
"""Of a penalty form, whose couplings are held as a dense matrix."""


def sqa(problem: OneHotQuadratic, rng: np.random.Generator, schedule: Schedule = SCHEDULE) -> np.ndarray:
    """The choice (B, M) that path-integral Monte Carlo finds, one run of each instance.

    The driver is the mixer of the one-hot circuits, and moves never leave the one-hot space.
    """
    runs = zip(problem.linear, problem.pair, strict=True)
    return np.stack([path_integral(linear, pair, schedule, rng) for linear, pair in runs])


def penalty_sqa(problem: OneHotQuadratic, rng: np.random.Generator, schedule: Schedule = PENALTY) -> np.ndarray:
    """The same of the plain quadratic problem of M A bits, as an annealer with a transverse field has it.

    Penalties hold the bits of a device together, and freeze them; what is no one-hot choice is repaired.

    Raises:
        InvalidValueError: For too many bits.
    """
    choices = []
    for form in penalty_forms(problem):
        # a bit is a variable of two options, of which only the first, 1, has energy
        alone = np.stack([form.linear, np.zeros_like(form.linear)], axis=-1)
        both = np.stack([form.quadratic, np.zeros_like(form.quadratic)], axis=-1)
        choices.append(form.choice(path_integral(alone, both, schedule, rng) == 0))
    return np.stack(choices)


def penalty_forms(problem: OneHotQuadratic) -> list[PenaltyForm]:
    """The penalty form of every instance.

    Raises:
        InvalidValueError: For too many bits.
    """
    bits = problem.linear[0].size
    if bits > MAX_BITS:
        raise InvalidValueError("bits of the penalty form", bits, f"at most {MAX_BITS}; the one-hot form has no limit")
    return [PenaltyForm.of(linear, pair) for linear, pair in zip(problem.linear, problem.pair, strict=True)]
