"""Stages of difficulty that an environment goes through while an agent learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.difficulty import Difficulty

DEFAULT_STAGES: tuple[dict[str, float], ...] = (
    {"fleet": 0.5, "heterogeneity": 0.0, "drift": 0.0},
    {"fleet": 0.75, "heterogeneity": 0.5, "drift": 0.5},
    {"fleet": 1.0, "heterogeneity": 1.0, "drift": 1.0},
)
"""A few alike devices whose data stay as they are, then more of everything, then the whole scenario."""


class Curriculum:
    """Stages, and the present one.

    Attributes:
        stages: From the easiest to the last.
        stage: Index of the present one.
    """

    def __init__(self, stages: Sequence[Mapping[str, Any]] | None = None, stage: int | None = None) -> None:
        """Check the stages.

        Args:
            stages: Fields of :class:`Difficulty` each; None for :data:`DEFAULT_STAGES`.
            stage: Where to begin; None for the last stage.

        Raises:
            InvalidValueError: For stages that are none, or one that does not exist.
            UnknownNameError: For a field that does not exist.
        """
        given = DEFAULT_STAGES if stages is None else stages
        well_formed = isinstance(given, Sequence) and not isinstance(given, str) and len(given) > 0
        if not well_formed or not all(isinstance(one, Mapping) for one in given):
            raise InvalidValueError("curriculum", stages, "null or a list of objects, one per stage")
        self.stages = tuple(Difficulty().replace(one) for one in given)
        self.stage = len(self.stages) - 1
        if stage is not None:
            self.go_to(stage)

    @property
    def difficulty(self) -> Difficulty:
        """That of new episodes."""
        return self.stages[self.stage]

    def go_to(self, stage: int) -> None:
        """Make a stage the present one.

        Raises:
            InvalidValueError: If it does not exist.
        """
        if isinstance(stage, bool) or not isinstance(stage, int) or not 0 <= stage < len(self.stages):
            raise InvalidValueError("curriculum stage", stage, f"0 to {len(self.stages) - 1}")
        self.stage = stage

    def advance(self) -> bool:
        """Go on to the next stage; whether there was one."""
        if self.stage == len(self.stages) - 1:
            return False
        self.stage += 1
        return True
