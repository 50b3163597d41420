"""What a server can foresee of a round from what it observes."""

from __future__ import annotations

import numpy as np

from qfl_envs.system.devices import wait_seconds
from qfl_envs.system.network.radio import dbm_to_w
from qfl_envs.view import NetworkView


def alone_rate_bps(view: NetworkView) -> np.ndarray:
    """Rate (N, K) of each device alone on each sub-channel of its cell, at full power."""
    own = np.take_along_axis(view.gain, view.serving_cell[:, None, None], axis=1)[:, 0]
    snr = dbm_to_w(view.max_power_dbm) * own / view.noise_w
    cap_db = view.scenario.radio.sinr_cap_db
    if cap_db is not None:
        snr = np.minimum(snr, 10 ** (cap_db / 10))
    return view.subchannel_hz * np.log2(1 + snr)


def round_seconds(view: NetworkView, chosen: np.ndarray, extra: int) -> float:
    """Estimated duration of a round with the chosen devices and one more, on shared sub-channels.

    Args:
        view: The observation.
        chosen: (N) bool.
        extra: Index of the one more.

    Returns:
        Seconds of the slowest device.
    """
    members = np.append(np.flatnonzero(chosen), extra)
    sharing = np.ceil(len(members) / (view.gain.shape[1] * view.gain.shape[2]))
    upload_s = sharing * view.payload_bits[members] / np.maximum(alone_rate_bps(view)[members].mean(-1), 1e-9)
    steps = view.scenario.learning.local_steps
    return float((wait_seconds(view.scenario) + steps * view.step_s[members] + upload_s).max())
