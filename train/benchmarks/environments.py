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
from train.sb3 import SB3VecEnv

PRESETS = ("tiny", "small", "paper")
MOST_DEVICES = 1000
"""Of all rows together: more rows of a large fleet gain nothing, but each step takes long."""
FAST_ROWS, SYNC_ROWS = 256, 16


def measure(
    presets: Sequence[str] = PRESETS,
    num_envs: int = 16,
    rounds: int | None = None,
    budget_s: float = 5.0,
    fast_rows: int = FAST_ROWS,
) -> list[dict[str, Any]]:
    """Rounds per second of every registered environment under random actions.

    All that is compared takes turns, and begins with a turn that does not count. Resets of ended episodes are timed as
    what they are, a part of playing; the choice of actions is not timed.

    Args:
        presets: Which scenarios, with the learning that they have.
        num_envs: Rows of the vector environment, fewer where the rows together had more than 1,000 devices.
        rounds: Measured turns of each; None for as many as fit in the budget, at least 3.
        budget_s: Time for each row of the result, where ``rounds`` is None.
        fast_rows: Rows of the vector environment where a surrogate learns.

    Returns:
        One row per environment and preset with the real learner, and one per environment with the surrogate in
        ``small``: ``env_id``, ``preset``, ``learning``, ``num_envs``, ``steps_per_second`` (rounds of all rows of the
        native vector environment together), and how many times that is what others make: ``ratio_scalar`` one
        environment at a time, ``ratio_sync`` Gymnasium's SyncVectorEnv of 16, ``ratio_bridge`` the other way round, the
        share that is left behind the SB3 bridge. None where it was not measured.
    """
    ids = [spec.id for spec in gym.registry.values() if spec.namespace == "qfl"]
    rows = [_real(env_id, preset, num_envs, rounds, budget_s) for env_id in ids for preset in presets]
    return rows + [_fast(env_id, fast_rows, rounds, budget_s) for env_id in ids]


def _real(env_id: str, preset: str, num_envs: int, rounds: int | None, budget_s: float) -> dict[str, Any]:
    scalar = gym.make(env_id, scenario=preset, disable_env_checker=True)
    scenario: Any = scalar.get_wrapper_attr("scenario")
    num_envs = max(1, min(num_envs, MOST_DEVICES // scenario.num_devices))
    vector = native(env_id, num_envs, scenario=preset)
    turns = {"scalar": scalar_rounds(scalar, num_envs), "vector": vector_rounds(vector, 1)}
    medians = _medians(turns, rounds, budget_s)
    scalar.close()
    vector.close()
    return {
        "env_id": env_id,
        "preset": preset,
        "learning": scenario.learning.model,
        "num_envs": num_envs,
        "steps_per_second": num_envs / medians["vector"],
        "ratio_scalar": medians["scalar"] / medians["vector"],
        "ratio_sync": None,
        "ratio_bridge": None,
    }


def real_speed(env_id: str, preset: str, num_envs: int = 16, budget_s: float = 5.0) -> dict[str, float]:
    """Rounds per second with the learner of the preset: ``steps_per_second`` one at a time, ``..._vector`` in rows."""
    row = _real(env_id, preset, num_envs, None, budget_s)
    vector = row["steps_per_second"]
    return {"steps_per_second": vector / row["ratio_scalar"], "steps_per_second_vector": vector}


def _fast(env_id: str, num_envs: int, rounds: int | None, budget_s: float) -> dict[str, Any]:
    arguments: dict[str, Any] = {"scenario": "small", "learning": {"model": "surrogate"}}
    vector, bridged = native(env_id, num_envs, **arguments), SB3VecEnv(native(env_id, num_envs, **arguments))
    sync = gym.make_vec(env_id, SYNC_ROWS, vectorization_mode="sync", **arguments)
    scalar = gym.make(env_id, disable_env_checker=True, **arguments)
    turns = {
        "native": vector_rounds(vector, 1),
        "sync": vector_rounds(sync, 1),
        "scalar": scalar_rounds(scalar, SYNC_ROWS),
        "bridge": _bridge_rounds(bridged),
    }
    medians = _medians(turns, rounds, budget_s)
    for env in (vector, sync, scalar, bridged):
        env.close()
    per_row = {name: medians[name] / rows for name, rows in (("native", num_envs), ("bridge", num_envs))}
    return {
        "env_id": env_id,
        "preset": "small",
        "learning": "surrogate",
        "num_envs": num_envs,
        "steps_per_second": 1 / per_row["native"],
        "ratio_scalar": medians["scalar"] / SYNC_ROWS / per_row["native"],
        "ratio_sync": medians["sync"] / SYNC_ROWS / per_row["native"],
        "ratio_bridge": per_row["native"] / per_row["bridge"],
    }


def _medians(turns: dict[str, Callable[[], float]], rounds: int | None, budget_s: float) -> dict[str, float]:
    """Median seconds of a turn of each; they take turns until the budget is spent, after one that does not count."""
    for turn in turns.values():
        turn()
    taken: dict[str, list[float]] = {name: [] for name in turns}
    played = 0
    while played < (rounds or 3) or (rounds is None and sum(map(sum, taken.values())) < budget_s):
        played += 1
        for name, turn in turns.items():
            taken[name].append(turn())
    return {name: float(np.median(times)) for name, times in taken.items()}


def native(env_id: str, num_envs: int, **arguments: Any) -> Any:
    """Our vector environment, in the autoreset mode that SB3 needs."""
    return gym.make_vec(
        env_id,
        num_envs,
        vectorization_mode="vector_entry_point",
        autoreset_mode=AutoresetMode.SAME_STEP,
        **arguments,
    )


def vector_rounds(env: VectorEnv[Any, Any, Any], count: int) -> Callable[[], float]:
    """A function that plays so many rounds in every row and returns their seconds."""
    rng = np.random.default_rng(0)
    env.reset(seed=0)

    def one() -> float:
        actions = random_actions(env.single_action_space, _masks(env), rng)
        return seconds(lambda: env.step(actions))

    return lambda: sum(one() for _ in range(count))


def scalar_rounds(env: gym.Env[Any, Any], count: int) -> Callable[[], float]:
    """A function that plays so many rounds one after the other and returns their seconds."""
    rng = np.random.default_rng(0)
    env.reset(seed=0)

    def one() -> float:
        masks = np.empty((1, 0)) if _continuous(env.action_space) else env.get_wrapper_attr("action_masks")()[None]
        action = random_actions(env.action_space, masks, rng)[0]

        def play() -> None:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

        return seconds(play)

    return lambda: sum(one() for _ in range(count))


def _bridge_rounds(env: SB3VecEnv) -> Callable[[], float]:
    """A function that plays a round in every row behind the bridge and returns its seconds."""
    rng = np.random.default_rng(0)
    env.seed(0)
    env.reset()

    def turn() -> float:
        actions = random_actions(env.action_space, _masks(env.vector_env), rng)
        return seconds(lambda: env.step(actions))

    return turn


def _continuous(space: spaces.Space[Any]) -> bool:
    return isinstance(space, spaces.Box)


def _masks(env: VectorEnv[Any, Any, Any]) -> np.ndarray:
    """(E, sum(nvec)) bool of any vector environment of ours, empty where there are no choices."""
    if _continuous(env.single_action_space):
        return np.empty((env.num_envs, 0))
    return np.stack(env.call("action_masks"))  # type: ignore[attr-defined]


def random_actions(space: spaces.Space[Any], masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Actions uniform among the open choices, or in the box.

    Args:
        space: Action space of one row.
        masks: (E, sum(nvec)) bool, the open choices of E rows.
        rng: Source of randomness.

    Returns:
        (E, ...) actions.

    Raises:
        NotImplementedError: For any other space.
    """
    if isinstance(space, spaces.Box):
        return rng.uniform(space.low, space.high, (len(masks), *space.shape)).astype(np.float32)
    scores = np.where(masks, rng.random(masks.shape), -1.0)
    if isinstance(space, spaces.Discrete):
        return scores.argmax(-1)
    if not isinstance(space, spaces.MultiDiscrete):
        raise NotImplementedError(f"random actions in {space}")
    # one row per entry of the action, those with fewer choices padded
    starts = np.cumsum(space.nvec) - space.nvec
    choice = np.arange(space.nvec.max())
    padded = scores[:, np.minimum(starts[:, None] + choice, masks.shape[1] - 1)]
    return np.where(choice < space.nvec[:, None], padded, -2.0).argmax(-1)
