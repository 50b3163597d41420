"""What a server notices of attacks in the updates that it is given, and how far it was led astray by them."""

from __future__ import annotations

import numpy as np

from qfl_envs.system.learning.aggregation import Updates, total_per_system

SIGNS = ("refused", "screened", "failed", "spread", "agreement", "qber")
"""What the server notices in a round: shares of the updates that failed their check and that were screened; whether
none could be merged; the longest update over the median one; how far updates point the same way (mean cosine with their
sum), both 0 where they are masked; and the mean error rate of the quantum channels that were open."""


def _harmless(change: np.ndarray) -> np.ndarray:
    """Updates (M, P) without what is no number, of which no mean can be made."""
    return np.where(np.isfinite(change), change, 0.0).astype(change.dtype)


def looks(updates: Updates, systems: int) -> tuple[np.ndarray, np.ndarray]:
    """The longest over the median update, and the mean cosine of updates with their sum, (E) each."""
    change = _harmless(updates.change).astype(float)
    norm = np.linalg.norm(change, axis=-1)
    total = total_per_system(change, updates.row, systems)
    along = (change * total[updates.row]).sum(-1)
    cosine = along / np.maximum(norm * np.linalg.norm(total, axis=-1)[updates.row], 1e-300)
    count = np.maximum(np.bincount(updates.row, minlength=systems), 1)
    ordered = np.full((systems, max(int(count.max()), 1)), np.inf)
    first = np.searchsorted(updates.row, updates.row)
    by_norm = np.lexsort((norm, updates.row))
    ordered[updates.row[by_norm], np.arange(len(norm)) - first[by_norm]] = norm[by_norm]
    row = np.arange(systems)
    middle, longest = ordered[row, (count - 1) // 2], ordered[row, count - 1]
    heard = np.isfinite(longest) & (middle > 0.0)
    spread = np.divide(longest, middle, out=np.zeros(systems), where=heard)
    return spread, np.bincount(updates.row, cosine, minlength=systems) / count


def turned(mean: np.ndarray, honest: np.ndarray | None) -> np.ndarray:
    """(E) half of one minus the cosine of what was merged (E, P) with the honest mean: 0 along it, 1 against it.

    What moves a model without anything honest, where that mean is zero, counts as against it; what moves none, as along
    it.
    """
    if honest is None:
        return np.zeros(len(mean))
    of_mean, of_honest = np.linalg.norm(mean, axis=-1), np.linalg.norm(honest, axis=-1)
    alone = np.where((of_mean > 0.0) & (of_honest == 0.0), -1.0, 1.0)
    norms = of_mean * of_honest
    cosine = np.divide((mean * honest).sum(-1), norms, out=alone, where=norms > 0.0)
    return np.asarray((1.0 - np.clip(cosine, -1.0, 1.0)) / 2.0)
