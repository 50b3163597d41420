"""Which data every device holds, before and after they drift."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from qfl_envs.compiled import compiled
from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.data import Dataset, load_dataset, load_transformed
from qfl_envs.system.learning.drift import num_worlds
from qfl_envs.system.learning.partition import partition
from qfl_envs.system.learning.shapes import NUM_CLASSES


@dataclass(frozen=True)
class Holding:
    """Data of one system's N devices in W distributions ("worlds").

    Attributes:
        sample_index: (W, N, D) rows of the training set, the first ``num_samples`` of a device valid.
        num_samples: (N).
        label_map: (W, NUM_CLASSES) label that a sample of each class has.
    """

    sample_index: np.ndarray
    num_samples: np.ndarray
    label_map: np.ndarray


class FederatedData:
    """The data of one scenario and how they are dealt out.

    Attributes:
        worlds: The data set in every distribution; the same object twice where features do not differ.
        labels: (T) class of every training sample.
        first_map: (NUM_CLASSES) label that a sample of each class has before drift.
    """

    def __init__(self, scenario: Scenario) -> None:
        """Load the data.

        Raises:
            MissingDataError: If they are not to be had.
        """
        self.learning, self.drift, self.num_devices = scenario.learning, scenario.drift, scenario.num_devices
        first = load_dataset(scenario.learning.dataset, scenario.num_features)
        self.worlds: list[Dataset] = [first] * num_worlds(scenario.drift)
        if len(self.worlds) == 2 and scenario.drift.moves == "data":
            self.worlds[1] = load_transformed(
                scenario.learning.dataset, scenario.num_features, scenario.drift.transform, scenario.drift.strength
            )
        self.labels, self.num_classes = first.train_labels, first.num_classes
        self._concepts = [_label_map(concept) for concept in first.concepts]
        self.first_map = self._concepts[0] if self._concepts else np.arange(NUM_CLASSES)

    def deal(self, rng: np.random.Generator) -> Holding:
        """Deal the data of one system out."""
        index, sizes = partition(self.learning, self.labels, self.num_devices, rng)
        if len(self.worlds) == 1:
            return Holding(index[None], sizes, self.first_map[None])
        later, later_map = index, self.first_map
        if self.drift.moves == "label":
            later = self._deal_common_labels(index, sizes, rng)
        elif self.drift.moves == "concept" and self._concepts:
            later_map = self._concepts[rng.integers(1, len(self._concepts))]
        elif self.drift.moves == "concept":
            swapped = rng.permutation(NUM_CLASSES)[: self.drift.swapped_labels]
            later_map = self.first_map.copy()
            later_map[swapped] = np.roll(swapped, 1)
        return Holding(np.stack([index, later]), sizes, np.stack([self.first_map, later_map]))

    def _deal_common_labels(self, index: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Other samples, of a random half of the classes, as many for each device as before."""
        common = np.sort(rng.permutation(self.num_classes)[: self.num_classes // 2])
        kept = np.flatnonzero(np.isin(self.labels, common))
        again = replace(self.learning, samples_per_device=index.shape[1], size_spread=0.0)
        dealt, _ = partition(again, np.searchsorted(common, self.labels[kept]), self.num_devices, rng)
        later = np.zeros_like(index)
        # without a spread of sizes all rows are full, so that the first ``sizes`` of each are samples
        later[:, : dealt.shape[1]] = kept[dealt]
        return later

    def label_share(self, holding: Holding) -> np.ndarray:
        """Share of every class among the samples of each device in each world: (W, N, classes)."""
        return _label_counts(holding.sample_index, holding.num_samples, self.labels) / holding.num_samples[:, None]


@compiled
def _label_counts(sample_index: np.ndarray, num_samples: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Samples of every class, (W, N, classes)."""
    worlds, devices, _ = sample_index.shape
    counts = np.zeros((worlds, devices, NUM_CLASSES))
    for w in range(worlds):
        for n in range(devices):
            for held in range(num_samples[n]):
                counts[w, n, labels[sample_index[w, n, held]]] += 1.0
    return counts


def _label_map(concept: tuple[int, ...]) -> np.ndarray:
    """(NUM_CLASSES) label of each class; a class that the data do not have is its own."""
    label_map = np.arange(NUM_CLASSES)
    label_map[: len(concept)] = concept
    return label_map
