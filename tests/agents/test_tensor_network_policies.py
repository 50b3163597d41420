"""Matrix product states as networks of policies: contraction, gradients, size, saving, and what is refused."""

from itertools import product

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from agents import VQCPolicy
from agents.policies.circuit_network import CircuitSettings
from agents.policies.tensor_network import TensorNetwork, matched_chain
from qfl_envs.errors import InvalidValueError
from qfl_envs.quantum.tensor_network import MatrixProductState
from train.training.settings import configuration

SETTINGS = {"network": "tensor_network", "num_qubits": 4, "num_layers": 2}


def by_enumeration(network, angles):
    """What meets in the middle: the state of each half as a sum over all basis states of its features."""
    chain, half = network.chain, 1 + (network.chain.num_features - 2) // 2
    edges, cores = network.edges.detach().numpy(), network.cores.detach().numpy()
    local = np.stack([np.cos(angles / 2), np.sin(angles / 2)], axis=-1)
    ends = []
    for edge, of_half, places in (
        (edges[0], cores[: half - 1], range(half)),
        (edges[1], cores[half - 1 :][::-1], range(chain.num_features - 1, half - 1, -1)),
    ):
        total = np.zeros(chain.bond_dimension)
        for basis in product((0, 1), repeat=len(places)):
            vector = edge[basis[0]]
            for core, state in zip(of_half, basis[1:], strict=True):
                vector = vector @ core[state]
            total += vector * np.prod([local[place, state] for place, state in zip(places, basis, strict=True)])
        ends.append(total / np.sqrt(np.mean(total**2)))
    return np.outer(*ends).ravel()


@pytest.mark.parametrize("chain", [MatrixProductState(2, 2), MatrixProductState(5, 3), MatrixProductState(4, 4)])
def test_a_policy_reads_what_enumerating_all_basis_states_gives(chain):
    torch.manual_seed(0)
    network = TensorNetwork(7, chain)
    features = torch.randn(3, 7)
    angles = torch.atan(network.pre(features)).detach().numpy()
    found = network(features).detach().numpy()
    np.testing.assert_allclose(found, [by_enumeration(network, row) for row in angles], rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    network = TensorNetwork(3, MatrixProductState(4, 3), actions=5).double()
    features = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in network.named_parameters()]
    assert {"pre.weight", "edges", "cores", "label.weight"} <= set(names)

    def logits(inputs, *parameters):
        return torch.func.functional_call(network, dict(zip(names, parameters, strict=True)), inputs)

    parameters = [parameter.detach().clone().requires_grad_() for parameter in network.parameters()]
    assert torch.autograd.gradcheck(logits, (features, *parameters))


@pytest.mark.parametrize("outputs", [2, 4, 9, 11])
def test_no_other_bonds_come_closer_to_the_circuit_in_parameters(outputs):
    def size(network, ends):
        head = 0 if ends else (network.width + 1) * outputs
        return sum(parameter.numel() for parameter in network.parameters()) + head

    for settings in ({"num_qubits": 4}, {"num_qubits": 5}, {"num_qubits": 6, "num_layers": 3}):
        for kind in ("local_network", "deciding_network"):
            ends = kind == "deciding_network"
            circuit, chosen, *others = (
                size(getattr(CircuitSettings(**settings, **more), kind)(30, outputs), ends)
                for more in (
                    {},
                    {"network": "tensor_network"},
                    *({"network": "tensor_network", "bond_dimension": bond} for bond in range(2, 9)),
                )
            )
            assert abs(chosen - circuit) == min(abs(other - circuit) for other in others)


@pytest.mark.parametrize("env_id", ["qfl/Drift-v0", "qfl/Scheduling-v0"])
def test_shipped_tensor_networks_begin_neither_barren_nor_saturated(env_id):
    kwargs = configuration("mps-ppo", env_id, "small")["policy_kwargs"]
    settings = CircuitSettings.taken_from(dict(kwargs))
    assert settings.network == "tensor_network"
    torch.manual_seed(0)
    gradients, peaks = [], []
    for _ in range(60):
        network = settings.local_network(settings.num_qubits, 9)
        read = network(torch.rand(8, settings.num_qubits) * 2 - 1)
        (gradient,) = torch.autograd.grad(read[:, 0].mean(), network.edges)
        gradients.append(gradient.flatten()[0])
        peaks.append(read.detach().abs().max() / network.chain.bond_dimension)
    assert torch.stack(gradients).var() > 1e-2
    # at 1 all that meets in the middle would be one number of D^2, and no other would have a gradient
    assert torch.stack(peaks).mean() < 0.9


def test_ppo_learns_with_a_tensor_network_and_a_saved_one_acts_the_same(tmp_path):
    model = PPO(VQCPolicy, "CartPole-v1", n_steps=64, n_epochs=1, policy_kwargs=SETTINGS, seed=0, device="cpu")
    before = model.policy.mlp_extractor.actor.cores.detach().clone()
    model.learn(64)
    assert not torch.equal(model.policy.mlp_extractor.actor.cores, before)
    model.save(tmp_path / "model")
    loaded = PPO.load(tmp_path / "model", device="cpu")
    observation = np.array([0.1, -0.2, 0.05, 0.3], dtype=np.float32)
    observations = torch.as_tensor(observation[None])
    expected, found = (one.policy.get_distribution(observations).distribution.logits for one in (model, loaded))
    assert torch.equal(expected, found)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidValueError, match="bond_dimension is 3; allowed: none for the network 'circuit'"):
        CircuitSettings(bond_dimension=3)
    with pytest.raises(InvalidValueError, match="bond_dimension is 1; allowed: at least 2"):
        CircuitSettings(network="tensor_network", bond_dimension=1)
    with pytest.raises(InvalidValueError, match="critic is 'tensor_network'"):
        CircuitSettings(critic="tensor_network")
    saved = TensorNetwork(4, MatrixProductState(4, 3)).state_dict()
    with pytest.raises(
        InvalidValueError, match=r"edges is \(2, 2, 3\); allowed: .*, as 4 features with bonds of 2 have"
    ):
        TensorNetwork(4, MatrixProductState(4, 2)).load_state_dict(saved)


def test_the_smallest_bonds_are_taken_where_all_have_too_many_parameters():
    assert matched_chain(5, 10, 9) == MatrixProductState(5, 2)
