"""Claims, experiments and rules of verdicts, as ``claims.toml`` has them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import reject_unknown
from train import claims

DATA_FILE = "claims.toml"
SIZES = ("quick", "full")
How = Literal["difference", "gain", "saving"]
HOWS = ("difference", "gain", "saving")
ROLES = ("claim", "control", "beside")


@dataclass(frozen=True)
class Measure:
    """Something that is measured of a claim; more of it speaks for the claim.

    Attributes:
        says: What it is, in words.
        experiment: Where the values come from.
        quantity: Which of the values.
        ours: Series of the experiment whose side the claim takes.
        theirs: Series that it is compared with, on the same seeds.
        how: ``"difference"`` of means, ours minus theirs; ``"gain"``, by how many percent the mean is higher;
            ``"saving"``, by how many percent it is lower.
        role: ``"claim"``: the verdict is on it; ``"control"``: the same without what the claim is about, which a
            reproduced claim has to be above; ``"beside"``: for the reader.
        reproduced_from: Where the interval of a claim has to begin for ``reproduced``, and that of a control to pass.
        partly_from: Above what the interval has to be for ``partly``.
    """

    says: str
    experiment: str
    quantity: str
    ours: str
    theirs: str
    how: How
    role: str = "claim"
    reproduced_from: float | None = None
    partly_from: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no verdict follows from.

        Raises:
            InvalidValueError: For an unknown way or role, or thresholds that are missing or out of order.
        """
        if self.how not in HOWS:
            raise InvalidValueError(f"how of {self.says!r}", self.how, HOWS)
        if self.role not in ROLES:
            raise InvalidValueError(f"role of {self.says!r}", self.role, ROLES)
        if (self.reproduced_from is None) != (self.role == "beside"):
            raise InvalidValueError(
                f"reproduced_from of {self.says!r}", self.reproduced_from, "a number, unless beside"
            )
        if self.role == "claim" and self.reproduced_from is not None and self.partly_from > self.reproduced_from:
            raise InvalidValueError(f"partly_from of {self.says!r}", self.partly_from, "at most reproduced_from")

    @property
    def unit(self) -> str:
        """Of the number."""
        return "" if self.how == "difference" else " %"


@dataclass(frozen=True)
class Claim:
    """Something that the article says.

    Attributes:
        name: As the command line calls it.
        says: The claim.
        where: In the article.
        measures: What is measured of it; none for what cannot be tested.
        untestable: Why it cannot be tested; empty for what can.
        remark: What a reader of the verdict should know.
    """

    name: str
    says: str
    where: str
    measures: tuple[Measure, ...] = ()
    untestable: str = ""
    remark: str = ""

    def __post_init__(self) -> None:
        """Refuse a claim without a verdict.

        Raises:
            InvalidValueError: If it is neither measured nor untestable, or both.
        """
        measured = any(measure.role == "claim" for measure in self.measures)
        if measured == bool(self.untestable):
            raise InvalidValueError(
                f"claim {self.name}", self.untestable, "either measures or a reason why there are none"
            )

    @property
    def experiments(self) -> list[str]:
        """Those that its measures need."""
        return list(dict.fromkeys(measure.experiment for measure in self.measures))


@dataclass(frozen=True)
class Plan:
    """How an experiment is made.

    Attributes:
        name: Of the experiment.
        kind: Which of :data:`train.claims.experiments.KINDS` makes it.
        about: What is done, in words.
        settings: Everything else that the kind asks for, of one size.
    """

    name: str
    kind: str
    about: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Catalogue:
    """All of ``claims.toml``, for one size.

    Attributes:
        article: What is tested.
        claims: In the order of the article.
        plans: Experiments by name.
    """

    article: str
    claims: tuple[Claim, ...]
    plans: Mapping[str, Plan]


def load(size: str) -> Catalogue:
    """The shipped claims.

    Args:
        size: ``"quick"`` or ``"full"``.
    """
    return parse(tomllib.loads((files(claims) / DATA_FILE).read_text(encoding="utf-8")), size)


def parse(table: Mapping[str, Any], size: str) -> Catalogue:
    """Claims from a table of TOML.

    Raises:
        InvalidValueError: For an unknown size, or what a claim or measure does not allow.
        UnknownNameError: For an experiment that does not exist.
    """
    if size not in SIZES:
        raise InvalidValueError("size", size, SIZES)
    plans = {name: _plan(name, one, size) for name, one in table["experiment"].items()}
    found = []
    for one in table["claim"]:
        measures = tuple(Measure(**measure) for measure in one.get("measure", ()))
        reject_unknown([measure.experiment for measure in measures], plans, f"experiment of claim {one['name']}")
        found.append(
            Claim(**{**{name: value for name, value in one.items() if name != "measure"}, "measures": measures})
        )
    return Catalogue(table["article"], tuple(found), plans)


def _plan(name: str, table: Mapping[str, Any], size: str) -> Plan:
    common = {key: value for key, value in table.items() if key not in ("kind", "about", *SIZES)}
    return Plan(name, table["kind"], table["about"], {**common, **table.get(size, {})})
