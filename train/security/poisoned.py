"""Held-out accuracy after rounds in which some updates are hostile, by what the server does about them."""

from __future__ import annotations

import math

import numpy as np

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security.robust import RULES, Gathered, merge
from train.security.rounds import Rounds
from train.security.screening import DEVICES, LENGTH, SCORES, SHARE, scores

NO_ATTACK = "no attack"
"""A mean of honest updates alone."""
DEFENCES = (NO_ATTACK, *RULES, *SCORES)


def accuracy(preset: str, partition: str, rounds: int, seed: int, attack: str, defence: str) -> float:
    """Accuracy after the rounds.

    Args:
        preset: Scenario of the learner.
        partition: How its data are dealt out.
        rounds: Federated rounds.
        seed: Of the system; attacks and defences of one seed meet the same data.
        attack: What the hostile devices do.
        defence: A rule that merges; or a score by which as many devices are thrown out as may be hostile, before the
            mean of the rest; or :data:`NO_ATTACK`.

    Raises:
        InvalidValueError: For an unknown defence.
    """
    if defence not in DEFENCES:
        raise InvalidValueError("defence", defence, DEFENCES)
    changes = {"num_devices": DEVICES, "learning": {"partition": partition}}
    playing, generator = Rounds(preset, changes, [seed], SHARE), np.random.default_rng(seed)
    for _ in range(rounds):
        learned = playing.train()
        projection = generator.standard_normal((learned.normal.shape[1], LENGTH))
        change = playing.sent(learned, "none" if defence == NO_ATTACK else attack)
        heard = np.ones(change.shape[:2], dtype=bool)
        if defence == NO_ATTACK:
            heard = ~playing.hostile
        elif defence in SCORES:
            heard = kept(scores(change, projection, generator)[defence], SHARE)
        rule = defence if defence in RULES else "mean"
        playing.merge(merged(rule, change, heard))
    return float(playing.accuracy()[0])


def kept(score: np.ndarray, share: float) -> np.ndarray:
    """(E, N) bool, all but the share of each system with the least scores, rounded up."""
    out = math.ceil(share * score.shape[1] - 1e-9)
    rank = np.argsort(np.argsort(score, axis=1, kind="stable"), axis=1, kind="stable")
    return np.asarray(rank >= out)


def merged(rule: str, change: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """(E, P) one update of those that are heard, all of one weight."""
    shown = np.where(heard[..., None], change, 0.0)
    attackers = math.ceil(SHARE * change.shape[1] - 1e-9)
    return merge(rule, Gathered(shown, heard.astype(float), heard), attackers).update
