"""What all networks have in common that stand where other policies have hidden layers: a first layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """A network behind a first layer, which is left out where there are as many features as qubits.

    Attributes:
        width: Numbers that come out.
    """

    width: int

    def __init__(self, features: int, num_qubits: int) -> None:
        """Make the first layer."""
        super().__init__()
        self.pre = nn.Identity() if features == num_qubits else nn.Linear(features, num_qubits)

    def forward(self, features: Tensor) -> Tensor:
        """(..., features) -> (..., width)."""
        return self.behind(self.pre(features))

    def of_each(self, own: Tensor) -> Tensor:
        """The network on each of many beside the mean of all, (..., N, F) -> (..., N, width).

        It is what :meth:`forward` makes of both side by side, 2 F features, but the mean is multiplied once.
        """
        mean = own.mean(-2, keepdim=True)
        if isinstance(self.pre, nn.Identity):
            return self.behind(torch.cat([own, mean.expand_as(own)], dim=-1))
        of_own, of_mean = self.pre.weight.chunk(2, dim=1)
        linear = nn.functional.linear
        return self.behind(linear(own, of_own) + linear(mean, of_mean, self.pre.bias))

    def behind(self, first: Tensor) -> Tensor:
        """What follows the first layer: (..., num_qubits) -> (..., width)."""
        raise NotImplementedError
