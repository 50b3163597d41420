import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security import pair_keys
from qfl_envs.system.security.aggregation_cost import client_bits, client_cycles, expansion, grouped_cost, groups_of
from qfl_envs.system.security.pair_keys import PAIR_EXCHANGES, PairKeys
from qfl_envs.system.security.primitives import decrypt, derive
from qfl_envs.system.security.quantisation import decode_sum, encode, modulus_bits
from qfl_envs.system.security.secret_sharing import PRIME, combine, split
from qfl_envs.system.security.secure_aggregation import Client, mask_of, secure_sum


def numbers(clients=5, length=7, seed=0):
    return np.random.default_rng(seed).integers(0, 2**16, (clients, length))


@pytest.mark.parametrize("exchange", ["x25519", "ml-kem-768"])
def test_masked_sums_equal_plain_sums_exactly_also_with_dropouts(exchange):
    values = numbers(6)
    got = secure_sum(values, 16, 3, exchange)
    assert np.array_equal(got.total, values.sum(0)) and got.included == tuple(range(6)) and got.failure is None
    got = secure_sum(values, 16, 3, exchange, [0], [1, 4], [3])
    assert got.total is None and "2 clients stayed" in got.failure
    got = secure_sum(values, 16, 2, exchange, [0], [1, 4], [3])
    assert np.array_equal(got.total, values[[2, 3, 5]].sum(0))


@settings(max_examples=10, deadline=None)
@given(st.sets(st.integers(0, 4), max_size=5), st.sets(st.integers(0, 4), max_size=5))
def test_the_round_survives_dropouts_down_to_the_threshold_and_says_when_not(silent, unhelpful):
    values = numbers()
    got = secure_sum(values, 16, 3, drop_before_sending=silent, drop_before_unmasking=unhelpful)
    senders = [number for number in range(5) if number not in silent]
    if len([number for number in senders if number not in unhelpful]) >= 3:
        assert np.array_equal(got.total, values[senders].sum(0))
    else:
        assert got.total is None and "fewer than the threshold of 3" in got.failure


def test_too_few_who_share_fail_the_round():
    got = secure_sum(numbers(), 16, 4, drop_before_sharing=[0, 1])
    assert got.total is None and "shared their secrets" in got.failure


def test_what_the_server_sees_of_a_client_is_not_its_numbers():
    clients = [Client(number, 3, 2, "x25519", 18) for number in range(3)]
    publics = {client.number: client.advertise() for client in clients}
    offers = {client.number: client.offer(publics) for client in clients}
    shares = [c.share({v: offers[v][c.number] for v in publics if v != c.number}) for c in clients]
    zeros = np.zeros(4000, dtype=np.int64)
    masked = [c.mask(zeros, {v: shares[v][c.number] for v in publics if v != c.number}) for c in clients]
    for seen in masked:
        # masks come from the operating system and differ in every run: of 2^18 values, the mean of 4,000 uniform ones
        # is further off than seven standard deviations in fewer than one run of 10^11
        assert abs(seen.mean() / 2**18 - 0.5) < 7 * 0.289 / np.sqrt(4000)
    # nor is a sum of two of three
    assert abs(((masked[0] + masked[1]) % 2**18).mean() / 2**18 - 0.5) < 7 * 0.289 / np.sqrt(4000)


def test_a_client_never_gives_both_secrets_of_another():
    client = Client(0, 2, 2, "x25519", 17)
    with pytest.raises(InvalidValueError, match="dropped"):
        client.unmask([0, 1], [1])
    other = Client(0, 2, 2, "x25519", 17)
    other._held = {number: (b"pairs", b"own") for number in range(2)}
    assert other.unmask([0], [1]) == other.unmask([0], [1]) == {0: b"own", 1: b"pairs"}
    with pytest.raises(InvalidValueError, match="dropped"):
        other.unmask([1], [])


def test_an_altered_share_is_refused():
    clients = [Client(number, 2, 2, "x25519", 17) for number in range(2)]
    publics = {client.number: client.advertise() for client in clients}
    for client in clients:
        client.offer(publics)
    sealed = clients[1].share({})[0]
    clients[0].share({})
    with pytest.raises(InvalidValueError, match="altered"):
        clients[0].mask(np.zeros(2, dtype=np.int64), {1: sealed[:-1] + bytes([sealed[-1] ^ 1])})


def test_bits_on_the_air_equal_the_published_formula():
    for clients, length in ((3, 5), (6, 7)):
        got = secure_sum(numbers(clients, length), 16, 2)
        assert set(got.published_bits.values()) == {client_bits(clients, length)}
        ratio = 256 * (7 * clients - 4) + length * np.ceil(np.log2(clients * (2**16 - 1) + 1))
        assert expansion(clients, length) == ratio / (16 * length)
        assert min(got.sent_bits.values()) > client_bits(clients, length)
    # Bonawitz et al. 2017, section 1: 1.73 for 2^10 clients of 2^20 numbers, 1.98 for 2^14 of 2^24
    assert expansion(2**10, 2**20) == pytest.approx(1.73, abs=0.005)
    assert expansion(2**14, 2**24) == pytest.approx(1.98, abs=0.005)


def test_groups_cost_less_and_hide_less():
    whole, split_up = grouped_cost(200, 142, 200), grouped_cost(200, 142, 20)
    assert (split_up.groups, split_up.largest) == (10, 20)
    assert split_up.client_bits < whole.client_bits / 8 and split_up.server_masks < whole.server_masks
    assert sum(len(group) for group in groups_of(47, 10)) == 47
    with pytest.raises(InvalidValueError, match="alone"):
        groups_of(5, 2)


def test_shares_below_the_threshold_say_nothing_and_any_that_many_say_all():
    secret = (PRIME - 5).to_bytes(32, "big")
    shares = split(secret, 6, 3)
    for chosen in ((0, 1, 2), (5, 3, 1), (2, 4, 5)):
        assert combine({holder: shares[holder] for holder in chosen}, 3) == secret
    with pytest.raises(InvalidValueError, match="threshold"):
        combine({0: shares[0], 1: shares[1]}, 3)
    # with a fixed polynomial, two shares of a line through another secret agree with two of three points
    assert combine({0: shares[0], 1: shares[1]}, 2) != secret


def test_quantised_sums_come_back_within_half_a_step_each():
    values = np.random.default_rng(1).uniform(-0.5, 0.5, (8, 30))
    whole = encode(values, 0.5, 16)
    assert whole.min() >= 0 and whole.max() < 2**16 and modulus_bits(8, 16) == 19
    error = decode_sum(whole.sum(0), 8, 0.5, 16) - values.sum(0)
    assert np.abs(error).max() <= 8 * 0.5 / (2**16 - 1)
    with pytest.raises(InvalidValueError, match="finite"):
        encode(np.array([np.nan]), 1.0, 16)


def test_masks_follow_from_the_secret_alone():
    assert np.array_equal(mask_of(bytes(32), 5), mask_of(bytes(32), 5))
    assert not np.array_equal(mask_of(bytes(32), 5), mask_of(b"\x01" + bytes(31), 5))


def test_bad_arguments_are_refused():
    with pytest.raises(InvalidValueError, match="threshold"):
        secure_sum(numbers(), 16, 1)
    with pytest.raises(InvalidValueError, match="numbers"):
        secure_sum(numbers() + 2**16, 16, 2)
    with pytest.raises(InvalidValueError, match="x25519"):
        secure_sum(numbers(), 16, 2, "rsa-2048")


def test_numbers_without_a_meaning_are_refused():
    for bound, bits in ((0.0, 16), (np.nan, 16), (1.0, 0), (1.0, 53)):
        with pytest.raises(InvalidValueError, match="bound|bits"):
            encode(np.zeros(2), bound, bits)
    with pytest.raises(InvalidValueError, match="clients"):
        client_bits(0, 10)
    for share in (bytes(31), b"\xff" * 32):
        with pytest.raises(InvalidValueError, match="holder 1"):
            combine({0: bytes(32), 1: share}, 2)


def test_cost_of_groups_by_hand():
    # seven clients in groups of four and three
    cost = grouped_cost(7, 10, 4)
    assert (cost.groups, cost.largest, cost.client_agreements, cost.server_masks) == (2, 4, 2 * 3, 7 + 5)
    assert cost.client_bits == client_bits(4, 10)
    assert client_cycles(20) == 2 * 548_873 + 2 * 19 * 548_873
    with pytest.raises(InvalidValueError, match="cycles"):
        client_cycles(20, "rsa-2048")


def test_the_modulus_is_above_the_largest_sum():
    # four clients of one bit sum to four, which two bits do not hold
    assert modulus_bits(4, 1) == 3 and modulus_bits(1, 16) == 16
    assert modulus_bits(2, 62) == 63
    with pytest.raises(InvalidValueError, match="63"):
        modulus_bits(3, 62)


def test_values_beyond_the_bound_count_as_the_bound():
    whole = encode(np.array([-9.0, 0.0, 0.3, 9.0]), 1.0, 4)
    assert whole.tolist() == [0, 8, 10, 15]


def test_every_pair_has_a_secret_of_its_own():
    for exchange in PAIR_EXCHANGES:
        first, second = PairKeys(exchange, 0, bytes(32)), PairKeys(exchange, 1, b"\x01" * 32)
        # the others' keys are the same: what differs is who they are
        secrets = [first.with_other(other, second.public) for other in (1, 2)]
        assert len(set(secrets)) == 2
    first = PairKeys("ml-kem-768", 0, bytes(32))
    second = PairKeys("ml-kem-768", 1, b"\x01" * 32)
    offer = first.offer(1, second.public)
    assert second.with_other(0, first.public, offer) == first.with_other(1, second.public)
    assert second.offer(0, first.public) == b""
    # what the second one is sent is of no use for the secret of another pair
    sent = decrypt(second._key.decapsulate(offer[:1088]), bytes(12), offer[1088:])
    assert derive(sent, b"pair 0 1") == first.with_other(1, second.public)
    assert derive(sent, b"pair 0 2") != first.with_other(2, second.public)
    with pytest.raises(InvalidValueError, match="client 1"):
        second.with_other(0, first.public, offer[:-1] + bytes([offer[-1] ^ 1]))


def test_secrets_that_shares_cannot_hold_are_drawn_again(monkeypatch):
    drawn = iter([PRIME.to_bytes(32, "big"), b"\xff" * 32, (PRIME - 1).to_bytes(32, "big")])
    monkeypatch.setattr(pair_keys.os, "urandom", lambda size: next(drawn))
    assert pair_keys.fresh_secret() == (PRIME - 1).to_bytes(32, "big")
    with pytest.raises(InvalidValueError, match="prime"):
        split(PRIME.to_bytes(32, "big"), 3, 2)
    for threshold in (0, 4):
        with pytest.raises(InvalidValueError, match="threshold"):
            split(bytes(32), 3, threshold)


def test_the_field_of_shares_is_that_of_the_largest_prime_of_256_bits():
    # by Fermat's test, which no composite number of this size passes by accident in five bases
    assert all(pow(base, PRIME - 1, PRIME) == 1 for base in (2, 3, 5, 7, 11))
    assert all(pow(2, number - 1, number) != 1 for number in range(PRIME + 2, 2**256, 2))


def test_who_shares_nothing_is_given_nothing_and_who_drops_out_sends_less():
    got = secure_sum(numbers(5), 16, 2, drop_before_sharing=[0], drop_before_sending=[1], drop_before_unmasking=[2])
    bits = [got.published_bits[number] for number in range(5)]
    keys, share, sums = 2 * 5 * 256, 2 * 256, 7 * modulus_bits(5, 16)
    # four to all others, and from the three others who did likewise; then masked numbers; then a share per sharer
    assert bits == [keys, keys + 7 * share, keys + 7 * share + sums, *[keys + 7 * share + sums + 4 * 256] * 2]
    assert [sent - published for sent, published in zip(got.sent_bits.values(), bits, strict=True)] == [
        0,
        *[7 * 8 * 16] * 4,
    ]


def test_pairs_of_ml_kem_exchange_messages_in_both_directions():
    got = secure_sum(numbers(3), 16, 2, "ml-kem-768")
    # two keys of 1,184 bytes of each, and messages of 1,088 + 48 bytes for masks and shares of both pairs
    more = 8 * 2 * (3 * (1184 - 32) + 2 * (1088 + 48))
    assert {sent - plain for sent, plain in zip(got.sent_bits.values(), sent_by_x25519(), strict=True)} == {more}


@pytest.mark.parametrize("exchange", PAIR_EXCHANGES)
def test_bits_are_those_that_are_sent_but_for_tags_of_shares(exchange):
    sent = secure_sum(numbers(4), 16, 2, exchange).sent_bits
    # four shares of both secrets go out and come in, each encrypted
    assert set(sent.values()) == {client_bits(4, 7, 16, exchange) + 8 * 16 * 2 * 3}


def sent_by_x25519():
    return secure_sum(numbers(3), 16, 2).sent_bits.values()


@pytest.mark.parametrize("wrong", [-1, 2**16, 0.5, np.nan, np.inf])
def test_numbers_that_do_not_fit_are_refused(wrong):
    values = numbers(3).astype(float)
    values[1, 2] = wrong
    with pytest.raises(InvalidValueError, match="numbers"):
        secure_sum(values, 16, 2)
