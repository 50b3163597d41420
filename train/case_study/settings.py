"""What is compared in the case study, as data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from baselines.allocation.solvers import SOLVERS
from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown
from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.data import DATA_DIR_VARIABLE
from qfl_envs.system.learning.shapes import num_parameters

ENV_ID = "qfl/Allocation-v0"
PARTS = ("4a", "4b")
PACKAGES = ("qfl-envs", "gymnasium", "numpy", "scipy", "torch")
"""What results depend on; a run is not continued with other versions."""
MODES: Mapping[str, bool] = {"may idle": True, "all assigned": False}
"""Whether devices may idle; the article's literal mode is that all are assigned, at least with the least power."""
QAOA = (
    *("qaoa-one-shot", "uniform-shots", "qaoa-block", "block-uniform", "block-exact"),
    *("qaoa-recursive", "recursive-uniform"),
)
"""Circuits and their controls; online angles need the rounds of an episode."""
ALLOCATORS = (*SOLVERS, *QAOA)
"""All of Figure 4a."""
LARGE_HIDDEN = 64
MOST_HIDDEN = 512
"""Hidden units up to which a match of the parameters is looked for."""


@dataclass(frozen=True)
class Series:
    """Who allocates in Figure 4b, and how devices on one sub-channel share it."""

    label: str
    competitor: str
    access: str = "interference"


SERIES = (
    Series("hungarian", "hungarian"),
    Series("sca-alternating", "sca-alternating"),
    Series("qaoa-one-shot", "qaoa-one-shot"),
    Series("random", "random"),
    Series("round-robin", "round-robin"),
    Series("everyone, by turns", "everyone", "time_share"),
)


QUICK: Mapping[str, Any] = {
    "allocators": ("hungarian", "greedy", "sca", "sca-matching", "wmmse", "qaoa-one-shot", "uniform-shots"),
    "series": tuple(one for one in SERIES if one.competitor != "sca-alternating"),
    "instances": 2,
    "seeds": 1,
    "rounds": 10,
}
"""What a first look leaves out."""


@dataclass(frozen=True)
class CaseStudy:
    """Everything that a unit of work depends on, and how many units there are.

    Attributes:
        preset: Scenario to start from.
        arguments: Changes of the scenario.
        allocators: Those of Figure 4a; None for all.
        series: Those of Figure 4b.
        instances: Instances of Figure 4a, on seeds 0, 1, ... of the test split.
        seeds: Episodes of each series of Figure 4b, on seeds 0, 1, ... of the test split.
        rounds: Length of an episode of Figure 4b.
    """

    preset: str = "paper"
    arguments: dict[str, Any] = field(default_factory=dict)
    allocators: tuple[str, ...] | None = None
    series: tuple[Series, ...] = SERIES
    instances: int = 20
    seeds: int = 5
    rounds: int = 100

    def __post_init__(self) -> None:
        """Refuse a scenario that does not exist, and devices that take turns, for which most allocators have no answer.

        Raises:
            InvalidValueError: For a count below 1, or access by turns.
            UnknownNameError: For an unknown preset, field or allocator.
        """
        reject_unknown(self.allocators or (), ALLOCATORS, "allocator")
        for name in ("instances", "seeds", "rounds"):
            if getattr(self, name) < 1:
                raise InvalidValueError(name, getattr(self, name), "at least 1")
        if self.scenario().radio.access != "interference":
            raise InvalidValueError("radio.access", self.scenario().radio.access, "'interference' in the case study")

    def scenario(self) -> Scenario:
        """What is simulated, but for the learner."""
        scenario = Scenario.preset(self.preset).replace(self.arguments)
        return scenario.replace({"learning": {"dataset": self.dataset()}})

    def dataset(self) -> str:
        """What ``arguments`` ask for; else MNIST where its folder is named, and digits otherwise."""
        chosen: str | None = self.arguments.get("learning", {}).get("dataset")
        return chosen or ("mnist" if os.environ.get(DATA_DIR_VARIABLE) else "digits")

    def learners(self) -> dict[str, dict[str, Any]]:
        """Changes of the scenario for each learner: quantum, classical of as many parameters, and larger."""
        quantum = self.scenario().replace({"learning": {"model": "qnn"}})
        wanted = num_parameters(quantum)
        matched = min(range(1, MOST_HIDDEN + 1), key=lambda hidden: abs(num_parameters(_mlp(quantum, hidden)) - wanted))
        return {
            "qnn": {"model": "qnn"},
            f"mlp-{matched}": {"model": "mlp", "hidden": matched},
            f"mlp-{LARGE_HIDDEN}": {"model": "mlp", "hidden": LARGE_HIDDEN},
        }

    def parameters(self) -> dict[str, int]:
        """Parameters of each learner."""
        return {
            learner: num_parameters(self.scenario().replace({"learning": changes}))
            for learner, changes in self.learners().items()
        }

    def environment(self, learner: str, series: Series) -> dict[str, Any]:
        """Arguments of the environment of a series; its episodes go on when the target is reached."""
        scenario = self.scenario().replace(
            {
                "max_rounds": self.rounds,
                "target_accuracy": 1.0,
                "radio": {"access": series.access},
                "learning": {**self.learners()[learner], "partition": "one_label"},
            }
        )
        return {"scenario": scenario.to_dict()}

    def pairs(self) -> Iterator[tuple[str, Series]]:
        """Every learner with every series."""
        for learner in self.learners():
            for series in self.series:
                yield learner, series

    def config(self) -> dict[str, Any]:
        """All that a unit depends on, as JSON values; more instances or seeds can be added to a run later."""
        return {
            "versions": {package: version(package) for package in PACKAGES},
            "scenario": self.scenario().to_dict(),
            "figure_4a": {"split": "test", "modes": dict(MODES)},
            "figure_4b": {
                "split": "test",
                "rounds": self.rounds,
                "parameters": self.parameters(),
                "series": {
                    f"{learner} / {series.label}": {
                        "competitor": series.competitor,
                        "access": series.access,
                        "learning": self.environment(learner, series)["scenario"]["learning"],
                    }
                    for learner, series in self.pairs()
                },
            },
        }


def plan_study(preset: str, arguments: Mapping[str, Any], quick: bool = False, **changes: Any) -> CaseStudy:
    """A case study of the full or the quick size.

    Args:
        preset: Scenario to start from.
        arguments: Changes of the scenario.
        quick: Whether to take :data:`QUICK`.
        changes: Attributes of :class:`CaseStudy`; None leaves one as it is.

    Raises:
        InvalidValueError: For a value that is not allowed.
        UnknownNameError: For a preset or field that does not exist.
    """
    chosen = {name: value for name, value in changes.items() if value is not None}
    return CaseStudy(preset, dict(arguments), **{**(QUICK if quick else {}), **chosen})


def _mlp(scenario: Scenario, hidden: int) -> Scenario:
    return scenario.replace({"learning": {"model": "mlp", "hidden": hidden}})
