"""D-Wave's samplers of the penalty form, from the optional packages dimod and dwave-samplers."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from agents.annealing.one_hot import penalty_forms
from baselines.allocation.one_hot import OneHotQuadratic
from qfl_envs.errors import MissingExtraError

SAMPLERS = {"dwave-sa": "SimulatedAnnealingSampler", "dwave-sqa": "PathIntegralAnnealingSampler"}
"""Class of ``dwave.samplers`` by the name of the competitor."""
QUANTUM_BETA = (0.3, 30.0)
"""First and last inverse temperature of the path integral, which has no default that knows the problem, over the
largest coupling."""


def make_sampler(name: str) -> Any:
    """A sampler of ``dwave.samplers``.

    Raises:
        MissingExtraError: Where the packages are not installed.
    """
    try:
        import_module("dimod")
        return getattr(import_module("dwave.samplers"), SAMPLERS[name])()
    except ImportError as error:
        raise MissingExtraError(name, "dwave-samplers", "anneal") from error


def sample(name: str, problem: OneHotQuadratic, reads: int, sweeps: int, rng: np.random.Generator) -> np.ndarray:
    """The best choice (B, M) of several reads of each instance, repaired where a read is no one-hot choice.

    Args:
        name: A key of :data:`SAMPLERS`.
        problem: Any one-hot quadratic problem.
        reads: Runs of the sampler.
        sweeps: Sweeps of each run.
        rng: Source of the sampler's seeds.

    Raises:
        MissingExtraError: Where the packages are not installed.
        InvalidValueError: For too many bits.
    """
    sampler = make_sampler(name)
    import dimod

    choices = []
    for b, form in enumerate(penalty_forms(problem)):
        settings: dict[str, Any] = {"num_reads": reads, "num_sweeps": sweeps, "seed": int(rng.integers(2**31))}
        if name == "dwave-sqa":
            largest = max(np.abs(form.linear).max(), np.abs(form.quadratic).max(), 1e-9)
            settings["beta_range"] = [beta / largest for beta in QUANTUM_BETA]
        model = dimod.BinaryQuadraticModel(np.triu(form.quadratic) + np.diag(form.linear), "BINARY")
        found = sampler.sample(model, **settings)
        order = np.argsort(list(found.variables))
        repaired = np.stack([form.choice(bits) for bits in found.record.sample[:, order].astype(bool)])
        one = OneHotQuadratic(problem.linear[b : b + 1], problem.pair[b : b + 1])
        choices.append(min(repaired, key=lambda choice: float(one.energy(choice[None])[0])))
    return np.stack(choices)
