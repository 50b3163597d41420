"""Power, clock and bandwidth of a round as a convex program (after Yang et al. 2021, IEEE TWC 20(3))."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from baselines.estimates import processor_work
from qfl_envs.competitor import Rule
from qfl_envs.envs.power import LEAST_CLOCK
from qfl_envs.system.decision import Decision
from qfl_envs.system.network.radio import dbm_to_w, downlink_rate_bps
from qfl_envs.view import NetworkView

LEAST_SINR_DB = 3.0
"""Below it too many packets are lost; the program itself knows no packet errors."""
MOST_SINR_DB = 60.0
"""Where the scenario has no cap."""
MARGIN = 0.98
"""Share of the deadline that is planned with."""


@dataclass(frozen=True)
class Round:
    """What M devices of one cell have to do, and what seconds and joules cost.

    Attributes:
        fixed_s: (M) time that nothing can change: the model on its way down, the quantum processor.
        cycles: (M) of the CPU.
        free_hz: (M) fastest clock.
        capacitance: Energy of a cycle over the square of the clock.
        payload_bits: (M).
        noise_to_gain_w: (M) noise of the whole band over the gain.
        band_hz: Whole band.
        power_w: Least and most power.
        circuit_w: Power that transmitting draws beside.
        bits_per_hz: Least and most bits per second and hertz.
        deadline_s: Latest end.
        price_s: Of a second of the round.
        price_j: Of a joule.
    """

    fixed_s: np.ndarray
    cycles: np.ndarray
    free_hz: np.ndarray
    capacitance: float
    payload_bits: np.ndarray
    noise_to_gain_w: np.ndarray
    band_hz: float
    power_w: tuple[float, float]
    circuit_w: float
    bits_per_hz: tuple[float, float]
    deadline_s: float
    price_s: float
    price_j: float

    def of(self, members: np.ndarray) -> Round:
        """The same for some of the devices."""
        names = ("fixed_s", "cycles", "free_hz", "payload_bits", "noise_to_gain_w")
        return Round(**{**self.__dict__, **{name: getattr(self, name)[members] for name in names}})


@dataclass(frozen=True)
class Plan:
    """Power (M) in W, clock (M) in Hz and share of the band (M), with the duration and the cost of the round."""

    power_w: np.ndarray
    clock_hz: np.ndarray
    share: np.ndarray
    round_s: float
    cost: float


def solve(work: Round) -> Plan | None:
    """The cheapest round.

    In the logarithms of compute time, upload time and bandwidth-time (share times upload time) of every device and of
    the round's duration, all costs and constraints are sums of exponentials of linear functions, hence convex: a local
    optimum is the global one. The least power is not part of it; powers below are raised to it.

    Returns:
        None where these devices cannot all be ready by the deadline.
    """
    count = len(work.cycles)
    fastest_s = work.cycles / work.free_hz
    least_hz_s = work.payload_bits / work.band_hz
    low_x, high_x = (np.log(least_hz_s / bits) for bits in reversed(work.bits_per_hz))

    def radio_j(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energy of the radio, and its derivative."""
        share_s = np.exp(x)
        nats = np.log(2) * least_hz_s / share_s
        energy_j = work.noise_to_gain_w * share_s * np.expm1(nats)
        return energy_j, energy_j - work.noise_to_gain_w * share_s * nats * np.exp(nats)

    def parts(point: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        a, t, x = point[:-1].reshape(3, count)
        return a, t, x, float(point[-1])

    def cost(point: np.ndarray) -> tuple[float, np.ndarray]:
        a, t, x, end = parts(point)
        processor_j = work.capacitance * work.cycles**3 * np.exp(-2 * a)
        sent_j, slope = radio_j(x)
        circuit_j = work.circuit_w * np.exp(t)
        total = work.price_s * np.exp(end) + work.price_j * (processor_j + sent_j + circuit_j).sum()
        gradient = np.concatenate([-2 * processor_j, circuit_j, slope]) * work.price_j
        return float(total), np.append(gradient, work.price_s * np.exp(end))

    def slack(point: np.ndarray) -> np.ndarray:
        a, t, x, end = parts(point)
        ready = end - np.log(work.fixed_s + np.exp(a) + np.exp(t))
        band = -np.log(np.exp(x - t).sum())
        return np.concatenate([ready, [band], np.log(work.power_w[1]) + t - np.log(radio_j(x)[0])])

    def slack_slopes(point: np.ndarray) -> np.ndarray:
        a, t, x, _ = parts(point)
        slopes, each = np.zeros((2 * count + 1, 3 * count + 1)), np.arange(count)
        ready_s = work.fixed_s + np.exp(a) + np.exp(t)
        slopes[each, each], slopes[each, count + each] = -np.exp(a) / ready_s, -np.exp(t) / ready_s
        slopes[:count, -1] = 1.0
        share = np.exp(x - t)
        slopes[count, count : 2 * count], slopes[count, 2 * count : -1] = share / share.sum(), -share / share.sum()
        energy_j, slope = radio_j(x)
        slopes[count + 1 + each, count + each] = 1.0
        slopes[count + 1 + each, 2 * count + each] = -slope / energy_j
        return slopes

    # equal shares, full clock, and as much power as that takes
    x = high_x
    upload_s = np.maximum(count * np.exp(x), radio_j(x)[0] / work.power_w[1]) * 1.05
    ready_s = (work.fixed_s + fastest_s + upload_s).max()
    begin = np.concatenate([np.log(fastest_s), np.log(upload_s), x, [np.log(ready_s)]])
    least = np.full(count, np.log(1e-6))
    bounds = list(
        zip(
            np.concatenate([np.log(fastest_s), least, low_x, [np.log(1e-6)]]),
            np.concatenate(
                [np.log(fastest_s / LEAST_CLOCK), np.full(count, 5.0), high_x, [np.log(MARGIN * work.deadline_s)]]
            ),
            strict=True,
        )
    )
    scale = 1.0 / max(cost(begin)[0], 1e-12)

    def scaled(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = cost(point)
        return scale * value, scale * gradient

    found = minimize(
        scaled,
        np.clip(begin, *np.array(bounds).T),
        jac=True,
        method="SLSQP",
        bounds=bounds,
        constraints={"type": "ineq", "fun": slack, "jac": slack_slopes},
        options={"maxiter": 200, "ftol": 1e-8},
    )
    if slack(found.x).min() < -1e-4:
        return None
    a, t, x, end = parts(found.x)
    power_w = np.clip(radio_j(x)[0] / np.exp(t), *work.power_w)
    return Plan(power_w, work.cycles / np.exp(a), np.exp(x - t), float(np.exp(end)), cost(found.x)[0])


class Convex(Rule):
    """The cheapest round of the devices whose turn it is, at the reward's own prices of seconds and joules.

    Several cells are solved one by one, blind to each other. A device with which the deadline cannot be met is left
    out, the slowest first.
    """

    name = "convex"
    environments = ("qfl/Power-v0",)

    def decide(self, view: NetworkView) -> Decision:
        """Solve every cell."""
        n = len(view.serving_cell)
        assert view.scheduled is not None
        participate, power_dbm = np.zeros(n, dtype=bool), np.full(n, view.max_power_dbm)
        clock_share, band_share = np.ones(n), np.zeros(n)
        for cell in np.unique(view.serving_cell[view.scheduled]):
            members = np.flatnonzero((view.serving_cell == cell) & view.scheduled)
            everything = self.round_of(view)
            plan = solve(everything.of(members))
            while plan is None and len(members) > 1:
                alone_s = everything.fixed_s + everything.cycles / everything.free_hz
                members = np.delete(members, alone_s[members].argmax())
                plan = solve(everything.of(members))
            if plan is None:
                continue
            participate[members] = True
            power_dbm[members] = 10 * np.log10(plan.power_w) + 30
            clock_share[members] = plan.clock_hz / view.cpu_hz[members]
            band_share[members] = plan.share
        return Decision(
            participate[None], power_dbm=power_dbm[None], cpu_share=clock_share[None], band_share=band_share[None]
        )

    def round_of(self, view: NetworkView) -> Round:
        """What all devices would have to do this round."""
        scenario, limits = view.scenario, view.scenario.radio
        gain = view.gain.mean(-1)[np.arange(len(view.serving_cell)), view.serving_cell]
        down_bps = downlink_rate_bps(limits, view.gain[None], view.serving_cell[None])[0]
        work = processor_work(view)
        most_db = MOST_SINR_DB if limits.sinr_cap_db is None else limits.sinr_cap_db
        sinr = 10 ** (np.array([min(LEAST_SINR_DB, most_db - 1.0), most_db]) / 10)
        weights = self.env.task.weights
        stored_j = scenario.num_devices * max(sum(scenario.fleet.battery_j) / 2, 1e-9)
        least, most = np.log2(1 + sinr).tolist()
        return Round(
            fixed_s=work.model_bits / np.maximum(down_bps, 1e-9) + work.fixed_s,
            cycles=work.cycles,
            free_hz=view.cpu_hz,
            capacitance=scenario.fleet.capacitance,
            payload_bits=view.payload_bits.astype(float),
            noise_to_gain_w=limits.noise_w * limits.num_subchannels / np.maximum(gain, 1e-30),
            band_hz=limits.num_subchannels * limits.subchannel_hz,
            power_w=(dbm_to_w(limits.min_power_dbm), dbm_to_w(limits.max_power_dbm)),
            circuit_w=scenario.fleet.transmit_circuit_w,
            bits_per_hz=(least, most),
            deadline_s=scenario.deadline_s,
            price_s=max(weights["time"], 0.0) / (scenario.longest_round_s * scenario.max_rounds),
            price_j=max(weights["energy"], 0.0) / stored_j,
        )
