"""What follows from measurements: by rules that were fixed before anything was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from train.claims.data import Claim, Measure
from train.statistics import MIN_SEEDS, Estimate, estimate

REPRODUCED, PARTLY, NOT, UNTESTABLE, UNDECIDED = "reproduced", "partly", "not", "untestable", "undecided"
RULE = f"""\
All intervals have 95 %, by bootstrap over instances or trainings that both sides met. A measure is reproduced if its
interval begins at the number in the column "reproduced from" or above, partly if it is above "partly from", and else
not. For a claimed number the former is four fifths of it and the latter 0; for "better" both are 0; for "equal" the
former is a small loss that would still pass as equal and the latter a larger one. A claim is reproduced if all of its
measures are, not if none is even partly, and partly otherwise. Controls do the same without what the claim is about, or
are the usual alternative to it: where the interval of one does not begin above its threshold, a claim is at most partly
reproduced, since what is seen is not due to what is claimed. With fewer than {MIN_SEEDS} values there is no verdict."""


@dataclass(frozen=True)
class Measurement:
    """What was found of a measure.

    Attributes:
        measure: What was asked.
        ours: Mean of our series; None where nothing was measured.
        theirs: Mean of theirs, likewise.
        found: The number with its interval, likewise.
        count: Instances or trainings that both sides met.
    """

    measure: Measure
    ours: float | None
    theirs: float | None
    found: Estimate | None
    count: int

    @property
    def verdict(self) -> str:
        """Of this measure alone; ``"passed"`` and ``"failed"`` are those of a control, empty for what stands beside."""
        if self.measure.reproduced_from is None:
            return ""
        if self.found is None or self.count < MIN_SEEDS:
            return UNDECIDED
        if self.measure.role == "control":
            return "passed" if self.found.low > self.measure.reproduced_from else "failed"
        if self.found.low >= self.measure.reproduced_from and self.found.low > self.measure.partly_from:
            return REPRODUCED
        return PARTLY if self.found.low > self.measure.partly_from else NOT


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict.

    Attributes:
        claim: What is claimed.
        verdict: One of the five words above.
        measurements: What was found.
    """

    claim: Claim
    verdict: str
    measurements: Sequence[Measurement]


def measured(measure: Measure, rows: Sequence[Mapping[str, Any]]) -> Measurement:
    """Take a measure of the rows of its experiment."""
    ours, theirs = (_values(rows, series, measure.quantity) for series in (measure.ours, measure.theirs))
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return Measurement(measure, None, None, None, 0)
    pairs = np.array([[ours[seed], theirs[seed]] for seed in seeds])
    means = pairs.mean(0)

    def statistic(indices: np.ndarray, axis: int = -1) -> np.ndarray:
        mine, other = np.moveaxis(pairs[np.asarray(indices, dtype=int)], -1, 0)
        mine, other = mine.mean(axis), other.mean(axis)
        if measure.how == "difference":
            return np.asarray(mine - other)
        ratio = 100 * (mine / other - 1)
        return np.asarray(ratio if measure.how == "gain" else -ratio)

    found = estimate(range(len(seeds)), statistic)
    return Measurement(measure, float(means[0]), float(means[1]), found, len(seeds))


def verdict(claim: Claim, measurements: Sequence[Measurement]) -> str:
    """The verdict on a claim, see :data:`RULE`."""
    if claim.untestable:
        return UNTESTABLE
    of_claim = [one.verdict for one in measurements if one.measure.role == "claim"]
    controls = [one.verdict for one in measurements if one.measure.role == "control"]
    if UNDECIDED in of_claim:
        return UNDECIDED
    if set(of_claim) == {NOT}:
        return NOT
    if set(of_claim) == {REPRODUCED} and UNDECIDED in controls:
        return UNDECIDED
    return REPRODUCED if set(of_claim) == {REPRODUCED} and "failed" not in controls else PARTLY


def _values(rows: Sequence[Mapping[str, Any]], series: str, quantity: str) -> dict[int, float]:
    return {row["seed"]: row["values"][quantity] for row in rows if row["series"] == series}
