"""The exact simulation of entangled clusters against the joint state, gate by gate."""

import itertools

import pytest
import torch
from clusters import random_cluster

from agents.multi_agent import reference
from agents.multi_agent.local_circuits import columns, operators
from agents.multi_agent.shared_states import CHAINS, Clusters, SharedState
from qfl_envs.errors import InvalidValueError
from qfl_envs.quantum.circuits import Circuit, z_signs
from train.benchmarks import teams


def outcome_probability(shared, circuit, parameters, outcomes):
    """Joint probability of one outcome per device, as the product of projectors."""
    states = columns(circuit, *parameters.values(), 0 if shared.chain == "product" else shared.num_shared)
    effects = torch.nn.functional.one_hot(torch.tensor(outcomes), 2**circuit.num_qubits).double()
    return shared.expectation(operators(states, effects))


@pytest.mark.parametrize("entangler", ["cz_ring", "cnot_ring"])
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize(("devices", "shared_qubits"), [(2, 1), (2, 2), (3, 1)])
def test_outcomes_are_as_likely_as_in_the_joint_state(chain, entangler, devices, shared_qubits):
    circuit = Circuit(2, 2, entangler=entangler)
    shared = SharedState(chain, devices, shared_qubits)
    parameters = random_cluster(circuit, devices, seed=1)
    wanted = reference.outcome_probabilities(shared, circuit, **parameters)
    for outcomes in itertools.product(range(4), repeat=devices):
        assert outcome_probability(shared, circuit, parameters, outcomes) == pytest.approx(float(wanted[outcomes]))


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize(("devices", "qubits"), [(1, 2), (2, 3), (3, 2), (4, 1)])
def test_the_parity_is_that_of_the_joint_state(chain, devices, qubits):
    circuit = Circuit(qubits, 2)
    shared = SharedState(chain, devices, qubits)
    parameters = random_cluster(circuit, devices, seed=2)
    states = columns(circuit, *parameters.values(), 0 if chain == "product" else qubits)
    signs = torch.tensor(z_signs(qubits)).prod(-1)
    found = shared.expectation(operators(states, signs))
    assert float(found) == pytest.approx(reference.parity(shared, circuit, **parameters), abs=1e-9)


def test_one_set_of_weights_for_all_is_the_same_set_for_each():
    circuit = Circuit(3, 2, entangler="cnot_ring")
    parameters = random_cluster(circuit, 2, seed=3)
    one = [parameters[name][0] for name in ("rotations", "phases", "scales")]
    each = [weights.expand(2, *weights.shape) for weights in one]
    torch.testing.assert_close(
        columns(circuit, *one, parameters["inputs"], 2), columns(circuit, *each, parameters["inputs"], 2)
    )


def test_the_parity_of_many_devices_concentrates():
    """The reason for clusters: of random circuits, its spread falls by about half with every further device."""
    circuit = Circuit(3, 3)
    deviations = {}
    for devices in (1, 2, 3, 16):
        states = columns(circuit, *_many(circuit, 400, devices), 3)
        signs = torch.tensor(z_signs(3)).prod(-1)
        deviations[devices] = float(SharedState("phi+", devices, 3).expectation(operators(states, signs)).std())
    assert deviations[1] > 1.7 * deviations[2] > 1.7**2 * deviations[3]
    assert deviations[16] < 1e-4 < 0.04 < deviations[3]


def _many(circuit, count, devices):
    parameters = random_cluster(circuit, count * devices, seed=4)
    return [value.unflatten(0, (count, devices)) for value in parameters.values()]


def test_devices_that_are_left_over_form_a_smaller_cluster():
    clusters = Clusters(5, 2)
    values = torch.arange(10.0).view(5, 2)
    split = clusters.split(values, -2, -1.0)
    assert split.shape == (3, 2, 2)
    assert split[2].tolist() == [[8.0, 9.0], [-1.0, -1.0]]
    assert clusters.join(split.movedim(-1, 0)).tolist() == values.T.tolist()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SharedState("bell", 2, 1), "chain"),
        (lambda: SharedState("phi+", 0, 1), "num_devices"),
        (lambda: SharedState("phi+", 2, 0), "num_shared"),
        (lambda: Clusters(4, 5), "cluster_size"),
        (lambda: columns(Circuit(2, 1), *random_cluster(Circuit(2, 1), 1, 0).values(), 3), "num_shared"),
    ],
)
def test_what_cannot_be_is_refused(make, sentence):
    with pytest.raises(InvalidValueError, match=sentence):
        make()


def test_the_benchmark_has_a_row_for_every_number_of_devices_and_compares_small_clusters(monkeypatch):
    monkeypatch.setattr(teams, "DEVICES", (1, 16))
    one, many = teams.measure(draws=50, repeats=3)
    assert one["deviation"] > 0.1 > 1e-4 > many["deviation"]
    assert one["ratio"] > 0 and many["ratio"] is None
    monkeypatch.setattr(teams.reference, "parity", lambda *arguments, **keywords: 2.0)
    with pytest.raises(teams.ParitiesDisagreeError, match="1 devices"):
        teams.measure(draws=1, repeats=3)
