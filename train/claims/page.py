"""``claims.md``, and the same for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from train.claims.data import Catalogue
from train.claims.verdicts import RULE, Judged, Measurement

INTRODUCTION = """\
<!-- Written by qfl claims; run it again instead of editing. -->

`qfl claims` makes the experiments behind these claims, and goes on where it was stopped; results are in
`runs/claims-quick/`, or with `--full` in `runs/claims/`. `--claim NAME` makes those of one claim, and
`--from sum-rate=runs/case-study` reads an experiment from what `qfl case-study` has played. Claims, experiments and
thresholds are data: `train/claims/claims.toml`."""
Origins = Mapping[str, Mapping[str, Any] | None]


def page(catalogue: Catalogue, judged: Sequence[Judged], origins: Origins) -> str:
    """Everything in words and tables, Markdown.

    Args:
        catalogue: Claims and experiments.
        judged: The claims with their verdicts.
        origins: Settings with which each experiment was made, and ``code``, the versions of the code that made it;
            None where it was not.
    """
    counts = {verdict: sum(one.verdict == verdict for one in judged) for verdict in dict.fromkeys(_verdicts(judged))}
    parts = [
        "# Claims of the article, and what was measured",
        INTRODUCTION,
        f"The article is *{catalogue.article}*. The claims are what it says or suggests, in our own words; circuits "
        "and annealers are simulated on a classical computer.",
        ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + f" of {len(judged)} claims.",
        _table(
            [
                {
                    "claim": one.claim.says,
                    "where": one.claim.where,
                    "measured": _short(one),
                    "verdict": f"**{one.verdict}**",
                }
                for one in judged
            ]
        ),
        "## The rule",
        RULE,
        "## Claim by claim",
    ]
    for one in judged:
        parts += [f"### {one.claim.name}: {one.verdict}", f"{one.claim.says} ({one.claim.where})"]
        if one.claim.untestable:
            parts.append(f"Untestable: {one.claim.untestable}.")
            continue
        parts.append(_table([_cells(measurement) for measurement in one.measurements]))
        if one.claim.remark:
            parts.append(one.claim.remark)
        parts.append(
            "Experiments: " + ", ".join(f"[{name}](#experiment-{name})" for name in one.claim.experiments) + "."
        )
    parts.append("## Experiments")
    for name, plan in catalogue.plans.items():
        parts += [f"### Experiment {name}", f"{plan.about}.", _made(origins[name])]
    return "\n\n".join(parts) + "\n"


def to_json(catalogue: Catalogue, judged: Sequence[Judged], origins: Origins) -> dict[str, Any]:
    """The same as plain JSON values."""
    return {
        "article": catalogue.article,
        "rule": RULE,
        "claims": [
            {
                "name": one.claim.name,
                "says": one.claim.says,
                "where": one.claim.where,
                "verdict": one.verdict,
                "untestable": one.claim.untestable,
                "remark": one.claim.remark,
                "measures": [_measure(measurement) for measurement in one.measurements],
            }
            for one in judged
        ],
        "experiments": {name: {"about": plan.about, "made": origins[name]} for name, plan in catalogue.plans.items()},
    }


def shown(measurement: Measurement) -> str:
    """The number with its interval, or a dash."""
    found, unit = measurement.found, measurement.measure.unit
    if found is None:
        return "\N{EN DASH}"
    digits = 1 if unit else 3
    value, low, high = (f"{end:+.{digits}f}".replace("-", "\N{MINUS SIGN}") for end in vars(found).values())
    return f"{value}{unit}" if low == high else f"{value} [{low}, {high}]{unit}"


def _measure(measurement: Measurement) -> dict[str, Any]:
    measure = measurement.measure
    return {
        "says": measure.says,
        "role": measure.role,
        "experiment": measure.experiment,
        "ours": measure.ours,
        "theirs": measure.theirs,
        "shown": shown(measurement),
        "found": None if measurement.found is None else measurement.found.to_json(),
        "count": measurement.count,
        "reproduced_from": measure.reproduced_from,
        "partly_from": measure.partly_from,
        "unit": measure.unit.strip(),
        "verdict": measurement.verdict,
    }


def _cells(measurement: Measurement) -> dict[str, str]:
    measure = measurement.measure
    threshold = "" if measure.reproduced_from is None else f"{measure.reproduced_from:g}{measure.unit}"
    return {
        "": {"claim": "claim", "control": "control", "beside": "beside it"}[measure.role],
        "measured": measure.says,
        "found [95 %]": shown(measurement),
        "ours": _number(measurement.ours),
        "theirs": _number(measurement.theirs),
        "n": str(measurement.count),
        "reproduced from": threshold,
        "partly from": f"{measure.partly_from:g}{measure.unit}" if measure.role == "claim" else "",
        "verdict": measurement.verdict,
    }


def _short(one: Judged) -> str:
    """What was found of a claim, without its controls."""
    if one.claim.untestable:
        return one.claim.untestable
    return "; ".join(shown(of) for of in one.measurements if of.measure.role == "claim")


def _made(origin: Mapping[str, Any] | None) -> str:
    if origin is None:
        return "Not made yet."
    if "read_from" in origin:
        return f"Read from the results of another command, `{origin['read_from']}`."
    return f"Code {', '.join(origin['code'])}. Settings: `{json.dumps(origin['settings'])}`."


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _verdicts(judged: Sequence[Judged]) -> list[str]:
    return [one.verdict for one in judged]


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)
