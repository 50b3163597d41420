"""Finite shots: what a quantum processor reports instead of exact probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Shots:
    """Measurement of every circuit with a finite number of shots.

    Attributes:
        count: Shots per circuit, at least 1.
        generators: One random generator per system.
        owners: (C,) index into ``generators`` of each client. A system's clients draw from its generator alone, so that
            a system's outcomes do not depend on what is simulated beside it.
    """

    count: int
    generators: Sequence[np.random.Generator]
    owners: np.ndarray

    def frequencies(self, probabilities: Tensor) -> Tensor:
        """Relative frequencies of the basis states.

        Args:
            probabilities: (..., C, S, 2**n) exact probabilities.

        Returns:
            The same shape, multiples of 1 / ``count``.
        """
        exact = probabilities.detach().cpu().double().clamp(min=0).numpy()
        exact = exact / exact.sum(-1, keepdims=True)
        counts = np.empty(exact.shape, dtype=np.float64)
        for index, generator in enumerate(self.generators):
            mine = self.owners == index
            counts[..., mine, :, :] = generator.multinomial(self.count, exact[..., mine, :, :])
        return torch.from_numpy(counts / self.count).to(probabilities)
