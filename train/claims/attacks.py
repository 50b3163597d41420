"""Experiments behind claims on attacks: gradients that leak, and hostile updates that are told or averted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from qfl_envs.system.learning.learner import Learner
from train.claims.experiment import Experiment, Values
from train.security import leaks
from train.security.poisoned import accuracy
from train.security.screening import PARTITIONS, SCORES, measured


class Leakage(Experiment):
    """Searches for the samples behind gradients."""

    OF = {
        "alone": "similarity",
        "aggregated": "aggregated_similarity",
        "strangers": "strangers",
        "guessed": "guessed",
    }
    _found: tuple[int, dict[int, dict[str, float]]] | None = None

    @cached_property
    def _learner(self) -> Learner:
        return leaks.learner_of(self.settings["preset"])

    def series(self) -> list[str]:
        """What the searcher sees."""
        return list(self.OF)

    def compute(self, series: str, seed: int) -> Values:
        """Similarity of what is found, by the samples behind a gradient."""
        if self._found is None or self._found[0] != seed:
            self._found = seed, {batch: self._search(batch, seed) for batch in self.settings["batches"]}
        return {f"similarity_{batch}": found[self.OF[series]] for batch, found in self._found[1].items()}

    def _search(self, batch: int, seed: int) -> dict[str, float]:
        # none of the victims on whom the searches were tried out
        generator = np.random.default_rng([1, seed, batch])
        return leaks.attacked(self._learner, batch, generator, self.settings["iterations"], self.settings["searches"])


class Screening(Experiment):
    """Scores of updates some of which are hostile."""

    _measured: tuple[int, Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]] | None = None

    def series(self) -> list[str]:
        """The scores."""
        return list(SCORES)

    def compute(self, series: str, seed: int) -> Values:
        """Areas under the curve, by kind of data: of each attack, and their mean."""
        if self._measured is None or self._measured[0] != seed:
            settings = self.settings
            found = {part: measured(settings["preset"], part, settings["rounds"], [seed]) for part in PARTITIONS}
            self._measured = seed, found
        values = {}
        for part, attacks in self._measured[1].items():
            areas = {attack: float(of_score[series][0]) for attack, of_score in attacks.items()}
            values.update({f"{part}, {attack}": area for attack, area in areas.items()})
            values[part] = float(np.mean(list(areas.values())))
        return values


class Poisoned(Experiment):
    """Learning under attack, by what the server does about it."""

    def series(self) -> list[str]:
        """The defences."""
        return list(self.settings["defences"])

    def compute(self, series: str, seed: int) -> Values:
        """Accuracy after the rounds, by kind of data: under each attack, and their mean."""
        settings, values = self.settings, {}
        for part in PARTITIONS:
            reached = {
                attack: accuracy(settings["preset"], part, settings["rounds"], seed, attack, series)
                for attack in settings["attacks"]
            }
            values.update({f"{part}, {attack}": one for attack, one in reached.items()})
            values[part] = float(np.mean(list(reached.values())))
        return values
