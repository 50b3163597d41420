"""One device to each sub-channel by the Hungarian method, then exact on/off power."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from baselines.estimates import alone_rate_bps
from baselines.on_off import on_off_power
from qfl_envs.competitor import Rule
from qfl_envs.system.decision import Decision
from qfl_envs.system.network.radio import dbm_to_w
from qfl_envs.view import NetworkView


class Hungarian(Rule):
    """The assignment that is best if everyone were alone, with those added whom the exact power control lets transmit.

    In one cell this is within a few percent of the bound. Several cells are solved one by one, blind to each other.
    Where devices may not idle, one sub-channel is sacrificed to all that have none of their own.
    """

    name = "hungarian"
    environments = ("qfl/Allocation-v0",)

    def decide(self, view: NetworkView) -> Decision:
        """Solve every cell."""
        n = len(view.serving_cell)
        may_idle = self.env.task.allow_idle
        participate = np.zeros(n, dtype=bool) if may_idle else np.ones(n, dtype=bool)
        subchannel, power_dbm = np.zeros(n, dtype=int), np.full(n, view.max_power_dbm)
        rates = alone_rate_bps(view)
        for cell in np.unique(view.serving_cell):
            members = np.flatnonzero((view.serving_cell == cell) & (view.available | ~np.bool_(may_idle)))
            if len(members) == 0:
                continue
            gain = view.gain[members, cell]
            channel, on = _solve_cell(view, rates[members], gain, may_idle)
            subchannel[members] = channel
            power_dbm[members] = np.where(on, view.max_power_dbm, view.min_power_dbm)
            if may_idle:
                participate[members] = on
        return Decision(participate[None], subchannel[None], power_dbm[None])


def _solve_cell(
    view: NetworkView, rates: np.ndarray, gain: np.ndarray, may_idle: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Sub-channel (M) and whether to send at full power (M), for the M devices of one cell; rates and gain (M, K)."""
    if may_idle:
        channel = gain.argmax(1)
        matched, columns = linear_sum_assignment(-rates)
        channel[matched] = columns
        return channel, _power(view, gain, channel, may_idle)[0]
    candidates = [None] if len(gain) <= gain.shape[1] else range(gain.shape[1])
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for sacrificed in candidates:
        open_columns = np.array([column for column in range(gain.shape[1]) if column != sacrificed], dtype=int)
        channel = np.full(len(gain), -1 if sacrificed is None else sacrificed)
        matched, columns = linear_sum_assignment(-rates[:, open_columns])
        channel[matched] = open_columns[columns]
        on, value = _power(view, gain, channel, may_idle)
        if best is None or value > best[0]:
            best = (value, channel, on)
    assert best is not None
    return best[1], best[2]


def _power(view: NetworkView, gain: np.ndarray, channel: np.ndarray, may_idle: bool) -> tuple[np.ndarray, float]:
    """Exact on/off power on every sub-channel: who is on (M), and the sum over sub-channels of log2(1 + SINR)."""
    full_w, least_w = dbm_to_w(view.max_power_dbm), 0.0 if may_idle else dbm_to_w(view.min_power_dbm)
    own = np.where(channel == np.arange(gain.shape[1])[:, None], gain.T, 0.0)
    on, rates = on_off_power(full_w * own, least_w * own, view.noise_w)
    return np.asarray(on.any(0)), float(rates.sum())
