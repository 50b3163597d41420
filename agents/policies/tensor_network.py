"""A matrix product state in the place of a policy's circuit: inspired by quantum states, and run without any circuit.

It reads the same angles as the circuit does, one per tensor, and is no control in the strict sense: the first layer and
the squashing are those of the circuit, the tensors are classical parameters that learn at the rate of classical layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agents.parameters import refuse_other_shapes
from agents.policies.network import Network
from qfl_envs.quantum import contraction
from qfl_envs.quantum.tensor_network import MatrixProductState


class TensorNetwork(Network):
    """A chain of tensors behind the first layer, and where it decides itself, the tensor with the actions."""

    def __init__(self, features: int, chain: MatrixProductState, actions: int | None = None) -> None:
        """Make it; the chain begins near the identity.

        Args:
            features: Numbers that come in.
            chain: Its description, with a feature per qubit of the circuit that it stands for.
            actions: Outputs of a last layer of its own, the tensor with the label in the middle of the chain; None to
                give the numbers that meet there.
        """
        super().__init__(features, chain.num_features)
        self.chain = chain
        self.edges, self.cores = (nn.Parameter(_initial(chain, name)) for name in ("edges", "cores"))
        self.label = nn.Identity() if actions is None else nn.Linear(chain.num_readouts, actions)
        self.width = chain.num_readouts if actions is None else actions

    def behind(self, first: Tensor) -> Tensor:
        """What follows the first layer."""
        angles = torch.atan(first).reshape(1, -1, self.chain.num_features)
        read: Tensor = self.label(contraction.readouts(self.edges[None], self.cores[None], angles)[0])
        return read.view(*first.shape[:-1], self.width)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *arguments: Any) -> None:
        """Refuse weights of another chain.

        Raises:
            InvalidValueError: Naming the weights, their shape and that of the chain.
        """
        whose = f"{self.chain.num_features} features with bonds of {self.chain.bond_dimension}"
        refuse_other_shapes(state_dict, prefix, self.chain.shape(), whose)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def _initial(chain: MatrixProductState, name: str) -> Tensor:
    shape = chain.shape()[name]
    return torch.as_tensor(chain.initial(name, torch.rand(int(np.prod(shape))).numpy())).float().view(shape)


def matched_chain(num_features: int, parameters: int, outputs: int) -> MatrixProductState:
    """The chain that has, with a linear layer behind it, about as many parameters as another network.

    Args:
        num_features: Of the chain.
        parameters: To match.
        outputs: Of the linear layer.
    """

    def excess(bond: int) -> int:
        chain = MatrixProductState(num_features, bond)
        tensors = sum(int(np.prod(shape)) for shape in chain.shape().values())
        return tensors + (chain.num_readouts + 1) * outputs - parameters

    larger = next(bond for bond in count(2) if excess(bond) >= 0)
    nearest = min((bond for bond in (larger - 1, larger) if bond >= 2), key=lambda bond: abs(excess(bond)))
    return MatrixProductState(num_features, nearest)
