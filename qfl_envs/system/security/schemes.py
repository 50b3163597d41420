"""Signatures and key exchanges, as data: sizes of what is sent and cycles of what is computed.

Sizes are those of FIPS 203 (ML-KEM), FIPS 204 (ML-DSA) and the Falcon specification, cycles those that pqm4 measured on
a Cortex-M4 (implementations ``m4f`` and ``m4fspeed``); P-256 by the crate p256-cm4, X25519 by Lenngren, on such a core.
A scheme whose cycles nobody has measured there has none, and no cost in seconds can be computed for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from qfl_envs.fields import reject_unknown


@dataclass(frozen=True)
class SignatureScheme:
    """A way to sign.

    Attributes:
        public_key_bytes: Key that verifies.
        secret_key_bytes: Key that signs, expanded.
        signature_bytes: Longest signature.
        keygen_cycles: To make a pair of keys; None where nobody measured.
        sign_cycles: Mean of one signature.
        verify_cycles: Of one verification.
        quantum_safe: Whether it stands when a large quantum computer exists.
        attempts: Expected runs of the signing loop, which throws away signatures that would tell of the key.
        first_attempt_cycles: Of a signature whose first run is kept; None where signing takes the same time always.
    """

    public_key_bytes: int
    secret_key_bytes: int
    signature_bytes: int
    keygen_cycles: float | None
    sign_cycles: float | None
    verify_cycles: float | None
    quantum_safe: bool
    attempts: float = 1.0
    first_attempt_cycles: float | None = None


@dataclass(frozen=True)
class KeyExchange:
    """A way to agree on a secret with the owner of a public key by one message.

    Attributes:
        public_key_bytes: Key of the one who is sent to.
        secret_key_bytes: Its secret half, expanded.
        ciphertext_bytes: The message: a ciphertext, or an ephemeral public key.
        keygen_cycles: To make a pair of keys; None where nobody measured.
        encapsulate_cycles: Of the sender.
        decapsulate_cycles: Of the receiver.
        quantum_safe: Whether it stands when a large quantum computer exists.
    """

    public_key_bytes: int
    secret_key_bytes: int
    ciphertext_bytes: int
    keygen_cycles: float | None
    encapsulate_cycles: float | None
    decapsulate_cycles: float | None
    quantum_safe: bool


SIGNATURES: dict[str, SignatureScheme] = {
    "ml-dsa-44": SignatureScheme(1312, 2560, 2420, 1_426_025, 3_943_121, 1_421_623, True, 4.25, 1_812_557),
    "ml-dsa-65": SignatureScheme(1952, 4032, 3309, 2_516_006, 6_193_171, 2_415_944, True, 5.1, 2_918_295),
    "ml-dsa-87": SignatureScheme(2592, 4896, 4627, 4_275_859, 7_947_380, 4_193_104, True, 3.85, 4_880_711),
    "falcon-512": SignatureScheme(897, 1281, 752, 67_693_338, 22_469_685, 396_949, True),
    "falcon-1024": SignatureScheme(1793, 2305, 1462, 308_608_613, 48_321_135, 793_856, True),
    "ecdsa-p256": SignatureScheme(64, 32, 64, 442_754, 442_754, 1_225_746, False),
    "rsa-2048": SignatureScheme(256, 256, 256, None, None, None, False),
}
"""By name. Attempts of ML-DSA: FIPS 204, table 1. A P-256 key costs the scalar multiplication that signing also does.
RSA is listed for its sizes; its public exponent is a constant, 65537."""

KEY_EXCHANGES: dict[str, KeyExchange] = {
    "ml-kem-768": KeyExchange(1184, 2400, 1088, 642_096, 658_754, 707_827, True),
    "ml-kem-1024": KeyExchange(1568, 3168, 1568, 1_018_976, 1_031_565, 1_094_008, True),
    "x25519": KeyExchange(32, 32, 32, 548_873, 2 * 548_873, 548_873, False),
    "rsa-2048": KeyExchange(256, 256, 256, None, None, None, False),
}
"""By name. A sender by X25519 makes a key and multiplies it with the receiver's."""

NONE = "none"
SIGNATURE_NAMES = (NONE, *SIGNATURES)
KEY_EXCHANGE_NAMES = (NONE, *KEY_EXCHANGES)


def signature_scheme(name: str) -> SignatureScheme:
    """The scheme of that name.

    Raises:
        UnknownNameError: Naming all schemes.
    """
    reject_unknown([name], SIGNATURES, "signature scheme")
    return SIGNATURES[name]


def key_exchange(name: str) -> KeyExchange:
    """The key exchange of that name.

    Raises:
        UnknownNameError: Naming all key exchanges.
    """
    reject_unknown([name], KEY_EXCHANGES, "key exchange")
    return KEY_EXCHANGES[name]
