"""What annealers and their classical controls reach on the same quadratic problems."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from agents.annealing.allocators import DWaveAnnealing
from agents.annealing.one_hot import MAX_BITS, UNDRIVEN, penalty_sqa, sqa
from agents.annealing.samplers import SAMPLERS, sample
from baselines.allocation.annealing import anneal
from baselines.allocation.icm import icm
from baselines.allocation.one_hot import OneHotQuadratic, allocation_qubo
from baselines.allocation.problem import AllocationProblem
from qfl_envs.system.learning.recalibration import BITS, QuadraticLoss
from train.evaluation import make_env
from train.progress import progress_bar
from train.selections import selections

MOST_CHOICES = 2**16
"""Of all choices together, for which the minimum is found by trying them."""
Solve = Callable[[Any, np.random.Generator], np.ndarray]


def measure(instances: int = 20, large: int = 3) -> list[dict[str, Any]]:
    """Energies that each method reaches, on problems of the test split.

    The problems are the one-hot QUBO of an allocation of ``tiny``, ``small`` and ``paper``, the QUBO of who takes part
    in a round of ``small``, at the price of the quickest devices, and the QUBO of recalibrating the last layer of
    ``tiny`` after its data have drifted. What is enumerable has ``exact`` beside it.

    Args:
        instances: Of each problem.
        large: Of the allocation of ``paper``.

    Returns:
        One row per problem and method: ``of_best``, the mean share of the lowest energy that any method found, all of
        them negative, ``at_best``, the share of instances at that energy, ``worst``, and the median ``seconds``.
    """
    cases: list[tuple[str, Iterator[Any], Mapping[str, Solve], Callable[[Any, Any], float], int]] = [
        ("allocation, tiny", allocations("tiny"), one_hot_methods(), _one_hot_energy, instances),
        ("allocation, small", allocations("small"), one_hot_methods(), _one_hot_energy, instances),
        ("allocation, paper", allocations("paper"), one_hot_methods(), _one_hot_energy, large),
        ("participants, small", participants("small"), one_hot_methods(), _one_hot_energy, instances),
        (f"last layer of {BITS} bits, tiny", heads("tiny"), HEAD_METHODS, QuadraticLoss.value, instances),
    ]
    rows = []
    with progress_bar(sum(count for *_, count in cases), "instance") as bar:
        for name, problems, methods, energy, count in cases:
            rows += _rows(name, [next(problems) for _ in range(count)], methods, energy, bar.update)
    return rows


def allocations(preset: str) -> Iterator[OneHotQuadratic]:
    """Of first states of episodes."""
    env: Any = make_env("qfl/Allocation-v0", "test", {"scenario": preset, "learning": {"model": "none"}})
    seed = 0
    while True:
        observation, _ = env.reset(seed=seed)
        yield allocation_qubo(
            AllocationProblem.from_view(env.unwrapped.view(observation), env.unwrapped.task.allow_idle)
        )
        seed += 1


def participants(preset: str) -> Iterator[OneHotQuadratic]:
    """Of rounds that age-and-speed came by."""
    for problem in selections(preset, "test"):
        yield problem.qubo(problem.guessed_price())


def heads(preset: str) -> Iterator[QuadraticLoss]:
    """Of episodes in which the model is kept until all data have drifted, with everybody's statistics."""
    env: Any = make_env("qfl/Drift-v0", "test", {"scenario": preset, "adaptations": ["solved_head"]})
    drift, found = env.unwrapped.scenario.drift, []
    learner = env.unwrapped.system.learner
    train = learner.train

    def remember(state: Any, work: Any) -> Any:
        found.extend(learner.head_losses(state, work, work.trains).values())
        return train(state, work)

    learner.train = remember
    seed = 0
    while True:
        observation, _ = env.reset(seed=seed)
        for _ in range(int(drift.onset_round[1] + drift.stagger_rounds) + 1):
            observation, *_ = env.step(0)
        env.step(env.action_space.n - 1)
        yield from found
        found.clear()
        seed += 1


def one_hot_methods() -> dict[str, Solve]:
    """Methods for one-hot problems; D-Wave's samplers where they are installed."""
    methods: dict[str, Solve] = {
        "icm": lambda problem, rng: list(icm(problem))[-1],
        "one-hot-annealing": lambda problem, rng: list(anneal(problem, rng))[-1],
        "sqa": sqa,
        "sqa-undriven": lambda problem, rng: sqa(problem, rng, UNDRIVEN),
        "sqa-penalty": penalty_sqa,
    }
    if find_spec("dwave") is not None:
        methods |= {name: partial(_sampled, name) for name in SAMPLERS}
    methods["exact"] = lambda problem, rng: _enumerated(problem)
    return methods


HEAD_METHODS: dict[str, Solve] = {
    "rounded": lambda loss, rng: loss.rounded(),
    "sqa": lambda loss, rng: loss.annealed(rng),
    "exact": lambda loss, rng: _enumerated_head(loss),
    "solved, no bits": lambda loss, rng: loss.solved(),
}


def _sampled(name: str, problem: OneHotQuadratic, rng: np.random.Generator) -> np.ndarray:
    return sample(name, problem, DWaveAnnealing.reads, DWaveAnnealing.sweeps, rng)


def _one_hot_energy(problem: OneHotQuadratic, choice: np.ndarray) -> float:
    return float(problem.energy(choice)[0])


def _enumerated(problem: OneHotQuadratic) -> np.ndarray:
    """The best of all choices."""
    _, variables, options = problem.linear.shape
    choices = np.stack(np.unravel_index(np.arange(options**variables), [options] * variables), axis=-1)
    one_hot = np.eye(options)[choices].reshape(len(choices), -1)
    couplings = np.zeros((variables, options, variables, options))
    each = np.arange(options)
    couplings[:, each, :, each] = problem.pair[0].transpose(2, 0, 1)
    pairs = one_hot @ couplings.reshape(variables * options, -1)
    energy = one_hot @ problem.linear[0].ravel() + 0.5 * (one_hot * pairs).sum(-1)
    return choices[energy.argmin()][None]


def _enumerated_head(loss: QuadraticLoss) -> np.ndarray:
    """The best of all bits, class by class."""
    count = len(loss.curvature) * BITS
    bits = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    changes = []
    for label in range(loss.gradient.shape[1]):
        linear, quadratic = loss.qubo(label)
        energy = bits @ linear + 0.5 * (bits * (bits @ quadratic)).sum(-1)
        changes.append(loss.decoded(bits[energy.argmin()]))
    return np.stack(changes, axis=-1)


def _fits(name: str, problem: Any) -> bool:
    """Whether a method can solve a problem of this size."""
    if isinstance(problem, QuadraticLoss):
        return name != "exact" or 2 ** (len(problem.curvature) * BITS) <= MOST_CHOICES
    _, variables, options = problem.linear.shape
    if name == "exact":
        return variables * np.log(options) <= np.log(MOST_CHOICES)
    return name not in ("sqa-penalty", *SAMPLERS) or variables * options <= MAX_BITS


def _rows(
    name: str,
    problems: list[Any],
    methods: Mapping[str, Solve],
    energy: Callable[[Any, Any], float],
    progress: Callable[[], Any],
) -> list[dict[str, Any]]:
    """One row per method that can solve all of the problems."""
    able = [method for method in methods if all(_fits(method, problem) for problem in problems)]
    energies: dict[str, list[float]] = {method: [] for method in able}
    seconds: dict[str, list[float]] = {method: [] for method in able}
    for seed, problem in enumerate(problems):
        for method in able:
            begin = time.perf_counter()
            found = methods[method](problem, np.random.default_rng(seed))
            seconds[method].append(time.perf_counter() - begin)
            energies[method].append(energy(problem, found))
        progress()
    best = np.min([energies[method] for method in able if method != "solved, no bits"], axis=0)
    rows = []
    for method in able:
        share = np.array(energies[method]) / best
        rows.append(
            {
                "problem": name,
                "instances": len(problems),
                "method": method,
                "of_best": float(share.mean()),
                "at_best": float((share > 1 - 1e-9).mean()),
                "worst": float(share.min()),
                "seconds": float(np.median(seconds[method])),
            }
        )
    return rows
