"""Pools of secret key: they fill over quantum channels and are emptied by sessions, which wait or fall back.

A device that moves has no fibre. Light reaches it through the air: it spreads, is absorbed, misses while pointing is
bad, and finds no way while the sky between is blocked or somebody jams the channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qfl_envs.system.security.key_rate import SIFTED, error_rate, secret_fraction


@dataclass(frozen=True)
class FreeSpace:
    """An optical channel through the air.

    Attributes:
        transmitter_m: Aperture of the sender.
        receiver_m: Aperture of the receiver.
        divergence_rad: Full angle of the beam.
        loss_db_per_km: Absorption; 0.2 in clear air, 10 and more in fog.
        detector: Share of the photons that reach and fire the detector.
        device_error: e0, share of wrong bits without an eavesdropper.
        pulses_hz: Single photons sent per second.
        availability: Share of the time that the channel is open.
    """

    transmitter_m: float = 0.02
    receiver_m: float = 0.05
    divergence_rad: float = 1e-3
    loss_db_per_km: float = 0.2
    detector: float = 0.1
    device_error: float = 0.02
    pulses_hz: float = 1e6
    availability: float = 0.8

    def transmittance(self, distance_m: np.ndarray) -> np.ndarray:
        """Share of the photons that are detected: part of a spread beam, what the air leaves, and the detector's."""
        spread = self.transmitter_m + self.divergence_rad * np.asarray(distance_m)
        caught = np.minimum(self.receiver_m / spread, 1.0) ** 2
        air = 10 ** (-self.loss_db_per_km * np.asarray(distance_m) / 1e4)
        return np.asarray(caught * air * self.detector)

    def rate_bps(self, distance_m: np.ndarray, intercepted: np.ndarray | float = 0.0) -> np.ndarray:
        """Secret bits per second while the channel is open; none where eavesdropping leaves none."""
        fraction = secret_fraction(error_rate(intercepted, self.device_error))
        return np.asarray(self.pulses_hz * self.transmittance(distance_m) * SIFTED * fraction)


@dataclass
class KeyPools:
    """Key of every device, (E, N).

    Attributes:
        bits: Unused key.
        capacity_bits: What a pool holds at most.
        refused: Sessions that found too little, so far.
    """

    bits: np.ndarray
    capacity_bits: float
    refused: np.ndarray

    @classmethod
    def empty(cls, systems: int, devices: int, capacity_bits: float = 65_536.0) -> KeyPools:
        """Pools without any key."""
        shape = systems, devices
        return cls(np.zeros(shape), capacity_bits, np.zeros(shape, dtype=np.int64))

    def fill(
        self,
        channel: FreeSpace,
        distance_m: np.ndarray,
        seconds: np.ndarray,
        uniform: np.ndarray,
        intercepted: np.ndarray | float = 0.0,
        jammed: np.ndarray | bool = False,
    ) -> np.ndarray:
        """Add what the channels yield.

        Args:
            channel: All devices'.
            distance_m: (E, N) to the other end.
            seconds: (E) how long.
            uniform: (E, N) in [0, 1), decides whose channel is open.
            intercepted: Share of the pulses that an eavesdropper measures, (E, N) or one for all.
            jammed: Whose channel is denied, (E, N) or one for all.

        Returns:
            (E, N) QBER that the devices see; it is how they notice. 0.5 where nothing came through.
        """
        open_now = (uniform < channel.availability) & ~np.asarray(jammed)
        gained = channel.rate_bps(distance_m, intercepted) * np.asarray(seconds)[:, None]
        self.bits = np.minimum(self.bits + np.where(open_now, gained, 0.0), self.capacity_bits)
        return np.where(open_now, error_rate(intercepted, channel.device_error), 0.5)

    def take(self, wanted_bits: np.ndarray) -> np.ndarray:
        """Use up key where there is enough of it.

        Args:
            wanted_bits: (E, N), 0 for devices that need none.

        Returns:
            (E, N) bool, whose session has its key; the others wait, or fall back to a key exchange, and lose nothing.
        """
        granted = self.bits >= wanted_bits
        self.bits = self.bits - np.where(granted, wanted_bits, 0.0)
        self.refused = self.refused + ~granted
        return granted
