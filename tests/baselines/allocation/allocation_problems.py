"""Instances to test allocators on."""

import itertools

import numpy as np

from baselines.allocation.problem import Allocation, AllocationProblem
from qfl_envs.scenario import Radio


def make_problem(seed=0, instances=3, devices=5, cells=1, subchannels=2, may_idle=True, snr_db=(0.0, 35.0), **radio):
    """Instances with full-power SNR at the own cell uniform in dB, and weaker links to other cells."""
    rng = np.random.default_rng(seed)
    limits = Radio(num_cells=cells, num_subchannels=subchannels, **radio)
    noise_over_power = limits.noise_w / 10 ** ((limits.max_power_dbm - 30) / 10)
    serving = rng.integers(cells, size=(instances, devices))
    own = rng.uniform(*snr_db, size=(instances, devices, 1)) + rng.normal(0, 3, (instances, devices, subchannels))
    snr_db_all = own[:, :, None] - rng.uniform(3.0, 20.0, (instances, devices, cells, 1))
    np.put_along_axis(snr_db_all, serving[..., None, None], own[:, :, None], axis=2)
    gain = noise_over_power * 10 ** (snr_db_all / 10)
    return AllocationProblem(gain, serving, np.ones((instances, devices), dtype=bool), limits, may_idle)


def every_allocation(problem, powers_w=None):
    """All D allocations of one instance with these powers (least and most if not given), as arrays (D, N)."""
    powers_w = (problem.min_power_w, problem.max_power_w) if powers_w is None else powers_w
    options = [(True, k, p) for k in range(problem.num_subchannels) for p in powers_w]
    if problem.may_idle:
        options.append((False, 0, 0.0))
    table = np.array(list(itertools.product(options, repeat=problem.num_devices)))
    return Allocation(table[..., 0] > 0, table[..., 1].astype(int), table[..., 2])


def repeated(problem, instance, times):
    """The same instance a number of times."""
    take = np.full(times, instance)
    return AllocationProblem(
        problem.gain[take], problem.serving[take], problem.available[take], problem.radio, problem.may_idle
    )


def best_of_all(problem, powers_w=None, allowed=None):
    """(B) largest sum-rate over all allocations, or over those that ``allowed`` says (D) of."""
    found = []
    for b in range(problem.num_instances):
        every = every_allocation(problem, powers_w)
        if allowed is not None:
            keep = allowed(every)
            every = Allocation(every.participate[keep], every.subchannel[keep], every.power_w[keep])
        found.append(repeated(problem, b, len(every.subchannel)).sum_rate_bps(every).max())
    return np.array(found)
