"""Threats that come and go, each by a Markov chain of its own, and the day on which classical schemes fall."""

from __future__ import annotations

import numpy as np

from qfl_envs.security import Security

THREATS = ("poisoning", "tampering", "eavesdropping", "jamming", "intrusion")
"""Hostile devices; updates replaced on the air; links and quantum channels listened to; quantum channels denied;
somebody reading along on the server."""


def possible(security: Security) -> np.ndarray:
    """(T) bool, which threats a scenario has at all."""
    return np.array(
        [
            security.attack != "none" and security.attacker_share > 0.0,
            security.tampered_share > 0.0,
            security.eavesdropped_share > 0.0 or security.intercepted_share > 0.0,
            security.jammed_share > 0.0,
            security.intrusion,
        ]
    )


def at_start(security: Security, uniform: np.ndarray) -> np.ndarray:
    """(E, T) bool, which threats are on, with the share of the time that they are in the long run.

    Args:
        security: How they come and go.
        uniform: (E, T) numbers in [0, 1).
    """
    begins, ends = security.threat_begins, security.threat_ends
    share = begins / (begins + ends) if begins > 0.0 else 0.0
    return possible(security) & (uniform < share)


def afterwards(security: Security, on: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """The same a round later."""
    return np.where(on, uniform >= security.threat_ends, possible(security) & (uniform < security.threat_begins))


def classical_broken(round_index: np.ndarray, of_q_day: np.ndarray) -> np.ndarray:
    """(E) bool, where classical schemes have fallen in a round (E), given that of Q-day (E, 1)."""
    return np.asarray(round_index >= of_q_day[:, 0])


def q_day_round(security: Security, uniform: np.ndarray) -> np.ndarray:
    """(E, 1) round from which on classical schemes are broken, from numbers uniform in [0, 1); infinite for never."""
    if not security.quantum_computer:
        return np.full(uniform.shape, np.inf)
    low, high = security.q_day_round
    return low + (high - low) * uniform
