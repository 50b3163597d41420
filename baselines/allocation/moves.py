"""What every single move is worth by the exact objective, in one cell or several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from baselines.allocation.problem import Allocation, AllocationProblem


class Moves:
    """An allocation that changes device by device; powers received are multiples of the noise power.

    The instances of a batch move in step, each one device at a time.
    """

    def __init__(self, problem: AllocationProblem, allocation: Allocation) -> None:
        """Start at an allocation."""
        self.problem = problem
        self.subchannel = allocation.subchannel.copy()
        self.power_w = np.where(allocation.participate & problem.available, allocation.power_w, 0.0)
        self._gain = problem.gain / problem.radio.noise_w
        self._own_gain = problem.own_gain / problem.radio.noise_w
        self._rows = np.arange(problem.num_instances)
        self._cap = problem.sinr_cap
        self.recount()

    def recount(self) -> None:
        """Sum up anew what is received, before rounding errors of many moves add up."""
        problem = self.problem
        self._received = np.ones((problem.num_instances, problem.num_cells, problem.num_subchannels))
        for k in range(problem.num_subchannels):
            power_w = np.where(self.subchannel == k, self.power_w, 0.0)
            self._received[:, :, k] += np.einsum("bn,bnc->bc", power_w, self._gain[..., k])

    def allocation(self) -> Allocation:
        """As it is now."""
        return Allocation(self.power_w > 0, self.subchannel.copy(), self.power_w.copy())

    def order(self) -> np.ndarray:
        """(B, N) devices from the best own gain to the worst, which does not depend on how they are numbered."""
        return np.argsort(-self._own_gain.max(-1), axis=1, kind="stable")

    def silence(self, device: np.ndarray) -> None:
        """Take one device (B) of every instance off the air."""
        self._transmit(device, self.subchannel[self._rows, device], np.zeros(len(device)))

    def worth(self, device: np.ndarray, power_w: np.ndarray) -> np.ndarray:
        """What a silent device would add to the objective.

        Args:
            device: (B) one of every instance.
            power_w: (B, L) its choice of powers.

        Returns:
            (B, K, L) its own rate less what all others lose, in bit/s/Hz, on every sub-channel.
        """
        problem, rows = self.problem, self._rows
        gain = self._gain[rows, device]
        serving = problem.serving[rows, device]
        alone = power_w[:, None] * self._own_gain[rows, device][..., None]
        worth = self._rate(alone, self._received[rows, serving][..., None])
        b, other = np.nonzero(self.power_w > 0)
        if len(b) == 0:
            return worth
        k, cell = self.subchannel[b, other], problem.serving[b, other]
        signal = self.power_w[b, other] * self._own_gain[b, other, k]
        interference = np.maximum(self._received[b, cell, k] - signal, 1.0)
        heard = power_w[b] * gain[b, cell, k][:, None]
        lost = self._rate(signal, interference)[:, None] - self._rate(signal[:, None], interference[:, None] + heard)
        np.subtract.at(worth, (b, k), lost)
        return worth

    def worth_on(self, subchannel: np.ndarray, powers_w: Sequence[float]) -> np.ndarray:
        """The same for all devices on one sub-channel (B) of every instance: (B, N, L), of use for silent ones."""
        problem, rows = self.problem, self._rows
        gain = self._gain[rows, :, :, subchannel]
        received = self._received[rows, :, subchannel]
        own = np.take_along_axis(gain, problem.serving[..., None], axis=2)
        worth = self._rate(np.array(powers_w) * own, np.take_along_axis(received, problem.serving, axis=1)[..., None])
        for b in range(problem.num_instances):
            users = np.flatnonzero((self.power_w[b] > 0) & (self.subchannel[b] == subchannel[b]))
            cell = problem.serving[b, users]
            signal = self.power_w[b, users] * self._own_gain[b, users, subchannel[b]]
            interference = np.maximum(received[b, cell] - signal, 1.0)
            now = self._rate(signal, interference)
            for level, power_w in enumerate(powers_w):
                then = self._rate(signal, interference + power_w * gain[b][:, cell])
                worth[b, :, level] -= (now - then).sum(-1)
        return worth

    def move(self, device: np.ndarray, subchannel: np.ndarray, power_w: np.ndarray) -> None:
        """Let a silent device (B) of every instance transmit on a sub-channel (B) with a power (B), 0 for silence."""
        self.subchannel[self._rows, device] = subchannel
        self._transmit(device, subchannel, power_w)

    def _transmit(self, device: np.ndarray, subchannel: np.ndarray, power_w: np.ndarray) -> None:
        rows = self._rows
        more_w = power_w - self.power_w[rows, device]
        if not more_w.any():
            return
        self._received[rows, :, subchannel] += more_w[:, None] * self._gain[rows, device, :, subchannel]
        self.power_w[rows, device] = power_w

    def _rate(self, signal: np.ndarray, interference: np.ndarray) -> np.ndarray:
        """Rate in bit/s/Hz."""
        return np.log2(1 + np.minimum(signal / interference, self._cap))
