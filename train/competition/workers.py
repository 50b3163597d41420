"""Worker processes: each does one job at a time, can be ended without the others, and ends with its parent."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from qfl_envs.errors import QflError
from train.competition.jobs import Done, Job, TrainJob, failure, perform, too_long
from train.competition.results import Entry

READY = "ready"
"""What a worker says when it can begin."""
ALONE_S = 1.0
"""How long a worker may live on after the process that it works for."""


class WorkersError(QflError):
    """Worker processes that cannot work."""


class _Worker:
    """A process and what it does."""

    def __init__(self, context: SpawnContext) -> None:
        self.connection, theirs = context.Pipe()
        self.steps_done = context.Value("q", 0)
        self.process: SpawnProcess = context.Process(target=_work, args=(theirs, self.steps_done, os.getpid()))
        self.process.start()
        theirs.close()
        self.ready, self.begun_jobs = False, 0
        self.job: Job | None = None
        self.begun, self.limit_s = 0.0, None  # type: float, float | None

    def begin(self, job: Job, limit_s: float | None) -> None:
        self.job, self.begun, self.limit_s = job, time.monotonic(), limit_s
        self.begun_jobs += 1
        self.steps_done.value = 0
        try:
            self.connection.send(job)
        except OSError:
            pass  # it has died, which the next collection sees

    def left_s(self) -> float:
        """Time until its job must end."""
        if self.limit_s is None or not self.ready:
            return float("inf")
        return self.begun + self.limit_s - time.monotonic()

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


class ProcessPool:
    """A pool of processes of this machine; see :class:`train.competition.jobs.Pool`."""

    def __init__(self, count: int) -> None:
        """Start nothing yet; see :func:`start_workers`.

        Args:
            count: Most processes.
        """
        self._context = get_context("spawn")
        self._count, self._workers = count, []  # type: int, list[_Worker]

    def free(self) -> int:
        """How many jobs would start at once."""
        return self._count - sum(worker.job is not None for worker in self._workers)

    def start(self, job: Job, limit_s: float | None = None) -> None:
        """Start a job; one that takes longer than the limit is ended, and has failed."""
        worker = next((worker for worker in self._workers if worker.job is None), None)
        if worker is None:
            worker = _Worker(self._context)
            self._workers.append(worker)
        worker.begin(job, limit_s)

    def collect(self, timeout_s: float) -> list[Done]:
        """Jobs that have ended, waiting for the first up to a time.

        Raises:
            WorkersError: If a process died before it could begin, so that all of them would.
        """
        busy = [worker for worker in self._workers if worker.job is not None]
        wait([worker.connection for worker in busy], max(0.0, min([timeout_s, *(one.left_s() for one in busy)])))
        done = []
        for worker in busy:
            assert worker.job is not None
            found = self._said(worker)
            if found is None and worker.left_s() <= 0:
                assert worker.limit_s is not None
                found = too_long(worker.job, worker.limit_s)
                self._drop(worker)
            if found is not None:
                done.append(Done(worker.job, found, time.monotonic() - worker.begun))
                worker.job = None
        return done

    def steps_done(self) -> dict[Entry, int]:
        """Environment steps so far of the trainings that run."""
        return {one.job.entry: one.steps_done.value for one in self._workers if isinstance(one.job, TrainJob)}

    def close(self) -> None:
        """End all processes, whatever they do."""
        for worker in self._workers:
            worker.end()
        self._workers = []

    def _said(self, worker: _Worker) -> Any:
        """What a worker has found, None if it still works."""
        assert worker.job is not None
        try:
            while worker.connection.poll():
                said = worker.connection.recv()
                if said != READY:
                    return said
                worker.ready, worker.begun = True, time.monotonic()
        except (EOFError, OSError):
            self._drop(worker)
            code = worker.process.exitcode or 0
            how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            if not worker.ready:
                raise WorkersError(f"a worker process ended {how} before it could begin") from None
            if worker.begun_jobs > 1:
                self._begin_anew(worker)
                return None
            return failure(worker.job, f"its process ended {how}")
        return None

    def _begin_anew(self, worker: _Worker) -> None:
        """Give the job of a worker that has died to a new one, where it is the first.

        What an earlier job left behind, such as a thread that ends the process, may be to blame; a process that dies
        of its first job dies of that one.
        """
        assert worker.job is not None
        left_s = None if worker.limit_s is None else max(0.0, worker.left_s())
        self._workers.append(_Worker(self._context))
        self._workers[-1].begin(worker.job, left_s)
        worker.limit_s = None

    def _drop(self, worker: _Worker) -> None:
        worker.end()
        self._workers.remove(worker)


@contextmanager
def start_workers(count: int) -> Iterator[ProcessPool]:
    """Processes that wait for work, and are ended at the end."""
    pool = ProcessPool(count)
    try:
        yield pool
    finally:
        pool.close()


def _work(connection: Connection, steps_done: Any, parent: int) -> None:
    """Of a process: one job after the other, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    import torch  # noqa: F401  (what every job needs is no part of its time)

    connection.send(READY)
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        connection.send(perform(job, partial(setattr, steps_done, "value")))


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ALONE_S)
    os._exit(1)
