import numpy as np
import pytest
from allocation_instances import problem

from agents.qaoa.blocks import MAX_BLOCK, block_cost, deal, descend, greedy_start
from agents.qaoa.power import switched, values_bps
from baselines.allocation.problem import Allocation
from qfl_envs.errors import InvalidValueError


def exact(cost):
    return np.array(np.unravel_index(cost.argmin(), cost.shape[1:]))


def with_choice(allocation, block, choice, idle):
    participate, subchannel = allocation.participate.copy(), allocation.subchannel.copy()
    participate[0, block] = choice < idle
    subchannel[0, block] = np.where(choice < idle, choice, 0)
    return Allocation(participate, subchannel, allocation.power_w)


@pytest.mark.parametrize("cells", [1, 2])
@pytest.mark.parametrize("may_idle", [True, False])
def test_every_entry_of_a_block_is_the_true_sum_rate(cells, may_idle):
    available = [True, True, False, True, True, True, True]
    instance = problem(7, 3, cells, may_idle, available=available, sinr_cap_db=25.0)
    current, block = greedy_start(instance), [4, 2, 0]
    cost = block_cost(instance, current, block)[0]
    assert cost.shape == (3 + may_idle,) * 3
    for choice in np.ndindex(cost.shape):
        value = values_bps(instance, with_choice(current, block, np.array(choice), 3))[0]
        assert cost[choice] == pytest.approx(-value / instance.radio.subchannel_hz, rel=1e-9)


def test_a_quadratic_block_is_exact_until_three_meet():
    instance = problem(6, 2)
    current, block = greedy_start(instance), [0, 1, 2]
    whole, quadratic = (block_cost(instance, current, block, order)[0] for order in (None, 2))
    for choice in np.ndindex(whole.shape):
        meet = len(set(choice)) == 1 and choice[0] < 2
        assert (abs(whole[choice] - quadratic[choice]) < 1e-9) != meet


def test_no_sweep_lowers_the_sum_rate_and_every_device_has_its_turn():
    instance = problem(12, 4, seed=2)
    blocks = deal(instance, np.random.default_rng(0), 5)
    assert sorted(np.concatenate(blocks).tolist()) == list(range(12))
    values = [
        values_bps(instance, descend(instance, exact, np.random.default_rng(0), 3, sweeps))[0] for sweeps in range(5)
    ]
    assert values == sorted(values)
    assert values[-1] > values[0]


def test_a_worse_proposal_is_not_taken():
    instance = problem(8, 3)
    found = descend(instance, lambda cost: np.full(cost.ndim - 1, 3), np.random.default_rng(0), 3, 2)
    start = greedy_start(instance)
    assert values_bps(instance, found)[0] >= values_bps(instance, start)[0] > 0


def test_a_block_of_all_devices_is_solved_to_the_optimum():
    instance = problem(4, 2, seed=5)
    found = values_bps(instance, descend(instance, exact, np.random.default_rng(0), 4, 1))[0]
    choices = np.array(list(np.ndindex(3, 3, 3, 3)))
    assert found == pytest.approx(values_bps(instance, switched(instance, choices)).max())


def test_power_control_never_loses_against_full_power():
    instance = problem(8, 3)
    choices = np.random.default_rng(0).integers(3, size=(50, 8))
    full = Allocation(np.ones((50, 8), dtype=bool), choices, np.full((50, 8), instance.max_power_w))
    assert (values_bps(instance, switched(instance, choices)) >= values_bps(instance, full) - 1e-6).all()
    assert not switched(instance, np.full((1, 8), 3)).participate.any()


def test_who_must_transmit_does_so_at_least_power():
    instance = problem(8, 3, may_idle=False)
    allocation = switched(instance, np.zeros((1, 8), dtype=int))
    assert allocation.participate.all()
    assert set(np.unique(allocation.power_w)) == {instance.min_power_w, instance.max_power_w}


@pytest.mark.parametrize("block", [[], [1, 1], list(range(MAX_BLOCK + 1))])
def test_blocks_that_make_no_sense_are_refused(block):
    instance = problem(9, 2)
    with pytest.raises(InvalidValueError, match=f"1 to {MAX_BLOCK} different devices"):
        block_cost(instance, greedy_start(instance), block)
