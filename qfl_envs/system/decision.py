"""What an agent decides in one round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qfl_envs.compiled import compiled, ready
from qfl_envs.system.network.radio import dbm_to_w
from qfl_envs.system.security.choices import Choices


@dataclass(frozen=True)
class Decision:
    """One round's decision for E systems of N devices; fields left at None take the scenario's default rule.

    Attributes:
        participate: (E, N) bool, who trains and uploads.
        subchannel: (E, N) integer in [0, K). Default: participants of a cell are dealt over its sub-channels from the
            strongest to the weakest and back.
        power_dbm: (E, N), from the scenario's least to its most power. Default: the most.
        cpu_hz: (E, N) clock. Default: all that other work leaves. More than that is reduced to it.
        cpu_share: (E, N) the same as a share of the clock that other work leaves; one of the two may be given.
        local_steps: (E, N) integer, at least 1 for participants. Default: ``learning.local_steps``.
        time_share: (E) bool, whether devices on one sub-channel take turns. Default: ``radio.access``.
        band_share: (E, N) share of its cell's whole band that each device has for itself, instead of a sub-channel;
            participants whose shares add up to more than 1 get that much less. Default: sub-channels.
        adaptation: (E) integer, see :class:`qfl_envs.system.learning.adaptation.Adaptation`. Default: an ordinary one.
        setting: (E) integer, the candidate of :data:`qfl_envs.system.learning.adaptation.CANDIDATES` by which local
            steps are made from now on where somebody trains; -1 to leave them as they are. Default: that.
        protection: How updates are signed, encrypted, merged and screened. Default: as ``security`` says.
    """

    participate: np.ndarray
    subchannel: np.ndarray | None = None
    power_dbm: np.ndarray | None = None
    cpu_hz: np.ndarray | None = None
    cpu_share: np.ndarray | None = None
    local_steps: np.ndarray | None = None
    time_share: np.ndarray | None = None
    band_share: np.ndarray | None = None
    adaptation: np.ndarray | None = None
    setting: np.ndarray | None = None
    protection: Choices | None = None


@compiled
def repair(
    wanted: np.ndarray,
    able: np.ndarray,
    wanted_hz: np.ndarray,
    free_hz: np.ndarray,
    power_dbm: np.ndarray,
    least_dbm: float,
    most_dbm: float,
    steps: np.ndarray,
    most_steps: int,
    participate: np.ndarray,
    repaired: np.ndarray,
    cpu_hz: np.ndarray,
    possible_dbm: np.ndarray,
    power_w: np.ndarray,
    possible_steps: np.ndarray,
) -> None:
    """What of a decision can be done.

    Args:
        wanted: (E, N) bool, who should take part.
        able: (E, N) bool, who can.
        wanted_hz: (E, N) clock.
        free_hz: (E, N) clock that other work leaves.
        power_dbm: (E, N).
        least_dbm: Least power.
        most_dbm: Most power.
        steps: (E, N) local steps.
        most_steps: Most local steps.
        participate: (E, N) bool, is filled with who takes part.
        repaired: (E, N) bool, with whose part was changed.
        cpu_hz: (E, N) with the clock.
        possible_dbm: (E, N) with the power.
        power_w: (E, N) with the same in W.
        possible_steps: (E, N) with the local steps, 0 of those who take no part.
    """
    for e in range(wanted.shape[0]):
        for n in range(wanted.shape[1]):
            participate[e, n] = wanted[e, n] and able[e, n]
            cpu_hz[e, n] = min(wanted_hz[e, n], free_hz[e, n])
            possible_dbm[e, n] = min(max(power_dbm[e, n], least_dbm), most_dbm)
            power_w[e, n] = dbm_to_w(possible_dbm[e, n])
            possible_steps[e, n] = 0
            changed = not able[e, n] or wanted_hz[e, n] > free_hz[e, n] or power_dbm[e, n] != possible_dbm[e, n]
            if participate[e, n]:
                possible_steps[e, n] = min(max(steps[e, n], 1), most_steps)
                changed = changed or steps[e, n] != possible_steps[e, n]
            repaired[e, n] = wanted[e, n] and changed


def deal_subchannels(participate: np.ndarray, serving: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Default rule for sub-channels: each cell deals its participants out in snake order of their mean gain.

    Args:
        participate: (E, N) bool.
        serving: (E, N) cell of each device.
        gain: (E, N, C, K) linear; (1, N, C, K) where all have the same.

    Returns:
        (E, N) sub-channels, 0 for devices that do not participate.
    """
    dealt = np.empty(participate.shape, dtype=np.int64)
    fill_dealt(ready(participate, np.bool_), ready(serving, np.int64), ready(gain.mean(-1)), gain.shape[3], dealt)
    return dealt


@compiled
def fill_dealt(
    participate: np.ndarray, serving: np.ndarray, mean_gain: np.ndarray, subchannels: int, dealt: np.ndarray
) -> None:
    """Fill the last array (E, N) with :func:`deal_subchannels`, from the mean gain (E, N, C) over sub-channels."""
    (systems, devices), cells = participate.shape, mean_gain.shape[2]
    own_gain, rank = np.empty(devices), np.empty(cells, dtype=np.int64)
    dealt[:] = 0
    for e in range(systems):
        rank[:] = 0
        for n in range(devices):
            own_gain[n] = mean_gain[min(e, len(mean_gain) - 1), n, serving[e, n]]
        for n in np.argsort(-own_gain, kind="mergesort"):  # stable: of equals, the first device comes first
            if participate[e, n]:
                lap, position = divmod(rank[serving[e, n]], subchannels)
                dealt[e, n] = position if lap % 2 == 0 else subchannels - 1 - position
                rank[serving[e, n]] += 1
