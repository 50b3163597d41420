import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem

from qfl_envs.errors import InvalidValueError, UnknownNameError
from qfl_envs.presets import PRESETS
from qfl_envs.system.security.primitives import (
    EXECUTED_EXCHANGES,
    EXECUTED_SIGNATURES,
    ExchangeKey,
    SigningKey,
    VerifyingKey,
    decrypt,
    derive,
    encapsulate,
    encrypt,
    keystream,
)
from qfl_envs.system.security.protection import HEADER_BYTES, TAG_BYTES, Protection, attempts, signing_cycles
from qfl_envs.system.security.schemes import KEY_EXCHANGES, SIGNATURES


@pytest.mark.parametrize("name", EXECUTED_SIGNATURES)
def test_executed_signatures_have_the_sizes_of_the_table_and_verify(name):
    key = SigningKey(name)
    signature = key.sign(b"update")
    assert (len(key.public), len(signature)) == (SIGNATURES[name].public_key_bytes, SIGNATURES[name].signature_bytes)
    verifier = VerifyingKey(name, key.public)
    assert verifier.verify(signature, b"update")
    assert not verifier.verify(signature, b"Update")
    assert not verifier.verify(signature[:-1] + bytes([signature[-1] ^ 1]), b"update")


@pytest.mark.parametrize("name", EXECUTED_EXCHANGES)
def test_executed_exchanges_have_the_sizes_of_the_table_and_agree(name):
    key = ExchangeKey(name)
    secret, ciphertext = encapsulate(name, key.public, lambda size: bytes(range(size)))
    assert len(key.public) == KEY_EXCHANGES[name].public_key_bytes
    assert len(ciphertext) == KEY_EXCHANGES[name].ciphertext_bytes
    assert len(secret) == 32 and key.decapsulate(ciphertext) == secret
    with pytest.raises(InvalidValueError, match="ciphertext"):
        key.decapsulate(ciphertext[:-1])


def test_sizes_of_the_standards():
    # FIPS 204, table 2, and FIPS 203, table 3
    assert [(s.public_key_bytes, s.secret_key_bytes, s.signature_bytes) for s in list(SIGNATURES.values())[:3]] == [
        (1312, 2560, 2420),
        (1952, 4032, 3309),
        (2592, 4896, 4627),
    ]
    assert [(k.public_key_bytes, k.secret_key_bytes, k.ciphertext_bytes) for k in list(KEY_EXCHANGES.values())[:2]] == [
        (1184, 2400, 1088),
        (1568, 3168, 1568),
    ]


def test_the_presets_count_the_same_bytes():
    protection = Protection("ml-dsa-65", "ml-kem-768", sends_key=True)
    envelope = HEADER_BYTES + TAG_BYTES
    assert 8 * (protection.upload_bytes - envelope) == PRESETS["small"]["security"]["protection_bits"] == 50_792
    assert Protection("ml-dsa-65").expansion(3_200) == pytest.approx((3_200 + 8 * (3309 + HEADER_BYTES)) / 3_200)
    assert Protection().upload_bytes == 0 and Protection().expansion(10.0) == 1.0


def test_mean_and_least_time_of_a_signature_are_the_measured_ones():
    uniform = (np.arange(200_000) + 0.5) / 200_000
    for name in ("ml-dsa-44", "ml-dsa-65", "ml-dsa-87"):
        cycles = signing_cycles(name, uniform)
        assert cycles.min() == SIGNATURES[name].first_attempt_cycles
        assert cycles.mean() == pytest.approx(SIGNATURES[name].sign_cycles, rel=1e-3)
        assert attempts(SIGNATURES[name].attempts, uniform).mean() == pytest.approx(SIGNATURES[name].attempts, rel=1e-3)
    assert np.ptp(signing_cycles("falcon-512", uniform)) == 0.0


# NIST SP 800-186
P256_ORDER = 115792089210356248762697446949407573529996955224135760342422259061068512044369
Q, DEGREE = 8_380_417, 256
# FIPS 204, table 1: k, l, eta, tau, gamma_1, gamma_2, omega, and lambda in bits
ML_DSA = {
    "ml-dsa-44": (4, 4, 2, 39, 2**17, (Q - 1) // 88, 80, 128),
    "ml-dsa-65": (6, 5, 4, 49, 2**19, (Q - 1) // 32, 55, 192),
    "ml-dsa-87": (8, 7, 2, 60, 2**19, (Q - 1) // 32, 75, 256),
}


@pytest.mark.parametrize("name", ML_DSA)
def test_sizes_and_attempts_of_ml_dsa_follow_from_its_parameters(name):
    k, length, eta, tau, gamma_1, gamma_2, omega, strength = ML_DSA[name]
    scheme, beta = SIGNATURES[name], tau * eta
    assert scheme.public_key_bytes == 32 + 32 * k * 10
    assert scheme.signature_bytes == strength // 4 + 32 * length * (1 + (gamma_1 - 1).bit_length()) + omega + k
    # an attempt passes if all coordinates of z are below gamma_1 - beta and all low parts below gamma_2 - beta; they
    # are as good as uniform, and hints that are too long are rare (Ducas et al. 2018, section 3.4)
    passes = (1 - beta / (gamma_1 - 0.5)) ** (DEGREE * length) * (1 - beta / (gamma_2 - 0.5)) ** (DEGREE * k)
    approximately = np.exp(-DEGREE * beta * (length / gamma_1 + k / gamma_2))
    assert 1 / approximately == pytest.approx(scheme.attempts, abs=0.01)
    assert 1 / passes == pytest.approx(scheme.attempts, rel=0.002)


def test_attempts_are_geometric():
    uniform = (np.arange(100_000) + 0.5) / 100_000
    counts = attempts(4.0, uniform)
    assert np.mean(counts == 1) == pytest.approx(0.25, abs=1e-3)
    assert np.mean(counts == 2) == pytest.approx(0.25 * 0.75, abs=1e-3)


def test_work_is_of_participants_and_grows_with_the_square_of_the_clock_in_joules():
    part, uniform = np.array([[True, True, False]]), np.full((1, 3), 0.5)
    work = Protection("ml-dsa-44", "ml-kem-768").work(part, np.array([[1e8, 2e8, 1e8]]), 1e-28, uniform)
    assert work.seconds[0, 2] == work.energy_j[0, 2] == 0.0
    assert work.seconds[0, 0] == pytest.approx(2 * work.seconds[0, 1])
    # joules are so few that the absolute tolerance of approx would take any of them for any other
    cycles = 2e8 * work.seconds[0, 1]
    assert work.energy_j[0, 1] == pytest.approx(1e-28 * cycles * 2e8**2, rel=1e-9, abs=0.0)
    assert work.energy_j[0, 1] == pytest.approx(4 * work.energy_j[0, 0], rel=1e-9, abs=0.0)
    assert work.seconds[0, 0] == pytest.approx((signing_cycles("ml-dsa-44", np.array(0.5)) + 658_754) / 1e8)
    assert Protection("ml-dsa-44", "ml-kem-768").server_cycles(np.array(2)) == 2 * (1_421_623 + 707_827)


def test_what_is_unknown_or_unmeasured_is_refused():
    with pytest.raises(UnknownNameError, match="ml-dsa-44"):
        Protection("ml-dsa-4")
    with pytest.raises(InvalidValueError, match="sends_key"):
        Protection("none", "x25519", sends_key=True)
    with pytest.raises(InvalidValueError, match="known cycles"):
        Protection("rsa-2048").cycles(np.zeros(1))
    with pytest.raises(InvalidValueError, match="payload_bits"):
        Protection("ml-dsa-44").expansion(0.0)
    with pytest.raises(InvalidValueError, match="falcon-512"):
        SigningKey("falcon-512")
    with pytest.raises(InvalidValueError, match="1312 bytes"):
        VerifyingKey("ml-dsa-44", b"short")
    assert Protection("ml-dsa-44", "ml-kem-768").quantum_safe
    assert not Protection("ml-dsa-44", "x25519").quantum_safe and not Protection().quantum_safe


def test_keys_do_not_show():
    key = ExchangeKey("x25519", bytes(range(32)))
    assert "_key" not in repr(key) and bytes(range(32)).hex() not in repr(key)
    assert ExchangeKey("ml-kem-768", bytes(32)).public == ExchangeKey("ml-kem-768", bytes(32)).public


def test_what_is_encrypted_is_bound_to_what_is_known_of_it():
    sealed = encrypt(bytes(32), bytes(12), b"update", b"round 1")
    assert decrypt(bytes(32), bytes(12), sealed, b"round 1") == b"update"
    assert decrypt(bytes(32), bytes(12), sealed, b"round 2") is None
    assert decrypt(bytes(32), bytes(12), sealed) is None
    assert decrypt(bytes(32), bytes(12), b"") is None and decrypt(bytes(32), bytes(4), sealed) is None


def test_a_keystream_is_aes_256_in_counter_mode_from_zero():
    # AES-256 of a block of zeros under a key of zeros (NIST, AESAVS, all-zero known answer)
    assert keystream(bytes(32), 16).hex() == "dc95c078a2408989ad48a21492842087"


def test_keys_of_one_seed_are_apart_by_purpose_and_public_keys_bind_x25519():
    seed = bytes(range(32))
    own = mlkem.MLKEM768PrivateKey.from_seed_bytes(derive(seed, b"ml-kem seed", 64))
    assert ExchangeKey("ml-kem-768", seed).public == own.public_key().public_bytes_raw()
    receiver = ExchangeKey("x25519", seed)
    secret, sent = encapsulate("x25519", receiver.public, bytes)
    assert secret == derive(receiver.agree(sent), sent + receiver.public) != derive(receiver.agree(sent), b"")
    with pytest.raises(InvalidValueError, match="rsa-2048"):
        ExchangeKey("rsa-2048", seed)
    with pytest.raises(InvalidValueError, match="x25519"):
        ExchangeKey("ml-kem-768", seed).agree(receiver.public)


def test_a_signature_of_the_wrong_form_does_not_verify():
    for name in ("ml-dsa-44", "ecdsa-p256"):
        key = SigningKey(name)
        right = key.sign(b"update")
        longer = (right + b"\0", b"\0" + right, right[:32] + b"\0" + right[32:])
        for signature in (b"", b"short", bytes(SIGNATURES[name].signature_bytes), *longer):
            assert not VerifyingKey(name, key.public).verify(signature, b"update")


def test_of_the_two_signatures_that_ecdsa_has_one_is_made():
    key = SigningKey("ecdsa-p256")
    verifier = VerifyingKey("ecdsa-p256", key.public)
    for _ in range(20):
        made = key.sign(b"update")
        other = made[:32] + (P256_ORDER - int.from_bytes(made[32:], "big")).to_bytes(32, "big")
        assert verifier.verify(made, b"update") and verifier.is_canonical(made)
        assert verifier.verify(other, b"update") and not verifier.is_canonical(other)


@pytest.mark.parametrize("name", EXECUTED_EXCHANGES)
def test_bytes_that_are_no_public_key_are_refused_by_name(name):
    # zeros are a vector of ML-KEM, whose coefficients have to be below 3329; X25519 agrees on nothing with zero
    wrong = (b"\xff" if name.startswith("ml-kem") else b"\0") * KEY_EXCHANGES[name].public_key_bytes
    with pytest.raises(InvalidValueError, match=f"public key of {name}"):
        encapsulate(name, wrong, bytes)
    for zero in (bytes(32), bytes(31)):
        with pytest.raises(InvalidValueError, match="public key of x25519"):
            ExchangeKey("x25519").agree(zero)
