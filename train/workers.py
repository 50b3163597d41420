"""Worker processes that train and play, report how far they are, and end with their parent however it ends."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from train import competitors
from train.evaluation import Episode, make_env_of, play
from train.plans import TrainingPlan

_steps_done: Any = None


class Workers:
    """A pool of processes and how many steps their trainings have made."""

    def __init__(self, pool: ProcessPoolExecutor, steps_done: Synchronized[int]) -> None:
        """Wrap a pool; see :func:`start_workers`."""
        self._pool, self._steps_done = pool, steps_done

    def train(self, plan: TrainingPlan, folder: Path) -> Future[None]:
        """Train an agent into a folder."""
        return self._pool.submit(_train, plan, folder)

    def play(self, env_id: str, arguments: dict[str, Any], name: str, model: Path | None, seed: int) -> Future[Episode]:
        """Play one episode of the test split."""
        return self._pool.submit(_play, env_id, arguments, name, model, seed)

    def steps_done(self) -> int:
        """Environment steps of all trainings so far."""
        return self._steps_done.value


@contextmanager
def start_workers(count: int) -> Iterator[Workers]:
    """Processes that wait for work; what has not begun is dropped at the end."""
    context = get_context("spawn")
    steps_done = context.Value("q", 0)
    pool = ProcessPoolExecutor(count, context, _begin, (steps_done, os.getpid()))
    try:
        yield Workers(pool, steps_done)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(steps_done: Any, parent: int) -> None:
    global _steps_done
    _steps_done = steps_done
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _train(plan: TrainingPlan, folder: Path) -> None:
    from train.training import train  # takes seconds to load, which the process that only waits for results saves

    reported = 0

    def progress(steps: int) -> None:
        nonlocal reported
        with _steps_done.get_lock():
            _steps_done.value += steps - reported
        reported = steps

    train(plan, folder, progress)


def _play(env_id: str, arguments: dict[str, Any], name: str, model: Path | None, seed: int) -> Episode:
    import torch

    torch.set_num_threads(1)
    player = competitors.make(name, model)
    return play(make_env_of(player, env_id, "test", arguments), player, seed)
