import numpy as np
import pennylane as qml
import pytest

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security import bb84, e91
from qfl_envs.system.security.key_rate import binary_entropy, error_rate, secret_fraction

PULSES = 100_000


def deviation(rate, count):
    return 4 * np.sqrt(rate * (1 - rate) / count)


@pytest.mark.parametrize(("intercepted", "device_error"), [(1.0, 0.0), (0.4, 0.0), (0.2, 0.02), (0.0, 0.03)])
def test_intercepting_shows_as_errors(intercepted, device_error):
    got = bb84.run(PULSES, np.random.default_rng(0), intercepted, device_error)
    expected = float(error_rate(intercepted, device_error))
    assert got.error_rate == pytest.approx(expected, abs=deviation(expected, got.compared))
    assert got.true_error_rate == pytest.approx(expected, abs=deviation(expected, got.sifted - got.compared))
    assert (got.aborted is not None) == (expected > 0.11) == (len(got.key) == 0)


def test_a_quiet_channel_yields_all_that_was_kept():
    got = bb84.run(20_000, np.random.default_rng(1))
    assert got.error_rate == 0.0 and len(got.key) == got.sifted - got.compared
    assert got.sifted == pytest.approx(10_000, abs=4 * 71) and 0.45 < got.key.mean() < 0.55


def test_length_of_the_key_is_the_secret_fraction():
    got = bb84.run(PULSES, np.random.default_rng(2), device_error=0.04)
    kept = got.sifted - got.compared
    assert len(got.key) == pytest.approx(kept * float(secret_fraction(got.error_rate)), abs=2)
    assert len(bb84.run(PULSES, np.random.default_rng(2), device_error=0.04, inefficiency=1.2).key) < len(got.key)


def test_lost_pulses_are_not_sifted():
    got = bb84.run(PULSES, np.random.default_rng(3), transmittance=0.1)
    assert got.detected == pytest.approx(10_000, abs=4 * 95) and got.sifted < 0.6 * got.detected


def test_privacy_amplification_multiplies_by_a_toeplitz_matrix():
    bits = np.random.default_rng(4).random(50) < 0.5
    diagonals = np.random.default_rng(5).random(50 + 20 - 1) < 0.5
    matrix = np.array([[diagonals[50 - 1 + row - column] for column in range(50)] for row in range(20)])
    expected = matrix.astype(int) @ bits.astype(int) % 2 == 1
    assert np.array_equal(bb84.hashed(bits, 20, np.random.default_rng(5)), expected)


def test_a_pulse_behaves_as_its_circuit():
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(bit, basis, chosen):
        if bit:
            qml.PauliX(0)
        if basis:
            qml.Hadamard(0)
        if chosen:
            qml.Hadamard(0)
        return qml.probs(wires=0)

    uniform = (np.arange(1000) + 0.5) / 1000
    for bit, basis, chosen in np.ndindex(2, 2, 2):
        found = bb84.measured(*(np.full(1000, bool(value)) for value in (bit, basis, chosen)), uniform)
        assert found.mean() == pytest.approx(circuit(bit, basis, chosen)[1], abs=1e-9)


def test_correlations_are_those_of_the_circuit_and_violate_the_inequality():
    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit(a, b):
        qml.Hadamard(0)
        qml.CNOT([0, 1])
        qml.RY(-a, 0)
        qml.RY(-b, 1)
        return qml.expval(qml.PauliZ(0) @ qml.PauliZ(1))

    for a in e91.SENDER_ANGLES:
        for b in e91.RECEIVER_ANGLES:
            assert e91.correlation(a, b) == pytest.approx(circuit(a, b), abs=1e-12)
    assert e91.chsh() == pytest.approx(2 * np.sqrt(2), abs=1e-12)


def test_pairs_that_nobody_touched_reach_the_quantum_bound():
    got = e91.run(PULSES, np.random.default_rng(0))
    assert got.chsh == pytest.approx(2 * np.sqrt(2), abs=0.06) and got.error_rate == 0.0
    assert len(got.key) == got.sifted == pytest.approx(PULSES * 2 / 9, abs=4 * 131)


def test_an_eavesdropper_leaves_no_violation():
    got = e91.run(PULSES, np.random.default_rng(1), intercepted=1.0)
    assert got.chsh < 2.0 and len(got.key) == 0 and "classical bound" in got.aborted


def test_worse_pairs_violate_less():
    got = e91.run(PULSES, np.random.default_rng(2), visibility=0.9)
    assert got.chsh == pytest.approx(0.9 * 2 * np.sqrt(2), abs=0.06)
    assert got.error_rate == pytest.approx(0.05, abs=0.006)


def test_bad_arguments_are_refused():
    with pytest.raises(InvalidValueError, match="intercepted"):
        bb84.run(10, np.random.default_rng(0), intercepted=1.5)
    with pytest.raises(InvalidValueError, match="inefficiency"):
        bb84.run(10, np.random.default_rng(0), inefficiency=0.9)
    with pytest.raises(InvalidValueError, match="pairs"):
        e91.run(0, np.random.default_rng(0))


def test_the_key_is_what_was_kept_hashed_and_the_bits_that_were_told_are_counted(monkeypatch):
    seen = []
    monkeypatch.setattr(bb84, "hashed", lambda bits, length, generator: seen.append(len(bits)) or ~bits[:length])
    got = bb84.run(20_000, np.random.default_rng(0), device_error=0.03, inefficiency=1.2)
    assert seen == [got.sifted - got.compared]
    assert got.leaked == np.ceil(1.2 * seen[0] * binary_entropy(got.error_rate))
    assert len(got.key) == int(seen[0] * (1 - binary_entropy(got.error_rate))) - got.leaked
    assert (got.true_error_rate * seen[0]) % 1 == pytest.approx(0.0, abs=1e-6)
    monkeypatch.setattr(e91, "hashed", lambda bits, length, generator: seen.append(len(bits)) or ~bits[:length])
    pairs = e91.run(1000, np.random.default_rng(0))
    assert seen[1:] == [pairs.sifted]


def test_keys_do_not_show():
    for session in (bb84.run(500, np.random.default_rng(0)), e91.run(500, np.random.default_rng(0))):
        assert len(session.key) and "key" not in repr(session) and "True" not in repr(session)


def test_sessions_are_given_up_for_what_is_wrong_with_them():
    got = bb84.run(20_000, np.random.default_rng(0), intercepted=0.6)
    assert "at least the 11%" in got.aborted and got.leaked == 0
    nothing_compared = bb84.run(1000, np.random.default_rng(0), compared=0.0)
    assert nothing_compared.error_rate == 0.5 and len(nothing_compared.key) == 0
    all_compared = bb84.run(1000, np.random.default_rng(0), compared=1.0)
    assert "0 sifted bits leave no key" in all_compared.aborted
    poor = e91.run(PULSES, np.random.default_rng(0), visibility=0.75)
    assert poor.chsh > 2.0 and "at least the 11%" in poor.aborted
    # ten pairs along equal directions, one of which is wrong
    assert "10 sifted bits leave no key" in e91.run(40, np.random.default_rng(48), visibility=0.95).aborted


def test_a_single_pair_shows_nothing():
    got = e91.run(1, np.random.default_rng(1))
    assert (got.sifted, got.error_rate, got.chsh, len(got.key)) == (0, 0.5, 0.0, 0)
    # whichever of the four combinations it is of
    assert {e91.run(1, np.random.default_rng(seed)).chsh for seed in range(20)} == {0.0}


def test_an_eavesdropper_on_pairs_errs_where_her_direction_is_another():
    got = e91.run(PULSES, np.random.default_rng(3), intercepted=1.0)
    # she is off by 0, 45 and 90 degrees from pi / 4, by 45, 0 and 45 from pi / 2, and errs with sin^2 of it in half
    expected = np.mean([0.0, 0.25, 0.5, 0.25, 0.0, 0.25])
    assert got.error_rate == pytest.approx(expected, abs=deviation(expected, got.sifted))
    assert got.chsh == pytest.approx(np.sqrt(2), abs=0.06)
