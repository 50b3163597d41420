"""What every experiment behind a claim is: units that are computed one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from train.claims.data import Plan

Unit = tuple[str, int]
"""Series and seed."""
Values = dict[str, float]


class Experiment(ABC):
    """Something that can be computed unit by unit.

    Attributes:
        settings: Of the plan.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        """Prepare.

        Args:
            plan: What is asked for.
            folder: Of the experiment, where models may be kept.
        """
        self.settings, self.folder = plan.settings, folder

    @abstractmethod
    def series(self) -> list[str]:
        """All series, in the order in which they are computed for one seed."""

    @abstractmethod
    def compute(self, series: str, seed: int) -> Values:
        """One unit."""

    def units(self) -> Iterator[Unit]:
        """All units, one seed after the other, so that whatever is there can be compared."""
        for seed in range(self.settings["seeds"]):
            for series in self.series():
                yield series, seed

    def read(self, row: Mapping[str, Any]) -> tuple[Unit, Values] | None:
        """A unit from a line of the results of another command; None for one of something else."""
        raise NotImplementedError
