"""``leaderboard.json``: all numbers of a leaderboard for programs, from which pages are made.

An *interval* is ``{"value", "low", "high"}``: an estimate with its 95 % interval, null where an end is open or the
value infinite. Other numbers are plain. Units are in the names. The file has:

=================  ====================================================================================================
``schema``         Version of this description, 1.
``protocol``       Version of the rules (docs/protocol.md).
``code``           Version of the code: release and digest of its sources.
``versions``       Packages and their versions.
``title``          A sentence for people: protocol, code, preset, tier, seeds.
``preset``         Preset of the scenario.
``arguments``      What was changed in it; an object, mostly empty.
``tier``           ``real``, ``surrogate`` or ``none``: who learned.
``seeds``          Episodes per entry, on seeds 0, 1, ...
``training_seed``  Seed of all trainings.
``thresholds``     (T) scores at which the profiles of all rows are taken.
``environments``   List of environments, below.
``overall``        List of competitors over several environments: ``competitor``, ``kind``, ``environments`` (ids),
                   ``score`` (interquartile mean, interval), ``optimality_gap`` (interval), ``improvement`` (probability
                   of a higher return than random play's, interval or null).
``legend``         What the columns of the printed tables mean, for people.
=================  ====================================================================================================

An environment has:

===================  ==================================================================================================
``env_id``           Its id.
``about``            What is simulated, a sentence.
``scenario``         All fields of the scenario.
``target_accuracy``  Accuracy that ends an episode.
``scale``            ``random`` and ``reference`` (mean returns of scores 0 and 1), ``name`` of the reference; or null:
                     then the rows have no scores.
``meaning``          What scores mean here, or why there are none, a sentence.
``rows``             Entries that finished, best return first, below.
``failures``         Entries that failed: ``competitor``, ``seed`` (null in training), ``reason``, ``command``.
``unfinished``       Entries that lack episodes without having failed: ``competitor``, ``episodes`` (those it played).
===================  ==================================================================================================

A row has:

=====================  ================================================================================================
``competitor``         Its name.
``kind``               ``classical``, ``quantum`` or ``privileged``.
``episodes``           How many it played.
``return``             Interquartile mean of the returns, interval.
``score``              The same as a score, interval or null.
``optimality_gap``     Interval or null.
``profile``            ``value``, ``low``, ``high``, each (T): share of the episodes with a higher score than each of
                       ``thresholds``; or null.
``over_random``        Mean difference to random play on the same seeds, interval; null for random itself.
``improvement``        Probability of a higher return than random play's, interval or null.
``stand_to_random``    ``above``, ``below`` or ``overlapping``; null for random itself, or where it did not play.
``reached``            Episodes that reached the target accuracy.
``to_target_s``        Simulated seconds with which half of the episodes had reached it, interval, null if they did not.
``to_target_j``        The same of joules.
``means``              Interval of the mean over episodes of ``simulated_s``, ``energy_j``, ``accuracy``,
                       ``sum_rate_bps``, ``participants``, ``delivered``, ``devices_heard``, ``jain`` (fairness: index
                       of the devices' accuracies), ``rounds``, ``circuit_evaluations`` and ``shots`` (of a decision),
                       ``quantum_s`` and ``decision_s`` (of a decision, on a modelled processor and, as interquartile
                       mean, on the machine that played).
``reward_terms``       Interval of the mean over episodes of each unweighted term's sum, by name.
``parameters``         Trainable numbers.
``quantum_parameters`` Those of them that are angles of circuits; the rest are classical.
``training``           null, or ``steps``, ``seed``, ``training_s`` (wall time), ``parameters`` (of all networks,
                       critics included), ``settings`` (all of them), and ``curve``: ``steps`` and ``returns``, each
                       (P), the mean return of the last 100 episodes of training, with its learner and weights.
``per_seed``           One object per episode: ``seed``, ``instance``, ``return``, ``score`` (or null), ``rounds``,
                       ``target_reached``, ``simulated_s``, ``energy_j``, ``accuracy``, ``jain``, and ``curve``:
                       ``seconds`` and ``accuracy``, each (rounds + 1), held-out accuracy against simulated time.
``command``            The command that repeats the row.
=====================  ================================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from train.competition import table
from train.competition.results import Training
from train.competition.scores import Scale
from train.competition.standings import Place, Standings, command_of, heading, stand_to_random, title
from train.competition.summaries import THRESHOLDS, Overall, Row
from train.evaluation import Episode
from train.statistics import Estimate

SCHEMA = 1
KEPT = ("protocol", "code", "versions", "preset", "arguments", "tier", "seeds", "training_seed")
OF_AN_EPISODE = ("seed", "instance", "rounds", "target_reached", "simulated_s", "energy_j", "accuracy", "jain")


def board(found: Standings) -> dict[str, Any]:
    """The content of ``leaderboard.json``, see above."""
    return {
        "schema": SCHEMA,
        **{name: found.config[name] for name in KEPT},
        "title": title(found.config),
        "thresholds": THRESHOLDS.tolist(),
        "environments": [_environment(place, found.config) for place in found.places],
        "overall": [_overall(row) for row in found.overall],
        "legend": table.LEGEND,
    }


def _environment(place: Place, config: Mapping[str, Any]) -> dict[str, Any]:
    scenario = config["scenarios"][place.env_id]
    return {
        "env_id": place.env_id,
        "about": heading(config, place.env_id),
        "scenario": scenario,
        "target_accuracy": scenario["target_accuracy"],
        "scale": None if place.scale is None else vars(place.scale),
        "meaning": place.meaning,
        "rows": [_row(row, place, config) for row in place.rows],
        "failures": [
            {
                "competitor": failed.competitor,
                "seed": failed.seed,
                "reason": failed.reason,
                "command": command_of(failed.entry, config),
            }
            for failed in place.failures
        ],
        "unfinished": [{"competitor": name, "episodes": played} for name, played in place.unfinished.items()],
    }


def _row(row: Row, place: Place, config: Mapping[str, Any]) -> dict[str, Any]:
    training = place.trainings.get(row.competitor)
    return {
        "competitor": row.competitor,
        "kind": row.kind,
        "episodes": row.episodes,
        "return": row.episode_return.to_json(),
        "score": _or_null(row.score),
        "optimality_gap": _or_null(row.gap),
        "profile": _profile(row.profile),
        "over_random": _or_null(row.over_random),
        "improvement": _or_null(row.improvement),
        "stand_to_random": stand_to_random(row, place),
        "reached": row.reached,
        "to_target_s": row.to_target_s.to_json(),
        "to_target_j": row.to_target_j.to_json(),
        "means": {name: mean.to_json() for name, mean in row.means.items()},
        "reward_terms": {name: mean.to_json() for name, mean in row.reward_terms.items()},
        "parameters": row.parameters,
        "quantum_parameters": row.quantum_parameters,
        "training": None if training is None else _training(training, config),
        "per_seed": [_episode(episode, place.scale) for episode in place.episodes[row.competitor]],
        "command": command_of((place.env_id, row.competitor), config),
    }


def _training(training: Training, config: Mapping[str, Any]) -> dict[str, Any]:
    plan = next(plan for plan in config["training"] if (plan["env_id"], plan["agent"]) == training.entry)
    steps, returns = zip(*training.curve, strict=True) if training.curve else ((), ())
    return {
        "steps": training.steps,
        "seed": training.seed,
        "training_s": training.training_s,
        "parameters": training.parameters,
        "settings": plan["settings"],
        "curve": {"steps": list(steps), "returns": list(returns)},
    }


def _episode(episode: Episode, scale: Scale | None) -> dict[str, Any]:
    seconds, accuracy = zip(*episode.curve, strict=True)
    return {
        **{name: getattr(episode, name) for name in OF_AN_EPISODE},
        "return": episode.episode_return,
        "score": None if scale is None else float(scale.score(episode.episode_return)),
        "curve": {"seconds": list(seconds), "accuracy": list(accuracy)},
    }


def _overall(row: Overall) -> dict[str, Any]:
    return {
        "competitor": row.competitor,
        "kind": row.kind,
        "environments": list(row.environments),
        "score": row.score.to_json(),
        "optimality_gap": row.gap.to_json(),
        "improvement": _or_null(row.improvement),
    }


def _profile(profile: list[Estimate] | None) -> dict[str, list[float]] | None:
    if profile is None:
        return None
    return {name: [getattr(share, name) for share in profile] for name in ("value", "low", "high")}


def _or_null(found: Estimate | None) -> dict[str, float | None] | None:
    return None if found is None else found.to_json()
