"""What an agent decides in one round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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


def deal_subchannels(participate: np.ndarray, serving: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Default rule for sub-channels: each cell deals its participants out in snake order of their mean gain.

    Args:
        participate: (E, N) bool.
        serving: (E, N) cell of each device.
        gain: (E, N, C, K) linear.

    Returns:
        (E, N) sub-channels, 0 for devices that do not participate.
    """
    own_gain = np.take_along_axis(gain.mean(-1), serving[..., None], axis=2)[..., 0]
    return deal_in_order(participate, serving, own_gain, *gain.shape[2:])


def deal_in_order(
    participate: np.ndarray, serving: np.ndarray, own_gain: np.ndarray, cells: int, subchannels: int
) -> np.ndarray:
    """The same from the mean gain (E, N) of each device to its own cell."""
    systems, devices = participate.shape
    rows = np.arange(systems)[:, None]
    # who does not participate comes last
    group = np.where(participate, serving, cells)
    order = np.lexsort((-own_gain, group), axis=-1)
    rank = np.empty((systems, devices), dtype=np.int64)
    rank[rows, order] = np.arange(devices)
    if cells > 1:
        sizes = np.bincount((rows * (cells + 1) + group).ravel(), minlength=systems * (cells + 1))
        sizes = sizes.reshape(systems, cells + 1)
        rank -= (sizes.cumsum(-1) - sizes)[rows, group]
    lap, position = np.divmod(rank, subchannels)
    dealt = np.where(lap % 2 == 0, position, subchannels - 1 - position)
    return np.where(participate, dealt, 0)
