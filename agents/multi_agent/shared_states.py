"""What devices share before they decide: entangled chains over the devices of a cluster.

For each of its shared qubits a device holds one end of a chain: a Hadamard gate on the first device's qubit, then CNOTs
from device to device, which leaves a Greenberger-Horne-Zeilinger state, or a Bell pair of two devices. The four kinds
are those of eQMARL (DeRieux & Saad 2025, ICLR, arXiv 2405.17486): ``psi`` has an X on each target, ``minus`` a Z on the
first device's qubit. All chains of a cluster together are a sum over the values b of one device's shared qubits::

    2^(-e/2) sum_b s_b |b + f_1> |b + f_2> ... |b + f_n>

with f_i all ones on every second device of a ``psi`` chain and else zero, and s_b = (-1)^|b| for ``minus``, else 1. The
sum has 2^e terms, however many devices there are: that is why all that follows is exact and cheap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qfl_envs.errors import InvalidValueError

CHAINS = ("phi+", "psi+", "phi-", "psi-", "product")
"""Kinds of shared states; ``"product"`` has every qubit in |0>, the control without shared entanglement."""


@dataclass(frozen=True)
class SharedState:
    """The state that the devices of one cluster begin with.

    Attributes:
        chain: One of :data:`CHAINS`.
        num_devices: Devices n of the cluster.
        num_shared: Shared qubits e of each device, on its first wires; its other qubits are in |0>.
    """

    chain: str
    num_devices: int
    num_shared: int

    def __post_init__(self) -> None:
        """Refuse what is no such state.

        Raises:
            InvalidValueError: Naming the field, its value and what is allowed.
        """
        if self.chain not in CHAINS:
            raise InvalidValueError("chain", self.chain, CHAINS)
        if self.num_devices < 1:
            raise InvalidValueError("num_devices", self.num_devices, "at least 1")
        if self.num_shared < 1:
            raise InvalidValueError("num_shared", self.num_shared, "at least 1 qubit per device")

    @property
    def num_entangled(self) -> int:
        """Qubits of each device that are entangled with those of others: e, or 0 in the control."""
        return 0 if self.chain == "product" else self.num_shared

    @property
    def num_terms(self) -> int:
        """Terms T of the sum: 2^e, or 1 without entanglement."""
        return int(2**self.num_entangled)

    def amplitudes(self) -> np.ndarray:
        """(T) amplitude of each term."""
        if self.chain == "product":
            return np.ones(1)
        ones = np.array([term.bit_count() for term in range(self.num_terms)])
        signs = (-1.0) ** ones if self.chain.endswith("-") else np.ones(self.num_terms)
        return signs * 2.0 ** (-self.num_shared / 2)

    def expectation(self, operators: Tensor) -> Tensor:
        """Expectation of a product of one Hermitian operator per device, in O(n 4^e) instead of 2^(n d).

        Args:
            operators: (..., n, T, T) complex, <b|A_i|b'> for all values b, b' of the device's shared qubits, its own
                qubits in |0>; all ones for a place that no device has, which leaves the chain of the others.

        Returns:
            (...) real: sum_{t,t'} c_t c_t' prod_i <b_i(t)|A_i|b_i(t')>, with the amplitudes c of the terms t
            and b_i(t) what device i has in them.
        """
        product = self.ordered(operators, 0)
        for device in range(1, self.num_devices):
            product = product * self.ordered(operators, device)
        return (product.real * self.weights(product)).sum((-2, -1))

    def ordered(self, operators: Tensor, device: int) -> Tensor:
        """(..., T, T) one device's operator, of (..., n, T, T), in the order of the terms."""
        operator = operators[..., device, :, :]
        return operator.flip(-2, -1) if self.chain.startswith("psi") and device % 2 == 1 else operator

    def weights(self, like: Tensor) -> Tensor:
        """(T, T) products of the amplitudes of two terms, real, in the precision of another tensor."""
        amplitudes = torch.tensor(self.amplitudes(), dtype=like.real.dtype, device=like.device)
        return amplitudes[:, None] * amplitudes


@dataclass(frozen=True)
class Clusters:
    """Devices in clusters of neighbours: the first n, the next n, and a last cluster of those who are left.

    Attributes:
        num_devices: All devices N.
        size: Devices n of a cluster.
    """

    num_devices: int
    size: int

    def __post_init__(self) -> None:
        """Refuse clusters that cannot be.

        Raises:
            InvalidValueError: For a size outside 1 to N.
        """
        if not 1 <= self.size <= self.num_devices:
            raise InvalidValueError("cluster_size", self.size, f"1 to {self.num_devices}, the number of devices")

    @property
    def count(self) -> int:
        """Clusters G."""
        return -(-self.num_devices // self.size)

    def split(self, values: Tensor, dim: int, fill: float) -> Tensor:
        """Axis ``dim``, counted from the end, of length N as two of lengths G and n; places of nobody are filled."""
        missing = self.count * self.size - self.num_devices
        if missing:
            shape = list(values.shape)
            shape[dim] = missing
            values = torch.cat([values, values.new_full(shape, fill)], dim=dim)
        return values.unflatten(dim, (self.count, self.size))

    def join(self, values: Tensor) -> Tensor:
        """The last two axes, of lengths G and n, as one of length N."""
        return values.flatten(-2)[..., : self.num_devices]
