"""A matrix product state that reads features: a learner inspired by quantum states, defined once and without torch.

Every feature x is a qubit in the state cos(x/2) |0> + sin(x/2) |1>, which RY(x) makes of |0>: the local map of
Stoudenmire & Schwab 2016 (NeurIPS 29). A chain of tensors, one per feature, is contracted with these states from both
ends to its middle, where the tensor with the label is::

    edge -- core -- core --[ label ]-- core -- core -- edge
     |       |       |        |         |       |       |
    x_1     x_2     x_3    classes     x_4     x_5     x_6

What meets there are two vectors of D numbers, the bond dimension. Their products are what
:mod:`qfl_envs.quantum.contraction` reads out, and the label tensor is a dense layer on these D^2 numbers. The two
vectors are normalised first, as states are, to a mean square of 1, so that readouts have a scale of their own whatever
the tensors have grown to. D bounds what the halves can tell about each other, as it bounds the entanglement of a state.
It takes of the order of F D^2 multiplications a sample, where a simulated circuit takes 2^F.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qfl_envs.errors import InvalidValueError

NOISE = 0.5
"""Size of the random part of a core at the start, relative to the identity that it begins near."""


@dataclass(frozen=True)
class MatrixProductState:
    """Description of a chain.

    Attributes:
        num_features: F, at least 2: the two edges.
        bond_dimension: D, at least 2: the direction of fewer numbers says nothing.
    """

    num_features: int
    bond_dimension: int

    def __post_init__(self) -> None:
        """Refuse a chain without two edges or without bonds.

        Raises:
            InvalidValueError: Naming the field, its value and what is allowed.
        """
        if self.num_features < 2:
            raise InvalidValueError("num_features", self.num_features, "at least 2, the edges of the chain")
        if self.bond_dimension < 2:
            raise InvalidValueError("bond_dimension", self.bond_dimension, "at least 2")

    def shape(self) -> dict[str, tuple[int, ...]]:
        """Tensors by name: ``edges`` (2, 2, D), first and last feature, and ``cores`` (F - 2, 2, D, D) in between.

        The second axis is the basis state of the feature; bonds point from the nearer end to the middle.
        """
        bond = self.bond_dimension
        return {"edges": (2, 2, bond), "cores": (self.num_features - 2, 2, bond, bond)}

    @property
    def num_readouts(self) -> int:
        """D^2."""
        return self.bond_dimension**2

    def initial(self, name: str, uniform: np.ndarray) -> np.ndarray:
        """A tensor at the start, flat.

        Cores begin near the identity where a feature is 0, so that a chain of any length hands on what it has read,
        and with a random matrix where it is not, so that all features count. Edges are random of about unit length.

        Args:
            name: ``"edges"`` or ``"cores"``.
            uniform: (..., size of the tensor) numbers uniform in [0, 1).
        """
        bond = self.bond_dimension
        noise = np.sqrt(3.0 / bond) * (2 * uniform - 1)
        if name == "edges":
            return noise
        identity = np.zeros(self.shape()["cores"])
        identity[:, 0] = np.eye(bond)
        return NOISE * noise + identity.ravel()
