"""Search for the settings of an agent: Optuna proposes, the split val decides, a journal remembers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from baselines.search_space import Space, value_at, with_values
from qfl_envs.errors import InvalidValueError
from train.runs import RunFolder, write_atomically
from train.training.deep_rl import train
from train.training.plans import MODE_FILE, TrainingPlan
from train.training.settings import search_space

JOURNAL_FILE, BEST_FILE = "journal.log", "best.toml"
STARTUP_TRIALS = 8
"""Trials at random before the sampler learns from those before."""
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
Objective = Callable[[TrainingPlan, Path], float]


@dataclass(frozen=True)
class Search:
    """What is searched.

    Attributes:
        plan: Agent, environment, steps and seed of every trial, with the shipped settings.
        trials: How many settings are tried; the first are the shipped ones.
    """

    plan: TrainingPlan
    trials: int

    def config(self) -> dict[str, Any]:
        """What a search must not change while it is resumed; more trials are no other search."""
        plan = self.plan
        return {
            "agent": plan.agent,
            "env_id": plan.env_id,
            "preset": plan.preset,
            "arguments": dict(plan.arguments),
            "steps": plan.steps,
            "seed": plan.seed,
            "settings": dict(plan.settings),
            "space": self.space,
        }

    @property
    def space(self) -> Space:
        """What is tried."""
        return search_space(self.plan.agent, self.plan.settings["policy"])


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        values: The best values, by dotted key.
        val_return: Mean return on the split val with them.
        shipped_return: The same of the shipped settings; None if they could not be trained.
        trials: Trials behind it.
        diverged: Those whose training broke down.
    """

    values: dict[str, Any]
    val_return: float
    shipped_return: float | None
    trials: int
    diverged: int


def val_return(plan: TrainingPlan, folder: Path) -> float:
    """Train, and take the mean return on the split val of the better way to play."""
    train(plan, folder)
    mode = json.loads((folder / MODE_FILE).read_text())
    return float(max(mode["val_return_deterministic"], mode["val_return_sampled"]))


def tune(
    search: Search, folder: RunFolder, objective: Objective = val_return, say: Callable[[str], None] = print
) -> Found:
    """Try settings until there are enough trials, those of earlier starts included.

    A trial that died with its process is played again, with the same settings; one whose training broke down counts as
    a bad one.

    Args:
        search: What to search.
        folder: Where the journal, ``best.toml`` and the curves of all trials lie.
        objective: Value of a plan, the higher the better, for which it can use a folder.
        say: Told a line after every trial.

    Raises:
        RunFolderError: If the folder holds another search, or another process writes to it.
        InvalidValueError: If no trial could be trained.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with folder.lock():
        study = _study(folder.path)
        _play_again(study)
        if not study.trials:
            study.enqueue_trial(_shipped(search), skip_if_exists=True)
        while len(study.get_trials(deepcopy=False, states=FINISHED)) < search.trials:
            # so that a search that was stopped goes on as one that was not
            seed = search.plan.seed + len(study.trials)
            study.sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP_TRIALS, seed=seed)
            trial = study.ask()
            values = {key: _suggest(trial, key, allowed) for key, allowed in search.space.items()}
            say(_try(study, trial, search, values, objective, folder.path))
            write_best(search, study, folder.path / BEST_FILE)
        write_best(search, study, folder.path / BEST_FILE)
        return _found(study)


def write_best(search: Search, study: optuna.Study, path: Path) -> None:
    """Write the best settings so far, once there are any, as a table of settings."""
    if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        write_atomically(path, as_toml(search, _found(study)))


def as_toml(search: Search, found: Found) -> str:
    """The best settings as a table of settings, with what they reached as a comment."""
    plan, shipped = search.plan, found.shipped_return
    nested = with_values({}, found.values)
    lines = [f"{key} = {_toml(value)}" for key, value in nested.items()]
    of_shipped = "broke down" if shipped is None else f"had {shipped:.3f}"
    return "\n".join(
        [
            f"# mean return {found.val_return:.3f} on the split val after {plan.steps} steps of training, best of "
            f"{found.trials} trials; the settings",
            f"# that were shipped {of_shipped}",
            f'[{plan.agent}."{plan.env_id}".{plan.preset}]',
            *lines,
            "",
        ]
    )


def _study(folder: Path) -> optuna.Study:
    """The study in the journal; what a dying process left of it is put in order."""
    path = folder / JOURNAL_FILE
    if path.exists():
        content = path.read_bytes()
        complete = content.rfind(b"\n") + 1
        if complete < len(content):
            write_atomically(path, content[:complete])
    # the folder's own lock keeps others away, so that whoever held the journal's is gone
    for stale in folder.glob(JOURNAL_FILE + ".*"):
        stale.unlink()
    storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.create_study(study_name="tune", storage=storage, direction="maximize", load_if_exists=True)


def _play_again(study: optuna.Study) -> None:
    """Give up the trials of a process that died, and put their settings first in the queue."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.system_attrs.get("fixed_params", trial.params), trial.user_attrs)


def _shipped(search: Search) -> dict[str, Any]:
    """The shipped settings where they lie in the space."""
    values = {key: _as_choice(value_at(search.plan.settings, key)) for key in search.space}
    return {key: values[key] for key, allowed in search.space.items() if _contains(allowed, values[key])}


def _contains(allowed: Any, value: Any) -> bool:
    if isinstance(allowed, list):
        return value in [_as_choice(choice) for choice in allowed]
    return isinstance(value, int | float) and allowed["low"] <= value <= allowed["high"]


def _as_choice(value: Any) -> Any:
    """A form that Optuna can keep: a list as JSON."""
    return json.dumps(value) if isinstance(value, list) else value


def _suggest(trial: Trial, key: str, allowed: Any) -> Any:
    if not isinstance(allowed, list):
        return trial.suggest_float(key, allowed["low"], allowed["high"], log=allowed.get("log", False))
    chosen = trial.suggest_categorical(key, [_as_choice(choice) for choice in allowed])
    return next(choice for choice in allowed if _as_choice(choice) == chosen)


def _try(
    study: optuna.Study, trial: Trial, search: Search, values: Mapping[str, Any], objective: Objective, folder: Path
) -> str:
    """Play one trial; what to say of it."""
    plan = replace(search.plan, settings=with_values(search.plan.settings, values))
    run = folder / f"trial{trial.number}"
    run.mkdir(exist_ok=True)
    trial.set_user_attr("values", dict(values))
    try:
        value = objective(plan, run)
    except (ValueError, FloatingPointError) as error:
        value, reason = np.nan, str(error).splitlines()[0]
    else:
        reason = "the return is not a number"
    if not np.isfinite(value):
        study.tell(trial, state=TrialState.PRUNED)
        shutil.rmtree(run)
        return f"trial {trial.number}: broke down ({reason})"
    study.tell(trial, value)
    return f"trial {trial.number}: {value:.3f} on val with {json.dumps(dict(values))}; best {study.best_value:.3f}"


def _found(study: optuna.Study) -> Found:
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        raise InvalidValueError("result of the search", None, "at least one training that does not break down")
    best = max(complete, key=_value)
    diverged = study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
    first = min((*complete, *diverged), key=lambda trial: trial.number)
    return Found(
        values=best.user_attrs["values"],
        val_return=_value(best),
        shipped_return=first.value,
        trials=len(complete) + len(diverged),
        diverged=len(diverged),
    )


def _value(trial: FrozenTrial) -> float:
    return float(trial.value or 0.0)


def _toml(value: Any) -> str:
    """A value in TOML, which writes numbers, strings and lists as JSON does."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)
