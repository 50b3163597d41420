"""How many federated rounds the environments play per second, one at a time and many side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv

import qfl_envs  # noqa: F401  registers the environments
from train.benchmarks.timing import seconds

PRESETS = ("tiny", "small", "paper")
MOST_DEVICES = 1000
"""Of all rows together: more rows of a large fleet gain nothing, but each step takes long."""


def measure(
    presets: Sequence[str] = PRESETS, num_envs: int = 16, rounds: int | None = None, budget_s: float = 5.0
) -> list[dict[str, Any]]:
    """Rounds per second of every registered environment under random actions, with the learning that the preset has.

    A native vector environment and a scalar one take turns, and each begins with rounds that do not count. Resets of
    ended episodes are timed as what they are, a part of playing; the choice of actions is not timed.

    Args:
        presets: Which scenarios.
        num_envs: Rows of the vector environment, fewer where the rows together had more than 1,000 devices.
        rounds: Measured steps of the vector environment; None for as many as fit in the budget, at least 3.
        budget_s: Time for each row of the result, where ``rounds`` is None.

    Returns:
        One row per environment and preset: ``env_id``, ``preset``, ``num_envs``, ``steps_per_second`` (rounds of all
        rows together), ``steps_per_second_scalar`` and their ratio ``ratio_vector``.
    """
    ids = [spec.id for spec in gym.registry.values() if spec.namespace == "qfl"]
    return [_measure(env_id, preset, num_envs, rounds, budget_s) for env_id in ids for preset in presets]


def _measure(env_id: str, preset: str, num_envs: int, rounds: int | None, budget_s: float) -> dict[str, Any]:
    scalar = gym.make(env_id, scenario=preset, disable_env_checker=True)
    scenario: Any = scalar.get_wrapper_attr("scenario")
    num_envs = max(1, min(num_envs, MOST_DEVICES // scenario.num_devices))
    vector = gym.make_vec(
        env_id,
        num_envs,
        vectorization_mode="vector_entry_point",
        autoreset_mode=AutoresetMode.SAME_STEP,
        scenario=preset,
    )
    turns = {"scalar": scalar_rounds(scalar, num_envs), "vector": vector_rounds(vector, 1)}
    for turn in turns.values():
        turn()
    taken: dict[str, list[float]] = {name: [] for name in turns}
    while len(taken["vector"]) < (rounds or 3) or (rounds is None and sum(map(sum, taken.values())) < budget_s):
        for name, turn in turns.items():
            taken[name].append(turn())
    scalar.close()
    vector.close()
    per_second = {name: num_envs / float(np.median(times)) for name, times in taken.items()}
    return {
        "env_id": env_id,
        "preset": preset,
        "num_envs": num_envs,
        "steps_per_second": per_second["vector"],
        "steps_per_second_scalar": per_second["scalar"],
        "ratio_vector": per_second["vector"] / per_second["scalar"],
    }


def vector_rounds(env: VectorEnv[Any, Any, Any], count: int) -> Callable[[], float]:
    """A function that plays so many rounds in every row and returns their seconds."""
    rng = np.random.default_rng(0)
    env.reset(seed=0)

    def one() -> float:
        actions = random_actions(env.single_action_space, env.action_masks(), rng)  # type: ignore[attr-defined]
        return seconds(lambda: env.step(actions))

    return lambda: sum(one() for _ in range(count))


def scalar_rounds(env: gym.Env[Any, Any], count: int) -> Callable[[], float]:
    """A function that plays so many rounds one after the other and returns their seconds."""
    rng = np.random.default_rng(0)
    env.reset(seed=0)

    def one() -> float:
        action = random_actions(env.action_space, env.get_wrapper_attr("action_masks")()[None], rng)[0]

        def play() -> None:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

        return seconds(play)

    return lambda: sum(one() for _ in range(count))


def random_actions(space: spaces.Space[Any], masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Actions uniform among the open choices.

    Args:
        space: Action space of one row.
        masks: (E, sum(nvec)) bool, the open choices of E rows.
        rng: Source of randomness.

    Returns:
        (E, ...) actions.

    Raises:
        NotImplementedError: For a space without masks.
    """
    if not isinstance(space, spaces.MultiDiscrete):
        raise NotImplementedError(f"random actions in {space}")
    scores = np.where(masks, rng.random(masks.shape), -1.0)
    # one row per entry of the action, those with fewer choices padded
    starts = np.cumsum(space.nvec) - space.nvec
    choice = np.arange(space.nvec.max())
    padded = scores[:, np.minimum(starts[:, None] + choice, masks.shape[1] - 1)]
    return np.where(choice < space.nvec[:, None], padded, -2.0).argmax(-1)
