"""Computes what is missing of the case study, and publishes what there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qfl_envs.errors import InvalidValueError
from train.case_study import learning, sum_rate
from train.case_study.figures import draw_learning, draw_sum_rates
from train.case_study.page import page
from train.case_study.settings import PARTS, CaseStudy
from train.progress import progress_bar
from train.runs import RunFolder, write_atomically


def run(study: CaseStudy, folder: RunFolder, parts: Sequence[str], report: Callable[[str], None]) -> str:
    """Compute units that are not in the folder yet; publish in any case, also when interrupted.

    Args:
        study: What is compared.
        folder: Where results are kept.
        parts: Of :data:`PARTS`, what is computed now.
        report: Called with a line on each stage.

    Returns:
        The page of all results in the folder.

    Raises:
        InvalidValueError: For a part that does not exist.
    """
    for part in parts:
        if part not in PARTS:
            raise InvalidValueError("part", part, PARTS)
    with folder.lock():
        rows = folder.read()
        done = {key(row) for row in rows}
        rates = [unit for unit in sum_rate.units(study) if "4a" in parts and ("4a", *unit) not in done]
        episodes = [
            unit
            for unit in learning.units(study)
            if "4b" in parts and ("4b", unit[0], unit[1].label, unit[2]) not in done
        ]
        if rows:
            report(f"{len(rows)} units are in {folder.results}; {len(rates) + len(episodes)} are missing")
        try:
            with progress_bar(len(rates) + len(episodes), "unit") as bar:

                def keep(row: dict[str, Any]) -> None:
                    folder.append(row)
                    rows.append(row)
                    bar.update()

                if rates:
                    sum_rate.warm_up(study, {name for _, name, _ in rates})
                    solver = sum_rate.SumRates(study)
                    for rate in rates:
                        keep(solver.compute(rate))
                if episodes:
                    player = learning.Episodes(study)
                    for episode in episodes:
                        keep(player.compute(episode))
        finally:
            text = publish(study, rows, folder)
    return text


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    """What a line of results is of; a run holds each key once."""
    if row["figure"] == "4a":
        return "4a", row["mode"], row["allocator"], row["instance"]
    return "4b", row["learner"], row["series"], row["seed"]


def publish(study: CaseStudy, rows: Sequence[dict[str, Any]], folder: RunFolder) -> str:
    """Write ``case_study.md`` and the figures for which there are results.

    Returns:
        The page.
    """
    of_part = {part: [row for row in rows if row["figure"] == part] for part in PARTS}
    if of_part["4a"]:
        draw_sum_rates(of_part["4a"], folder.path / "figure_4a.png")
    if of_part["4b"]:
        draw_learning(of_part["4b"], folder.path / "figure_4b.png")
    text = page(study, of_part["4a"], of_part["4b"])
    write_atomically(folder.path / "case_study.md", text)
    return text
