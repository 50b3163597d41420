"""Matrix product states: the contraction against the whole tensor, gradients against differences, and learning."""

import numpy as np
import pytest
import torch

from qfl_envs.errors import InvalidValueError
from qfl_envs.quantum.contraction import readouts
from qfl_envs.quantum.tensor_network import MatrixProductState
from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.data import load_dataset
from qfl_envs.system.learning.models import Model
from qfl_envs.system.learning.training import mean_loss

EPOCHS, BATCH_SIZE, RATE = 8, 32, 0.02
LETTERS = "abcdefgh"


def random_chain(features, bond=3, clients=2, samples=4):
    rng = np.random.default_rng(features)
    shapes = MatrixProductState(features, bond).shape().values()
    edges, cores = (torch.from_numpy(rng.normal(size=(clients, *shape))) for shape in shapes)
    return edges, cores, torch.from_numpy(rng.normal(size=(clients, samples, features)))


def half_by_hand(edge, cores, inputs):
    """The normalised vector of one half: its whole tensor of 2^n entries per bond number, then the product state."""
    whole = edge
    for core in cores:
        whole = np.einsum("...a,sab->...sb", whole, core)
    state = np.ones(())
    for angle in inputs:
        state = np.multiply.outer(state, [np.cos(angle / 2), np.sin(angle / 2)])
    axes = LETTERS[: len(inputs)]
    vector = np.einsum(f"{axes}z,{axes}->z", whole, state)
    return vector / np.sqrt(np.mean(vector**2))


@pytest.mark.parametrize("features", [2, 3, 6, 7])
def test_the_chain_equals_the_contraction_of_its_whole_tensor(features):
    edges, cores, inputs = (part.numpy() for part in random_chain(features))
    left = 1 + (features - 2) // 2
    expected = [
        [
            np.outer(
                half_by_hand(edges[c, 0], cores[c, : left - 1], inputs[c, s, :left]),
                half_by_hand(edges[c, 1], cores[c, left - 1 :][::-1], inputs[c, s, left:][::-1]),
            ).ravel()
            for s in range(inputs.shape[1])
        ]
        for c in range(inputs.shape[0])
    ]
    found = readouts(*(torch.from_numpy(part) for part in (edges, cores, inputs)))
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_gradients_equal_finite_differences():
    leaves = [part.requires_grad_(True) for part in random_chain(5)]
    assert torch.autograd.gradcheck(readouts, leaves)


def test_readouts_are_bounded_whatever_the_tensors_have_grown_to():
    edges, cores, inputs = random_chain(8)
    small, large = readouts(edges, cores, inputs), readouts(1e3 * edges, 1e3 * cores, inputs)
    assert large.abs().max() <= 3.0 + 1e-9
    torch.testing.assert_close(small, large)


def test_a_feature_at_the_start_of_a_long_chain_is_still_heard_in_the_middle():
    chain = MatrixProductState(64, 4)
    rng = np.random.default_rng(0)
    edges, cores = (
        torch.from_numpy(chain.initial(name, rng.random((1, int(np.prod(shape)))))).view(1, *shape)
        for name, shape in chain.shape().items()
    )
    inputs = torch.zeros((1, 2, 64), dtype=torch.float64)
    inputs[0, 1, 0] = np.pi
    assert (readouts(edges, cores, inputs)[0, 1] - readouts(edges, cores, inputs)[0, 0]).abs().max() > 0.1


@pytest.mark.parametrize(("features", "bond", "message"), [(1, 4, "at least 2, the edges"), (4, 1, "at least 2")])
def test_chains_without_edges_or_bonds_are_refused(features, bond, message):
    with pytest.raises(InvalidValueError, match=message):
        MatrixProductState(features, bond)


def test_a_chain_of_ten_features_recognises_93_of_100_handwritten_digits():
    model = Model(
        Scenario().replace({"learning": {"model": "tensor_network", "num_features": 10, "bond_dimension": 8}})
    )
    data = load_dataset("digits", 10)
    features, labels = torch.from_numpy(data.train_features), torch.from_numpy(data.train_labels)
    rng = np.random.default_rng(0)
    parameters = torch.from_numpy(model.initial(rng.random((1, model.num_parameters)))).requires_grad_(True)
    steps = len(labels) // BATCH_SIZE
    optimiser = torch.optim.Adam([parameters], lr=RATE)
    for _ in range(EPOCHS):
        for batch in rng.permutation(len(labels))[: steps * BATCH_SIZE].reshape(steps, 1, BATCH_SIZE):
            optimiser.zero_grad()
            mean_loss(model, parameters, features[batch], labels[batch]).sum().backward()
            optimiser.step()
    with torch.no_grad():
        answers = model.logits(parameters, torch.from_numpy(data.test_features)[None])[0].argmax(-1)
    assert (answers.numpy() == data.test_labels).mean() >= 0.93
