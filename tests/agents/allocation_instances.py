"""Small allocation problems."""

import numpy as np

from baselines.allocation.problem import AllocationProblem
from qfl_envs.scenario import Radio


def problem(devices=6, subchannels=3, cells=1, may_idle=True, seed=0, available=None, **radio):
    rng = np.random.default_rng(seed)
    gain = 10 ** rng.uniform(-12, -9, (1, devices, cells, 1)) * rng.exponential(1, (1, devices, cells, subchannels))
    limits = Radio(num_subchannels=subchannels, num_cells=cells, **radio)
    can = np.ones((1, devices), dtype=bool) if available is None else np.asarray(available)[None]
    return AllocationProblem(gain, gain.mean(-1).argmax(-1), can, limits, may_idle)
