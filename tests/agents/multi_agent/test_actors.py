"""What entangled devices can and cannot do: correlate, but not signal; and that draws follow the exact distribution."""

import itertools
import math

import pytest
import torch
from clusters import random_observations

from agents.multi_agent.actors import ClassicalActor, EntangledActor
from agents.multi_agent.shared_states import CHAINS, Clusters, SharedState
from qfl_envs.quantum.circuits import Circuit

FEATURES, OPTIONS = 3, 3


def entangled(chain="psi+", devices=2, size=2, shared=1, seed=0, own_weights=True):
    torch.manual_seed(seed)
    actor = EntangledActor(
        Clusters(devices, size), Circuit(3, 2), SharedState(chain, size, shared), FEATURES, OPTIONS, own_weights, 2
    )
    with torch.no_grad():  # decided enough for its bits to show in its options
        for weights in actor.head.parameters():
            weights.mul_(4.0)
    return actor


def joint_distribution(actor, observations, masks=None):
    """(E, O, ..., O) probability of every combination of options of one cluster."""
    devices = observations.shape[1]
    masks = torch.ones(*observations.shape[:2], OPTIONS, dtype=torch.bool) if masks is None else masks
    found = []
    for options in itertools.product(range(OPTIONS), repeat=devices):
        chosen = torch.tensor(options).expand(len(observations), -1)
        found.append(actor.log_probabilities(observations, masks, chosen)[0].exp().sum(-1))
    return torch.stack(found, -1).unflatten(-1, (OPTIONS,) * devices).detach()


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("devices", [2, 3])
def test_no_device_can_tell_what_another_observes(chain, devices):
    actor = entangled(chain, devices, devices, 2)
    observations = random_observations(2, devices, FEATURES)
    observations[1, 0] = observations[0, 0]  # only the others observe something else
    joint = joint_distribution(actor, observations)
    others = tuple(range(1, devices))
    own = joint.sum([axis + 1 for axis in others])
    torch.testing.assert_close(own[0], own[1])
    of_others = joint.sum(1)
    assert not torch.allclose(of_others[0], of_others[1], atol=1e-3)


@pytest.mark.parametrize(
    ("chain", "is_correlated"), [("phi+", True), ("psi+", True), ("psi-", True), ("product", False)]
)
def test_only_shared_entanglement_correlates_options(chain, is_correlated):
    joint = joint_distribution(entangled(chain, shared=2), random_observations(4, 2, FEATURES))
    product = joint.sum(2)[:, :, None] * joint.sum(1)[:, None, :]
    assert bool((joint - product).abs().max() > 1e-2) == is_correlated
    torch.testing.assert_close(joint.sum((1, 2)), torch.ones(4))


@pytest.mark.parametrize("chain", CHAINS)
def test_marginals_are_sums_over_the_others(chain):
    actor = entangled(chain, 3, 3)
    observations, masks = random_observations(2, 3, FEATURES), torch.ones(2, 3, OPTIONS, dtype=torch.bool)
    joint = joint_distribution(actor, observations)
    own = actor.marginals(*actor._parts(observations, masks))
    for device in range(3):
        others = [axis + 1 for axis in range(3) if axis != device]
        torch.testing.assert_close(own[:, device], joint.sum(others))


def test_a_device_that_has_nobody_to_share_with_has_its_own_distribution():
    actor = entangled("phi+", 3, 2)
    observations, masks = random_observations(4, 3, FEATURES), torch.ones(4, 3, OPTIONS, dtype=torch.bool)
    last = torch.stack(
        [actor.log_probabilities(observations, masks, torch.full((4, 3), option))[0][:, 1] for option in range(OPTIONS)]
    )
    own = actor.marginals(*actor._parts(observations, masks))[:, 2]
    torch.testing.assert_close(last.exp().T, own)


@pytest.mark.parametrize("own_weights", [True, False])
@pytest.mark.parametrize(("devices", "size"), [(3, 3), (3, 2)])
def test_options_are_drawn_as_often_as_they_are_likely(devices, size, own_weights):
    actor = entangled("psi-", devices, size, 2, own_weights=own_weights)
    one = random_observations(1, devices, FEATURES)
    count = 4_000
    masks = torch.ones(count, devices, OPTIONS, dtype=torch.bool)
    masks[:, 0, 1] = False
    options, logarithms = actor.act(one.expand(count, -1, -1), masks, torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        logarithms, actor.log_probabilities(one.expand(count, -1, -1), masks, options)[0], atol=1e-4, rtol=0
    )
    assert (options[:, 0] != 1).all()
    codes = (options * OPTIONS ** torch.arange(devices)).sum(-1)
    for code in codes.unique():
        chosen = options[codes == code][:1]
        wanted = actor.log_probabilities(one, masks[:1], chosen)[0].sum().exp().item()
        share = (codes == code).double().mean().item()
        assert abs(share - wanted) < 5 * math.sqrt(wanted * (1 - wanted) / count)


def test_gradients_of_the_joint_probability_are_exact():
    actor = entangled("psi+", 2, 2).double()
    actor.named.double()
    actor.signs = actor.signs.double()
    observations, masks = random_observations(3, 2, FEATURES).double(), torch.ones(3, 2, OPTIONS, dtype=torch.bool)
    options = torch.tensor([[0, 1], [2, 0], [1, 1]])
    actor.log_probabilities(observations, masks, options)[0].sum().backward()
    for weights in (actor.local.rotations, actor.local.encoder.weight, actor.head.weight):
        assert weights.grad is not None
        index = (0,) * weights.ndim
        change, sides = 1e-5, []
        for sign in (1, -1):
            with torch.no_grad():
                weights[index] += sign * change
                sides.append(actor.log_probabilities(observations, masks, options)[0].sum().item())
                weights[index] -= sign * change
        assert weights.grad[index].item() == pytest.approx((sides[0] - sides[1]) / (2 * change), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_begins_with_gradients_that_can_be_followed(seed):
    """No barren plateau: the angles' gradients have about the size of the output's."""
    actor = entangled(seed=seed, devices=4)
    observations, masks = random_observations(64, 4, FEATURES), torch.ones(64, 4, OPTIONS, dtype=torch.bool)
    options, _ = actor.act(observations, masks, torch.Generator().manual_seed(seed))
    actor.log_probabilities(observations, masks, options)[0][:, 0].mean().backward()
    assert actor.local.rotations.grad.abs().max() > 1e-2


@pytest.mark.parametrize("own_weights", [True, False])
def test_a_classical_team_is_a_product_of_its_devices(own_weights):
    torch.manual_seed(0)
    actor = ClassicalActor(2, [4], FEATURES, OPTIONS, own_weights, 2)
    observations, masks = random_observations(5, 2, FEATURES), torch.ones(5, 2, OPTIONS, dtype=torch.bool)
    masks[:, 1, 0] = False
    options, logarithms = actor.act(observations, masks, torch.Generator().manual_seed(0))
    again, entropy = actor.log_probabilities(observations, masks, options)
    assert logarithms.shape == (5, 2) and (options[:, 1] != 0).all()
    torch.testing.assert_close(logarithms, again)
    assert (entropy >= 0).all() and (entropy[:, 1] <= math.log(2) + 1e-6).all()


def test_greedy_devices_take_the_likeliest_option_of_their_bits():
    actor = entangled()
    observations, masks = random_observations(200, 2, FEATURES), torch.ones(200, 2, OPTIONS, dtype=torch.bool)
    options, _ = actor.act(observations, masks, torch.Generator().manual_seed(0), greedy=True)
    chances = actor._parts(observations, masks)[1]
    best = chances.argmax(-1)
    assert (options[..., None] == best).any(-1).all()
