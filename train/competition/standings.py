"""Who stands where: the tables of a run, made of its settings and its results alone, whoever played them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from train.competition import summaries, table
from train.competition.protocol import SPLIT
from train.competition.results import Entry, Failure, Results, Training
from train.competition.scores import Scale, find_scale
from train.evaluation import Episode


@dataclass(frozen=True)
class Place:
    """The standings in one environment.

    Attributes:
        env_id: Environment.
        scale: What makes scores of returns; None where none was measured.
        meaning: Of the scores, or why there are none.
        rows: Entries that finished, best first.
        failures: The first of each entry that failed.
        trainings: Of those that learn, by competitor.
        episodes: Of all entries that finished, by competitor.
        unfinished: How many episodes those have played that are not failed and lack some, by competitor: entries of
            runs that were stopped, and lines that were left out.
    """

    env_id: str
    scale: Scale | None
    meaning: str
    rows: list[summaries.Row]
    failures: list[Failure]
    trainings: dict[str, Training]
    episodes: dict[str, list[Episode]]
    unfinished: dict[str, int]


@dataclass(frozen=True)
class Standings:
    """The standings everywhere.

    Attributes:
        config: Of the run, see :meth:`train.competition.matrix.Matrix.config`.
        places: One per environment.
        overall: Over several environments.
    """

    config: Mapping[str, Any]
    places: list[Place]
    overall: list[summaries.Overall]


def standings(config: Mapping[str, Any], results: Results) -> Standings:
    """The standings of a run, without what was not asked for in its settings."""
    places = [_place(env_id, config, results) for env_id in config["environments"]]
    played = {place.env_id: [one for of in place.episodes.values() for one in of] for place in places}
    return Standings(config, places, summaries.overall(played, {place.env_id: place.scale for place in places}))


def _place(env_id: str, config: Mapping[str, Any], results: Results) -> Place:
    scale, meaning = find_scale(env_id, config["preset"], SPLIT, config["arguments"])
    failures, episodes, unfinished = [], {}, {}
    for entry in (tuple(entry) for entry in config["entries"] if entry[0] == env_id):
        failed, played = results.failure(entry), results.of(entry, range(config["seeds"]))
        if failed is not None:
            failures.append(failed)
            continue
        if played:
            episodes[entry[1]] = played
        if len(played) < config["seeds"]:
            unfinished[entry[1]] = len(played)
    trainings = {name: results.trainings[env_id, name] for name in episodes if (env_id, name) in results.trainings}
    rows = summaries.rows([episode for played in episodes.values() for episode in played], scale)
    return Place(env_id, scale, meaning, rows, failures, trainings, episodes, unfinished)


def command_of(entry: Entry, config: Mapping[str, Any]) -> str:
    """The command that repeats one row of a run."""
    env_id, name = entry
    words = ["qfl", "leaderboard", "--env", env_id, "--competitor", name, "--preset", config["preset"]]
    words += ["--seeds", str(config["seeds"])]
    plan = next((plan for plan in config["training"] if (plan["env_id"], plan["agent"]) == entry), None)
    if plan is not None:
        words += ["--steps", str(plan["steps"]), "--training-seed", str(plan["seed"])]
    if config["arguments"]:
        words += ["--set", json.dumps(config["arguments"])]
    label = "-".join(part for part in "".join(one if one.isalnum() else " " for one in name).split())
    return shlex.join([*words, "--name", f"{env_id.split('/')[-1]}-{label}-{config['preset']}"])


def heading(config: Mapping[str, Any], env_id: str) -> str:
    """What an environment simulates, as a sentence."""
    scenario = config["scenarios"][env_id]
    radio, learning = scenario["radio"], scenario["learning"]
    return (
        f"{scenario['num_devices']} devices, {radio['num_cells']} cell(s) of {radio['num_subchannels']} sub-channels, "
        f"learner `{learning['model']}` on `{learning['dataset']}` (`{learning['partition']}`), target accuracy "
        f"{scenario['target_accuracy']}, at most {scenario['max_rounds']} rounds of at most {scenario['deadline_s']} s."
    )


def title(config: Mapping[str, Any]) -> str:
    """Rules, code and settings that all rows have in common, for people."""
    changes = f", changed by `{json.dumps(config['arguments'])}`" if config["arguments"] else ""
    return (
        f"Protocol {config['protocol']}, code {config['code']}: preset `{config['preset']}`{changes}, learning tier "
        f"`{config['tier']}`, {config['seeds']} episodes of each on seeds 0 to {config['seeds'] - 1} of the {SPLIT} "
        "split, the same instances and random numbers for all."
    )


def page(found: Standings, picture: str) -> str:
    """``leaderboard.md``: all columns, failures, and the command of every row."""
    parts = ["# Leaderboard", title(found.config), "`config.json` has every setting, `results.jsonl` every result."]
    for place in found.places:
        text = table.render(place.rows, "github", place.trainings, place.failures, everything=True)
        parts += [
            f"## {place.env_id}",
            heading(found.config, place.env_id),
            text,
            place.meaning,
            *_remarks(place, found.config),
        ]
    if found.overall:
        parts += ["## Over environments", table.render_overall(found.overall, "github")]
    parts += [table.LEGEND, f"![Held-out accuracy against simulated time]({picture})", "## Every row again"]
    commands = [command_of((place.env_id, name), found.config) for place in found.places for name in _names(place)]
    return "\n\n".join([*parts, "```\n" + "\n".join(commands) + "\n```"]) + "\n"


def text(found: Standings) -> str:
    """The tables for a console."""
    parts = [title(found.config), ""]
    for place in found.places:
        rows = table.render(place.rows, "simple", place.trainings, place.failures)
        parts += [place.env_id, rows, place.meaning, *_remarks(place, found.config), ""]
    if found.overall:
        parts += ["over environments", table.render_overall(found.overall, "simple"), ""]
    return "\n".join([*parts, table.LEGEND])


def stand_to_random(row: summaries.Row, place: Place) -> str | None:
    """``above`` or ``below`` random play, ``overlapping``, or None where one of them did not play."""
    random = next((other for other in place.rows if other.competitor == summaries.REFERENCE), None)
    if random is None or random is row:
        return None
    if row.episode_return.overlaps(random.episode_return):
        return "overlapping"
    return "above" if row.episode_return.value > random.episode_return.value else "below"


def _names(place: Place) -> list[str]:
    return [*(row.competitor for row in place.rows), *(failed.competitor for failed in place.failures)]


def _remarks(place: Place, config: Mapping[str, Any]) -> list[str]:
    """How trained competitors stand to random play, who failed, and who has not played everything."""
    remarks = []
    for row in place.rows:
        if row.competitor in place.trainings:
            stand = stand_to_random(row, place)
            remarks.append(f"{row.competitor} {row.episode_return} against {summaries.REFERENCE}: {_VERDICTS[stand]}.")
    remarks += [f"{failed}." for failed in place.failures]
    return remarks + [
        f"{name} has played {played} of {config['seeds']} episodes: not to be compared with those that played all."
        for name, played in place.unfinished.items()
    ]


_VERDICTS = {
    None: "it did not play, so there is nothing to compare it with",
    "overlapping": "the intervals overlap",
    "above": f"separated, above {summaries.REFERENCE}",
    "below": f"separated, below {summaries.REFERENCE}",
}
