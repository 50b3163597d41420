"""One leaderboard of several people's: their runs put together, where nothing speaks against it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qfl_envs.errors import QflError
from train.competition.protocol import PROTOCOL
from train.competition.results import Failure, Record, Results, Training, record_from_row, to_row
from train.runs import CONFIG_FILE, RESULTS_FILE, RunFolder, as_object, read_lines, write_atomically

COMMON = ("protocol", "code", "versions", "preset", "arguments", "tier", "seeds", "training_seed")
"""Settings that all runs must have in common."""
SHARED = ("steps", "scenarios", "outside")
"""Settings by environment or competitor, in which runs must agree where both have one."""
LISTS = ("environments", "competitors", "entries", "training")
"""Settings that are put together."""
WALL_TIMES = ("decision_s", "training_s")
"""What may differ between two records of the same."""


class MergeError(QflError):
    """Runs that do not belong into one table."""


def merge(folders: Sequence[Path], out: Path) -> tuple[dict[str, Any], Results]:
    """Put runs together into a folder of their own; models stay where they are.

    Args:
        folders: Of the runs.
        out: Folder of the result.

    Returns:
        Settings and results of all together.

    Raises:
        MergeError: If rules, code or settings differ, or results of the same.
        RunFolderError: If the folder cannot be written, or holds another run.
    """
    configs = {folder: _config(folder) for folder in folders}
    config = _merged(configs)
    records: dict[tuple[Any, ...], tuple[Path, Record]] = {}
    for folder in folders:
        for record in read_lines(folder / RESULTS_FILE, record_from_row):
            key = (record.env_id, record.competitor, None if isinstance(record, Training) else record.seed)
            known = records.setdefault(key, (folder, record))
            if known[0] == folder:
                records[key] = (folder, record)  # a later record of the same run replaces an earlier one
            elif not _agree(known[1], record):
                what = "the training" if key[2] is None else f"seed {key[2]}"
                raise MergeError(
                    f"{known[0]} and {folder} differ in {what} of {record.competitor} in {record.env_id}, and in more "
                    "than wall times; one of them is not what its settings say, so neither can be used"
                )
    results = Results()
    for _, record in records.values():
        results.add(record)
    target = RunFolder(out, config)
    with target.lock():
        write_atomically(target.results, "".join(json.dumps(to_row(one)) + "\n" for _, one in records.values()))
    return config, results


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = as_object(json.loads((folder / CONFIG_FILE).read_text()))
        if config["protocol"] != PROTOCOL:
            raise MergeError(
                f"{folder} is of protocol {config['protocol']!r}, this is protocol {PROTOCOL}; play it again"
            )
        _check(config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MergeError(f"{folder} holds no run of qfl leaderboard ({type(error).__name__}: {error})") from error
    return config


def _check(config: Mapping[str, Any]) -> None:
    """Refuse settings that are not those of a leaderboard.

    Raises:
        KeyError: For one that is not there.
        TypeError: For one of another type.
    """
    for name in (*COMMON, *SHARED, *LISTS):
        if name not in config:
            raise KeyError(name)
    for name in SHARED:
        as_object(config[name])
    for name in LISTS:
        if not isinstance(config[name], list):
            raise TypeError(f"{name} is no list: {config[name]!r}")
    for plan in map(as_object, config["training"]):
        if not {"env_id", "agent"} <= plan.keys():
            raise KeyError("training of whom, and where")


def _merged(configs: Mapping[Path, Mapping[str, Any]]) -> dict[str, Any]:
    """The settings of all."""
    (first, config), *others = configs.items()
    merged = {**config, "training": list(config["training"])}
    for folder, other in others:
        for name in COMMON:
            if other[name] != config[name]:
                raise MergeError(f"{first} and {folder} differ in {name}: {config[name]!r} and {other[name]!r}")
        for name in SHARED:
            for key in merged[name].keys() & other[name].keys():
                if merged[name][key] != other[name][key]:
                    raise MergeError(f"{first} and {folder} differ in {name} of {key}")
            merged[name] = {**merged[name], **other[name]}
        plans = {(plan["env_id"], plan["agent"]): plan for plan in merged["training"]}
        for plan in other["training"]:
            if plans.setdefault((plan["env_id"], plan["agent"]), plan) != plan:
                raise MergeError(f"{first} and {folder} differ in the training of {plan['agent']} in {plan['env_id']}")
        merged["training"] = list(plans.values())
        for name in ("environments", "competitors", "entries"):
            merged[name] = merged[name] + [one for one in other[name] if one not in merged[name]]
        merged["only"] = {}  # the entries say who plays where
    return merged


def _agree(one: Record, other: Record) -> bool:
    """Whether two records of the same say the same; failures may have other reasons, such as a slower machine."""
    if isinstance(one, Failure) or isinstance(other, Failure):
        return type(one) is type(other)
    rows = [dataclasses.asdict(record) for record in (one, other)]
    for row in rows:
        for name in WALL_TIMES:
            row.pop(name, None)
    return json.dumps(rows[0]) == json.dumps(rows[1])
