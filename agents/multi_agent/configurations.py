"""Settings of teams of devices, read from ``settings.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from baselines.configurations import levels, read_tables
from qfl_envs.fields import reject_unknown

MATCHES = "matches"
"""Key of a classical network that has as many parameters as the network of the same part in another team."""
FILE = Path(__file__).with_name("settings.toml")


def _document() -> dict[str, Any]:
    return read_tables((FILE,))


def names() -> list[str]:
    """Teams that have settings."""
    return list(_document())


def is_quantum(name: str) -> bool:
    """Whether the devices of a team run circuits."""
    document = _document()
    kinds = [level["actor"]["kind"] for level in levels(document, name, "", "") if "kind" in level.get("actor", {})]
    return bool(kinds[-1] == "entangled")


def configuration(name: str, env_id: str, preset: str) -> dict[str, Any]:
    """Settings of a team in an environment and preset.

    Args:
        name: E.g. ``"qmarl"``.
        env_id: E.g. ``"qfl/Allocation-v0"``.
        preset: Name of the scenario's preset.

    Returns:
        ``actor`` and ``critic``, each with its ``kind`` and what that kind takes, see
        :mod:`agents.multi_agent.teams`; ``num_names`` and ``first_option`` (how likely option 0 is at the start) of
        both; ``algorithm``, see :class:`train.training.multi_agent.Settings`; and ``num_envs``, ``steps``,
        ``quick_steps``, ``environment``, ``environment_share``, ``reward_weights`` and ``final_rate_share`` as those of
        :func:`baselines.configurations.configuration`.

    Raises:
        UnknownNameError: Naming all teams.
    """
    reject_unknown([name], _document(), "team")
    settings: dict[str, Any] = {"environment": {}, "environment_share": 1.0, "reward_weights": {}}
    for level in levels(_document(), name, env_id, preset):
        for key, value in level.items():
            if isinstance(value, dict):
                settings[key] = _changed(settings.get(key, {}), value)
            else:
                settings[key] = value
    for part in ("actor", "critic"):
        if MATCHES in settings[part]:
            settings[part][MATCHES] = configuration(settings[part][MATCHES], env_id, preset)[part]
    return settings


def _changed(before: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A table with some entries changed; one of another kind begins anew."""
    if "kind" in change and change["kind"] != before.get("kind"):
        return dict(change)
    return {**before, **change}
