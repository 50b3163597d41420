"""Settings of deep reinforcement learning, read from ``drl.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from qfl_envs.fields import reject_unknown
from qfl_envs.presets import PRESETS

KEYS = {
    "policy",
    "num_envs",
    "steps",
    "quick_steps",
    "environment",
    "environment_share",
    "reward_weights",
    "final_rate_share",
    "policy_kwargs",
    "action_noise",
    "algorithm",
}
LIKE = "like"
"""Key of a table that begins with all of another algorithm's settings."""


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
        ``policy`` (a name), ``policy_kwargs`` (of that policy: a table that names another one begins them anew),
        ``num_envs`` (rows played side by side), ``steps`` and ``quick_steps`` (budgets in environment steps),
        ``environment`` and ``reward_weights`` (arguments of the environment in training, e.g. another tier of its
        learner, and weights of its reward there; the evaluation has the environment's own), ``environment_share`` (of
        the steps, the first ones, that are played so; the rest without ``environment``), ``final_rate_share`` (the
        learning rate falls linearly to this share), the keywords ``algorithm`` of SB3's class and, where actions are
        explored by noise, ``action_noise`` (its standard deviation, of actions in [-1, 1]).

    Raises:
        UnknownNameError: Naming all algorithms.
    """
    reject_unknown([algorithm], _document(), "algorithm")
    settings: dict[str, Any] = {"environment": {}, "environment_share": 1.0}
    for level in levels(_document(), algorithm, env_id, preset):
        if "policy" in level and level["policy"] != settings.get("policy"):
            settings["policy_kwargs"] = {}
        for key in level.keys() & KEYS:
            value = level[key]
            settings[key] = {**settings.get(key, {}), **value} if isinstance(value, dict) else value
    return settings


def levels(document: Mapping[str, Any], name: str, env_id: str, preset: str) -> list[dict[str, Any]]:
    """Tables of settings, each of which changes those before it, without the tables inside that are levels themselves.

    Args:
        document: A table for each name, in it a table for each environment, in it a table for each preset.
        name: Whose settings.
        env_id: Environment.
        preset: Name of the scenario's preset.
    """
    table = document[name]
    found = levels(document, table[LIKE], env_id, preset) if LIKE in table else []
    of_environment = table.get(env_id, {})
    own = (table, of_environment, of_environment.get(preset, {}))
    return [*found, *({key: value for key, value in level.items() if not _is_level(key)} for level in own)]


def _is_level(key: str) -> bool:
    return key == LIKE or key in PRESETS or "/" in key
