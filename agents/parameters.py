"""Numbers and shapes of trainable parameters, and networks that have as many as others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from qfl_envs.errors import InvalidValueError


def count(parameters: Iterable[nn.Parameter]) -> int:
    """Trainable numbers."""
    return sum(parameter.numel() for parameter in parameters)


def matching_width(parameters: int, inputs: int, outputs: int) -> int:
    """Width of the one hidden layer with which a network has about as many parameters as another, at least 1."""
    return max(1, round((parameters - outputs) / (inputs + 1 + outputs)))


def refuse_other_shapes(
    state_dict: Mapping[str, Any], prefix: str, shapes: Mapping[str, tuple[int, ...]], whose: str
) -> None:
    """Refuse saved weights that do not fit.

    Args:
        state_dict: What is to be loaded.
        prefix: Of the names of the module's weights in it.
        shapes: Of the module's weights.
        whose: What has weights of these shapes.

    Raises:
        InvalidValueError: Naming the weights, their shape and what would fit.
    """
    for name, shape in shapes.items():
        given = state_dict.get(prefix + name)
        if given is not None and tuple(given.shape) != shape:
            raise InvalidValueError(f"shape of {prefix}{name}", tuple(given.shape), f"{shape}, as {whose} have")
