import hashlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security.protection import HEADER_BYTES, Protection
from qfl_envs.system.security.sealed import Reason, Receiver, Sealer

SIZE = 40
PAYLOAD = bytes(range(SIZE))


def pair(protection, devices=2):
    receiver = Receiver(protection, SIZE)
    sealers = [Sealer(device, protection, receiver.public) for device in range(devices)]
    for sealer in sealers:
        receiver.register(sealer.sender, sealer.public)
    return receiver, sealers


SIGNED = Protection("ml-dsa-44")
_RECEIVER, (_SEALER, _OTHER) = pair(SIGNED)
_MESSAGE = _SEALER.seal(0, PAYLOAD)


@pytest.mark.parametrize(
    "protection",
    [
        SIGNED,
        Protection("ecdsa-p256", "x25519"),
        Protection("ml-dsa-65", "ml-kem-768", sends_key=True),
        Protection("ml-dsa-44", "rsa-2048"),
    ],
)
def test_whole_fresh_messages_are_accepted_and_have_the_modelled_size(protection):
    receiver, sealers = pair(protection)
    for round_index in range(2):
        for sealer in sealers:
            message = sealer.seal(round_index, PAYLOAD)
            assert len(message) == SIZE + protection.upload_bytes
            got = receiver.receive(message, round_index)
            assert (got.sender, got.payload, got.reason) == (sealer.sender, PAYLOAD, None)
            assert (PAYLOAD in message) == (protection.exchanges is None)
    assert receiver.accepted == 4 and not receiver.refused


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 8 * len(_MESSAGE) - 1))
def test_any_flipped_bit_is_refused_and_counted(bit):
    altered = bytearray(_MESSAGE)
    altered[bit // 8] ^= 1 << bit % 8
    before = sum(_RECEIVER.refused.values())
    got = _RECEIVER.receive(bytes(altered), 0)
    assert got.payload is None and got.reason is not None
    assert sum(_RECEIVER.refused.values()) == before + 1 and _RECEIVER.accepted == 0


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=2 * len(_MESSAGE)))
def test_any_other_bytes_are_refused(data):
    assert _RECEIVER.receive(data, 0).reason is not None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, len(_MESSAGE) - 1))
def test_any_truncation_is_refused(length):
    assert _RECEIVER.receive(_MESSAGE[:length], 0).reason is Reason.WRONG_SIZE


def test_a_replay_is_refused_also_when_an_older_round_would_be_meant():
    receiver, (sealer, _) = pair(SIGNED)
    message = sealer.seal(0, PAYLOAD)
    assert receiver.receive(message, 0).reason is None
    assert receiver.receive(message, 0).reason is Reason.REPLAYED
    assert receiver.receive(message, 1).reason is Reason.REPLAYED
    assert receiver.refused == {Reason.REPLAYED: 2} and receiver.accepted == 1


def test_a_message_of_another_round_is_refused():
    receiver, (sealer, _) = pair(SIGNED)
    assert receiver.receive(sealer.seal(3, PAYLOAD), 4).reason is Reason.WRONG_ROUND


def test_an_overtaken_message_is_told_from_a_repeated_one():
    receiver, (sealer, _) = pair(SIGNED)
    first, second, third = (sealer.seal(0, PAYLOAD) for _ in range(3))
    assert receiver.receive(first, 0).reason is None
    assert receiver.receive(third, 0).reason is None
    assert receiver.receive(second, 0).reason is Reason.REORDERED
    assert receiver.receive(first, 0).reason is Reason.REPLAYED


def test_the_signature_of_another_device_is_refused():
    receiver, (sealer, other) = pair(SIGNED)
    message, others = sealer.seal(0, PAYLOAD), other.seal(0, PAYLOAD)
    assert receiver.receive(message[:HEADER_BYTES] + others[HEADER_BYTES:], 0).reason is Reason.FORGED
    stranger = Sealer(7, SIGNED)
    assert receiver.receive(stranger.seal(0, PAYLOAD), 0).reason is Reason.UNKNOWN_SENDER
    posing = Sealer(0, SIGNED)
    assert receiver.receive(posing.seal(0, PAYLOAD), 0).reason is Reason.FORGED


def test_a_key_inside_a_message_is_not_believed():
    protection = Protection("ml-dsa-44", sends_key=True)
    receiver, _ = pair(protection)
    assert receiver.receive(Sealer(0, protection).seal(0, PAYLOAD), 0).reason is Reason.FORGED


def test_an_altered_payload_is_told_from_a_forged_header():
    receiver, (sealer, _) = pair(SIGNED)
    message = bytearray(sealer.seal(0, PAYLOAD))
    message[HEADER_BYTES] ^= 1
    assert receiver.receive(bytes(message), 0).reason is Reason.ALTERED


def test_a_message_for_another_server_does_not_decrypt():
    protection = Protection("ecdsa-p256", "ml-kem-768")
    sealer = Sealer(0, protection, Receiver(protection, SIZE).public)
    receiver = Receiver(protection, SIZE)
    receiver.register(0, sealer.public)
    assert receiver.receive(sealer.seal(0, PAYLOAD), 0).reason is Reason.UNREADABLE


def test_a_receiver_needs_a_signature():
    with pytest.raises(InvalidValueError, match="signature"):
        Receiver(Protection("none", "x25519"), SIZE)
    with pytest.raises(InvalidValueError, match="signature is 'none'"):
        Sealer(0, Protection("none", "x25519"))


@pytest.mark.parametrize("number", [-1, 2**32])
def test_numbers_that_no_header_holds_are_refused(number):
    with pytest.raises(InvalidValueError, match="sender"):
        Sealer(number, SIGNED)
    with pytest.raises(InvalidValueError, match="round"):
        _SEALER.seal(number, PAYLOAD)


def test_numbers_far_behind_count_as_repeated_and_are_forgotten():
    protection = Protection("ecdsa-p256")
    receiver, (sealer, _) = pair(protection)
    messages = [sealer.seal(0, PAYLOAD) for _ in range(70)]
    for number in (0, 2, *range(4, 70)):
        assert receiver.receive(messages[number], 0).reason is None
    # 64 behind the last, sequence number 70, is as far as they are told apart
    assert receiver.receive(messages[1], 0).reason is Reason.REPLAYED
    assert receiver.receive(messages[3], 0).reason is Reason.REPLAYED
    assert len(receiver._seen[0]) == 64
    assert receiver.refused == {Reason.REPLAYED: 2} and "payload" not in repr(receiver.receive(messages[1], 0))


def test_a_signed_length_that_is_not_that_of_the_payload_is_refused():
    receiver, (sealer, _) = pair(SIGNED)
    header = struct.pack(">IIQI32s", 0, 0, 1, SIZE - 1, hashlib.sha256(PAYLOAD).digest())
    assert receiver.receive(header + PAYLOAD + sealer._key.sign(header), 0).reason is Reason.WRONG_SIZE


def test_a_key_inside_a_message_is_signed_and_must_be_the_known_one():
    protection = Protection("ecdsa-p256", sends_key=True)
    receiver, (sealer, _) = pair(protection)
    other = Sealer(0, protection)
    header = struct.pack(">IIQI32s", 0, 0, 1, SIZE, hashlib.sha256(PAYLOAD).digest())
    # signed by the device whose key is known, but with another's key inside
    forged = header + PAYLOAD + other.public + sealer._key.sign(header + other.public)
    assert receiver.receive(forged, 0).reason is Reason.FORGED
    unsigned = header + PAYLOAD + sealer.public + sealer._key.sign(header)
    assert receiver.receive(unsigned, 0).reason is Reason.FORGED


def test_a_message_with_something_behind_it_has_the_wrong_size():
    receiver, (sealer, _) = pair(SIGNED)
    assert receiver.receive(sealer.seal(0, PAYLOAD) + b"\0", 0).reason is Reason.WRONG_SIZE
