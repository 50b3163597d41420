"""The competition: everybody on every environment, on the same instances, resumable at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass, field
from typing import Any

from tqdm import tqdm

import qfl_envs
from qfl_envs.envs.base import make_scenario
from train import competitors
from train.evaluation import Episode, episode_from_row
from train.runs import RunFolder
from train.training import TrainingPlan, plan_training
from train.workers import start_workers

EPISODE_WORK = 500
"""Environment steps of training that take about as long as one episode, for the progress bar."""


@dataclass(frozen=True)
class Matrix:
    """What competes.

    Attributes:
        environments: Ids.
        competitors: Names.
        preset: Preset of the scenario.
        arguments: Further arguments of the environments.
        seeds: Episodes of each competitor in each environment, on seeds 0, 1, ... of the test split.
        steps: Training budget; None for the shipped one.
        training_seed: Seed of the training.
    """

    environments: tuple[str, ...]
    competitors: tuple[str, ...]
    preset: str = "small"
    arguments: dict[str, Any] = field(default_factory=dict)
    seeds: int = 10
    steps: int | None = None
    training_seed: int = 0

    def entries(self) -> Iterator[tuple[str, str]]:
        """Every environment with every competitor that supports it."""
        for env_id in self.environments:
            for name in self.competitors:
                if competitors.supports(name, env_id):
                    yield env_id, name

    def environment(self) -> dict[str, Any]:
        """Arguments of the environments."""
        return {"scenario": self.preset, **self.arguments}

    def plan(self, entry: tuple[str, str]) -> TrainingPlan:
        """How the trained competitor of an entry is trained."""
        env_id, name = entry
        return plan_training(name, env_id, self.preset, self.arguments, self.steps, self.training_seed)

    def config(self) -> dict[str, Any]:
        """All that the results depend on, as JSON values."""
        plans = [asdict(self.plan(entry)) for entry in self.entries() if competitors.is_trained(entry[1])]
        return {
            "version": qfl_envs.__version__,
            **asdict(self),
            "scenario": make_scenario(self.preset, {}).to_dict(),
            "training": plans,
        }


def run(matrix: Matrix, folder: RunFolder, workers: int, report: Callable[[str], None]) -> list[Episode]:
    """Play whatever has not been played yet.

    Args:
        matrix: What competes.
        folder: Where results and models are kept.
        workers: Processes.
        report: Called with a line on each stage.

    Returns:
        Every episode of the matrix.
    """
    with folder.lock():
        episodes = {episode.key: episode for episode in map(episode_from_row, folder.read())}
        missing = {
            entry: [seed for seed in range(matrix.seeds) if (*entry, seed) not in episodes]
            for entry in matrix.entries()
        }
        missing = {entry: seeds for entry, seeds in missing.items() if seeds}
        if episodes:
            report(f"{len(episodes)} episodes are in {folder.results}; {sum(map(len, missing.values()))} are missing")
        if missing:
            for episode in _play_missing(matrix, folder, workers, missing):
                folder.append(episode.to_row())
                episodes[episode.key] = episode
    return [episodes[(*entry, seed)] for entry in matrix.entries() for seed in range(matrix.seeds)]


def _play_missing(
    matrix: Matrix, folder: RunFolder, workers: int, missing: dict[tuple[str, str], list[int]]
) -> Iterator[Episode]:
    """Train and play in parallel, and give back each episode as soon as it is finished."""
    models = {
        entry: folder.path / "models" / f"{entry[0].split('/')[-1]}-{entry[1]}" / "model.zip"
        for entry in missing
        if competitors.is_trained(entry[1])
    }
    plans = {entry: matrix.plan(entry) for entry, model in models.items() if not model.exists()}
    work = EPISODE_WORK * sum(map(len, missing.values())) + sum(plan.steps for plan in plans.values())
    with start_workers(workers) as pool, tqdm(total=work, unit="step", unit_scale=True) as bar:
        training = {pool.train(plan, models[entry].parent): entry for entry, plan in plans.items()}
        playing: set[Future[Episode]] = set()

        def submit(entry: tuple[str, str]) -> None:
            for seed in missing[entry]:
                playing.add(pool.play(entry[0], matrix.environment(), entry[1], models.get(entry), seed))

        for entry in missing.keys() - plans.keys():
            submit(entry)
        played = 0
        while training or playing:
            waiting: set[Future[Any]] = {*training, *playing}
            finished, _ = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in finished & training.keys():
                future.result()
                submit(training.pop(future))
            for future in finished & playing:
                playing.discard(future)
                played += 1
                yield future.result()
            bar.n = min(EPISODE_WORK * played + pool.steps_done(), work)
            bar.set_postfix_str(f"{played} episodes played, {len(training)} agents in training")
            bar.refresh()
