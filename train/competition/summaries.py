"""Summaries of a competition: one row per competitor and environment, one per competitor over all, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qfl_envs.errors import InvalidValueError
from train.competition.scores import Scale
from train.evaluation import Episode
from train.statistics import (
    Estimate,
    estimate,
    interquartile_mean,
    optimality_gap,
    paired_difference,
    performance_profile,
    probability_of_improvement,
    reached_by_half,
    stratified,
)

REFERENCE = "random"
"""The competitor that all others are compared with, seed by seed."""
MEANS = (
    *("simulated_s", "energy_j", "accuracy", "sum_rate_bps", "participants", "delivered", "devices_heard"),
    *("jain", "rounds", "circuit_evaluations", "shots", "quantum_s", "decision_s"),
)
"""Attributes of an episode whose mean over the seeds is shown."""
WARMING_UP = ("decision_s",)
"""Those whose interquartile mean is shown: the first decisions of a process load and compile."""
THRESHOLDS = np.round(np.linspace(-0.5, 1.5, 41), 2)
"""Scores at which a performance profile is taken."""


@dataclass(frozen=True)
class Row:
    """One competitor in one environment.

    Attributes:
        competitor: Name.
        kind: ``classical``, ``quantum`` or ``privileged``.
        episodes: How many were played.
        episode_return: Interquartile mean.
        score: The same between random and the reference; None where no scale was measured.
        gap: Optimality gap of the scores; likewise.
        profile: Share of the scores above each of :data:`THRESHOLDS`; likewise.
        over_random: Mean difference to random play on the same seeds; None for random itself.
        improvement: Probability of improvement over random play; likewise.
        reached: Episodes that reached the target accuracy.
        to_target_s: Simulated time with which half of the episodes had reached it; infinite where they did not.
        to_target_j: The same of energy.
        means: Of :data:`MEANS`.
        reward_terms: Mean over the episodes of the sum of each unweighted term.
        parameters: Trainable numbers.
        quantum_parameters: Those of them that are angles of circuits.
    """

    competitor: str
    kind: str
    episodes: int
    episode_return: Estimate
    score: Estimate | None
    gap: Estimate | None
    profile: list[Estimate] | None
    over_random: Estimate | None
    improvement: Estimate | None
    reached: int
    to_target_s: Estimate
    to_target_j: Estimate
    means: dict[str, Estimate]
    reward_terms: dict[str, Estimate]
    parameters: int
    quantum_parameters: int


@dataclass(frozen=True)
class Overall:
    """One competitor over several environments, from the scores in all of them.

    Attributes:
        competitor: Name.
        kind: ``classical``, ``quantum`` or ``privileged``.
        environments: Where it finished and scores exist.
        score: Interquartile mean.
        gap: Optimality gap.
        improvement: Probability of improvement over random play, mean over the environments; None for random itself.
    """

    competitor: str
    kind: str
    environments: tuple[str, ...]
    score: Estimate
    gap: Estimate
    improvement: Estimate | None


def rows(episodes: Sequence[Episode], scale: Scale | None = None) -> list[Row]:
    """Summaries of one environment's episodes, best first; with scores if there is a scale.

    Raises:
        InvalidValueError: For episodes of several learning tiers, which are not compared.
    """
    tiers = sorted({episode.tier for episode in episodes})
    if len(tiers) > 1:
        raise InvalidValueError("learning tiers in one table", tiers, "one; results of several are never mixed")
    by_name = _by_competitor(episodes)
    reference = by_name.get(REFERENCE, [])
    summaries = [_row(played, [] if name == REFERENCE else reference, scale) for name, played in by_name.items()]
    return sorted(summaries, key=lambda row: -row.episode_return.value)


def overall(episodes: Mapping[str, Sequence[Episode]], scales: Mapping[str, Scale | None]) -> list[Overall]:
    """Summaries over environments, of who finished in several of those that have scores: most of them first, then best.

    Args:
        episodes: Those of each environment, without entries that failed.
        scales: Scale of each environment; None where none was measured.
    """
    found: dict[str, dict[str, list[Episode]]] = {}
    for env_id, played in episodes.items():
        if scales[env_id] is not None:
            for name, of_one in _by_competitor(played).items():
                found.setdefault(name, {})[env_id] = of_one
    summaries = [
        _overall(of_one, {} if name == REFERENCE else found.get(REFERENCE, {}), scales)
        for name, of_one in found.items()
        if len(of_one) > 1
    ]
    return sorted(summaries, key=lambda row: (-len(row.environments), row.environments, -row.score.value))


def _by_competitor(episodes: Sequence[Episode]) -> dict[str, list[Episode]]:
    by_name: dict[str, list[Episode]] = {}
    for episode in episodes:
        by_name.setdefault(episode.competitor, []).append(episode)
    return by_name


def _row(episodes: list[Episode], reference: list[Episode], scale: Scale | None) -> Row:
    returns = [episode.episode_return for episode in episodes]
    scores = None if scale is None else scale.score(returns).tolist()
    episode_return = estimate(returns, interquartile_mean)
    common = {episode.seed for episode in episodes} & {episode.seed for episode in reference}
    return Row(
        competitor=episodes[0].competitor,
        kind=episodes[0].kind,
        episodes=len(episodes),
        episode_return=episode_return,
        score=None if scale is None else scale.estimate(episode_return),
        gap=None if scores is None else estimate(scores, optimality_gap),
        profile=None if scores is None else performance_profile(scores, THRESHOLDS),
        over_random=paired_difference(_returns(episodes), _returns(reference)),
        improvement=probability_of_improvement(*([_on(played, common)] for played in (episodes, reference))),
        reached=sum(episode.target_reached for episode in episodes),
        to_target_s=_to_target(episodes, lambda episode: episode.simulated_s),
        to_target_j=_to_target(episodes, lambda episode: episode.energy_j),
        means={name: _mean(episodes, name) for name in MEANS},
        reward_terms={
            name: estimate([episode.reward_terms[name] for episode in episodes]) for name in episodes[0].reward_terms
        },
        parameters=max(episode.parameters for episode in episodes),
        quantum_parameters=max(episode.quantum_parameters for episode in episodes),
    )


def _overall(
    episodes: dict[str, list[Episode]], reference: dict[str, list[Episode]], scales: Mapping[str, Scale | None]
) -> Overall:
    scores, ours, theirs = [], [], []
    for env_id, played in episodes.items():
        scale = scales[env_id]
        assert scale is not None
        scores.append(scale.score([episode.episode_return for episode in played]).tolist())
        common = {episode.seed for episode in played} & {episode.seed for episode in reference.get(env_id, [])}
        ours.append(_on(played, common))
        theirs.append(_on(reference.get(env_id, []), common))
    first = next(iter(episodes.values()))[0]
    return Overall(
        competitor=first.competitor,
        kind=first.kind,
        environments=tuple(episodes),
        score=stratified(scores, interquartile_mean),
        gap=stratified(scores, optimality_gap),
        improvement=probability_of_improvement(ours, theirs),
    )


def _mean(episodes: Sequence[Episode], name: str) -> Estimate:
    return estimate([getattr(one, name) for one in episodes], interquartile_mean if name in WARMING_UP else np.mean)


def _returns(episodes: Sequence[Episode]) -> dict[int, float]:
    return {episode.seed: episode.episode_return for episode in episodes}


def _on(episodes: Sequence[Episode], seeds: set[int]) -> list[float]:
    """Returns on these seeds, in their order."""
    returns = _returns(episodes)
    return [returns[seed] for seed in sorted(seeds)]


def _to_target(episodes: Sequence[Episode], needed: Callable[[Episode], float]) -> Estimate:
    return reached_by_half([needed(episode) if episode.target_reached else math.inf for episode in episodes])
