"""Contraction of matrix product states, batched over clients and samples and differentiable by torch."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST = 1e-12
"""Mean square below which a vector is taken for zero, which has no direction."""


def readouts(edges: Tensor, cores: Tensor, inputs: Tensor) -> Tensor:
    """What meets in the middle of the chain.

    Args:
        edges: (C, 2, 2, D), as :class:`qfl_envs.quantum.tensor_network.MatrixProductState` shapes them.
        cores: (C, F - 2, 2, D, D).
        inputs: (C, S, F) features as angles in rad.

    Returns:
        (C, S, D^2): products of the D numbers from the left and the D from the right, the right ones fastest. Their
        mean square is 1, so that none is above D.
    """
    local = torch.stack([(inputs / 2).cos(), (inputs / 2).sin()], dim=-1)
    ends = [local[:, :, place] @ edges[:, side] for side, place in ((0, 0), (1, -1))]
    # one product per core: of the joint vector (S, 2 D) of feature and bond with the core as a matrix (2 D, D)
    matrices = cores.flatten(2, 3)
    middle = cores.shape[1] // 2
    for side, places in ((0, range(middle)), (1, reversed(range(middle, cores.shape[1])))):
        for place in places:
            joint = local[:, :, place + 1, :, None] * ends[side][:, :, None]
            ends[side] = torch.bmm(joint.flatten(2), matrices[:, place])
    left, right = (end * torch.rsqrt(end.square().mean(-1, keepdim=True) + LEAST) for end in ends)
    return (left[..., None] * right[:, :, None]).flatten(2)
