"""Real keys, signatures, key exchanges and encryption, through the package ``cryptography``.

Keys never show in a representation. What the library cannot do, such as Falcon, is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, mlkem, padding, rsa, utils, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security.schemes import key_exchange, signature_scheme

SECRET_BYTES = 32
"""Length of every secret that two parties agree on."""

RSA_EXPONENT = 65_537
_ML_DSA: dict[str, tuple[Any, Any]] = {
    "ml-dsa-44": (mldsa.MLDSA44PrivateKey, mldsa.MLDSA44PublicKey),
    "ml-dsa-65": (mldsa.MLDSA65PrivateKey, mldsa.MLDSA65PublicKey),
    "ml-dsa-87": (mldsa.MLDSA87PrivateKey, mldsa.MLDSA87PublicKey),
}
_ML_KEM: dict[str, tuple[Any, Any]] = {
    "ml-kem-768": (mlkem.MLKEM768PrivateKey, mlkem.MLKEM768PublicKey),
    "ml-kem-1024": (mlkem.MLKEM1024PrivateKey, mlkem.MLKEM1024PublicKey),
}
EXECUTED_SIGNATURES = (*_ML_DSA, "ecdsa-p256", "rsa-2048")
EXECUTED_EXCHANGES = (*_ML_KEM, "x25519", "rsa-2048")
_SHA256 = hashes.SHA256()
_ECDSA = ec.ECDSA(_SHA256)
_PSS = padding.PSS(mgf=padding.MGF1(_SHA256), salt_length=32)
_P256_ORDER = 0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551
"""Points of the group of P-256 (NIST SP 800-186, section 3.2.1.3)."""
_OAEP = padding.OAEP(mgf=padding.MGF1(_SHA256), algorithm=_SHA256, label=None)


class SigningKey:
    """A secret key that signs."""

    def __init__(self, scheme: str) -> None:
        """Make a fresh key.

        Args:
            scheme: Name of a signature scheme.

        Raises:
            UnknownNameError: For a name that no scheme has.
            InvalidValueError: For a scheme that cannot be executed.
        """
        signature_scheme(scheme)
        self.scheme = scheme
        self._key: Any
        if scheme in _ML_DSA:
            self._key = _ML_DSA[scheme][0].generate()
        elif scheme == "ecdsa-p256":
            self._key = ec.generate_private_key(ec.SECP256R1())
        elif scheme == "rsa-2048":
            self._key = rsa.generate_private_key(RSA_EXPONENT, 2048)
        else:
            raise InvalidValueError("signature", scheme, EXECUTED_SIGNATURES)
        self.public = self._public()

    def _public(self) -> bytes:
        public = self._key.public_key()
        if self.scheme in _ML_DSA:
            return bytes(public.public_bytes_raw())
        numbers = public.public_numbers()
        if self.scheme == "rsa-2048":
            return int(numbers.n).to_bytes(256, "big")
        return int(numbers.x).to_bytes(32, "big") + int(numbers.y).to_bytes(32, "big")

    def sign(self, message: bytes) -> bytes:
        """A signature of the length that the table of schemes says."""
        if self.scheme in _ML_DSA:
            return bytes(self._key.sign(message))
        if self.scheme == "rsa-2048":
            return bytes(self._key.sign(message, _PSS, _SHA256))
        r, s = utils.decode_dss_signature(self._key.sign(message, _ECDSA))
        return r.to_bytes(32, "big") + min(s, _P256_ORDER - s).to_bytes(32, "big")


class VerifyingKey:
    """A public key that verifies."""

    def __init__(self, scheme: str, public: bytes) -> None:
        """Read a key.

        Args:
            scheme: Name of a signature scheme.
            public: As :attr:`SigningKey.public`.

        Raises:
            InvalidValueError: For bytes that are no such key, or a scheme that cannot be executed.
        """
        size = signature_scheme(scheme).public_key_bytes
        if len(public) != size:
            raise InvalidValueError("public key", f"{len(public)} bytes", f"{size} bytes for {scheme}")
        self.scheme = scheme
        try:
            self._key = self._read(public)
        except ValueError as error:
            raise _no_key(scheme) from error

    def _read(self, public: bytes) -> Any:
        if self.scheme in _ML_DSA:
            return _ML_DSA[self.scheme][1].from_public_bytes(public)
        if self.scheme == "rsa-2048":
            return rsa.RSAPublicNumbers(RSA_EXPONENT, int.from_bytes(public, "big")).public_key()
        if self.scheme == "ecdsa-p256":
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + public)
        raise InvalidValueError("signature", self.scheme, EXECUTED_SIGNATURES)

    def is_canonical(self, signature: bytes) -> bool:
        """Whether a signature that verifies is the one that :class:`SigningKey` made.

        Whoever sees a signature (r, s) by ECDSA can make (r, n - s) of it, which verifies as well; the lesser of the
        two is the one that counts. Of the others nobody can make a second one.
        """
        return self.scheme != "ecdsa-p256" or int.from_bytes(signature[32:], "big") <= _P256_ORDER // 2

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether the owner of the key signed the message."""
        if len(signature) != signature_scheme(self.scheme).signature_bytes:
            return False
        try:
            if self.scheme in _ML_DSA:
                self._key.verify(signature, message)
            elif self.scheme == "rsa-2048":
                self._key.verify(signature, message, _PSS, _SHA256)
            else:
                r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
                self._key.verify(utils.encode_dss_signature(r, s), message, _ECDSA)
        except (InvalidSignature, ValueError):
            return False
        return True


class ExchangeKey:
    """A secret key that others agree on secrets with."""

    def __init__(self, scheme: str, seed: bytes | None = None) -> None:
        """Make a key.

        Args:
            scheme: Name of a key exchange.
            seed: 32 bytes that the key follows from; None for a fresh one.

        Raises:
            UnknownNameError: For a name that no key exchange has.
            InvalidValueError: For a key that cannot be made from a seed.
        """
        key_exchange(scheme)
        self.scheme = scheme
        self._key: Any
        if scheme in _ML_KEM:
            kind = _ML_KEM[scheme][0]
            self._key = kind.generate() if seed is None else kind.from_seed_bytes(derive(seed, b"ml-kem seed", 64))
            self.public = bytes(self._key.public_key().public_bytes_raw())
        elif scheme == "x25519":
            kind = x25519.X25519PrivateKey
            self._key = kind.generate() if seed is None else kind.from_private_bytes(seed)
            self.public = self._key.public_key().public_bytes_raw()
        else:
            if seed is not None:
                raise InvalidValueError("key exchange", scheme, (*_ML_KEM, "x25519"))
            self._key = rsa.generate_private_key(RSA_EXPONENT, 2048)
            self.public = self._key.public_key().public_numbers().n.to_bytes(256, "big")

    def agree(self, public: bytes) -> bytes:
        """The secret of X25519 with the owner of another key, the same for both.

        Raises:
            InvalidValueError: For a scheme that needs a message to agree, or bytes that are no key to agree with.
        """
        if self.scheme != "x25519":
            raise InvalidValueError("key exchange", self.scheme, ("x25519",))
        try:
            return bytes(self._key.exchange(x25519.X25519PublicKey.from_public_bytes(public)))
        except ValueError as error:
            raise _no_key(self.scheme) from error

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The secret in a ciphertext of :func:`encapsulate`.

        Raises:
            InvalidValueError: For one of the wrong size, or that RSA cannot decrypt. ML-KEM answers an altered one with
                another secret, so that nobody learns from the refusal.
        """
        size = key_exchange(self.scheme).ciphertext_bytes
        if len(ciphertext) != size:
            raise InvalidValueError("ciphertext", f"{len(ciphertext)} bytes", f"{size} bytes for {self.scheme}")
        if self.scheme in _ML_KEM:
            return bytes(self._key.decapsulate(ciphertext))
        try:
            if self.scheme == "x25519":
                return derive(self.agree(ciphertext), ciphertext + self.public)
            return bytes(self._key.decrypt(ciphertext, _OAEP))
        except ValueError as error:
            raise InvalidValueError("ciphertext", "bytes that do not decrypt", f"one of {self.scheme}") from error


def encapsulate(scheme: str, public: bytes, random: Callable[[int], bytes]) -> tuple[bytes, bytes]:
    """A secret of 32 bytes for the owner of a public key, and the ciphertext that carries it.

    Args:
        scheme: Name of a key exchange.
        public: As :attr:`ExchangeKey.public`.
        random: Source of secret bytes for RSA, which transports a secret; the others have their own.

    Raises:
        InvalidValueError: For a key of the wrong size, or bytes that are no key, such as the zero of X25519.
    """
    size = key_exchange(scheme).public_key_bytes
    if len(public) != size:
        raise InvalidValueError("public key", f"{len(public)} bytes", f"{size} bytes for {scheme}")
    try:
        key = _exchange_public(scheme, public)
        if scheme in _ML_KEM:
            secret, ciphertext = key.encapsulate()
            return bytes(secret), bytes(ciphertext)
        if scheme == "x25519":
            own = x25519.X25519PrivateKey.generate()
            own_public = own.public_key().public_bytes_raw()
            return derive(own.exchange(key), own_public + public), own_public
        secret = random(SECRET_BYTES)
        return secret, key.encrypt(secret, _OAEP)
    except ValueError as error:
        raise _no_key(scheme) from error


def _no_key(scheme: str) -> InvalidValueError:
    return InvalidValueError("public key", "bytes that are no key", f"a public key of {scheme}")


@lru_cache(maxsize=64)
def _exchange_public(scheme: str, public: bytes) -> Any:
    """A public key, read once however many messages it encrypts: all devices use the server's."""
    if scheme in _ML_KEM:
        return _ML_KEM[scheme][1].from_public_bytes(public)
    if scheme == "x25519":
        return x25519.X25519PublicKey.from_public_bytes(public)
    return rsa.RSAPublicNumbers(RSA_EXPONENT, int.from_bytes(public, "big")).public_key()


def derive(secret: bytes, purpose: bytes, size: int = SECRET_BYTES) -> bytes:
    """A key for one purpose from a secret: HKDF with SHA-256 (RFC 5869)."""
    return HKDF(_SHA256, size, None, purpose).derive(secret)


def encrypt(key: bytes, nonce: bytes, text: bytes, known: bytes = b"") -> bytes:
    """AES-256-GCM: the ciphertext and a tag of 16 bytes that also covers ``known``; never use a nonce twice."""
    return AESGCM(key).encrypt(nonce, text, known)


def decrypt(key: bytes, nonce: bytes, ciphertext: bytes, known: bytes = b"") -> bytes | None:
    """What :func:`encrypt` was given, None if anything was altered."""
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, known)
    except (InvalidTag, ValueError):
        return None


def keystream(seed: bytes, size: int) -> bytes:
    """Pseudo-random bytes that follow from a seed of 32 bytes: AES-256 in counter mode."""
    return Cipher(algorithms.AES(seed), modes.CTR(bytes(16))).encryptor().update(bytes(size))
