"""Numbers of trainable parameters, and networks that have as many as others."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn


def count(parameters: Iterable[nn.Parameter]) -> int:
    """Trainable numbers."""
    return sum(parameter.numel() for parameter in parameters)


def matching_width(parameters: int, inputs: int, outputs: int) -> int:
    """Width of the one hidden layer with which a network has about as many parameters as another, at least 1."""
    return max(1, round((parameters - outputs) / (inputs + 1 + outputs)))
