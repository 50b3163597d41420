"""Playing episodes: every competitor meets the same instances under the same seed."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from qfl_envs.competitor import Competitor
from qfl_envs.errors import InvalidValueError


@dataclass(frozen=True)
class Episode:
    """One finished episode.

    Attributes:
        env_id: Environment.
        competitor: Who played.
        kind: ``classical``, ``quantum`` or ``privileged``.
        tier: Who learned: ``real``, ``surrogate``, or ``none``.
        seed: Seed of the instance and of the competitor.
        instance: Number of the instance.
        episode_return: Sum of rewards.
        reward_terms: Sum of each unweighted term.
        rounds: Length.
        target_reached: Whether the target accuracy was reached.
        simulated_s: Simulated time.
        energy_j: Energy of all devices.
        accuracy: Held-out accuracy at the end.
        sum_rate_bps: Mean over the rounds.
        participants: Mean number per round.
        delivered: Share of the participants' updates that arrived in time.
        devices_heard: Share of the devices that delivered at least once.
        jain: Jain's index of the devices' accuracies at the end.
        parameters: Trainable numbers of the competitor.
        quantum_parameters: Those of them that are angles of circuits.
        circuit_evaluations: Circuits per decision.
        shots: Shots per decision.
        quantum_s: Seconds per decision that a quantum processor would take.
        decision_s: Mean wall time of a decision.
        curve: Simulated time and accuracy after each round.
    """

    env_id: str
    competitor: str
    kind: str
    tier: str
    seed: int
    instance: int
    episode_return: float
    reward_terms: dict[str, float]
    rounds: int
    target_reached: bool
    simulated_s: float
    energy_j: float
    accuracy: float
    sum_rate_bps: float
    participants: float
    delivered: float
    devices_heard: float
    jain: float
    parameters: int
    quantum_parameters: int
    circuit_evaluations: float
    shots: float
    quantum_s: float
    decision_s: float
    curve: list[tuple[float, float]]

    def to_row(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)

    @property
    def key(self) -> tuple[str, str, int]:
        """What the episode is of; a run holds each key once."""
        return self.env_id, self.competitor, self.seed


def make_env(env_id: str, split: str, arguments: Mapping[str, Any], **keywords: Any) -> gym.Env[Any, Any]:
    """An environment to compete in."""
    return gym.make(env_id, split=split, disable_env_checker=True, **arguments, **keywords)


def tier_of(env: gym.Env[Any, Any]) -> str:
    """Who learns in an environment: ``real``, ``surrogate``, or ``none``."""
    model: str = env.unwrapped.scenario.learning.model  # type: ignore[attr-defined]
    return model if model in ("surrogate", "none") else "real"


def make_env_of(
    competitor: Competitor, env_id: str, split: str, arguments: Mapping[str, Any], **keywords: Any
) -> gym.Env[Any, Any]:
    """An environment that offers what a competitor decides; what is asked for goes before what it needs."""
    needed = getattr(competitor, "arguments", {})  # one from outside need not derive from Competitor
    return make_env(env_id, split, {**needed, **arguments}, **keywords)


def play(env: gym.Env[Any, Any], competitor: Competitor, seed: int) -> Episode:
    """One episode.

    Args:
        env: The environment.
        competitor: Who plays.
        seed: Chooses the instance, and the competitor's own randomness.

    Returns:
        What happened.

    Raises:
        UnsupportedEnvironmentError: If the competitor does not support the environment.
        InvalidValueError: If it counts its parameters in anything but whole numbers.
    """
    observation, info = env.reset(seed=seed)
    competitor.reset(env, seed)
    instance, curve = info["instance"], [(0.0, float(info["accuracy"]))]
    terms: dict[str, float] = {}
    total, rates, participants, delivered = 0.0, [], 0, 0
    heard: np.ndarray | None = None
    ended = False
    while not ended:
        observation, reward, terminated, truncated, info = env.step(competitor.act(observation))
        ended = terminated or truncated
        total += float(reward)
        for name, value in info["reward_terms"].items():
            terms[name] = terms.get(name, 0.0) + value
        curve.append((info["elapsed_s"], info["accuracy"]))
        rates.append(info["sum_rate_bps"])
        participants += int(info["participation"].sum())
        delivered += int(info["delivered"].sum())
        heard = info["delivered"] if heard is None else heard | info["delivered"]
    cost = competitor.cost()
    return Episode(
        env_id=env.spec.id if env.spec is not None else "",
        competitor=competitor.name,
        kind=competitor.kind,
        tier=tier_of(env),
        seed=seed,
        instance=instance,
        episode_return=total,
        reward_terms=terms,
        rounds=len(rates),
        target_reached=info["target_reached"],
        simulated_s=info["elapsed_s"],
        energy_j=info["total_energy_j"],
        accuracy=info["accuracy"],
        sum_rate_bps=float(np.mean(rates)),
        participants=participants / len(rates),
        delivered=delivered / max(participants, 1),
        devices_heard=0.0 if heard is None else float(heard.mean()),
        jain=info["jain"],
        parameters=_whole("parameters", cost.parameters),
        quantum_parameters=_whole("quantum_parameters", cost.quantum_parameters),
        circuit_evaluations=float(cost.circuit_evaluations),
        shots=float(cost.shots),
        quantum_s=float(cost.quantum_s),
        decision_s=float(cost.decision_s),
        curve=curve,
    )


def _whole(name: str, count: Any) -> int:
    """A count as an integer of Python, whatever library it comes from."""
    try:
        return operator.index(count)
    except TypeError as error:
        raise InvalidValueError(f"{name} of a competitor's cost()", count, "a whole number") from error
