"""What a server can foresee of a round from what it observes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qfl_envs.system.decision import deal_subchannels
from qfl_envs.system.devices import wait_seconds
from qfl_envs.system.learning.shapes import model_bits
from qfl_envs.system.network import radio
from qfl_envs.view import NetworkView


def alone_rate_bps(view: NetworkView) -> np.ndarray:
    """Rate (N, K) of each device alone on each sub-channel of its cell, at full power."""
    return radio.alone_rate_bps(view.scenario.radio, view.gain, view.serving_cell)


@dataclass(frozen=True)
class ProcessorWork:
    """Default work of a round: cycles (N) of the CPU, seconds (N) that no clock changes, bits of the model."""

    cycles: np.ndarray
    fixed_s: np.ndarray
    model_bits: int


def processor_work(view: NetworkView) -> ProcessorWork:
    """Work of the default number of local steps and of protecting the update."""
    scenario = view.scenario
    steps = scenario.learning.local_steps
    step_cycles = scenario.learning.batch_size * scenario.fleet.cycles_per_sample
    cycles = np.full(len(view.cpu_hz), steps * step_cycles + scenario.security.protection_cycles)
    circuits_s = steps * np.maximum(view.step_s - step_cycles / view.cpu_hz, 0.0)
    return ProcessorWork(cycles, wait_seconds(scenario) + circuits_s, model_bits(scenario))


def compute_seconds(view: NetworkView) -> np.ndarray:
    """Time (N) of the default number of local steps and of protecting the update."""
    steps = view.scenario.learning.local_steps
    protect_s = view.scenario.security.protection_cycles / view.cpu_hz
    return wait_seconds(view.scenario) + steps * view.step_s + protect_s


def round_seconds(view: NetworkView, participate: np.ndarray) -> float:
    """Duration of a round with these participants (N), dealt over the sub-channels at full power, 0 for nobody."""
    subchannel = deal_subchannels(participate[None], view.serving_cell[None], view.gain[None])
    power_w = np.full((1, len(participate)), radio.dbm_to_w(view.max_power_dbm))
    up = radio.uplink(
        view.scenario.radio,
        view.gain[None],
        view.serving_cell[None],
        participate[None],
        subchannel,
        power_w,
        np.array([view.time_share]),
    )
    upload_s = view.payload_bits / np.maximum(up.rate_bps[0], 1e-9)
    return float(np.where(participate, compute_seconds(view) + upload_s, 0.0).max())
