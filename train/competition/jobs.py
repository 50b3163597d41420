"""What a leaderboard is made of, one training or episode at a time, and what becomes of one wherever it runs."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from qfl_envs.errors import QflError
from train import competitors
from train.competition.protocol import SPLIT
from train.competition.results import Entry, Failure, Record, Training, record_from_row, to_row
from train.evaluation import make_env_of, play
from train.runs import RunFolderError
from train.training.plans import MODEL_FILE, TrainingPlan, read_plan

LONGEST_REASON = 300
"""Characters of an error that are kept."""
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
"""Of an object in memory, which differs from process to process and says nothing."""
MACHINE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""Errors that are no fault of a competitor: they end the run, which can go on later."""


@dataclass(frozen=True)
class TrainJob:
    """A training.

    Attributes:
        plan: What to do.
        folder: Where the model goes; a finished one in it is not trained again.
    """

    plan: TrainingPlan
    folder: Path
    seed: None = field(default=None, init=False)

    @property
    def entry(self) -> Entry:
        """Whose it is."""
        return self.plan.env_id, self.plan.agent


@dataclass(frozen=True)
class PlayJob:
    """An episode.

    Attributes:
        entry: Environment and competitor.
        arguments: Of the environment.
        model: What the competitor is loaded from; None for one that needs nothing.
        seed: Of the instance.
    """

    entry: Entry
    arguments: Mapping[str, Any]
    model: Path | None
    seed: int


Job = TrainJob | PlayJob


@dataclass(frozen=True)
class Done:
    """A job that has ended.

    Attributes:
        job: Which.
        result: What it found, or how it failed; an error where the machine failed, which is nobody's result.
        seconds: Wall time.
    """

    job: Job
    result: Record | QflError
    seconds: float


class Pool(Protocol):
    """Where jobs run: processes of this machine, or a cluster."""

    def free(self) -> int:
        """How many jobs would start at once."""

    def start(self, job: Job, limit_s: float | None = None) -> None:
        """Start a job; one that takes longer than the limit is ended, and has failed."""

    def collect(self, timeout_s: float) -> list[Done]:
        """Jobs that have ended, waiting for the first up to a time."""

    def steps_done(self) -> Mapping[Entry, int]:
        """Environment steps so far of the trainings that run, as far as they are known."""


def perform(job: Job, progress: Callable[[int], None]) -> Record | QflError:
    """Do it.

    Args:
        job: What.
        progress: Called with the number of environment steps of a training so far.

    Returns:
        A training or an episode; a failure if it raised; an error of the machine.
    """
    try:
        return _train(job, progress) if isinstance(job, TrainJob) else _play(job)
    except RunFolderError as error:
        return error
    except (Exception, SystemExit) as error:
        if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
            return RunFolderError(f"{error.strerror} while {' '.join(job.entry)} was at work; run the command again")
        return failure(job, describe(error))


def failure(job: Job, reason: str) -> Failure:
    """A job that failed."""
    return Failure(*job.entry, job.seed, reason)


def too_long(job: Job, limit_s: float) -> Failure:
    """A job that was ended at its limit."""
    return failure(job, f"ended after {limit_s:.0f} s, when all that --entry-timeout gives an entry was used up")


def describe(error: BaseException) -> str:
    """What an error says, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    printable = "".join(one if one.isprintable() else " " for one in ADDRESS.sub("", str(error)))
    said = " ".join(printable.split())
    return f"{type(error).__name__}: {said[:LONGEST_REASON]}{where}"


def training_in(folder: Path) -> Training:
    """What is known of a finished training.

    Raises:
        ModelFileError: If there is none.
    """
    from train.training.curves import curve_of

    plan, curve = read_plan(folder), curve_of(folder)
    points = [(int(step), float(value)) for step, value in zip(curve.steps, curve.returns, strict=True)]
    return Training(
        env_id=plan.env_id,
        competitor=plan.agent,
        seed=plan.seed,
        steps=plan.steps,
        parameters=plan.parameters or 0,
        training_s=plan.training_s or 0.0,
        curve=_thinned(points),
    )


def _thinned(points: list[tuple[int, float]], most: int = 200) -> list[tuple[int, float]]:
    """At most so many of them, evenly spread, the last included."""
    stride = -(-len(points) // most) or 1
    return points[::-1][::stride][::-1]


def _train(job: TrainJob, progress: Callable[[int], None]) -> Record:
    from train.training.deep_rl import (
        train,  # takes seconds to load, which the process that only waits for results saves
    )

    if not (job.folder / MODEL_FILE).exists():
        train(job.plan, job.folder, progress)
    return training_in(job.folder)


def _play(job: PlayJob) -> Record:
    import torch

    torch.set_num_threads(1)
    env_id, name = job.entry
    competitor = competitors.make(name, job.model)
    env = make_env_of(competitor, env_id, SPLIT, job.arguments)
    try:
        with contextlib.chdir("."):  # back to where the next job looks for its files, wherever a competitor goes
            episode = play(env, competitor, job.seed)
    finally:
        env.close()
    # what could not be read again, such as a cost that is no number, is no result either
    return record_from_row(to_row(dataclasses.replace(episode, competitor=name)))
