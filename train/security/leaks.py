"""What gradients of the quantum learner give away, alone and as a securely aggregated sum."""

from __future__ import annotations

from typing import Any

import numpy as np

from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.learner import Learner
from qfl_envs.system.security import leakage
from qfl_envs.system.security.quantisation import decode_sum, encode
from qfl_envs.system.security.secure_aggregation import secure_sum
from train.progress import progress_bar

BATCHES = (1, 2, 4)
CLIENTS = 10
SEARCHES = 2
BOUND = 4.0
"""Largest entry of a gradient that secure aggregation encodes."""


def rows(preset: str = "tiny", victims: int = 3, iterations: int = 100, seed: int = 0) -> list[dict[str, Any]]:
    """Mean cosine similarity of a victim's samples and the best reconstruction of them.

    The victim's gradient is seen by itself, or only in the sum of ten clients', which is masked, unmasked and decoded
    in earnest; who sees the sum takes its mean for the victim's. ``strangers`` is the same from the mean of ten clients
    none of whom is the victim: what a mean tells of everybody. ``guessed`` is the similarity of where a search began,
    the samples of somebody who saw no gradient.

    Args:
        preset: Scenario of the learner.
        victims: Clients that are attacked, for every batch size.
        iterations: Of each of the searches.
        seed: Of parameters, samples and searches.
    """
    learner, generator, found = learner_of(preset), np.random.default_rng(seed), []
    with progress_bar(len(BATCHES) * victims, "searching") as bar:
        for batch in BATCHES:
            of_batch = []
            for _ in range(victims):
                of_batch.append(attacked(learner, batch, generator, iterations))
                bar.update()
            found.append(
                {
                    "batch": batch,
                    "similarity": float(np.mean([one["similarity"] for one in of_batch])),
                    "least": float(np.min([one["similarity"] for one in of_batch])),
                    **{
                        name: float(np.mean([one[name] for one in of_batch]))
                        for name in ("aggregated_similarity", "strangers", "guessed")
                    },
                }
            )
    return found


def learner_of(preset: str) -> Learner:
    """The learner of a preset, whose second derivative can be had."""
    return Learner(Scenario.preset(preset).replace({"quantum": {"gradient": "backprop"}}))


def attacked(
    learner: Learner, batch: int, generator: np.random.Generator, iterations: int, searches: int = SEARCHES
) -> dict[str, float]:
    """Similarities of one victim's samples and what is found, as :func:`rows` has them.

    Args:
        learner: With backpropagation.
        batch: Samples behind a gradient.
        generator: Of parameters, samples and searches.
        iterations: Of each of the searches.
        searches: How many begin, of which the one that comes closest to the gradient counts.
    """
    model, table, known = learner.model, learner.features.numpy(), learner.data.labels
    parameters = model.initial(generator.random(model.num_parameters)).astype(float)
    held = generator.integers(len(known), size=(CLIENTS, batch))
    gradients = np.stack([leakage.gradient(model, parameters, table[own], known[own]) for own in held])
    start = table.std(0) * generator.standard_normal((searches, batch, table.shape[1]))
    true, labels = table[held[0]].astype(float), known[held[0]]
    seen = leakage.reconstruct(model, parameters, gradients[0], labels, start, iterations)
    mean = aggregated(gradients) / CLIENTS
    blurred = leakage.reconstruct(model, parameters, mean, labels, start, iterations)
    # drawn apart, so that all other numbers are what they would be without
    strangers = generator.spawn(1)[0].integers(len(known), size=CLIENTS * batch)
    others = leakage.gradient(model, parameters, table[strangers], known[strangers])
    foreign = leakage.reconstruct(model, parameters, others, labels, start, iterations)
    return {
        "similarity": leakage.similarity(true, seen.samples),
        "aggregated_similarity": leakage.similarity(true, blurred.samples),
        "strangers": leakage.similarity(true, foreign.samples),
        "guessed": leakage.similarity(true, start[0]),
    }


def aggregated(gradients: np.ndarray) -> np.ndarray:
    """Sum (P) of gradients (n, P) as the server sees it after secure aggregation."""
    whole = encode(gradients, BOUND, 16)
    total = secure_sum(whole, 16, len(gradients) // 2 + 1).total
    assert total is not None
    return decode_sum(total.astype(np.int64), len(gradients), BOUND, 16)
