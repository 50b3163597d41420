"""Where base stations and devices are, and how devices move.

Devices follow the Gauss-Markov model (Liang & Haas 1999) v' = a v + (1 - a) v_mean + sqrt(1 - a^2) sigma w in an area
that reflects them at its border. The memory a is given per second, so that rounds may last differently long.
"""

from __future__ import annotations

import numpy as np

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
    memory = (fleet.velocity_memory**seconds)[:, None, None]
    velocity = (
        memory * velocity_mps + (1 - memory) * mean_velocity_mps + np.sqrt(1 - memory**2) * fleet.speed_std_mps * normal
    )
    position = position_m + velocity * seconds[:, None, None]
    radius_m = area_radius_m(radio) if radius_m is None else radius_m
    return _reflect(radius_m, position, velocity, mean_velocity_mps)


def _reflect(
    radius_m: float, position: np.ndarray, velocity: np.ndarray, mean_velocity_mps: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mirror what left the area at its border, and turn it around."""
    squared = position[..., 0] ** 2 + position[..., 1] ** 2
    outside = np.nonzero(squared > radius_m**2)
    if len(outside[0]) == 0:
        return position, velocity, mean_velocity_mps
    there = position[outside]
    distance = np.sqrt(squared[outside])[:, None]
    outward = there / np.maximum(distance, 1e-9)
    position[outside] = outward * np.clip(2 * radius_m - distance, 0, radius_m)

    def turned(vector: np.ndarray) -> np.ndarray:
        facing = vector[outside]
        radial = (facing * outward).sum(-1, keepdims=True)
        vector = vector.copy()
        vector[outside] = np.where(radial > 0, facing - 2 * radial * outward, facing)
        return vector

    return position, turned(velocity), turned(mean_velocity_mps)
