import numpy as np
import pytest
from one_hot_problems import diagonal, random_quadratic

from agents import Angles, OneHotQAOA
from agents.qaoa.qubits import QubitQAOA
from qfl_envs.errors import InvalidValueError

ANGLES = Angles(np.array([0.4, 0.9]), np.array([-0.7, -0.3]))


def one_hot(problem):
    return OneHotQAOA(diagonal(problem), scale=1.0, precision="double").probabilities(ANGLES)[0]


@pytest.mark.parametrize(
    ("devices", "options", "mixer"),
    [(3, 3, "xy"), (3, 4, "xy"), (2, 5, "xy"), (2, 1, "xy"), (5, 2, "xy"), (5, 2, "xy_trotter")],
)
def test_gates_on_qubits_agree_with_the_one_hot_state(devices, options, mixer):
    problem = random_quadratic(1, devices, options)
    found = QubitQAOA(problem, mixer=mixer).one_hot_probabilities(ANGLES)
    assert np.abs(found - one_hot(problem)).max() < 1e-9
    assert found.sum() == pytest.approx(1.0)


def test_one_trotter_step_is_not_exact_beyond_two_options():
    problem = random_quadratic(1, 2, 3)
    found = QubitQAOA(problem, mixer="xy_trotter").one_hot_probabilities(ANGLES)
    assert found.sum() == pytest.approx(1.0)
    assert np.abs(found - one_hot(problem)).max() > 0.01


def test_the_field_mixer_leaves_one_hot_states_and_a_penalty_holds_it_back():
    problem = random_quadratic(1, 2, 3)
    ramp = Angles((np.arange(6) + 0.5) / 6, -1 + (np.arange(6) + 0.5) / 6)
    left = {
        penalty: QubitQAOA(problem, mixer="x", penalty=penalty, scale=3.0).one_hot_probabilities(ramp)
        for penalty in (0.0, 6.0)
    }
    assert left[0.0].sum() < 0.3 < left[6.0].sum() < 0.999


def test_the_penalty_by_itself_is_a_statevector_of_its_own():
    """One device of two options, by matrices: penalty (n_0 + n_1 - 1)^2 and a field on both qubits."""
    problem = random_quadratic(1, 1, 2)
    h, p = problem.linear[0, 0], 1.7
    energy = np.array([p, h[1], h[0], h[0] + h[1] + p])
    state = np.full(4, 0.5, dtype=complex)
    for gamma, beta in zip(ANGLES.gamma, ANGLES.beta, strict=True):
        field = np.array([[np.cos(beta), -1j * np.sin(beta)], [-1j * np.sin(beta), np.cos(beta)]])
        state = np.kron(field, field) @ (np.exp(-1j * gamma * energy) * state)
    found = QubitQAOA(problem, mixer="x", penalty=p).probabilities(ANGLES)
    assert np.abs(found.ravel() - np.abs(state) ** 2).max() < 1e-9


def test_shots_are_one_hot_and_have_the_probabilities():
    problem = random_quadratic(1, 2, 3)
    circuit = QubitQAOA(problem, device="default.qubit", seed=3)
    bits = circuit.sample(ANGLES, 4000)
    assert bits.shape == (4000, 2, 3)
    assert (bits.sum(-1) == 1).all()
    counts = np.zeros((3, 3))
    np.add.at(counts, tuple(bits.argmax(-1).T), 1)
    assert np.abs(counts / 4000 - one_hot(problem)).max() < 0.03


def test_what_cannot_be_run_is_refused():
    with pytest.raises(InvalidValueError, match=r"number of qubits is 30; allowed: at most 24"):
        QubitQAOA(random_quadratic(1, 6, 5))
    with pytest.raises(InvalidValueError, match="number of instances is 2; allowed: 1"):
        QubitQAOA(random_quadratic(2, 2, 2))
    with pytest.raises(InvalidValueError, match="'xy', 'xy_trotter', 'x'"):
        QubitQAOA(random_quadratic(1, 2, 2), mixer="xx")
    with pytest.raises(InvalidValueError, match="penalty"):
        QubitQAOA(random_quadratic(1, 2, 2), penalty=1.0)
    with pytest.raises(InvalidValueError, match="above 0"):
        QubitQAOA(random_quadratic(1, 2, 2), scale=0.0)
    with pytest.raises(InvalidValueError, match="device is 'no.such'; allowed: an installed one: .*lightning.qubit"):
        QubitQAOA(random_quadratic(1, 2, 2), device="no.such")
