"""Making the experiments, as far as they are not made yet, and writing down what follows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from train.claims.data import Catalogue, Claim, Plan
from train.claims.experiment import Unit, Values
from train.claims.experiments import make
from train.claims.page import page, to_json
from train.claims.verdicts import Judged, measured, verdict
from train.competition.protocol import code_version
from train.progress import progress_bar
from train.runs import CONFIG_FILE, RunFolder, RunFolderError, as_object, make_writable, read_lines, write_atomically

PAGE_FILE, DATA_FILE = "claims.md", "claims.json"
PACKAGES = ("gymnasium", "numpy", "scipy", "stable-baselines3", "torch")
"""What results depend on; an experiment is not continued with other versions."""


def run(
    catalogue: Catalogue,
    folder: Path,
    claims: Sequence[Claim],
    sources: Mapping[str, Path],
    say: Callable[[str], None],
) -> str:
    """Make what is missing of the experiments of some claims, and publish all that is in the folder.

    Args:
        catalogue: Claims and experiments.
        folder: Of the run; each experiment has one of its own in it.
        claims: Whose experiments are made now.
        sources: Folders of other commands from which the results of some experiments are read instead.
        say: Called with a line on each stage.

    Returns:
        The page.

    Raises:
        RunFolderError: If a folder cannot be written or read.
    """
    make_writable(folder)
    for name in dict.fromkeys(name for claim in claims for name in claim.experiments):
        try:
            if name in sources:
                _take(catalogue.plans[name], folder / name, sources[name], say)
            else:
                _make(catalogue.plans[name], folder / name, say)
        finally:
            publish(catalogue, folder)
    return publish(catalogue, folder)


def publish(catalogue: Catalogue, folder: Path) -> str:
    """Write ``claims.md`` and ``claims.json`` from whatever results there are.

    Returns:
        The page.
    """
    rows = {name: _rows(folder / name) for name in catalogue.plans}
    found = []
    for claim in catalogue.claims:
        measurements = [measured(measure, rows[measure.experiment]) for measure in claim.measures]
        found.append(Judged(claim, verdict(claim, measurements), measurements))
    origins = {name: _origin(folder / name, rows[name]) for name in catalogue.plans}
    text = page(catalogue, found, origins)
    make_writable(folder)
    write_atomically(folder / PAGE_FILE, text)
    write_atomically(folder / DATA_FILE, json.dumps(to_json(catalogue, found, origins), allow_nan=False) + "\n")
    return text


def config_of(plan: Plan) -> dict[str, Any]:
    """All that a unit depends on; more seeds can be added to an experiment later."""
    return {
        "kind": plan.kind,
        "settings": {name: value for name, value in plan.settings.items() if name != "seeds"},
        "versions": {package: version(package) for package in PACKAGES},
    }


def _make(plan: Plan, folder: Path, say: Callable[[str], None]) -> None:
    """Compute the units that are missing, and keep each as soon as it is known."""
    kept = RunFolder(folder, config_of(plan))
    with kept.lock():
        done = {(row["series"], row["seed"]) for row in kept.read_as(_row, say)}
        experiment = make(plan, folder)
        missing = [unit for unit in experiment.units() if unit not in done]
        if done:
            say(f"{plan.name}: {len(done)} units are in {kept.results}; {len(missing)} are missing")
        with progress_bar(len(missing), "unit") as bar:
            for series, seed in missing:
                bar.set_postfix_str(f"{plan.name}: {series}", refresh=False)
                kept.append(_line((series, seed), experiment.compute(series, seed)))
                bar.update()


def _take(plan: Plan, folder: Path, source: Path, say: Callable[[str], None]) -> None:
    """Take the units of another command's results; its settings are kept beside them.

    Raises:
        RunFolderError: If there are none in the folder.
    """
    results, config = source / "results.jsonl", source / "config.json"
    if not results.exists() or not config.exists():
        raise RunFolderError(f"{source} holds no results of another command; it needs results.jsonl and config.json")
    experiment = make(plan, folder)
    found = read_lines(results, lambda row: experiment.read(as_object(row)), say)
    units = dict(one for one in found if one is not None)
    if not units:
        raise RunFolderError(f"{results} has nothing for the experiment {plan.name}")
    kept = RunFolder(folder, {"read_from": source.name, "settings": _settings(config)})
    with kept.lock():
        done = {(row["series"], row["seed"]) for row in kept.read_as(_row, say)}
        for unit, values in units.items():
            if unit not in done:
                kept.append(_line(unit, values))
    say(f"{plan.name}: {len(units)} units read from {source}")


def _line(unit: Unit, values: Values) -> dict[str, Any]:
    return {"series": unit[0], "seed": unit[1], "values": values, "code": code_version()}


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line of an experiment's results.

    Raises:
        KeyError: If something is not there.
        TypeError: If something is of another type, or a value no number.
    """
    found = {name: row[name] for name in _TYPES}
    for name, wanted in _TYPES.items():
        if not isinstance(found[name], wanted):
            raise TypeError(f"{name} is {found[name]!r}, no {wanted.__name__}")
    for name, value in found["values"].items():
        if not isinstance(value, int | float):
            raise TypeError(f"{name} is {value!r}, no number")
    return found


_TYPES: dict[str, type] = {"series": str, "seed": int, "values": dict, "code": str}
"""What a line has."""


def _rows(folder: Path) -> list[dict[str, Any]]:
    results = folder / "results.jsonl"
    return read_lines(results, _row) if results.exists() else []


def _origin(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """How the results of an experiment were made; None without any.

    Raises:
        RunFolderError: If its settings cannot be read.
    """
    if not rows:
        return None
    return {**_settings(folder / CONFIG_FILE), "code": sorted({row["code"] for row in rows})}


def _settings(file: Path) -> dict[str, Any]:
    try:
        return as_object(json.loads(file.read_text()))
    except (OSError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"{file} cannot be read ({error}), so that nobody knows how the results beside it were made; delete the "
            "folder to compute them anew"
        ) from error
