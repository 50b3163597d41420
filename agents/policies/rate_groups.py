"""Learning rates by group that a schedule scales and does not flatten.

Stable-Baselines3 sets one learning rate for all groups of an optimizer at every update. Here what it sets is read as a
scale: each group keeps the factor between its own rate and the rate at the start, and learns at their product. The
factors are part of the optimizer's state, so they are saved and loaded with it, and annealing never adds up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from torch import nn
from torch.optim import Optimizer

FACTOR, NAME = "rate_factor", "name"


class RateGroups(Optimizer):
    """What lets the groups of an optimizer learn at ``lr`` times their ``rate_factor``; comes before its class."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; ``lr`` of each group is afterwards what it was."""
        scheduled = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            group["lr"] = group["lr"] * group[FACTOR]
        try:
            return super().step(closure)
        finally:
            for group, rate in zip(self.param_groups, scheduled, strict=True):
                group["lr"] = rate

    def rates(self) -> dict[str, float]:
        """The rate at which each group learns at present."""
        return {group[NAME]: group["lr"] * group[FACTOR] for group in self.param_groups}


@cache
def with_groups(optimizer_class: Any) -> type[RateGroups]:
    """The optimizer, e.g. Adam or RMSprop, with :class:`RateGroups`."""
    return type(f"Grouped{optimizer_class.__name__}", (RateGroups, optimizer_class), {})


def grouped_optimizer(
    optimizer_class: Any,
    parameters: Mapping[str, list[nn.Parameter]],
    rates: Mapping[str, float],
    start: float,
    **keywords: Any,
) -> RateGroups:
    """An optimizer of groups.

    Args:
        optimizer_class: What kind.
        parameters: Of each group.
        rates: Learning rate at the start of each group that has its own.
        start: Learning rate at the start of the schedule, at which all others learn; with 0 nothing is learned.
        keywords: Those of the optimizer.
    """
    groups: list[dict[str, Any]] = [
        {"params": of, NAME: name, FACTOR: rates[name] / start if name in rates and start > 0 else 1.0}
        for name, of in parameters.items()
        if of
    ]
    made: Any = with_groups(optimizer_class)
    return made(groups, lr=start, **keywords)
