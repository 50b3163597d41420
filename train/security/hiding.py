"""What messages of sums tell of the numbers in them: nothing, if all proper subsets of the messages are uniform."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import chisquare

from qfl_envs.system.security.aggregation_cost import client_bits
from qfl_envs.system.security.ghz_sum import ghz_sum, measure, states_needed
from qfl_envs.system.security.quantisation import modulus_bits
from qfl_envs.system.security.secure_aggregation import Client, secure_sum

BITS = 16
LEVEL = 0.01
"""Of the test, if none is named: that share of uniform messages is found uneven by chance."""
VISIBILITY = 0.95
"""Of imperfect states."""


def ghz_messages(numbers: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(m, n) bool, outcomes of the first state for each coordinate of numbers (n, m): lowest bits of the sum."""
    phase = np.pi * (numbers % 2).sum(0)
    return measure(phase, len(numbers), 1.0, generator)


def masked_messages(numbers: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(m, n) bool, highest bits of what clients of pairwise masking really send for numbers (n, m)."""
    count, bits = len(numbers), modulus_bits(len(numbers), BITS)
    clients = [Client(number, count, count, "x25519", bits) for number in range(count)]
    publics = {client.number: client.advertise() for client in clients}
    offers = {client.number: client.offer(publics) for client in clients}
    shares = {
        client.number: client.share(
            {other: offers[other][client.number] for other in publics if other != client.number}
        )
        for client in clients
    }
    sent = [
        client.mask(
            numbers[client.number],
            {other: shares[other][client.number] for other in publics if other != client.number},
        )
        for client in clients
    ]
    return np.stack(sent, axis=1) >> np.uint64(bits - 1) == 1


def plain_messages(numbers: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(m, n) bool, highest bits of the numbers themselves."""
    return numbers.T >> (BITS - 1) == 1


MESSAGES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "ghz": ghz_messages,
    "masked": masked_messages,
    "plain": plain_messages,
}


def uniform(messages: np.ndarray, level: float = LEVEL) -> bool:
    """Whether a chi-squared test of that level finds nothing in messages (m, k) bool of k clients, taken together."""
    cells = messages @ (1 << np.arange(messages.shape[1]))
    return bool(chisquare(np.bincount(cells, minlength=2 ** messages.shape[1])).pvalue >= level)


def subsets_uniform(
    name: str, clients: int, samples: int, generator: np.random.Generator, level: float = LEVEL
) -> float:
    """Share of the proper subsets of so many clients' messages in which a test of that level finds nothing.

    Every client's number is the same in all samples, so that whatever a message tells of it shows. Subsets share
    messages: where one is found uneven by chance, several are.
    """
    held = generator.integers(0, 2**BITS, clients)
    messages = MESSAGES[name](np.repeat(held[:, None], samples, axis=1), generator)
    subsets = [[bit for bit in range(clients) if mask >> bit & 1] for mask in range(1, 2**clients - 1)]
    return float(np.mean([uniform(messages[:, subset], level) for subset in subsets]))


def exact_sums(name: str, clients: int, length: int, generator: np.random.Generator) -> float:
    """Share of the coordinates whose sum, as the server finds it, is right."""
    numbers = generator.integers(0, 2**BITS, (clients, length))
    true, bits = numbers.sum(0), modulus_bits(clients, BITS)
    if name == "plain":
        found = numbers.sum(0)
    elif name == "masked":
        total = secure_sum(numbers, BITS, clients).total
        found = np.zeros(0) if total is None else total.astype(np.int64)
    else:
        visibility = VISIBILITY if name == "noisy ghz" else 1.0
        found = ghz_sum(numbers[None], bits, generator, visibility)[0]
    return float((found == true).mean())


def bits_per_client(name: str, clients: int, length: int) -> int:
    """Bits and qubits that go to and from a client for one sum; a state is a qubit in and an outcome out."""
    if name == "plain":
        return length * BITS
    if name == "masked":
        return client_bits(clients, length, BITS)
    return 2 * states_needed(length, modulus_bits(clients, BITS))
