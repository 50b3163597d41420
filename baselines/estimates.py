"""What a server can foresee of a round from what it observes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import lambertw

from qfl_envs.system.decision import deal_subchannels
from qfl_envs.system.devices import wait_seconds
from qfl_envs.system.learning.shapes import model_bits
from qfl_envs.system.network import radio
from qfl_envs.system.security.round_cost import usual_cycles
from qfl_envs.view import NetworkView


def alone_rate_bps(view: NetworkView) -> np.ndarray:
    """Rate (N, K) of each device alone on each sub-channel of its cell, at full power."""
    return radio.alone_rate_bps(view.scenario.radio, view.gain, view.serving_cell)


@dataclass(frozen=True)
class ProcessorWork:
    """Default work of a round: cycles (N) of the CPU, seconds (N) that no clock changes, bits of the model.

    Attributes:
        fixed_s: Circuits and the wait for them.
        circuits_s: Circuits alone, beside other work; they draw power for that long at most.
    """

    cycles: np.ndarray
    fixed_s: np.ndarray
    circuits_s: np.ndarray
    model_bits: int


def processor_work(view: NetworkView) -> ProcessorWork:
    """Work of the default number of local steps and of protecting the update."""
    scenario = view.scenario
    steps = scenario.learning.local_steps
    step_cycles = scenario.learning.batch_size * scenario.fleet.cycles_per_sample
    cycles = np.full(len(view.cpu_hz), steps * step_cycles + usual_cycles(scenario.security))
    circuits_s = steps * np.maximum(view.step_s - step_cycles / view.cpu_hz, 0.0)
    return ProcessorWork(cycles, wait_seconds(scenario) + circuits_s, circuits_s, model_bits(scenario))


def compute_seconds(view: NetworkView, local_steps: int | None = None) -> np.ndarray:
    """Time (N) of so many local steps, the default number if None, and of protecting the update."""
    steps = view.scenario.learning.local_steps if local_steps is None else local_steps
    protect_s = usual_cycles(view.scenario.security) / view.cpu_hz
    return wait_seconds(view.scenario) + steps * view.step_s + protect_s


def needed_band_share(view: NetworkView, upload_s: np.ndarray) -> np.ndarray:
    """Share (N) of its cell's band with which each device uploads in a time (N) at full power; inf where none does.

    The inverse of :func:`qfl_envs.system.network.radio.band_uplink` without interference. With b the share, s the SNR
    on the whole band and v = s / b, ln(1 + v) / v = q is solved by 1 + v = -W(-q exp(-q)) / q, on the lower branch of
    Lambert's function.
    """
    limits = view.scenario.radio
    gain = view.gain.mean(-1)[np.arange(len(upload_s)), view.serving_cell]
    whole_snr = radio.dbm_to_w(view.max_power_dbm) * gain / (limits.noise_w * limits.num_subchannels)
    band_hz = limits.num_subchannels * limits.subchannel_hz
    bits_per_hz = view.payload_bits / (np.maximum(upload_s, 1e-12) * band_hz)
    q = np.log(2) * bits_per_hz / whole_snr
    # a hair inside the interval in which the branch is defined
    inside = np.clip(q, 1e-12, 1 - 1e-9)
    snr = -lambertw(-inside * np.exp(-inside), -1).real / inside - 1
    share = whole_snr / snr
    if limits.sinr_cap_db is not None:
        share = np.maximum(share, bits_per_hz / np.log2(1 + 10 ** (limits.sinr_cap_db / 10)))
    return np.where((q < 1) & (share <= 1), share, np.inf)


def useful_power_dbm(view: NetworkView, share: np.ndarray) -> np.ndarray:
    """Power (N) that reaches the SINR cap on a share (N) of the band without interference, or full power if less."""
    limits = view.scenario.radio
    if limits.sinr_cap_db is None:
        return np.full(len(share), view.max_power_dbm)
    gain = view.gain.mean(-1)[np.arange(len(share)), view.serving_cell]
    noise_w = np.maximum(share, 1e-12) * limits.noise_w * limits.num_subchannels
    power_dbm = limits.sinr_cap_db + 10 * np.log10(noise_w / np.maximum(gain, 1e-30)) + 30
    return np.clip(power_dbm, view.min_power_dbm, view.max_power_dbm)


def upload_seconds(view: NetworkView) -> np.ndarray:
    """Time (N) in which each device, alone on its sub-channel, uploads at the mean of its rates."""
    return view.payload_bits / np.maximum(alone_rate_bps(view).mean(-1), 1e-9)


def alone_seconds(view: NetworkView, local_steps: int | None = None) -> np.ndarray:
    """Time (N) in which each device would be ready, alone on its sub-channel."""
    return compute_seconds(view, local_steps) + upload_seconds(view)


def alone_joules(view: NetworkView, local_steps: int | None = None) -> np.ndarray:
    """Energy (N) that each device would take for a round, alone on its sub-channel.

    The server does not see how much of a quantum processor is taken by other work, only how much of the clock is left;
    the whole clock is taken to be the fastest of the fleet's, so that slow processors seem busier than they are.
    """
    scenario, fleet = view.scenario, view.scenario.fleet
    steps = scenario.learning.local_steps if local_steps is None else local_steps
    step_cycles = scenario.learning.batch_size * fleet.cycles_per_sample
    cycles = steps * step_cycles + usual_cycles(scenario.security)
    circuits_s = steps * np.maximum(view.step_s - step_cycles / view.cpu_hz, 0.0)
    idle = np.minimum(view.cpu_hz / fleet.cpu_hz[1], 1.0)
    radio_w = radio.dbm_to_w(view.max_power_dbm) + fleet.transmit_circuit_w
    processor_j = fleet.capacitance * cycles * view.cpu_hz**2
    return processor_j + fleet.quantum_w * circuits_s * idle + radio_w * upload_seconds(view)


def round_seconds(view: NetworkView, participate: np.ndarray) -> np.ndarray:
    """Duration of a round for each of many sets of participants.

    Args:
        view: What the server sees.
        participate: (..., N) bool; each set is dealt over the sub-channels and transmits at full power.

    Returns:
        (...), 0 for nobody.
    """
    sets = np.reshape(participate, (-1, participate.shape[-1]))
    serving, gain = np.broadcast_to(view.serving_cell, sets.shape), view.gain[None]
    subchannel = deal_subchannels(sets, serving, gain)
    up = radio.uplink(
        view.scenario.radio,
        gain,
        serving,
        sets,
        subchannel,
        np.full(sets.shape, radio.dbm_to_w(view.max_power_dbm)),
        np.full(len(sets), view.time_share),
    )
    upload_s = view.payload_bits / np.maximum(up.rate_bps, 1e-9)
    seconds = np.where(sets, compute_seconds(view) + upload_s, 0.0).max(-1)
    return np.reshape(seconds, participate.shape[:-1])
