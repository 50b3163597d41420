"""What a run of the leaderboard finds, line by line: episodes, trainings, and entries that failed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from train.evaluation import Episode

Entry = tuple[str, str]
"""Environment and competitor."""


@dataclass(frozen=True)
class Training:
    """One finished training.

    Attributes:
        env_id: Environment.
        competitor: Who was trained.
        seed: Seed of the training.
        steps: Environment steps.
        parameters: Trainable numbers of all networks.
        training_s: Wall time, the choice between ways to play included.
        curve: Environment steps, and the mean return of the last 100 episodes of training.
    """

    env_id: str
    competitor: str
    seed: int
    steps: int
    parameters: int
    training_s: float
    curve: list[tuple[int, float]]

    @property
    def entry(self) -> Entry:
        """Whose it is."""
        return self.env_id, self.competitor


@dataclass(frozen=True)
class Failure:
    """A training or an episode that did not end as it should.

    Attributes:
        env_id: Environment.
        competitor: Who failed.
        seed: Seed of the episode; None for the training.
        reason: What happened.
    """

    env_id: str
    competitor: str
    seed: int | None
    reason: str

    @property
    def entry(self) -> Entry:
        """Whose it is."""
        return self.env_id, self.competitor

    def __str__(self) -> str:
        """Who failed where, and why."""
        where = "in training" if self.seed is None else f"on seed {self.seed}"
        return f"{self.competitor} failed {where}: {self.reason}"


Record = Episode | Training | Failure
LONGEST_SHOWN = 80
"""Characters of a value that is refused."""


def to_row(record: Record) -> dict[str, Any]:
    """As plain JSON values; ``row`` says what it is."""
    return {"row": type(record).__name__.lower(), **dataclasses.asdict(record)}


def record_from_row(row: Mapping[str, Any]) -> Record:
    """The inverse of :func:`to_row`.

    Raises:
        KeyError: For an unknown kind of row or a missing field.
        TypeError: For a value of another type, or a number that is none.
        ValueError: For an episode without a curve or terms, or a training without steps.
    """
    record = {"episode": Episode, "training": Training, "failure": Failure}[row["row"]]
    values = {one.name: row[one.name] for one in dataclasses.fields(record)}
    for one in dataclasses.fields(record):
        if not _HOLDS[str(one.type)](values[one.name]):
            wanted = str(one.type).replace("float", "finite float")
            raise TypeError(f"{one.name} is {str(values[one.name])[:LONGEST_SHOWN]}, no {wanted}")
    if record is Episode and not (values["curve"] and values["reward_terms"]):
        raise ValueError("curve or reward_terms is empty")
    if record is Training and values["steps"] < 1:
        raise ValueError(f"steps is {values['steps']}")
    return record(**values)


def _is_whole(value: Any) -> bool:
    """Whether it is an integer; in Python a truth value is one, too, but not here."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    """Whether it is a number that can be counted with, which NaN and infinity are not."""
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _are_pairs(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 and all(map(_is_number, pair)) for pair in value
    )


_HOLDS: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "int": _is_whole,
    "int | None": lambda value: value is None or _is_whole(value),
    "float": _is_number,
    "dict[str, float]": lambda value: isinstance(value, dict) and all(map(_is_number, value.values())),
    "list[tuple[float, float]]": _are_pairs,
    "list[tuple[int, float]]": _are_pairs,
}
"""Whether a value is one of a type that the fields of records have."""


@dataclass
class Results:
    """All records of a run, the latest of each.

    Attributes:
        episodes: By environment, competitor and seed.
        trainings: By entry.
        failures: By entry and seed; an episode or a training that went well later is no failure any more.
    """

    episodes: dict[tuple[str, str, int], Episode] = field(default_factory=dict)
    trainings: dict[Entry, Training] = field(default_factory=dict)
    failures: dict[Entry, dict[int | None, Failure]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """One more."""
        if isinstance(record, Failure):
            self.failures.setdefault(record.entry, {})[record.seed] = record
            return
        if isinstance(record, Training):
            self.trainings[record.entry] = record
            self._succeed(record.entry, None)
        else:
            self.episodes[record.key] = record
            self._succeed(record.key[:2], record.seed)

    def failure(self, entry: Entry) -> Failure | None:
        """The first failure of an entry: that of its training, else that of the lowest seed."""
        failures = self.failures.get(entry, {})
        return failures[min(failures, key=lambda seed: -1 if seed is None else seed)] if failures else None

    def of(self, entry: Entry, seeds: Iterable[int]) -> list[Episode]:
        """Episodes of an entry on these seeds, as far as there are any."""
        keys = [(*entry, seed) for seed in seeds]
        return [self.episodes[key] for key in keys if key in self.episodes]

    def _succeed(self, entry: Entry, seed: int | None) -> None:
        self.failures.get(entry, {}).pop(seed, None)
