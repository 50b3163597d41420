"""Aggregation methods of the literature by name, read from ``servers.toml``.

A competitor decides who takes part; how the server merges what they send belongs to the scenario. So a method is not a
competitor but a setting, under which any competitor can play: ``qfl evaluate --server q-fedavg --competitor oort``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from baselines.configurations import read_tables
from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown


def _document() -> dict[str, Any]:
    return read_tables((Path(__file__).with_name("servers.toml"),))


def names() -> list[str]:
    """Methods that :func:`with_server` knows."""
    return list(_document())


def with_server(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of an environment under an aggregation method.

    Args:
        name: One of :func:`names`.
        arguments: Arguments; what they say about ``learning`` goes before what the method says.

    Raises:
        UnknownNameError: Naming all methods.
        InvalidValueError: Where ``learning`` is no object of fields.
    """
    reject_unknown([name], _document(), "server")
    learning = arguments.get("learning", {})
    if not isinstance(learning, Mapping):
        raise InvalidValueError("learning", learning, "an object of fields")
    return {**arguments, "learning": {**_document()[name], **learning}}
