"""Whether who listens is noticed: by errors of quantum keys, and not at all by a classical exchange of keys."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from scipy.stats import binomtest

from qfl_envs.system.security import bb84, e91
from qfl_envs.system.security.primitives import ExchangeKey, encapsulate

Session = tuple[int, int, bool]
"""Compared bits, errors among them, and whether the session was given up."""
FALSE_ALARM = 0.01
"""Chance of errors as many as those that raise an alarm if nobody listens."""


def bb84_session(pulses: int, generator: np.random.Generator, intercepted: float, device_error: float) -> Session:
    """One of BB84, whose compared bits are thrown away."""
    found = bb84.run(pulses, generator, intercepted, device_error)
    return found.compared, round(found.error_rate * found.compared), found.aborted is not None


def e91_session(pulses: int, generator: np.random.Generator, intercepted: float, device_error: float) -> Session:
    """One of E91 with pairs whose equal directions err as often as the devices of BB84."""
    found = e91.run(pulses, generator, intercepted, visibility=1 - 2 * device_error)
    return found.sifted, round(found.error_rate * found.sifted), found.aborted is not None


def classical_session(pulses: int, generator: np.random.Generator, intercepted: float, device_error: float) -> Session:
    """An exchange by X25519 that is really executed; who listens copies the message and sends it on as it is.

    The two ends compare as many bits of their secrets as there are: 256.
    """
    receiver = ExchangeKey("x25519")
    secret, message = encapsulate("x25519", receiver.public, os.urandom)
    copied = bytes(message)
    sent_on = copied if generator.random() < intercepted else message
    received = receiver.decapsulate(sent_on)
    wrong = sum((one ^ other).bit_count() for one, other in zip(secret, received, strict=True))
    return 8 * len(secret), wrong, wrong > 0


SESSIONS: dict[str, Callable[[int, np.random.Generator, float, float], Session]] = {
    "bb84": bb84_session,
    "e91": e91_session,
    "x25519": classical_session,
}


def alarmed(session: Session, device_error: float) -> bool:
    """Whether the errors of a session are more than those of the devices explain."""
    compared, errors, given_up = session
    if compared == 0:
        return given_up
    return given_up or binomtest(errors, compared, device_error, alternative="greater").pvalue < FALSE_ALARM


def alarm_rate(
    name: str, sessions: int, pulses: int, intercepted: float, device_error: float, generator: np.random.Generator
) -> dict[str, float]:
    """Shares of sessions that raise an alarm, and that are given up.

    Args:
        name: Of :data:`SESSIONS`.
        sessions: How many are played.
        pulses: Of each.
        intercepted: Share of the pulses that are measured and sent on.
        device_error: Share of the bits that are wrong without anybody listening, which both ends know.
        generator: Of choices and outcomes.
    """
    found = [SESSIONS[name](pulses, generator, intercepted, device_error) for _ in range(sessions)]
    return {
        "alarms": float(np.mean([alarmed(one, device_error) for one in found])),
        "given_up": float(np.mean([given_up for _, _, given_up in found])),
    }
