"""What is worth trying for the settings of deep reinforcement learning, read from ``search.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from baselines.configurations import LIKE
from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown

Space = dict[str, Any]
"""Dotted keys of settings, each with a list of choices or a range (``low``, ``high``, ``log``)."""
POLICIES = "policies"
RANGE_KEYS = {"low", "high", "log"}


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("search.toml").read_text())


def search_space(algorithm: str, policy: str) -> Space:
    """What to try for an algorithm with a kind of policy.

    Args:
        algorithm: E.g. ``"ppo"``.
        policy: Kind of its policy in the settings, e.g. ``"per-device"``.

    Raises:
        UnknownNameError: Naming all algorithms.
        InvalidValueError: For a range without ends, or without anything in between.
    """
    reject_unknown([algorithm], _document(), "algorithm to tune")
    space: Space = {}
    for table in _tables(algorithm):
        for key, value in table.items():
            if key == POLICIES:
                space |= _flat("policy_kwargs", value.get(policy, {}))
            elif key != LIKE:
                space |= _flat(key, value)
    return space


def with_values(settings: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the values of dotted keys in their places."""
    changed = dict(settings)
    for key, value in values.items():
        name, _, rest = key.partition(".")
        changed[name] = with_values(changed.get(name, {}), {rest: value}) if rest else value
    return changed


def value_at(settings: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key, None where there is none."""
    name, _, rest = key.partition(".")
    value = settings.get(name)
    return value_at(value, rest) if rest and isinstance(value, Mapping) else value


def _tables(algorithm: str) -> list[dict[str, Any]]:
    table = _document()[algorithm]
    return [*(_tables(table[LIKE]) if LIKE in table else []), table]


def _flat(key: str, value: Any) -> Space:
    """Choices and ranges beneath a key."""
    if isinstance(value, list):
        return {key: value}
    if value.keys() <= RANGE_KEYS and value:
        if not value.get("low", 0) < value.get("high", 0):
            raise InvalidValueError(f"range of {key}", value, "low = A, high = B, A below B")
        return {key: value}
    return {name: one for inner, rest in value.items() for name, one in _flat(f"{key}.{inner}", rest).items()}
