"""Annealing under drift: the weights of the last layer as bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from baselines.adaptation import Recalibrate
from qfl_envs.system.learning.adaptation import Adaptation


class AnnealedHead(Recalibrate):
    """Recalibrates the last layer as a QUBO of low-bit weights, by simulated quantum annealing, in every round.

    A quarter of the devices send statistics; the system anneals. ``solved-head`` is the control, which solves and
    rounds instead. It plays where the environment offers ``"annealed_head"`` among its ``adaptations``.
    """

    name = "annealed-head"
    by_default = False  # not in the default environment
    arguments: ClassVar[Mapping[str, Any]] = {"adaptations": ("annealed_head",)}
    adaptation = Adaptation.ANNEAL_HEAD
