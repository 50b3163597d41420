"""Where base stations and devices are, and how devices move.

Devices follow the Gauss-Markov model (Liang & Haas 1999) v' = a v + (1 - a) v_mean + sqrt(1 - a^2) sigma w in an area
that reflects them at its border. The memory a is given per second, so that rounds may last differently long.
"""

from __future__ import annotations

import math

import numpy as np

from qfl_envs.compiled import compiled, ready
from qfl_envs.scenario import Fleet, Radio


def cell_sites(radio: Radio) -> np.ndarray:
    """Base stations on a hexagonal spiral around the origin: (C, 2) in m, neighbours sqrt(3) cell radii apart."""
    sites = [(0, 0)]
    directions = [(1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1)]
    ring = 0
    while len(sites) < radio.num_cells:
        ring += 1
        q, r = 0, -ring
        for dq, dr in directions:
            for _ in range(ring):
                sites.append((q, r))
                q, r = q + dq, r + dr
    q, r = np.array(sites[: radio.num_cells], dtype=float).T
    spacing = np.sqrt(3.0) * radio.cell_radius_m
    return spacing * np.stack([q + r / 2, r * np.sqrt(3.0) / 2], axis=-1)


def area_radius_m(radio: Radio) -> float:
    """Radius around the origin that devices do not leave."""
    return float(np.linalg.norm(cell_sites(radio), axis=-1).max() + radio.cell_radius_m)


def place(radio: Radio, uniform: np.ndarray) -> np.ndarray:
    """Positions at the start, around random base stations.

    Args:
        radio: Cells and placement.
        uniform: (..., 3) numbers uniform in [0, 1).

    Returns:
        (..., 2) in m.
    """
    site = (uniform[..., 0] * radio.num_cells).astype(int)
    low, high = radio.min_distance_m, radio.cell_radius_m
    if radio.placement == "uniform_distance":
        distance = low + uniform[..., 1] * (high - low)
    else:
        distance = np.sqrt(low**2 + uniform[..., 1] * (high**2 - low**2))
    angle = 2 * np.pi * uniform[..., 2]
    return cell_sites(radio)[site] + distance[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def mean_velocity(fleet: Fleet, uniform: np.ndarray) -> np.ndarray:
    """Velocity that each device returns to: the mean speed in a random direction, (...) -> (..., 2) in m/s."""
    angle = 2 * np.pi * uniform
    return fleet.speed_mps * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def move(
    radio: Radio,
    fleet: Fleet,
    position_m: np.ndarray,
    velocity_mps: np.ndarray,
    mean_velocity_mps: np.ndarray,
    seconds: np.ndarray,
    normal: np.ndarray,
    radius_m: float | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, velocities and mean velocities after some time.

    Args:
        radio: Cells.
        fleet: Speeds.
        position_m: (E, N, 2).
        velocity_mps: (E, N, 2).
        mean_velocity_mps: (E, N, 2).
        seconds: (E) time that passes.
        normal: (E, N, 2) standard normal numbers.
        radius_m: :func:`area_radius_m` of the cells, if it is known already.

    Returns:
        The three arrays, anew.
    """
    moved = (np.empty(position_m.shape), np.empty(position_m.shape), np.empty(position_m.shape))
    fill_moved(
        ready(position_m),
        ready(velocity_mps),
        ready(mean_velocity_mps),
        ready(seconds),
        ready(normal),
        fleet.velocity_memory,
        fleet.speed_std_mps,
        area_radius_m(radio) if radius_m is None else radius_m,
        *moved,
    )
    return moved


@compiled
def fill_moved(
    position_m: np.ndarray,
    velocity_mps: np.ndarray,
    mean_velocity_mps: np.ndarray,
    seconds: np.ndarray,
    normal: np.ndarray,
    memory_per_s: float,
    std_mps: float,
    radius_m: float,
    position: np.ndarray,
    velocity: np.ndarray,
    mean_velocity: np.ndarray,
) -> None:
    """Fill the last three arrays with those of :func:`move`.

    Number by number: an assignment of arrays takes seconds to compile, for what it says when shapes differ.
    """
    for e in range(position.shape[0]):
        memory = memory_per_s ** seconds[e]
        fresh_mps = math.sqrt(1.0 - memory**2) * std_mps
        for n in range(position.shape[1]):
            for axis in range(2):
                velocity[e, n, axis] = (
                    memory * velocity_mps[e, n, axis]
                    + (1.0 - memory) * mean_velocity_mps[e, n, axis]
                    + fresh_mps * normal[e, n, axis]
                )
                position[e, n, axis] = position_m[e, n, axis] + velocity[e, n, axis] * seconds[e]
                mean_velocity[e, n, axis] = mean_velocity_mps[e, n, axis]
            distance = math.hypot(position[e, n, 0], position[e, n, 1])
            if distance > radius_m:
                # mirrored at the border, and turned around
                inside_m = min(max(2 * radius_m - distance, 0.0), radius_m)
                outward_x, outward_y = position[e, n, 0] / distance, position[e, n, 1] / distance
                position[e, n, 0], position[e, n, 1] = outward_x * inside_m, outward_y * inside_m
                _turn(velocity[e, n], outward_x, outward_y)
                _turn(mean_velocity[e, n], outward_x, outward_y)


@compiled
def _turn(vector: np.ndarray, outward_x: float, outward_y: float) -> None:
    """Mirror a velocity (2) that points out of the area."""
    radial = vector[0] * outward_x + vector[1] * outward_y
    if radial > 0.0:
        vector[0] -= 2 * radial * outward_x
        vector[1] -= 2 * radial * outward_y
