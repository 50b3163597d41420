"""Power, clock and bandwidth of a round as a convex program (after Yang et al. 2021, IEEE TWC 20(3))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
from scipy.optimize import minimize

from baselines.estimates import processor_work
from qfl_envs.competitor import Rule
from qfl_envs.envs.power import LEAST_CLOCK
from qfl_envs.system.decision import Decision
from qfl_envs.system.network.radio import dbm_to_w, downlink_rate_bps
from qfl_envs.view import NetworkView

LEAST_SINR_DB = 0.0
"""Below it more packets are lost than arrive."""
MOST_SINR_DB = 60.0
"""Where the scenario has no cap."""
MARGIN = 0.98
"""Share of the deadline and of the charges that is planned with."""


@dataclass(frozen=True)
class Round:
    """What M devices of one cell have to do, and what seconds and joules cost.

    Attributes:
        fixed_s: (M) time that nothing can change: the model on its way down, the quantum processor.
        fixed_j: (M) energy of the quantum processor, or somewhat more.
        battery_j: (M) charge.
        cycles: (M) of the CPU.
        free_hz: (M) fastest clock.
        capacitance: Energy of a cycle over the square of the clock.
        payload_bits: (M).
        noise_to_gain_w: (M) noise of the whole band over the gain.
        band_hz: Whole band.
        power_w: Least and most power.
        circuit_w: Power that transmitting draws beside.
        bits_per_hz: Least and most bits per second and hertz.
        waterfall: m of the packet errors 1 - exp(-m / SINR).
        deadline_s: Latest end.
        price_s: Of a second of the round.
        price_j: Of a joule.
        price_loss: Of an update that does not arrive.
    """

    fixed_s: np.ndarray
    fixed_j: np.ndarray
    battery_j: np.ndarray
    cycles: np.ndarray
    free_hz: np.ndarray
    capacitance: float
    payload_bits: np.ndarray
    noise_to_gain_w: np.ndarray
    band_hz: float
    power_w: tuple[float, float]
    circuit_w: float
    bits_per_hz: tuple[float, float]
    waterfall: float
    deadline_s: float
    price_s: float
    price_j: float
    price_loss: float = 0.0

    def of(self, members: np.ndarray) -> Round:
        """The same for some of the devices."""
        names = ("fixed_s", "fixed_j", "battery_j", "cycles", "free_hz", "payload_bits", "noise_to_gain_w")
        return replace(self, **{name: getattr(self, name)[members] for name in names})

    def alone_s(self) -> np.ndarray:
        """(M) earliest end of each device if it were alone, with full power on the whole band."""
        snr = self.power_w[1] / self.noise_to_gain_w
        bits_per_hz = np.minimum(np.log2(1 + snr), self.bits_per_hz[1])
        return self.fixed_s + self.cycles / self.free_hz + self.payload_bits / (self.band_hz * bits_per_hz)


@dataclass(frozen=True)
class Plan:
    """Power (M) in W, clock (M) in Hz and share of the band (M), with what the round takes.

    Attributes:
        arrives: (M) probability that each update arrives.
        round_s: Duration.
        cost: Of the round, at the round's prices of seconds and joules.
    """

    power_w: np.ndarray
    clock_hz: np.ndarray
    share: np.ndarray
    arrives: np.ndarray
    round_s: float
    cost: float


def solve(work: Round) -> Plan | None:
    """The cheapest round.

    In the logarithms of compute time, upload time and bandwidth-time (share times upload time) of every device and of
    the round's duration, all costs and constraints are sums of exponentials of linear functions, or convex functions of
    the bandwidth-time, hence convex: a local optimum is the global one. A lost update is charged with m / SINR, the
    negative logarithm of the probability that it arrives, which is convex, slightly more than the probability of a
    loss, and the same where losses are rare. The least power is not part of it; powers below are raised to it.

    Returns:
        None where these devices cannot all be ready by the deadline with the charge that they have.
    """
    if (work.fixed_j >= MARGIN * work.battery_j).any():
        return None
    program = _Program(work)
    scale = 1.0 / max(program.cost(program.begin)[0], 1e-12)

    def scaled(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = program.cost(point)
        return scale * value, scale * gradient

    found = minimize(
        scaled,
        np.clip(program.begin, program.low, program.high),
        jac=True,
        method="SLSQP",
        bounds=list(zip(program.low, program.high, strict=True)),
        constraints={"type": "ineq", "fun": program.slack, "jac": program.slack_slopes},
        options={"maxiter": 200, "ftol": 1e-8},
    )
    if not program.slack(found.x).min() > -1e-4:
        return None
    return program.plan(found.x)


class _Program:
    """Cost and constraints of a round at a point.

    A point has the logarithms of M compute times, M upload times, M bandwidth-times and of the duration.
    """

    def __init__(self, work: Round) -> None:
        """Find the bounds, and where to begin: equal shares, full clock, and as much power as that takes."""
        self.work, self.count = work, len(work.cycles)
        fastest_s = work.cycles / work.free_hz
        self._least_hz_s = work.payload_bits / work.band_hz
        low_x, high_x = (np.log(self._least_hz_s / bits) for bits in reversed(work.bits_per_hz))
        upload_s = np.maximum(self.count * np.exp(high_x), self._radio_j(high_x)[0] / work.power_w[1]) * 1.05
        ready_s = (work.fixed_s + fastest_s + upload_s).max()
        self.begin = np.concatenate([np.log(fastest_s), np.log(upload_s), high_x, [np.log(ready_s)]])
        least = np.full(self.count, np.log(1e-6))
        self.low = np.concatenate([np.log(fastest_s), least, low_x, [np.log(1e-6)]])
        latest = np.log(MARGIN * work.deadline_s)
        self.high = np.concatenate(
            [np.log(fastest_s / LEAST_CLOCK), np.full(self.count, max(latest, 5.0)), high_x, [latest]]
        )

    def _parts(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        a, t, x = point[:-1].reshape(3, self.count)
        return a, t, x, float(point[-1])

    def _nats(self, x: np.ndarray) -> np.ndarray:
        """log(1 + SINR)."""
        return np.log(2) * self._least_hz_s * np.exp(-x)

    def _radio_j(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Radiated energy, and its derivative."""
        noise_j, nats = self.work.noise_to_gain_w * np.exp(x), self._nats(x)
        energy_j = noise_j * np.expm1(nats)
        return energy_j, energy_j - noise_j * nats * np.exp(nats)

    def _losses(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Charges m / SINR for losses, and their derivative."""
        nats = self._nats(x)
        losses = self.work.waterfall / np.expm1(nats)
        return losses, losses * nats / -np.expm1(-nats)

    def _energies(self, point: np.ndarray) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """Energies (M) of processor, transmitter and radiation, and the derivative of each by its own variable."""
        a, t, x, _ = self._parts(point)
        processor_j = self.work.capacitance * self.work.cycles**3 * np.exp(-2 * a)
        circuit_j = self.work.circuit_w * np.exp(t)
        sent_j, slope = self._radio_j(x)
        return (processor_j, circuit_j, sent_j), (-2 * processor_j, circuit_j, slope)

    def cost(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """What is minimised, and its gradient."""
        work, (_, _, x, end) = self.work, self._parts(point)
        energies, slopes = self._energies(point)
        losses, loss_slope = self._losses(x)
        round_cost = work.price_s * np.exp(end)
        total = round_cost + work.price_j * np.sum(energies) + work.price_loss * losses.sum()
        gradient = work.price_j * np.array(slopes)
        gradient[2] += work.price_loss * loss_slope
        return float(total), np.append(gradient.ravel(), round_cost)

    def slack(self, point: np.ndarray) -> np.ndarray:
        """Logarithms of what is left: of the round's time (M), the band (1), the powers (M) and the charges (M)."""
        work, (a, t, x, end) = self.work, self._parts(point)
        energies, _ = self._energies(point)
        ready = end - np.log(work.fixed_s + np.exp(a) + np.exp(t))
        power = np.log(work.power_w[1]) + t - np.log(energies[2])
        charge = np.log(MARGIN * work.battery_j - work.fixed_j) - np.log(sum(energies))
        return np.concatenate([ready, [-np.log(np.exp(x - t).sum())], power, charge])

    def slack_slopes(self, point: np.ndarray) -> np.ndarray:
        """Its derivatives (3 * M + 1, 3 * M + 1)."""
        work, count, (a, t, x, _) = self.work, self.count, self._parts(point)
        energies, energy_slopes = self._energies(point)
        slopes, each = np.zeros((3 * count + 1, 3 * count + 1)), np.arange(count)
        ready_s = work.fixed_s + np.exp(a) + np.exp(t)
        slopes[each, each], slopes[each, count + each] = -np.exp(a) / ready_s, -np.exp(t) / ready_s
        slopes[:count, -1] = 1.0
        share = np.exp(x - t)
        slopes[count, count : 2 * count], slopes[count, 2 * count : -1] = share / share.sum(), -share / share.sum()
        slopes[count + 1 + each, count + each] = 1.0
        slopes[count + 1 + each, 2 * count + each] = -energy_slopes[2] / energies[2]
        for part, of_variable in enumerate(energy_slopes):
            slopes[2 * count + 1 + each, part * count + each] = -of_variable / sum(energies)
        return slopes

    def plan(self, point: np.ndarray) -> Plan:
        """The point in physical units."""
        work, (a, t, x, end) = self.work, self._parts(point)
        energies, _ = self._energies(point)
        round_s = float(np.exp(end))
        return Plan(
            power_w=np.clip(energies[2] / np.exp(t), *work.power_w),
            clock_hz=work.cycles / np.exp(a),
            share=np.exp(x - t),
            arrives=np.exp(-self._losses(x)[0]),
            round_s=round_s,
            cost=work.price_s * round_s + work.price_j * float(np.sum(energies) + work.fixed_j.sum()),
        )


class Convex(Rule):
    """The cheapest round of the devices whose turn it is, at the reward's own prices of seconds and joules.

    A lost update is priced at what an update has cost so far in the episode: the reward is what a given progress, and
    so a given number of updates, takes in seconds and joules, and the least ratio of two means is found by the least
    difference at the price that the ratio is (Dinkelbach 1967).

    Several cells are solved one by one, blind to each other. A device with which the deadline cannot be met is left
    out, the slowest first.
    """

    name = "convex"
    environments = ("qfl/Power-v0",)

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Begin without a price of losses."""
        super().reset(env, seed)
        self._cost, self._updates = 0.0, 0.0

    def decide(self, view: NetworkView) -> Decision:
        """Solve every cell."""
        count = len(view.serving_cell)
        assert view.scheduled is not None
        participate, power_dbm = np.zeros(count, dtype=bool), np.full(count, view.max_power_dbm)
        clock_share, band_share = np.ones(count), np.zeros(count)
        everything = round_of(view, self.env.task.weights)
        for cell in np.unique(view.serving_cell[view.scheduled]):
            members = np.flatnonzero((view.serving_cell == cell) & view.scheduled)
            members, plan = self._solve(everything, members)
            if plan is None:
                continue
            participate[members] = True
            power_dbm[members] = 10 * np.log10(plan.power_w) + 30
            clock_share[members] = plan.clock_hz / view.cpu_hz[members]
            band_share[members] = plan.share
        return Decision(
            participate[None], power_dbm=power_dbm[None], cpu_share=clock_share[None], band_share=band_share[None]
        )

    def _solve(self, everything: Round, members: np.ndarray) -> tuple[np.ndarray, Plan | None]:
        """The plan with as many of a cell's devices as can be ready in time; keeps account of what it takes."""
        if self._updates == 0.0:
            # no price yet: that of a round which cares for no losses
            plan = solve(everything.of(members))
            price = 0.0 if plan is None else plan.cost / plan.arrives.sum()
        else:
            price = self._cost / self._updates
        everything = replace(everything, price_loss=price)
        plan = solve(everything.of(members))
        while plan is None and len(members) > 1:
            alone_s = everything.alone_s()
            members = np.delete(members, alone_s[members].argmax())
            plan = solve(everything.of(members))
        if plan is not None:
            self._cost, self._updates = self._cost + plan.cost, self._updates + plan.arrives.sum()
        return members, plan


def round_of(view: NetworkView, weights: Mapping[str, float]) -> Round:
    """What all devices of a view would have to do this round, at the prices that reward weights mean."""
    scenario, limits = view.scenario, view.scenario.radio
    gain = view.gain.mean(-1)[np.arange(len(view.serving_cell)), view.serving_cell]
    down_bps = downlink_rate_bps(limits, view.gain[None], view.serving_cell[None])[0]
    work = processor_work(view)
    most_db = MOST_SINR_DB if limits.sinr_cap_db is None else limits.sinr_cap_db
    sinr = 10 ** (np.array([min(LEAST_SINR_DB, most_db - 1.0), most_db]) / 10)
    stored_j = scenario.num_devices * max(sum(scenario.fleet.battery_j) / 2, 1e-9)
    least, most = np.log2(1 + sinr).tolist()
    return Round(
        fixed_s=work.model_bits / np.maximum(down_bps, 1e-9) + work.fixed_s,
        fixed_j=scenario.fleet.quantum_w * work.circuits_s,
        battery_j=view.battery_j,
        cycles=work.cycles,
        free_hz=view.cpu_hz,
        capacitance=scenario.fleet.capacitance,
        payload_bits=view.payload_bits.astype(float),
        noise_to_gain_w=limits.noise_w * limits.num_subchannels / np.maximum(gain, 1e-30),
        band_hz=limits.num_subchannels * limits.subchannel_hz,
        power_w=(dbm_to_w(limits.min_power_dbm), dbm_to_w(limits.max_power_dbm)),
        circuit_w=scenario.fleet.transmit_circuit_w,
        bits_per_hz=(least, most),
        waterfall=limits.waterfall,
        deadline_s=scenario.deadline_s,
        price_s=max(weights["time"], 0.0) / (scenario.longest_round_s * scenario.max_rounds),
        price_j=max(weights["energy"], 0.0) / stored_j,
    )
