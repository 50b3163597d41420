"""How a system goes on from one round to the next: devices move, channels fade, links, loads and batteries change.

The formulas are those of :mod:`~qfl_envs.system.network.mobility`, :mod:`~qfl_envs.system.network.channel`,
:mod:`~qfl_envs.system.network.links` and :mod:`~qfl_envs.system.devices`; here they are called one after the other
within compiled loops.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qfl_envs.compiled import compiled
from qfl_envs.scenario import Fleet, Radio
from qfl_envs.system.devices import next_charge, next_load
from qfl_envs.system.network import channel, links, mobility
from qfl_envs.system.state import SystemState


def move(
    radio: Radio,
    fleet: Fleet,
    state: SystemState,
    seconds: np.ndarray,
    normal: Mapping[str, np.ndarray],
    sites_m: np.ndarray,
    radius_m: float,
) -> None:
    """Positions, velocities, shadowing, scattered parts and gains after some time.

    Args:
        radio: Cells and propagation.
        fleet: Speeds.
        state: Whose arrays are replaced by new ones.
        seconds: (E) time that passes.
        normal: Standard normal numbers ``velocity`` (E, N, 2), ``shadowing`` (E, N, C) and ``scatter`` (E, N, C, K, 2).
        sites_m: :func:`~qfl_envs.system.network.mobility.cell_sites`.
        radius_m: :func:`~qfl_envs.system.network.mobility.area_radius_m`.
    """
    shape = state.position_m.shape
    position_m, velocity_mps, mean_velocity_mps = np.empty(shape), np.empty(shape), np.empty(shape)
    moved_m, shadowing_db = np.empty(shape[:2]), np.empty(state.shadowing_db.shape)
    _move(
        state.position_m,
        state.velocity_mps,
        state.mean_velocity_mps,
        state.shadowing_db,
        seconds,
        normal["velocity"],
        normal["shadowing"],
        fleet.velocity_memory,
        fleet.speed_std_mps,
        radius_m,
        radio.shadowing_distance_m,
        radio.shadowing_db,
        position_m,
        velocity_mps,
        mean_velocity_mps,
        shadowing_db,
        moved_m,
    )
    state.position_m, state.velocity_mps, state.mean_velocity_mps = position_m, velocity_mps, mean_velocity_mps
    state.shadowing_db = shadowing_db
    scatter = np.empty(state.scatter.shape, dtype=np.complex128)
    channel.fill_next_scatter(state.scatter, channel.clarke_correlation(radio, moved_m), normal["scatter"], scatter)
    state.scatter = scatter
    observe_gain(radio, state, sites_m)


def observe_gain(radio: Radio, state: SystemState, sites_m: np.ndarray) -> None:
    """Gains that follow from positions, shadowing and fading."""
    gain, mean_gain = np.empty(state.scatter.shape), np.empty(state.shadowing_db.shape)
    _observe_gain(
        sites_m,
        state.position_m,
        state.shadowing_db,
        state.rician_k,
        state.scatter,
        radio.min_distance_m,
        radio.path_loss_1km_db,
        radio.path_loss_slope_db,
        radio.min_coupling_loss_db,
        gain,
        mean_gain,
    )
    state.gain, state.mean_gain = gain, mean_gain


def refill(
    radio: Radio,
    fleet: Fleet,
    state: SystemState,
    seconds: np.ndarray,
    spent_j: np.ndarray,
    uniform: Mapping[str, np.ndarray],
    load_normal: np.ndarray,
) -> None:
    """Links, loads and batteries after a round.

    Args:
        radio: How links come and go.
        fleet: Loads, and what batteries harvest.
        state: Whose arrays are replaced by new ones.
        seconds: (E) duration of the round.
        spent_j: (E, N) energy spent in it.
        uniform: Numbers ``link`` and ``harvest`` uniform in [0, 1), (E, N) each.
        load_normal: (E, N) standard normal numbers.
    """
    shape = state.battery_j.shape
    link_up, load, battery_j = np.empty(shape, dtype=np.bool_), np.empty(shape), np.empty(shape)
    _refill(
        state.link_up,
        state.load_normal,
        state.battery_j,
        state.full_battery_j,
        seconds,
        spent_j,
        uniform["link"],
        uniform["harvest"],
        load_normal,
        radio.link_drop,
        radio.link_recover,
        fleet.load_memory,
        fleet.harvest_w,
        link_up,
        load,
        battery_j,
    )
    state.link_up, state.load_normal, state.battery_j = link_up, load, battery_j


@compiled
def _move(
    position_m: np.ndarray,
    velocity_mps: np.ndarray,
    mean_velocity_mps: np.ndarray,
    shadowing_db: np.ndarray,
    seconds: np.ndarray,
    normal_velocity: np.ndarray,
    normal_shadowing: np.ndarray,
    memory_per_s: float,
    std_mps: float,
    radius_m: float,
    shadowing_distance_m: float,
    shadowing_std_db: float,
    position: np.ndarray,
    velocity: np.ndarray,
    mean_velocity: np.ndarray,
    shadowing: np.ndarray,
    moved_m: np.ndarray,
) -> None:
    """Fill the last five arrays: three of :func:`mobility.move`, the shadowing after it, and the way (E, N)."""
    mobility.fill_moved(
        position_m,
        velocity_mps,
        mean_velocity_mps,
        seconds,
        normal_velocity,
        memory_per_s,
        std_mps,
        radius_m,
        position,
        velocity,
        mean_velocity,
    )
    for e in range(moved_m.shape[0]):
        for n in range(moved_m.shape[1]):
            moved_m[e, n] = np.sqrt(velocity[e, n, 0] ** 2 + velocity[e, n, 1] ** 2) * seconds[e]
    channel.fill_next_shadowing(
        shadowing_db, moved_m, normal_shadowing, shadowing_distance_m, shadowing_std_db, shadowing
    )


@compiled
def _observe_gain(
    sites_m: np.ndarray,
    position_m: np.ndarray,
    shadowing_db: np.ndarray,
    rician_k: np.ndarray,
    scatter: np.ndarray,
    least_m: float,
    at_1km_db: float,
    slope_db: float,
    least_db: float,
    gain: np.ndarray,
    mean_gain: np.ndarray,
) -> None:
    """Fill the gain (E, N, C, K) and its mean (E, N, C) over the sub-channels."""
    distance = np.empty(shadowing_db.shape)
    channel.fill_distance(sites_m, position_m, least_m, distance)
    channel.fill_power_gain(distance, shadowing_db, rician_k, scatter, at_1km_db, slope_db, least_db, gain)
    systems, devices, cells, subchannels = gain.shape
    for e in range(systems):
        for n in range(devices):
            for c in range(cells):
                total = 0.0
                for k in range(subchannels):
                    total += gain[e, n, c, k]
                mean_gain[e, n, c] = total / subchannels


@compiled
def _refill(
    link_up: np.ndarray,
    load_normal: np.ndarray,
    battery_j: np.ndarray,
    full_battery_j: np.ndarray,
    seconds: np.ndarray,
    spent_j: np.ndarray,
    uniform_link: np.ndarray,
    uniform_harvest: np.ndarray,
    normal_load: np.ndarray,
    link_drop: float,
    link_recover: float,
    load_memory: float,
    harvest_w: float,
    link_after: np.ndarray,
    load_after: np.ndarray,
    battery_after: np.ndarray,
) -> None:
    """Fill the last three arrays (E, N)."""
    for e in range(battery_j.shape[0]):
        for n in range(battery_j.shape[1]):
            link_after[e, n] = links.is_up_next(link_up[e, n], uniform_link[e, n], link_drop, link_recover)
            load_after[e, n] = next_load(load_normal[e, n], normal_load[e, n], load_memory)
            harvested_j = 2.0 * harvest_w * seconds[e] * uniform_harvest[e, n]
            battery_after[e, n] = next_charge(battery_j[e, n], spent_j[e, n], harvested_j, full_battery_j[e, n])
