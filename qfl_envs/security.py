"""The scenario's section on security: how updates are protected and merged, and what threatens them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import Section, choice, flag, integer, interval, real

SIGNATURES = ("none", "ecdsa-p256", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87", "falcon-512", "falcon-1024")
"""Signatures of updates whose cost is known in bytes and cycles."""
KEY_EXCHANGES = ("none", "x25519", "ml-kem-768", "ml-kem-1024", "qkd")
"""Ways to agree on the key that encrypts an update; ``"qkd"`` takes it from a pool that a quantum channel fills."""
ROBUST_RULES = (
    "median",
    "trimmed-mean",
    "krum",
    "multi-krum",
    "geometric-median",
    "centred-clipping",
    "norm-clipping",
)
AGGREGATIONS = ("mean", *ROBUST_RULES, "secure")
"""``"mean"`` is the rule of ``learning.server_rule``, ``"secure"`` a sum of masked updates of which none is seen."""
PRIVATE_AGGREGATIONS = ("mean", "norm-clipping", "secure")
"""Those by which one update moves the result by no more than is known, so that noise can hide it."""
SCREENINGS = ("none", "norm", "direction")
UPDATE_ATTACKS = ("sign-flip", "gaussian", "ipm", "alie", "boost")
DATA_ATTACKS = ("label-flip", "backdoor")
ATTACKS = ("none", *UPDATE_ATTACKS, *DATA_ATTACKS)
MOST = 1e12
"""Of numbers whose squares, with the most noise on them, a server's moments in single precision hold."""


@dataclass(frozen=True)
class Security(Section):
    """How updates are protected and merged, and what threatens them.

    A threat that has a share above 0 comes and goes by a Markov chain of its own: in a quiet round it begins with
    probability ``threat_begins``, in others it ends with probability ``threat_ends``.
    """

    prefix: ClassVar[str] = "security."

    protection_bits: int = integer(
        0,
        0,
        None,
        "bits that protection adds to an upload whatever is chosen below",
        source="ML-DSA-65 key and signature, ML-KEM-768: 50,792",
    )
    protection_cycles: float = real(
        0.0,
        0.0,
        None,
        "",
        "CPU cycles that protection costs a participant, likewise",
        source="ML-DSA-65 sign, Cortex-M4: 6.19e6",
    )
    signature: str = choice("none", SIGNATURES, "how updates are signed", source="FIPS 204; pqm4")
    key_exchange: str = choice(
        "none", KEY_EXCHANGES, "how the key of an encrypted update is agreed on", source="FIPS 203"
    )
    sends_key: bool = flag(False, "whether the signer's public key travels with every update")
    protection: str = choice(
        "modelled",
        ("modelled", "executed"),
        "whether protection costs what a model says, or messages are also signed, sealed, tampered with and verified "
        "in earnest; what comes of it is the same",
    )
    aggregation: str = choice("mean", AGGREGATIONS, "how the server merges what passes its screening")
    screening: str = choice(
        "none",
        SCREENINGS,
        "which updates the server throws away: those longer than ``norm_factor`` times the median, or those that point "
        "away from the median of all",
    )
    norm_factor: float = real(2.0, 1.0, None, "", "longest update that 'norm' lets pass, in medians of the round")
    longest_update: float = real(
        100.0,
        1e-9,
        MOST,
        "",
        "updates longer than this are thrown away always, and so are those that are no numbers",
    )
    assumed_attackers: float = real(0.3, 0.0, 1.0, "", "share of a round's updates that robust rules take for hostile")
    clip_norm: float = real(1.0, 1e-9, MOST, "", "longest update that clipping rules and privacy leave as it is")
    noise_multiplier: float = real(
        0.0, 0.0, 1e6, "", "noise of differential privacy, in sensitivities of the mean", source="Bun & Steinke 2016"
    )
    sum_bits: int = integer(16, 1, 32, "bits of a number under 'secure'", source="Bonawitz et al. 2017")
    sum_bound: float = real(1.0, 1e-9, MOST, "", "largest entry of an update under 'secure'; larger ones are clipped")
    group_size: int | None = integer(
        None, 3, None, "most devices that mask their updates together; null for all", optional=True
    )
    round_trip_s: float = real(
        0.02, 0.0, None, "s", "time of each of the three exchanges that 'secure' adds", source="LTE: 10 to 50 ms"
    )
    key_pool_bits: float = real(65_536.0, 256.0, None, "bits", "most key that a device stores")
    qkd_availability: float = real(
        0.8, 0.0, 1.0, "", "share of the rounds in which a device's quantum channel through the air is open"
    )
    qkd_pulses_hz: float = real(1e6, 0.0, None, "Hz", "single photons that a device sends")
    qkd_fallback: str = choice(
        "wait",
        ("wait", "x25519", "ml-kem-768"),
        "what a device does whose pool is too low: it waits for key, or takes another exchange",
    )

    attack: str = choice(
        "none",
        ATTACKS,
        "what hostile devices send, or train on",
        source="Xie et al. 2020; Baruch et al. 2019; Bagdasaryan et al. 2020; Fung et al. 2020",
    )
    attacker_share: float = real(0.0, 0.0, 1.0, "", "share of the devices that is hostile; drawn per episode")
    attack_strength: float | None = real(
        None,
        0.0,
        None,
        "",
        "factor, standard deviation, epsilon or z of the attack; null for the usual one",
        optional=True,
    )
    tampered_share: float = real(0.0, 0.0, 1.0, "", "share of the updates on the air that are replaced")
    tampering_strength: float = real(4.0, 0.0, None, "", "a tampered update is the honest one times minus this")
    eavesdropped_share: float = real(0.0, 0.0, 1.0, "", "share of the updates on the air that are listened to")
    intercepted_share: float = real(
        0.0, 0.0, 1.0, "", "share of the photons of quantum channels that are measured and sent on"
    )
    jammed_share: float = real(0.0, 0.0, 1.0, "", "share of the quantum channels that are denied")
    intrusion: bool = flag(False, "whether somebody comes to read along on the server now and then")
    threat_begins: float = real(1.0, 0.0, 1.0, "", "probability that a threat begins in a quiet round")
    threat_ends: float = real(0.0, 0.0, 1.0, "", "probability that a threat ends after a round")
    quantum_computer: bool = flag(False, "whether a computer that breaks classical schemes comes, on 'Q-day'")
    q_day_round: tuple[float, float] = interval((20.0, 60.0), 0.0, None, "rounds", "when it comes; drawn per episode")

    @cached_property
    def guards(self) -> bool:
        """Whether anything is asked for beyond a constant cost of protection."""
        return replace(self, protection_bits=0, protection_cycles=0.0) != Security()

    def check_together(self) -> None:
        """Refuse what cannot be executed, and noise whose sensitivity nobody knows."""
        if self.protection == "executed" and self.signature.startswith("falcon"):
            raise InvalidValueError("security.signature", self.signature, "one of ML-DSA or ECDSA where it is executed")
        if self.noise_multiplier > 0.0 and self.aggregation not in PRIVATE_AGGREGATIONS:
            allowed = f"one of {PRIVATE_AGGREGATIONS} with noise of privacy"
            raise InvalidValueError("security.aggregation", self.aggregation, allowed)
        if self.noise_multiplier > 0.0 and self.screening != "none":
            allowed = "'none' with noise of privacy, since one update then decides on others"
            raise InvalidValueError("security.screening", self.screening, allowed)
