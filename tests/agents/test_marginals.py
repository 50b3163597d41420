import numpy as np
import pytest
from allocation_instances import problem
from one_hot_problems import diagonal, random_quadratic

from agents import Angles, OneHotQAOA
from agents.qaoa.marginals import marginals, spread
from agents.qaoa.projection import project, switched_qubo
from qfl_envs.errors import InvalidValueError

ANGLES = Angles(np.array([0.7]), np.array([-0.4]))


def random_start(instances, devices, options, seed=4):
    start = np.random.default_rng(seed).random((instances, devices, options))
    return start / start.sum(-1, keepdims=True)


@pytest.mark.parametrize("warm", [False, True])
def test_marginals_are_those_of_the_whole_state(warm):
    quadratic = random_quadratic(2, 4, 3)
    start = random_start(2, 4, 3) if warm else None
    parts = None if start is None else [start[:, i] for i in range(4)]
    circuit = OneHotQAOA(diagonal(quadratic), start=parts, scale=spread(quadratic, start), precision="double")
    whole, found = circuit.probabilities(ANGLES), marginals(quadratic, ANGLES, start)
    assert np.allclose(found.sum(-1), 1.0)
    for device in range(4):
        others = tuple(axis for axis in range(1, 5) if axis != device + 1)
        assert np.abs(whole.sum(others) - found[:, device]).max() < 1e-12


@pytest.mark.parametrize("warm", [False, True])
def test_the_spread_is_that_of_all_choices(warm):
    quadratic, cost = random_quadratic(2, 4, 3), diagonal(random_quadratic(2, 4, 3))
    start = random_start(2, 4, 3) if warm else np.full((2, 4, 3), 1 / 3)
    weight = np.einsum("ba,bc,bd,be->bacde", *[start[:, i] for i in range(4)])
    mean = (weight * cost).sum((1, 2, 3, 4))
    second = (weight * cost**2).sum((1, 2, 3, 4))
    assert np.allclose(spread(quadratic, start if warm else None), np.sqrt(second - mean**2))


def test_permuting_devices_permutes_the_marginals():
    quadratic = random_quadratic(1, 5, 3)
    order = np.array([3, 0, 4, 1, 2])
    permuted = type(quadratic)(quadratic.linear[:, order], quadratic.pair[:, order][:, :, order])
    assert np.allclose(marginals(permuted, ANGLES), marginals(quadratic, ANGLES)[:, order])


def test_a_flat_energy_and_a_single_option_have_defined_marginals():
    for devices, options in ((3, 4), (1, 1), (3, 1)):
        flat = type(random_quadratic(1, 1, 1))(
            np.zeros((1, devices, options)), np.zeros((1, devices, devices, options))
        )
        assert np.allclose(marginals(flat, ANGLES), 1 / options)


def test_more_layers_than_one_are_refused():
    with pytest.raises(InvalidValueError, match="depth of marginals at full scale is 2; allowed: 1"):
        marginals(random_quadratic(1, 2, 2), Angles(np.ones(2), np.ones(2)))


def test_the_projection_is_the_least_squares_fit_by_terms_of_one_and_two_devices():
    """On one of three sub-channels, where each of four devices is with probability 1 / 3."""
    rates = np.random.default_rng(3).uniform(0, 10, (4, 3))
    linear, pair = project(rates)
    present = np.array(list(np.ndindex(2, 2, 2, 2)))
    worth = (present * rates[:, 0]).max(1)
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    basis = np.column_stack([np.ones(16), present, *(present[:, i] * present[:, j] for i, j in pairs)])
    root_weight = np.sqrt((1 / 3) ** present.sum(1) * (2 / 3) ** (4 - present.sum(1)))[:, None]
    fitted = np.linalg.lstsq(root_weight * basis, root_weight[:, 0] * worth, rcond=None)[0]
    assert np.allclose(-linear[:, 0], fitted[1:5])
    assert np.allclose([-pair[i, j, 0] for i, j in pairs], fitted[5:])


def test_what_a_device_adds_by_itself_is_its_mean_effect():
    """Independent presence with probability 1 / 2 of two devices on one of two sub-channels, by hand."""
    rates = np.array([[4.0, 0.0], [2.0, 0.0]])
    linear, pair = project(rates)
    # the stronger adds 4 - 2 / 2, the weaker 2 / 2; both together 2 less than each alone
    assert pair[0, 1, 0] == pair[1, 0, 0] == 2.0
    assert linear[:, 0].tolist() == [-4.0, -2.0]
    assert not linear[:, 1].any()


def test_devices_of_different_cells_are_apart_and_what_is_held_does_not_count():
    instance = problem(devices=8, cells=2)
    quadratic = switched_qubo(instance)
    apart = instance.serving[0][:, None] != instance.serving[0]
    assert apart.any()
    assert not quadratic.pair[0][apart].any()
    everything = instance.alone_rate_bps().max() * np.ones((1, 2, 3))
    nothing_left = switched_qubo(instance, everything)
    assert not nothing_left.linear.any()
    assert not nothing_left.pair.any()


def test_turns_are_refused():
    with pytest.raises(InvalidValueError, match="'interference'"):
        switched_qubo(problem(access="time_share"))
