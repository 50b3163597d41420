"""How likely a device idles, and takes each of its other options, before anything is learned."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def first_logits(num_options: int, idle_probability: float, later_options: float) -> Tensor:
    """Logits (num_options) at the start.

    Args:
        num_options: Options of a device, at least 2; option 0 is to idle.
        idle_probability: How likely that is.
        later_options: How likely each option after the second is, compared with the one before it.
    """
    working = torch.arange(num_options - 1) * math.log(later_options)
    idle = working.logsumexp(0) + math.log(idle_probability / (1 - idle_probability))
    return torch.cat([idle[None], working])
