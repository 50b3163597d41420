"""The tables of the case study."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from tabulate import tabulate

from train.case_study.learning import seconds_to
from train.case_study.settings import ALLOCATORS, MODES, CaseStudy
from train.statistics import MIN_SEEDS, estimate

REFERENCE = "hungarian"
SETTLED = 1e-3
"""Share of the last sum-rate that an iterate may be away from it and count as there."""
QUANTUM = ("qaoa-one-shot", "qaoa-block", "qaoa-recursive")
OPPONENTS = ("sca-alternating", "sca-matching", "sca-relaxed", "hungarian")
CONTROLS = {
    "qaoa-one-shot": ("uniform-shots",),
    "qaoa-block": ("block-uniform", "block-exact"),
    "qaoa-recursive": ("recursive-uniform",),
}
EARLY_ACCURACY = 0.5

RATE_LEGEND = """\
Mbit/s: mean over the instances, with 95 % bootstrap interval where there are five or more; of bound: mean share of what
no allocation exceeds; of Hungarian: mean ratio on the same instances; iterations: mean, of its own kind each (an
alternation of SCA, a sweep over all devices of the block methods, a device of greedy, one for whoever decides at once);
settled: mean number of iterations after which the sum-rate stays within 0.1 % of its last value; ms/iteration, ms:
medians of wall time, of an iteration and of a whole decision with its preparation, for comparison within the table
only; on air: devices that transmit. All circuits are classically simulated, so that their times are those of the
simulator and not of a quantum processor. sca-alternating ends before its 150th alternation where nothing changes any
more."""
CLAIM_LEGEND = """\
Rate: mean of the ratio of sum-rates on the same instances, minus one, with 95 % bootstrap interval. Less time: one
minus the ratio of the median wall times of a decision; negative is slower. Fewer iterations: the same of the iterations
to settle."""
LEARNING_LEGEND = """\
Accuracy: held-out, after the last round, mean over the seeds, lowest and highest in brackets. Seconds to: simulated
time until that accuracy was first measured, median of the seeds that reached it, with their number. Seconds: simulated,
of all rounds. Devices, labels heard: share of all devices that ever delivered an update in time, and share of the
labels that their data have. On air: devices that take part in a round."""


def page(study: CaseStudy, rates: Sequence[dict[str, Any]], episodes: Sequence[dict[str, Any]]) -> str:
    """Everything in words and tables, Markdown.

    Args:
        study: What is compared.
        rates: Results of Figure 4a.
        episodes: Results of Figure 4b.
    """
    scenario = study.scenario()
    parts = [
        "# Case study",
        f"Preset `{study.preset}`: {scenario.num_devices} devices, {scenario.radio.num_cells} cell(s) of "
        f"{scenario.radio.num_subchannels} sub-channels; devices on one sub-channel interfere. Instances of the split "
        "`test`. `config.json` has every setting, `results.jsonl` a line per unit of work.",
    ]
    if rates:
        parts.append("## Figure 4a: sum-rate")
        for mode in modes_of(rates):
            of_mode = [row for row in rates if row["mode"] == mode]
            parts.append(f"### Devices {mode}" if mode == "may idle" else "### All devices assigned, as in the article")
            parts.append(_table(rate_rows(of_mode)))
            claims = claim_rows(of_mode)
            if claims:
                parts.append(_table(claims))
        parts += [RATE_LEGEND, CLAIM_LEGEND, "![Sum-rate against iterations and time](figure_4a.png)"]
    if episodes:
        counts = ", ".join(f"{learner} {count}" for learner, count in study.parameters().items())
        parts += [
            "## Figure 4b: learning",
            f"`{study.dataset()}`, one label per device, {scenario.num_features} principal components for every "
            f"learner, {study.rounds} rounds of at most {scenario.deadline_s} s. Parameters: {counts}. "
            "Allocators know powers of four levels here, those of the environment.",
            _table(learning_rows(episodes, scenario.target_accuracy)),
            LEARNING_LEGEND,
            "![Accuracy against rounds and simulated time](figure_4b.png)",
        ]
    if not rates and not episodes:
        parts.append("Nothing has been computed yet.")
    return "\n\n".join(parts) + "\n"


def mean_of(values: Sequence[float], sign: str = "") -> str:
    """The mean, with its 95 % bootstrap interval if there are values enough for one."""
    found = estimate(values)
    return f"{found:{sign}}" if len(values) >= MIN_SEEDS else f"{found.value:{sign}.2f}"


def modes_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Modes that there are results of."""
    return [mode for mode in MODES if any(row["mode"] == mode for row in rows)]


def ordered(rows: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Results of each allocator, the largest mean sum-rate at the end first."""
    found = [(name, [row for row in rows if row["allocator"] == name]) for name in ALLOCATORS]
    present = [(name, played) for name, played in found if played]
    return sorted(present, key=lambda entry: -statistics.fmean(_last(row) for row in entry[1]))


def rate_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per allocator of one mode, best first."""
    reference = _by_instance(rows, REFERENCE)
    table = []
    for name, played in ordered(rows):
        ratio = [_last(row) / _last(reference[row["instance"]]) for row in played if row["instance"] in reference]
        steps = [len(row["iteration_s"]) for row in played]
        per_iteration = [row["iteration_s"] for row in played]
        table.append(
            {
                "allocator": name,
                "Mbit/s [95 %]": mean_of([_last(row) / 1e6 for row in played]),
                "of bound": f"{statistics.fmean(_last(row) / row['bound_bps'] for row in played):.3f}",
                "of Hungarian": f"{statistics.fmean(ratio):.4f}" if ratio else "",
                "iterations": f"{statistics.fmean(steps):.1f}",
                "settled": f"{statistics.fmean(map(settled_after, played)):.1f}",
                "ms/iteration": f"{1e3 * float(np.median(np.concatenate(per_iteration))):.3g}",
                "ms": f"{1e3 * statistics.median(row['decision_s'] for row in played):.3g}",
                "on air": f"{statistics.fmean(row['transmitting'] for row in played):.1f}",
                "circuits": f"{statistics.fmean(row['circuits'] for row in played):.0f}",
                "shots": f"{statistics.fmean(row['shots'] for row in played):.0f}",
                "instances": str(len(played)),
            }
        )
    return table


def claim_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The circuits of one mode against SCA, the Hungarian method and their controls, on the same instances."""
    table = []
    for quantum in QUANTUM:
        mine = _by_instance(rows, quantum)
        for opponent in (*OPPONENTS, *CONTROLS.get(quantum, ())):
            theirs = _by_instance(rows, opponent)
            both = sorted(mine.keys() & theirs.keys())
            if not both:
                continue
            gains = [100 * (_last(mine[one]) / _last(theirs[one]) - 1) for one in both]
            table.append(
                {
                    "circuits": quantum,
                    "against": opponent,
                    "rate, % [95 %]": mean_of(gains, "+"),
                    "less time, %": _saved(mine, theirs, both),
                    "fewer iterations, %": _fewer(mine, theirs, both),
                    "instances": str(len(both)),
                }
            )
    return table


def settled_after(row: dict[str, Any]) -> int:
    """Iterations after which the sum-rate stays near its last value."""
    values = np.array(row["sum_rate_bps"])
    away = np.flatnonzero(np.abs(values - values[-1]) > SETTLED * values[-1])
    return int(away[-1]) + 1 if len(away) else 0


def learning_rows(rows: Sequence[dict[str, Any]], target: float) -> list[dict[str, Any]]:
    """One row per learner and series."""
    table = []
    for learner, series in dict.fromkeys((row["learner"], row["series"]) for row in rows):
        played = [row for row in rows if (row["learner"], row["series"]) == (learner, series)]
        last = [row["accuracy"][-1] for row in played]

        def mean(of: str, played: Sequence[dict[str, Any]] = played) -> float:
            return statistics.fmean(row[of][-1] if isinstance(row[of], list) else row[of] for row in played)

        table.append(
            {
                "learner": learner,
                "allocator": series,
                "accuracy": f"{statistics.fmean(last):.3f} [{min(last):.3f}, {max(last):.3f}]",
                **{f"seconds to {goal}": _time_to(played, goal) for goal in sorted({EARLY_ACCURACY, target})},
                "seconds": f"{mean('seconds'):.1f}",
                "devices heard": f"{mean('heard_devices'):.2f}",
                "labels heard": f"{mean('heard_labels'):.2f}",
                "Mbit/s": f"{mean('sum_rate_bps') / 1e6:.2f}",
                "on air": f"{mean('participants'):.1f}",
                "delivered": f"{mean('delivered'):.2f}",
                "seeds": str(len(played)),
            }
        )
    return table


def _time_to(rows: Sequence[dict[str, Any]], goal: float) -> str:
    times = [seconds for seconds in (seconds_to(row, goal) for row in rows) if seconds is not None]
    return f"{statistics.median(times):.1f} ({len(times)}/{len(rows)})" if times else f"never (0/{len(rows)})"


def _by_instance(rows: Sequence[dict[str, Any]], name: str) -> dict[int, dict[str, Any]]:
    return {row["instance"]: row for row in rows if row["allocator"] == name}


def _last(row: dict[str, Any]) -> float:
    return float(row["sum_rate_bps"][-1])


def _saved(mine: dict[int, dict[str, Any]], theirs: dict[int, dict[str, Any]], both: Sequence[int]) -> str:
    after, before = (statistics.median(rows[one]["decision_s"] for one in both) for rows in (mine, theirs))
    return f"{100 * (1 - after / before):+.0f}"


def _fewer(mine: dict[int, dict[str, Any]], theirs: dict[int, dict[str, Any]], both: Sequence[int]) -> str:
    before = statistics.fmean(settled_after(theirs[one]) for one in both)
    after = statistics.fmean(settled_after(mine[one]) for one in both)
    return f"{100 * (1 - after / before):+.0f}" if before else ""


def _table(rows: Sequence[dict[str, Any]]) -> str:
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)
