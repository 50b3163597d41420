"""Rules that need no solver."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from baselines.estimates import (
    alone_rate_bps,
    alone_seconds,
    needed_band_share,
    processor_work,
    round_seconds,
    useful_power_dbm,
)
from qfl_envs.competitor import Competitor, Rule
from qfl_envs.registration import ENVIRONMENTS
from qfl_envs.system.decision import Decision, deal_subchannels
from qfl_envs.view import NetworkView

HALVINGS = 30
"""Of an interval; a billionth of it is left."""


class Random(Competitor):
    """Every choice uniform among those that the mask leaves open."""

    name = "random"
    environments = tuple(ENVIRONMENTS)

    def choose(self, observation: dict[str, np.ndarray]) -> Any:
        """One open choice per entry of the action."""
        space = self.env.action_space
        if isinstance(space, spaces.Box):
            return self.rng.uniform(space.low, space.high).astype(space.dtype)
        if isinstance(space, spaces.Discrete):
            return self.rng.choice(np.flatnonzero(self.env.action_masks()))
        sizes = np.asarray(space.nvec)
        masks = np.split(self.env.action_masks(), np.cumsum(sizes)[:-1])
        return np.array([self.rng.choice(np.flatnonzero(mask)) for mask in masks])


class Selection(Rule):
    """A rule that picks participants; they are dealt over the sub-channels and transmit at full power."""

    environments: ClassVar[tuple[str, ...]] = ("qfl/Allocation-v0", "qfl/Scheduling-v0", "qfl/StragglerFairness-v0")

    def decide(self, view: NetworkView) -> Decision:
        """Deal the picked devices out."""
        participate = self.pick(view)[None]
        subchannel = deal_subchannels(participate, view.serving_cell[None], view.gain[None])
        return Decision(participate, subchannel=subchannel)

    def pick(self, view: NetworkView) -> np.ndarray:
        """(N) bool, who takes part."""
        raise NotImplementedError


class Everyone(Selection):
    """All devices that can."""

    name = "everyone"

    def pick(self, view: NetworkView) -> np.ndarray:
        """All that are available."""
        return view.available


class RoundRobin(Selection):
    """As many devices as sub-channels, in turn."""

    name = "round-robin"

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Begin with the first device."""
        super().reset(env, seed)
        self._next = 0

    def pick(self, view: NetworkView) -> np.ndarray:
        """The next available devices."""
        n = len(view.available)
        order = (self._next + np.arange(n)) % n
        chosen = order[view.available[order]][: slots(view)]
        if len(chosen):
            self._next = int(chosen[-1] + 1) % n
        return np.isin(np.arange(n), chosen)


class ChannelGreedy(Selection):
    """The devices with the best channels, one per sub-channel, each on the best one that is left."""

    name = "channel-greedy"

    def decide(self, view: NetworkView) -> Decision:
        """Take the best pair of device and sub-channel that is left, until all sub-channels of all cells are taken."""
        n, _, subchannels = view.gain.shape
        own = alone_rate_bps(view)
        own = np.where(view.available[:, None], own, -np.inf)
        cell_open = np.ones((view.gain.shape[1], subchannels), dtype=bool)
        device_open = np.ones(n, dtype=bool)
        subchannel = np.zeros(n, dtype=int)
        for flat in np.argsort(-own, axis=None, kind="stable"):
            device, channel = divmod(int(flat), subchannels)
            if not np.isfinite(own[device, channel]):
                break
            if device_open[device] and cell_open[view.serving_cell[device], channel]:
                device_open[device] = cell_open[view.serving_cell[device], channel] = False
                subchannel[device] = channel
        return Decision(~device_open[None], subchannel=subchannel[None])


class DeadlineGreedy(Selection):
    """As many devices as can upload before the deadline, the quickest first: FedCS with an order fixed beforehand."""

    name = "deadline-greedy"

    def pick(self, view: NetworkView) -> np.ndarray:
        """Add one device after the other unless the estimated round would then miss the deadline."""
        alone_s = alone_seconds(view)
        chosen = np.zeros(len(view.available), dtype=bool)
        for device in np.argsort(np.where(view.available, alone_s, np.inf), kind="stable")[: view.available.sum()]:
            chosen[device] = True
            chosen[device] = round_seconds(view, chosen) <= view.scenario.deadline_s
        return chosen


class FullPower(Rule):
    """Everyone whose turn it is at full power and clock, with equal shares of the band."""

    name = "full-power"
    environments = ("qfl/Power-v0",)

    def decide(self, view: NetworkView) -> Decision:
        """The most of everything."""
        assert view.scheduled is not None
        return Decision(view.scheduled[None])


class HalfPower(Rule):
    """Everyone whose turn it is at half the power in dB and half the clock, with equal shares of the band."""

    name = "half-power"
    environments = ("qfl/Power-v0",)

    def decide(self, view: NetworkView) -> Decision:
        """The middle of both ranges that the task offers."""
        assert view.scheduled is not None
        shape = view.scheduled[None].shape
        return Decision(
            view.scheduled[None],
            power_dbm=np.full(shape, (view.min_power_dbm + view.max_power_dbm) / 2),
            cpu_share=np.full(shape, 0.5),
        )


class Proportional(Rule):
    """Everyone whose turn it is, with the share of the band that lets all of a cell finish together.

    Whoever computes longer or is further away gets more of the band. All compute with the same part of their clock, and
    transmit with full power or what the SINR cap can use of it. A device that would be late even on the whole band is
    left out.
    """

    name = "proportional"
    environments = ("qfl/Power-v0",)
    clock_share = 0.7

    def decide(self, view: NetworkView) -> Decision:
        """Share out the band of every cell."""
        assert view.scheduled is not None
        work = processor_work(view)
        ready_s = work.fixed_s + work.cycles / (self.clock_share * view.cpu_hz)
        on_time = np.isfinite(needed_band_share(view, view.scenario.deadline_s - ready_s))
        participate, share = view.scheduled & on_time, np.zeros(len(ready_s))
        for cell in np.unique(view.serving_cell[participate]):
            members = participate & (view.serving_cell == cell)
            share += np.where(members, _shares_of_one_end(view, members, ready_s), 0.0)
        return Decision(
            participate[None],
            power_dbm=useful_power_dbm(view, share)[None],
            cpu_share=np.full((1, len(share)), self.clock_share),
            band_share=share[None],
        )


def _shares_of_one_end(view: NetworkView, members: np.ndarray, ready_s: np.ndarray) -> np.ndarray:
    """Shares (N) with which members that are ready for their uploads at a time (N) end them all at the earliest one."""
    low = high = ready_s[members].max()
    length_s = view.scenario.deadline_s
    while needed_band_share(view, high - ready_s)[members].sum() > 1.0:
        low, high, length_s = high, high + length_s, 2 * length_s
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if needed_band_share(view, middle - ready_s)[members].sum() > 1.0:
            low = middle
        else:
            high = middle
    return needed_band_share(view, high - ready_s)


def slots(view: NetworkView) -> int:
    """Sub-channels of all cells."""
    return view.gain.shape[1] * view.gain.shape[2]
