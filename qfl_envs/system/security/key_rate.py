"""How much of what was detected becomes secret key: error rates, key rates, and the decoy-state model of a fibre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import xlog1py, xlogy

SIFTED = 0.5
"""Share of detected pulses whose bases agree, q."""


def binary_entropy(probability: np.ndarray | float) -> np.ndarray:
    """h2(p) in bits, 0 at p = 0 and 1."""
    share = np.asarray(probability, dtype=float)
    return np.asarray(-(xlogy(share, share) + xlog1py(1 - share, -share)) / np.log(2))


def secret_fraction(error_rate: np.ndarray | float, inefficiency: float = 1.0) -> np.ndarray:
    """Secret bits per sifted bit, 1 - h2(e) - f h2(e), not below 0 (Shor & Preskill 2000).

    At f = 1 it is zero from e = 11.0 % on.

    Args:
        error_rate: e, the quantum bit error rate.
        inefficiency: f, bits that error correction tells over the least possible.
    """
    error = np.minimum(np.asarray(error_rate, dtype=float), 0.5)
    return np.maximum(1 - (1 + inefficiency) * binary_entropy(error), 0.0)


def error_rate(intercepted: np.ndarray | float, device_error: np.ndarray | float) -> np.ndarray:
    """QBER where a share x of the pulses is intercepted and sent on, and the devices err at a rate e0 independently.

    x / 4 + e0 to first order; a bit that both flip is right again.
    """
    caught = np.asarray(intercepted, dtype=float) / 4
    return np.asarray(caught * (1 - np.asarray(device_error)) + (1 - caught) * np.asarray(device_error))


@dataclass(frozen=True)
class Fibre:
    """A fibre link with decoy states; defaults are the GYS experiment's (Gobby, Yuan & Shields 2004).

    Attributes:
        loss_db_per_km: alpha.
        receiver: eta_B, share of the photons that the receiver detects.
        detector_error: e_d, chance that a photon reaches the wrong detector.
        background: Y0, detections per pulse without any photon.
        inefficiency: f of the error correction.
        photons: mu, mean photons of a signal pulse.
        pulses_hz: Rate of the source.
    """

    loss_db_per_km: float = 0.21
    receiver: float = 0.045
    detector_error: float = 0.033
    background: float = 1.7e-6
    inefficiency: float = 1.22
    photons: float = 0.48
    pulses_hz: float = 1e6


@dataclass(frozen=True)
class FibreRate:
    """What a fibre of each length yields; arrays of the shape of the distances.

    Attributes:
        per_pulse: R, secret bits per pulse, not below 0.
        error_rate: E_mu, the QBER.
        gain: Q_mu, detections per pulse.
    """

    per_pulse: np.ndarray
    error_rate: np.ndarray
    gain: np.ndarray


def decoy_state(fibre: Fibre, distance_km: np.ndarray | float, intercepted: np.ndarray | float = 0.0) -> FibreRate:
    """GLLP rate with infinitely many decoy states (Lo, Ma & Chen 2005, PRL 94, 230504).

    R = q {-Q_mu f h2(E_mu) + Q_1 [1 - h2(e_1)]}, q = 1/2.

    Args:
        fibre: The link.
        distance_km: Length.
        intercepted: Share of the pulses that an eavesdropper measures and sends on, a quarter of which then is wrong.
    """
    eta = fibre.receiver * 10 ** (-fibre.loss_db_per_km * np.asarray(distance_km, dtype=float) / 10)
    wrong = error_rate(intercepted, fibre.detector_error)
    signal = 1 - np.exp(-eta * fibre.photons)
    gain = fibre.background + signal
    error = (0.5 * fibre.background + wrong * signal) / gain
    single = fibre.background + eta
    single_gain = single * fibre.photons * np.exp(-fibre.photons)
    single_error = np.minimum((0.5 * fibre.background + wrong * eta) / single, 0.5)
    told = gain * fibre.inefficiency * binary_entropy(np.minimum(error, 0.5))
    rate = SIFTED * (single_gain * (1 - binary_entropy(single_error)) - told)
    return FibreRate(np.maximum(rate, 0.0), error, gain)


def longest_km(fibre: Fibre, intercepted: float = 0.0) -> float:
    """Length in km, to 0.1, up to which there is key; 0 where there is none at all."""
    lengths = np.arange(0.0, 400.0, 0.1)
    some = decoy_state(fibre, lengths, intercepted).per_pulse > 0
    return float(lengths[some].max()) if some.any() else 0.0
