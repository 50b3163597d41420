"""The competition: everybody on every environment, on the same instances, resumable at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from train import competitors, table
from train.evaluation import Episode, episode_from_row, make_env
from train.plans import MODEL_FILE, TrainingPlan, plan_training
from train.plots import accuracy_over_time
from train.progress import progress_bar
from train.protocol import PROTOCOL, SPLIT, code_version
from train.runs import RunFolder, write_atomically
from train.scores import find_scale
from train.statistics import MIN_SEEDS
from train.workers import start_workers

EPISODE_WORK = 500
"""Environment steps of training that take about as long as one episode, for the progress bar."""
PACKAGES = ("gymnasium", "numpy", "stable-baselines3", "sb3-contrib", "torch")
"""What results depend on; a run is not continued with other versions."""


@dataclass(frozen=True)
class Matrix:
    """What competes.

    Attributes:
        environments: Ids.
        competitors: Names.
        preset: Preset of the scenario.
        arguments: Further arguments of the environments.
        seeds: Episodes of each competitor in each environment, on seeds 0, 1, ... of the test split.
        quick: Whether training takes the quick one of the shipped budgets.
        steps: Training budget; None for the shipped one.
        training_seed: Seed of the training.
    """

    environments: tuple[str, ...]
    competitors: tuple[str, ...]
    preset: str = "small"
    arguments: dict[str, Any] = field(default_factory=dict)
    seeds: int = 20
    quick: bool = False
    steps: int | None = None
    training_seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be compared.

        Raises:
            InvalidValueError: For too few seeds, or nobody to play.
            UnknownNameError: For an unknown competitor.
        """
        if self.seeds < MIN_SEEDS:
            raise InvalidValueError("seeds", self.seeds, f"at least {MIN_SEEDS}")
        for env_id in self.environments:
            if not any(competitors.supports(name, env_id) for name in self.competitors):
                raise InvalidValueError(f"competitors of {env_id}", list(self.competitors), "one that supports it")

    def entries(self) -> Iterator[tuple[str, str]]:
        """Every environment with every competitor that supports it."""
        for env_id in self.environments:
            for name in self.competitors:
                if competitors.supports(name, env_id):
                    yield env_id, name

    def environment(self) -> dict[str, Any]:
        """Arguments of the environments."""
        return {"scenario": self.preset, **self.arguments}

    def scenario(self) -> Scenario:
        """What they simulate."""
        scenario: Scenario = make_env(self.environments[0], SPLIT, self.environment()).unwrapped.scenario  # type: ignore[attr-defined]
        return scenario

    def plan(self, entry: tuple[str, str]) -> TrainingPlan:
        """How the trained competitor of an entry is trained."""
        env_id, name = entry
        return plan_training(name, env_id, self.preset, self.arguments, self.steps, self.training_seed, self.quick)

    def config(self) -> dict[str, Any]:
        """All that the results depend on, as JSON values."""
        plans = [asdict(self.plan(entry)) for entry in self.entries() if competitors.is_trained(entry[1])]
        return {
            "protocol": PROTOCOL,
            "code": code_version(),
            "versions": {package: version(package) for package in PACKAGES},
            **asdict(self),
            "scenario": self.scenario().to_dict(),
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
    matrix: Matrix, folder: RunFolder, workers: int, missing: Mapping[tuple[str, str], list[int]]
) -> Iterator[Episode]:
    """Train and play in parallel, and give back each episode as soon as it is finished."""
    models = {
        entry: folder.path / "models" / f"{entry[0].split('/')[-1]}-{entry[1]}"
        for entry in missing
        if competitors.is_trained(entry[1])
    }
    plans = {entry: matrix.plan(entry) for entry, model in models.items() if not (model / MODEL_FILE).exists()}
    work = EPISODE_WORK * sum(map(len, missing.values())) + sum(plan.steps for plan in plans.values())
    with start_workers(workers) as pool, progress_bar(work, "step") as bar:
        training = {pool.train(plan, models[entry]): entry for entry, plan in plans.items()}
        playing: set[Future[Episode]] = set()

        def submit(entry: tuple[str, str]) -> None:
            for seed in missing[entry]:
                playing.add(pool.play(entry[0], matrix.environment(), entry[1], models.get(entry), seed))

        for entry in missing.keys() - plans.keys():
            submit(entry)
        played = 0
        while training or playing:
            waiting: set[Future[Any]] = {*training, *playing}
            finished, _ = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in finished & training.keys():
                future.result()
                submit(training.pop(future))
            for future in finished & playing:
                playing.discard(future)
                played += 1
                yield future.result()
            bar.set_postfix_str(f"{played} episodes played, {len(training)} agents in training", refresh=False)
            bar.update(min(EPISODE_WORK * played + pool.steps_done(), work) - bar.n)


def publish(matrix: Matrix, episodes: Sequence[Episode], folder: Path) -> str:
    """Write ``leaderboard.md`` and ``leaderboard.png`` into the run's folder.

    Returns:
        The tables as text for a console.
    """
    by_environment = {
        env_id: [episode for episode in episodes if episode.env_id == env_id] for env_id in matrix.environments
    }
    scenario = matrix.scenario()
    accuracy_over_time(by_environment, scenario.target_accuracy, folder / "leaderboard.png")
    console, page = [], [_heading(matrix, scenario)]
    for env_id, played in by_environment.items():
        scale, meaning = find_scale(env_id, matrix.preset, SPLIT, matrix.arguments)
        rows = table.rows(played, scale)
        remarks = [_remark(row, rows) for row in rows if competitors.is_trained(row.competitor)]
        console += [env_id, table.render(rows, "simple"), meaning, *remarks, ""]
        page += [f"## {env_id}", table.render(rows, "github"), meaning, *remarks]
    console.append(table.LEGEND)
    page += [table.LEGEND, "![Held-out accuracy against simulated time](leaderboard.png)"]
    write_atomically(folder / "leaderboard.md", "\n\n".join(page) + "\n")
    return "\n".join(console)


def _heading(matrix: Matrix, scenario: Scenario) -> str:
    changes = f", changed by `{matrix.arguments}`" if matrix.arguments else ""
    return (
        f"# Leaderboard: preset `{matrix.preset}`{changes}\n\n"
        f"{scenario.num_devices} devices, {scenario.radio.num_cells} cell(s) of {scenario.radio.num_subchannels} "
        f"sub-channels, learner `{scenario.learning.model}` on `{scenario.learning.dataset}` "
        f"(`{scenario.learning.partition}`), target accuracy {scenario.target_accuracy}, at most {scenario.max_rounds} "
        f"rounds of at most {scenario.deadline_s} s.\n\n"
        f"Protocol {PROTOCOL}, code {code_version()}: {matrix.seeds} episodes each on seeds 0 to {matrix.seeds - 1} of "
        "the test split, the same "
        "instances and random numbers for all; agents that learn were trained on the train split with seed "
        f"{matrix.training_seed}. "
        "`config.json` has every setting, `results.jsonl` one line per episode."
    )


def _remark(row: table.Row, rows: Sequence[table.Row]) -> str:
    """How a trained competitor stands to random play."""
    reference = next((other for other in rows if other.competitor == table.REFERENCE), None)
    if reference is None:
        return f"{row.competitor}: {table.REFERENCE} did not play, so there is nothing to compare it with."
    overlap = row.episode_return.overlaps(reference.episode_return)
    better = row.episode_return.value > reference.episode_return.value
    verdict = "the intervals overlap" if overlap else f"separated, {'above' if better else 'below'} {table.REFERENCE}"
    return f"{row.competitor} {row.episode_return} against {table.REFERENCE} {reference.episode_return}: {verdict}."
