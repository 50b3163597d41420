"""How long a competition still takes, from how long its jobs have taken so far."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from train.competition.jobs import Done, Job, TrainJob
from train.competition.results import Entry, Failure, Training


@dataclass(frozen=True)
class Running:
    """A job at work.

    Attributes:
        job: Which.
        elapsed_s: Wall time so far.
        steps: Environment steps so far, if it is a training and they are known.
    """

    job: Job
    elapsed_s: float
    steps: int = 0


class _Paces:
    """Seconds per unit of work, of each entry that is known, and a guess for the others."""

    def __init__(self) -> None:
        self._known: dict[Entry, list[float]] = defaultdict(list)

    def note(self, entry: Entry, seconds_per_unit: float) -> None:
        self._known[entry].append(seconds_per_unit)

    def of(self, entry: Entry) -> float | None:
        """Of the entry; else of its competitor elsewhere, of others in its environment, or of all; None if of nobody.

        Competitors differ from each other by orders of magnitude, environments do not.
        """
        means = {other: statistics.fmean(paces) for other, paces in self._known.items()}
        if entry in means:
            return means[entry]
        env_id, competitor = entry
        for alike in (
            [pace for (_, name), pace in means.items() if name == competitor],
            [pace for (place, _), pace in means.items() if place == env_id],
            list(means.values()),
        ):
            if alike:
                return statistics.fmean(alike)
        return None


class Outlook:
    """What is known of the time that trainings and episodes take."""

    def __init__(self, seeds: int) -> None:
        """Know nothing yet.

        Args:
            seeds: Episodes that follow a training.
        """
        self.seeds = seeds
        self._step_s, self._episode_s = _Paces(), _Paces()

    def trained(self, training: Training) -> None:
        """Learn from a training of an earlier call."""
        self._step_s.note(training.entry, training.training_s / training.steps)

    def ended(self, done: Done) -> None:
        """Learn from a job that has ended, unless it failed: nobody knows how far it had come."""
        if isinstance(done.result, Failure):
            return
        if isinstance(done.job, TrainJob):
            self._step_s.note(done.job.entry, done.seconds / done.job.plan.steps)
        else:
            self._episode_s.note(done.job.entry, done.seconds)

    def left_s(self, waiting: Sequence[Job], running: Sequence[Running], slots: int) -> float | None:
        """Time until all is done: jobs that wait, the rest of those that run, and what trained agents will play.

        Args:
            waiting: What has not begun.
            running: What has.
            slots: Jobs that run side by side.

        Returns:
            Wall time in s; None where nobody can know yet.
        """
        total, longest = 0.0, 0.0
        for one in [*running, *(Running(job, 0.0) for job in waiting)]:
            episode_s = self._episode_s.of(one.job.entry)
            need_s = self._training_left_s(one) if isinstance(one.job, TrainJob) else episode_s
            if need_s is None or episode_s is None:
                return None
            if isinstance(one.job, TrainJob):
                total += self.seeds * episode_s
            else:
                need_s = max(0.0, need_s - one.elapsed_s)
            total, longest = total + need_s, max(longest, need_s)
        return max(total / max(slots, 1), longest)

    def _training_left_s(self, one: Running) -> float | None:
        assert isinstance(one.job, TrainJob)
        if one.steps:
            return one.elapsed_s / one.steps * max(0, one.job.plan.steps - one.steps)
        step_s = self._step_s.of(one.job.entry)
        return None if step_s is None else max(0.0, step_s * one.job.plan.steps - one.elapsed_s)
