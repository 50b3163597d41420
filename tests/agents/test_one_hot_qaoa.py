import numpy as np
import pytest
from one_hot_problems import diagonal, full_statevector, random_quadratic
from scipy.linalg import expm

from agents import Angles, OneHotQAOA
from agents.qaoa import one_hot
from agents.qaoa.angles import linear_ramp, transferred
from agents.qaoa.tuning import OnlineAngles, optimise
from qfl_envs.errors import InvalidValueError

ANGLES = Angles(np.array([0.4, 0.9]), np.array([-0.7, -0.3]))


def random_cost(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def in_spreads(circuit, angles):
    """Mean cost in units of each system's standard deviation, from its mean over all choices."""
    centre = circuit.cost.reshape(len(circuit.cost), -1).mean(1)
    return float(((circuit.expectation(angles) - centre) / circuit.scale).mean())


@pytest.mark.parametrize("options", [(3, 3, 3), (4, 3, 2), (2, 2, 2, 2, 2, 2), (5, 4, 3)])
def test_the_state_is_that_of_all_qubits(options):
    cost = random_cost(1, *options)
    state = OneHotQAOA(cost, precision="double").state(ANGLES)[0]
    full = full_statevector(cost[0], ANGLES, cost.std())
    inside = full[np.ix_(*[1 << np.arange(size) for size in options])]
    assert abs(np.vdot(inside, state)) == pytest.approx(1.0, abs=1e-9)
    assert np.linalg.norm(full) - np.linalg.norm(inside) == pytest.approx(0.0, abs=1e-9)


def test_single_precision_is_close_to_double():
    cost = random_cost(3, 6, 6, 6)
    single, double = (OneHotQAOA(cost, precision=one).probabilities(ANGLES) for one in ("single", "double"))
    assert single.dtype == np.float32
    assert np.abs(single - double).max() < 1e-6


def test_a_warm_start_is_the_mixer_that_leaves_it_alone():
    cost, rng = random_cost(2, 3, 4), np.random.default_rng(1)
    start = [rng.random((2, size)) for size in (3, 4)]
    circuit = OneHotQAOA(cost, start=start, precision="double")
    for system in range(2):
        vectors = [np.sqrt(part[system] / part[system].sum()) for part in start]
        state = np.outer(*vectors).astype(complex)
        for gamma, beta in zip(ANGLES.gamma, ANGLES.beta, strict=True):
            state = np.exp(-1j * gamma * cost[system] / cost[system].std()) * state
            first, second = (expm(-1j * beta * len(v) * np.outer(v, v)) for v in vectors)
            state = first @ state @ second.T
        assert abs(np.vdot(state, circuit.state(ANGLES)[system])) == pytest.approx(1.0, abs=1e-9)


def test_options_of_probability_0_stay_closed():
    start = [np.array([[1.0, 1.0, 0.0]]), np.ones((1, 3))]
    circuit = OneHotQAOA(random_cost(1, 3, 3), start=start)
    assert circuit.probabilities(ANGLES)[0, 2].sum() == 0
    assert (circuit.sample(ANGLES, 200, [np.random.default_rng(0)])[..., 0] < 2).all()


def test_systems_do_not_see_each_other():
    cost = random_cost(3, 4, 4)
    together = OneHotQAOA(cost).probabilities(ANGLES)
    for system in range(3):
        assert np.allclose(together[system], OneHotQAOA(cost[[system]]).probabilities(ANGLES)[0], atol=1e-7)


def test_each_system_can_have_its_own_angles():
    cost = random_cost(2, 4, 4)
    own = Angles(np.array([[0.3], [0.8]]), np.array([[-0.2], [-0.5]]))
    found = OneHotQAOA(cost).probabilities(own)
    for system in range(2):
        alone = Angles(own.gamma[system], own.beta[system])
        assert np.allclose(found[system], OneHotQAOA(cost[[system]]).probabilities(alone)[0], atol=1e-7)


def test_permuting_variables_permutes_the_answer():
    cost = random_cost(1, 2, 3, 4)
    found = OneHotQAOA(cost, precision="double").probabilities(ANGLES)
    permuted = OneHotQAOA(cost.transpose(0, 3, 1, 2), precision="double").probabilities(ANGLES)
    assert np.allclose(permuted, found.transpose(0, 3, 1, 2), atol=1e-12)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("warm", [True, False])
def test_the_gradient_is_that_of_finite_differences(shared, warm):
    cost, rng = random_cost(2, 3, 4, 2), np.random.default_rng(2)
    start = [rng.random((2, size)) for size in (3, 4, 2)] if warm else None
    circuit = OneHotQAOA(cost, start=start, precision="double")
    point = np.stack([ANGLES.gamma, ANGLES.beta])
    if not shared:
        point = np.stack([point, 1.5 * point], axis=1)

    def total(at):
        values = circuit.expectation(Angles(*at)) / circuit.scale
        return values.mean() if shared else values.sum()

    values, slope = circuit.gradient(Angles(*point))
    assert np.allclose(values, circuit.expectation(Angles(*point)) / circuit.scale)
    found = np.stack([slope.gamma, slope.beta])
    for index in np.ndindex(point.shape):
        step = np.zeros_like(point)
        step[index] = 1e-5
        assert found[index] == pytest.approx((total(point + step) - total(point - step)) / 2e-5, abs=1e-7)


def test_samples_have_the_probabilities_and_follow_their_generator():
    circuit = OneHotQAOA(random_cost(2, 3, 2))
    probabilities = circuit.probabilities(ANGLES)
    drawn = circuit.sample(ANGLES, 20_000, [np.random.default_rng(seed) for seed in (5, 6)])
    for system in range(2):
        counts = np.zeros((3, 2))
        np.add.at(counts, tuple(drawn[system].T), 1)
        assert np.abs(counts / 20_000 - probabilities[system]).max() < 0.015
    again = circuit.sample(ANGLES, 20_000, [np.random.default_rng(seed) for seed in (5, 7)])
    assert np.array_equal(again[0], drawn[0])
    assert not np.array_equal(again[1], drawn[1])


def test_the_best_of_shots_is_the_cheapest_that_was_measured():
    cost = random_cost(2, 4, 4)
    circuit = OneHotQAOA(cost)
    generators = [np.random.default_rng(seed) for seed in (1, 2)]
    choice, value = circuit.best_of_shots(ANGLES, 5, generators)
    measured = circuit.sample(ANGLES, 5, [np.random.default_rng(seed) for seed in (1, 2)])
    for system in range(2):
        assert value[system] == cost[(system, *choice[system])]
        assert value[system] == min(cost[(system, *shot)] for shot in measured[system])


def test_a_ramp_lowers_the_mean_cost_and_more_so_with_depth_and_more_when_tuned():
    circuit = OneHotQAOA(diagonal(random_quadratic(10, 3, 4)))
    shallow, deep, deepest = (in_spreads(circuit, linear_ramp(depth, 4)) for depth in (1, 3, 6))
    assert deepest < deep - 0.2 < shallow - 0.4 < -1.4
    assert in_spreads(circuit, optimise([circuit], linear_ramp(3, 4))) < deep - 0.1


def test_transferred_angles_are_better_than_a_ramp_on_other_instances():
    circuit = OneHotQAOA(diagonal(random_quadratic(10, 3, 4)))
    assert in_spreads(circuit, transferred("block", 3, 4)) < in_spreads(circuit, linear_ramp(3, 4)) - 0.1


def test_online_angles_go_downhill():
    circuit = OneHotQAOA(diagonal(random_quadratic(10, 3, 4)))
    online = OnlineAngles(linear_ramp(2, 4, slope=1.0))
    before = in_spreads(circuit, online.angles)
    for _ in range(20):
        online.step(circuit.gradient(online.angles)[1])
    assert in_spreads(circuit, online.angles) < before - 0.3


@pytest.mark.parametrize("shape", [(1, 1), (2, 1, 1), (1, 4), (1, 1, 5)])
def test_single_variables_and_single_options_have_defined_answers(shape):
    for cost in (random_cost(*shape), np.zeros(shape)):
        probabilities = OneHotQAOA(cost).probabilities(ANGLES)
        assert np.allclose(probabilities.reshape(shape[0], -1).sum(1), 1.0, atol=1e-5)


def test_a_flat_cost_leaves_the_uniform_start():
    flat = OneHotQAOA(np.full((1, 3, 3), 7.3e4))
    assert np.allclose(flat.probabilities(ANGLES), 1 / 9, atol=1e-6)


def test_too_many_qubits_are_refused_with_number_and_limit(monkeypatch):
    monkeypatch.setattr(one_hot, "MAX_AMPLITUDES", 1000)
    with pytest.raises(
        InvalidValueError, match=r"amplitudes of 1 systems of 40 qubits is 10000; allowed: at most 1000"
    ):
        OneHotQAOA(np.zeros((1, 10, 10, 10, 10)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cost": np.zeros(3)}, "shape of the cost"),
        ({"cost": np.array([[1.0, np.inf]])}, "cost is 'not finite'"),
        ({"cost": np.zeros((1, 2)), "precision": "half"}, "'single', 'double'"),
        ({"cost": np.zeros((1, 2)), "start": [np.ones((1, 3))]}, r"\[\(1, 2\)\]"),
        ({"cost": np.zeros((1, 2)), "start": [np.zeros((1, 2))]}, "above 0"),
        ({"cost": np.zeros((1, 2)), "scale": 0.0}, "above 0"),
    ],
)
def test_what_cannot_be_run_is_refused(arguments, message):
    with pytest.raises(InvalidValueError, match=message):
        OneHotQAOA(**arguments)


def test_angles_that_do_not_fit_are_refused():
    circuit = OneHotQAOA(np.zeros((2, 3)))
    with pytest.raises(InvalidValueError, match="is 3; allowed: 2"):
        circuit.state(Angles(np.ones((3, 1)), np.ones((3, 1))))
    with pytest.raises(InvalidValueError, match="at least 1"):
        circuit.sample(ANGLES, 0, [np.random.default_rng(0)] * 2)
    with pytest.raises(InvalidValueError, match="one per system"):
        circuit.sample(ANGLES, 1, [np.random.default_rng(0)])
    with pytest.raises(InvalidValueError, match="both"):
        Angles(np.ones(2), np.ones(3))
    with pytest.raises(InvalidValueError, match="finite"):
        Angles(np.array([np.nan]), np.ones(1))
    with pytest.raises(InvalidValueError, match="allowed: at least 1"):
        linear_ramp(0, 3)
    with pytest.raises(InvalidValueError, match="depth of transferred angles is 99"):
        transferred("block", 99, 3)
    with pytest.raises(InvalidValueError, match="'block'"):
        transferred("blocks", 1, 3)
