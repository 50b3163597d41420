"""Whether the correlation of updates tells hostile devices from honest ones, by entangled pairs and without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security import entangled_screening as screening
from qfl_envs.system.security.inference import chance_below
from train.progress import progress_bar
from train.security.rounds import ATTACKS, Rounds

DEVICES, SHARE = 10, 0.2
"""Devices, and the share of them that is hostile."""
PARTITIONS = ("iid", "one_label")
LENGTH = 32
"""Angles that an update is projected to."""
SHOTS = (1, 16)
"""Bell pairs, or shared phases, per two devices and angle."""
MANY = max(SHOTS)
SCORES = (
    *(f"entangled-{shots}" for shots in SHOTS),
    *(f"shared-bits-{shots}" for shots in SHOTS),
    "unentangled",
    "projections",
    "cosine",
    "length",
    "random",
)
"""Ways to score a device: measured Bell pairs, bits shared beforehand, pairs without entanglement, the projections
themselves, whole updates, how far the length of an update is from the others', and nothing at all."""

RATES = ("caught", "accused")
"""Shares of the hostile and of the honest devices that are flagged."""


def scores(change: np.ndarray, projection: np.ndarray, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """(E, N) scores of updates (E, N, P) by name; who sends something unusual should have less.

    Args:
        change: What the devices sent.
        projection: (P, D) standard normal numbers that all devices know.
        generator: Of outcomes.
    """
    angles = screening.encoded(change, projection)
    alike = {
        **{f"entangled-{shots}": screening.entangled(angles, shots, generator) for shots in SHOTS},
        **{f"shared-bits-{shots}": screening.shared_bits(angles, shots, generator) for shots in SHOTS},
        "unentangled": screening.entangled(angles, MANY, generator, visibility=0.0),
        "projections": screening.projected(angles),
        "cosine": screening.cosine(change),
    }
    found = {name: screening.typicality(matrix) for name, matrix in alike.items()}
    length = np.log(np.maximum(np.linalg.norm(change, axis=-1), 1e-300))
    found["length"] = -np.abs(length - np.median(length, axis=-1, keepdims=True))
    found["random"] = generator.random(length.shape)
    return found


def detection(score: np.ndarray, hostile: np.ndarray) -> np.ndarray:
    """(E) area under the curve: chance that a hostile device of a system scores below an honest one.

    Raises:
        InvalidValueError: For a system without a hostile or without an honest device.
    """
    if not (hostile.any(-1) & ~hostile.all(-1)).all():
        raise InvalidValueError("hostile", hostile.sum(-1).tolist(), "some devices of every system, not all")
    return np.array([chance_below(one[bad], one[~bad]) for one, bad in zip(score, hostile, strict=True)])


def flag_rates(score: np.ndarray, hostile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares (E) of the hostile and of the honest devices that are flagged as outliers."""
    flagged = screening.outliers(score)
    return (flagged & hostile).sum(-1) / hostile.sum(-1), (flagged & ~hostile).sum(-1) / (~hostile).sum(-1)


def measured(
    preset: str, partition: str, rounds: int, seeds: list[int], attacks: tuple[str, ...] = ATTACKS
) -> Mapping[str, Mapping[str, np.ndarray]]:
    """How well each score tells hostile devices, in rounds that honest devices alone move on.

    Args:
        preset: Scenario of the learner.
        partition: How its data are dealt out.
        rounds: Federated rounds.
        seeds: Systems.
        attacks: What the hostile devices do.

    Returns:
        By attack, means (E) over the rounds: the area under the curve of every score, and, under ``"caught NAME"`` and
        ``"accused NAME"``, shares of hostile and of honest devices that are flagged.
    """
    changes = {"num_devices": DEVICES, "learning": {"partition": partition}}
    playing = Rounds(preset, changes, seeds, SHARE)
    generator = np.random.default_rng(seeds)
    total: dict[str, dict[str, np.ndarray]] = {attack: {} for attack in attacks}
    for _ in range(rounds):
        learned = playing.train()
        projection = generator.standard_normal((learned.normal.shape[1], LENGTH))
        for attack in attacks:
            found = total[attack]
            for name, score in scores(playing.sent(learned, attack), projection, generator).items():
                caught, accused = flag_rates(score, playing.hostile)
                area = detection(score, playing.hostile)
                for key, value in ((name, area), (f"caught {name}", caught), (f"accused {name}", accused)):
                    found[key] = found.get(key, 0.0) + value / rounds
        playing.merge(honest_mean(playing, playing.sent(learned, "none")))
    return total


def honest_mean(playing: Rounds, change: np.ndarray) -> np.ndarray:
    """(E, P) mean of the honest updates."""
    honest = ~playing.hostile[..., None]
    return np.asarray((change * honest).sum(1) / honest.sum(1))


def rows(preset: str = "tiny", rounds: int = 20, seeds: int = 3) -> list[dict[str, Any]]:
    """Area under the curve of every score, and flagged shares: one row per attack and kind of data.

    Args:
        preset: Scenario of the learner.
        rounds: Federated rounds.
        seeds: Systems side by side.
    """
    found = []
    shown = [*SCORES, *(f"{rate} {name}" for name in (f"entangled-{MANY}", "cosine") for rate in RATES)]
    with progress_bar(len(PARTITIONS), "screening") as bar:
        for partition in PARTITIONS:
            for attack, values in measured(preset, partition, rounds, list(range(seeds))).items():
                means = {name: float(values[name].mean()) for name in shown}
                found.append({"data": partition, "attack": attack, **means})
            bar.update()
    return found
