"""Settings of deep reinforcement learning, read from ``drl.toml`` and from files like it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
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
    "trained_by",
    "kind",
}
LIKE = "like"
"""Key of a table that begins with all of another algorithm's settings."""


FILE = Path(__file__).with_name("drl.toml")


class Configurations:
    """Settings in one or more files; an agent of a later file can be like one of an earlier."""

    def __init__(self, *files: Path) -> None:
        """Name the files, which are read when they are needed."""
        self._files = files

    def names(self) -> list[str]:
        """Agents that have settings."""
        return list(read_tables(self._files))

    def configuration(self, agent: str, env_id: str, preset: str) -> dict[str, Any]:
        """Settings of an agent in an environment and preset.

        Args:
            agent: E.g. ``"ppo"``.
            env_id: E.g. ``"qfl/Scheduling-v0"``.
            preset: Name of the scenario's preset.

        Returns:
            ``trained_by`` (the algorithm, e.g. ``"ppo"``), ``kind`` (``"classical"`` or ``"quantum"``), ``policy`` (a
            name), ``policy_kwargs`` (of that policy: a table that names another one begins them anew), ``num_envs``
            (rows played side by side), ``steps`` and ``quick_steps`` (budgets in environment steps), ``environment``
            and ``reward_weights`` (arguments of the environment in training, e.g. another tier of its learner, and
            weights of its reward there; the evaluation has the environment's own), ``environment_share`` (of the steps,
            the first ones, that are played so; the rest without ``environment``), ``final_rate_share`` (the learning
            rate falls linearly to this share), the keywords ``algorithm`` of SB3's class and, where actions are
            explored by noise, ``action_noise`` (its standard deviation, of actions in [-1, 1]).

        Raises:
            UnknownNameError: Naming all agents.
        """
        document = read_tables(self._files)
        reject_unknown([agent], document, "algorithm")
        settings: dict[str, Any] = {"kind": "classical", "environment": {}, "environment_share": 1.0}
        for level in levels(document, agent, env_id, preset):
            if "policy" in level and level["policy"] != settings.get("policy"):
                settings["policy_kwargs"] = {}
            for key in level.keys() & KEYS:
                value = level[key]
                settings[key] = {**settings.get(key, {}), **value} if isinstance(value, dict) else value
        return settings

    def general(self, agent: str, key: str, absent: Any = None) -> Any:
        """What an agent has everywhere under a key, such as ``"trained_by"``.

        Raises:
            UnknownNameError: Naming all agents.
        """
        document = read_tables(self._files)
        reject_unknown([agent], document, "algorithm")
        return next((level[key] for level in reversed(levels(document, agent, "", "")) if key in level), absent)


@cache
def read_tables(files: tuple[Path, ...]) -> dict[str, Any]:
    """All tables of TOML files, read once."""
    return {name: table for file in files for name, table in tomllib.loads(file.read_text()).items()}


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


_classical = Configurations(FILE)
algorithms, configuration = _classical.names, _classical.configuration
