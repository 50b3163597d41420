"""What is worth trying for the settings of deep reinforcement learning, read from ``search.toml`` and files like it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from baselines.configurations import levels, read_tables
from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown

Space = dict[str, Any]
"""Dotted keys of settings, each with a list of choices or a range (``low``, ``high``, ``log``)."""
POLICIES = "policies"
RANGE_KEYS = {"low", "high", "log"}


FILE = Path(__file__).with_name("search.toml")


class SearchSpaces:
    """Search spaces in one or more files; an agent of a later file can be like one of an earlier."""

    def __init__(self, *files: Path) -> None:
        """Name the files, which are read when they are needed."""
        self._files = files

    def search_space(self, agent: str, policy: str) -> Space:
        """What to try for an agent with a kind of policy.

        Args:
            agent: E.g. ``"ppo"``.
            policy: Kind of its policy in the settings, e.g. ``"per-device"``.

        Raises:
            UnknownNameError: Naming all agents.
            InvalidValueError: For a range without ends, or without anything in between.
        """
        document = read_tables(self._files)
        reject_unknown([agent], document, "algorithm to tune")
        space: Space = {}
        for table in levels(document, agent, "", ""):
            for key, value in table.items():
                if key == POLICIES:
                    space |= _flat("policy_kwargs", value.get(policy, {}))
                else:
                    space |= _flat(key, value)
        return space


search_space = SearchSpaces(FILE).search_space


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


def _flat(key: str, value: Any) -> Space:
    """Choices and ranges beneath a key."""
    if isinstance(value, list):
        return {key: value}
    if value.keys() <= RANGE_KEYS and value:
        if not value.get("low", 0) < value.get("high", 0):
            raise InvalidValueError(f"range of {key}", value, "low = A, high = B, A below B")
        return {key: value}
    return {name: one for inner, rest in value.items() for name, one in _flat(f"{key}.{inner}", rest).items()}
