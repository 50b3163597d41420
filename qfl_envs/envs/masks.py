"""Other forms of the flat action mask: Gymnasium's, for ``MultiDiscrete.sample``, and PettingZoo's, a row a device."""

from __future__ import annotations

import numpy as np

from qfl_envs.errors import InvalidValueError


def split_mask(mask: np.ndarray, nvec: np.ndarray) -> tuple[np.ndarray, ...]:
    """The mask that ``MultiDiscrete(nvec).sample(mask=...)`` takes.

    Args:
        mask: (sum(nvec)) bool, entry after entry, as ``action_masks`` gives it.
        nvec: (A) number of choices of every entry of the action.

    Returns:
        A int8 arrays, the a-th of shape (nvec[a]), 1 where a choice is open.

    Raises:
        InvalidValueError: If the mask has another length.
    """
    nvec = np.asarray(nvec)
    if np.shape(mask) != (nvec.sum(),):
        raise InvalidValueError("shape of the action mask", np.shape(mask), f"({nvec.sum()},), the sum of nvec")
    return tuple(np.split(np.asarray(mask).astype(np.int8), np.cumsum(nvec)[:-1]))


def choice_sizes(nvec: np.ndarray, num_devices: int) -> np.ndarray:
    """Number of options of each choice, where an action lists choice after choice, each with one entry per device.

    Args:
        nvec: (A) number of options of every entry of the action.
        num_devices: Devices N.

    Returns:
        (A / N) sizes.

    Raises:
        InvalidValueError: If the action is not of that form.
    """
    nvec = np.asarray(nvec)
    if len(nvec) % num_devices or (nvec.reshape(-1, num_devices) != nvec[::num_devices, None]).any():
        raise InvalidValueError(
            "nvec", nvec.tolist(), f"choice after choice, each with {num_devices} entries of equal size"
        )
    return nvec[::num_devices]


def device_masks(mask: np.ndarray, nvec: np.ndarray, num_devices: int) -> np.ndarray:
    """The ``"action_mask"`` of every device where each is an agent of its own, as in PettingZoo.

    The action lists choice after choice, each with one entry per device: N sub-channels, then N power levels. All
    devices have equally many options of one choice.

    Args:
        mask: (sum(nvec)) bool, entry after entry, as ``action_masks`` gives it.
        nvec: (A) number of options of every entry of the action, A a multiple of N.
        num_devices: Devices N.

    Returns:
        (N, sum(nvec) / N) int8, row n the open options of device n, one choice after the other.

    Raises:
        InvalidValueError: If the mask has another length, or the action is not of that form.
    """
    parts = split_mask(mask, nvec)
    choice_sizes(nvec, num_devices)
    return np.stack([np.concatenate(parts[device::num_devices]) for device in range(num_devices)])
