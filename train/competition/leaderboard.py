"""The competition: everybody on every environment, on the same instances, resumable at any moment."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from qfl_envs.errors import QflError
from train import competitors
from train.competition import outside
from train.competition.board import board
from train.competition.jobs import Done, Job, PlayJob, Pool, TrainJob, too_long
from train.competition.matrix import Matrix
from train.competition.outlook import Outlook, Running
from train.competition.plots import accuracy_over_time
from train.competition.results import Entry, Failure, Record, Results, Training, record_from_row, to_row
from train.competition.standings import page, standings, text
from train.progress import time_bar
from train.runs import RunFolder, write_atomically
from train.training.plans import model_name

PAGE_FILE, BOARD_FILE, PICTURE_FILE = "leaderboard.md", "leaderboard.json", "leaderboard.png"
Say = Callable[[str], None]
Task = tuple[Entry, int | None]
"""What tells jobs apart: an entry, and the seed of an episode."""


def run(
    matrix: Matrix,
    folder: RunFolder,
    pool: AbstractContextManager[Pool],
    say: Say,
    entry_timeout_s: float | None = None,
    retry_failed: bool = False,
) -> Results:
    """Play whatever has not been played yet.

    Args:
        matrix: What competes.
        folder: Where results and models are kept.
        pool: Where jobs run; entered only if something is missing.
        say: Called with a line on each stage.
        entry_timeout_s: Wall time in s of all jobs of an entry together, after which it has failed; None for no limit.
        retry_failed: Whether entries that failed in an earlier call play again.

    Returns:
        All that is known of the matrix.

    Raises:
        QflError: Where the machine fails and not a competitor, such as for want of space; all that ended is kept.
    """
    with folder.lock():
        competition = _Competition(matrix, folder, say, entry_timeout_s, retry_failed)
        if competition.missing():
            with pool as started:
                competition.play(started)
    return competition.results


def publish(config: Mapping[str, Any], results: Results, folder: Path) -> str:
    """Write ``leaderboard.md``, ``leaderboard.json`` and ``leaderboard.png`` into the run's folder.

    Args:
        config: Of the run.
        results: All that it found.
        folder: Of the run.

    Returns:
        The tables as text for a console.
    """
    found = standings(config, results)
    accuracy_over_time(
        {place.env_id: [one for played in place.episodes.values() for one in played] for place in found.places},
        {place.env_id: config["scenarios"][place.env_id]["target_accuracy"] for place in found.places},
        folder / PICTURE_FILE,
    )
    write_atomically(folder / PAGE_FILE, page(found, PICTURE_FILE))
    write_atomically(folder / BOARD_FILE, json.dumps(board(found), allow_nan=False) + "\n")
    return text(found)


class _Competition:
    """One call: what is known, what waits, what runs."""

    def __init__(self, matrix: Matrix, folder: RunFolder, say: Say, entry_timeout_s: float | None, retry: bool) -> None:
        self.matrix, self.folder, self.say, self.entry_timeout_s = matrix, folder, say, entry_timeout_s
        self.results = Results()
        for record in folder.read_as(record_from_row, say):
            self.results.add(record)
        self.spent_s: dict[Entry, float] = {}
        self.queue: deque[Job] = deque()
        self.running: dict[Task, tuple[Job, float]] = {}
        self.outlook = Outlook(matrix.seeds)
        for training in self.results.trainings.values():
            self.outlook.trained(training)
        trainings, episodes = [], []  # type: list[TrainJob], list[PlayJob]
        for entry in matrix.entries():
            failed = self.results.failure(entry)
            if failed is not None and not retry:
                # what a kill kept from its end: a lower seed may be the one that fails first
                episodes += [job for job in self._episodes(entry) if _before(job, failed)]
                continue
            if competitors.is_trained(entry[1]) and entry not in self.results.trainings:
                trainings.append(TrainJob(matrix.plan(entry), self._model(entry)))
            else:
                episodes += self._episodes(entry)
        # everybody's first episodes come first, so that soon the time is known that all of them will take
        self.queue.extend([*trainings, *sorted(episodes, key=lambda job: job.seed)])
        if self.results.episodes:
            say(f"{len(self.results.episodes)} episodes are in {folder.results}; {self.missing()} are missing")

    def missing(self) -> int:
        """Episodes that are yet to be played, those of agents that are yet to be trained included."""
        return sum(self.matrix.seeds if isinstance(job, TrainJob) else 1 for job in self.queue)

    def play(self, pool: Pool) -> None:
        """Until nothing is left."""
        played = 0
        with time_bar() as bar:
            while self.queue or self.running:
                while self.queue and pool.free() > 0:
                    self._start(pool, self.queue.popleft())
                slots = len(self.running) + pool.free()
                for done in pool.collect(1.0):
                    del self.running[_task(done.job)]
                    played += isinstance(done.job, PlayJob)
                    self._finish(done)
                bar.show(self._left_s(pool, slots), f"{played} episodes played, {len(self.queue)} jobs wait")

    def _left_s(self, pool: Pool, slots: int) -> float | None:
        now, steps = time.monotonic(), pool.steps_done()
        running = [Running(job, now - begun, steps.get(job.entry, 0)) for job, begun in self.running.values()]
        return self.outlook.left_s(list(self.queue), running, slots)

    def _start(self, pool: Pool, job: Job) -> None:
        if self.entry_timeout_s is None:
            pool.start(job)
        else:
            left_s = self.entry_timeout_s - self.spent_s.get(job.entry, 0.0)
            if left_s <= 0:
                self._keep(too_long(job, self.entry_timeout_s))
                return
            pool.start(job, left_s)
        self.running[_task(job)] = job, time.monotonic()

    def _finish(self, done: Done) -> None:
        """Keep what a job has found, and let the next ones of its entry follow."""
        entry = done.job.entry
        self.spent_s[entry] = self.spent_s.get(entry, 0.0) + done.seconds
        if isinstance(done.result, QflError):
            raise done.result
        self.outlook.ended(done)
        self._keep(done.result)
        if isinstance(done.result, Training):
            self.queue.extend(self._episodes(entry))

    def _keep(self, record: Record) -> None:
        self.folder.append(to_row(record))
        self.results.add(record)
        if isinstance(record, Failure):
            self.say(str(record))
            # lower seeds go on, so that the first failure is the same however many jobs run side by side
            self.queue = deque(job for job in self.queue if job.entry != record.entry or _before(job, record))

    def _episodes(self, entry: Entry) -> list[PlayJob]:
        """Those of an entry that are missing."""
        name = entry[1]
        model = self._model(entry) if competitors.is_trained(name) else None
        if outside.is_model(name):
            model = outside.file_of(name)
        return [
            PlayJob(entry, self.matrix.environment(), model, seed)
            for seed in range(self.matrix.seeds)
            if (*entry, seed) not in self.results.episodes
        ]

    def _model(self, entry: Entry) -> Path:
        return self.folder.path / "models" / model_name(*entry)


def _task(job: Job) -> Task:
    return job.entry, job.seed


def _before(job: Job, failed: Failure) -> bool:
    return job.seed is not None and failed.seed is not None and job.seed < failed.seed
