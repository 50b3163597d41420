"""Settings of deep reinforcement learning, read from ``drl.toml``."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

from qfl_envs.fields import reject_unknown

KEYS = {
    "policy",
    "num_envs",
    "steps",
    "quick_steps",
    "reward_weights",
    "final_rate_share",
    "policy_kwargs",
    "algorithm",
}


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("drl.toml").read_text())


def algorithms() -> list[str]:
    """Algorithms that have settings."""
    return list(_document())


def configuration(algorithm: str, env_id: str, preset: str) -> dict[str, Any]:
    """Settings of an algorithm in an environment and preset.

    Args:
        algorithm: E.g. ``"ppo"``.
        env_id: E.g. ``"qfl/Scheduling-v0"``.
        preset: Name of the scenario's preset.

    Returns:
        ``policy`` (a name), ``policy_kwargs``, ``num_envs`` (rows played side by side), ``steps`` and ``quick_steps``
        (budgets in environment steps), ``reward_weights`` (of the training; the evaluation has the environment's own),
        ``final_rate_share`` (the learning rate falls linearly to this share) and the keywords ``algorithm`` of SB3's
        class.

    Raises:
        UnknownNameError: Naming all algorithms.
    """
    reject_unknown([algorithm], _document(), "algorithm")
    levels = [_document()[algorithm]]
    for name in (env_id, preset):
        levels.append(levels[-1].get(name, {}))
    settings: dict[str, Any] = {}
    for level in levels:
        for key in level.keys() & KEYS:
            value = level[key]
            settings[key] = {**settings.get(key, {}), **value} if isinstance(value, dict) else value
    return settings
