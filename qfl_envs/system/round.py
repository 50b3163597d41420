"""What the steps of one round hand on to each other, and what is told of it in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from qfl_envs.system import devices
from qfl_envs.system.learning.work import LocalResult
from qfl_envs.system.report import RoundReport, fairness
from qfl_envs.system.state import SystemState

if TYPE_CHECKING:
    from qfl_envs.system.security.guard import GuardedRound


@dataclass
class Round:
    """What the steps of one round hand on to each other; arrays as in :class:`RoundReport` and :class:`Decision`."""

    uniform: dict[str, np.ndarray]
    normal: dict[str, np.ndarray]
    serving: np.ndarray
    offer: devices.Offer
    participate: np.ndarray = field(init=False)
    repaired: np.ndarray = field(init=False)
    subchannel: np.ndarray = field(init=False)
    power_dbm: np.ndarray = field(init=False)
    power_w: np.ndarray = field(init=False)
    cpu_hz: np.ndarray = field(init=False)
    local_steps: np.ndarray = field(init=False)
    adaptation: np.ndarray = field(init=False)
    setting: np.ndarray | None = None
    band_share: np.ndarray | None = None
    time_share: np.ndarray = field(init=False)
    compute_s: np.ndarray = field(init=False)
    protect_s: np.ndarray = field(init=False)
    upload_s: np.ndarray = field(init=False)
    energy_j: np.ndarray = field(init=False)
    round_s: np.ndarray = field(init=False)
    spent_j: np.ndarray = field(init=False)
    rates_bps: np.ndarray = field(init=False)
    gain: np.ndarray = field(init=False)
    bits_sent: np.ndarray = field(init=False)
    delivered: np.ndarray = field(init=False)
    late: np.ndarray = field(init=False)
    lost: np.ndarray = field(init=False)
    depleted: np.ndarray = field(init=False)
    trains: np.ndarray = field(init=False)
    drifted: np.ndarray = field(init=False)
    payload_bits: np.ndarray = field(init=False)
    result: LocalResult | None = None
    guarded: GuardedRound | None = None
    best_before: np.ndarray = field(init=False)
    device_accuracy_before: np.ndarray = field(init=False)

    def report(self, state: SystemState) -> RoundReport:
        """What happened, of systems that have moved on to the state after the round."""
        return RoundReport(
            rates_bps=self.rates_bps,
            sum_rate_bps=self.rates_bps.sum(-1),
            gain=self.gain,
            serving=self.serving,
            compute_s=self.compute_s,
            protect_s=self.protect_s,
            upload_s=self.upload_s,
            round_s=self.round_s,
            energy_j=self.spent_j,
            participation=self.participate,
            subchannel=self.subchannel,
            power_dbm=self.power_dbm,
            local_steps=self.local_steps,
            delivered=self.delivered,
            late=self.late,
            lost=self.lost,
            depleted=self.depleted,
            repaired=self.repaired,
            payload_bits=self.payload_bits,
            bits_sent=self.bits_sent,
            accuracy=state.accuracy.copy(),
            best_accuracy=state.best_accuracy.copy(),
            best_accuracy_gain=state.best_accuracy - self.best_before,
            loss=state.loss.copy(),
            device_loss=state.device_loss.copy(),
            drifted=self.drifted.sum(-1) / self.participate.shape[1],
            fairness=fairness(state.device_accuracy),
            device_accuracy_before=self.device_accuracy_before,
            guarded=self.guarded,
        )
