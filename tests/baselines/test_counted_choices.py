import itertools

import pytest
import torch
from gymnasium import spaces

from baselines.counted_choices import CountedChoices

DEVICES, SIZE = 4, 3
ACTIONS = torch.tensor(list(itertools.product(range(SIZE), repeat=DEVICES)))


def distribution(counts, rows, seed=0):
    torch.manual_seed(seed)
    logits = torch.randn(1, DEVICES * SIZE + len(counts))
    return CountedChoices(DEVICES, [SIZE], counts).proba_distribution(logits.expand(rows, -1)), logits[0]


def only(*able):
    """Masks under which these devices can take part, (1, DEVICES * SIZE)."""
    masks = torch.ones(1, DEVICES, SIZE, dtype=torch.bool)
    masks[:, [device for device in range(DEVICES) if device not in able], 1:] = False
    return masks.flatten(1)


def probabilities(counts, masks=None):
    choices, logits = distribution(counts, len(ACTIONS))
    if masks is not None:
        choices.apply_masking(masks.expand(len(ACTIONS), -1))
    return choices.log_prob(ACTIONS).exp(), logits


@pytest.mark.parametrize("masks", [None, only(0, 2), only(1), only()])
def test_the_probabilities_of_all_actions_add_up_to_one(masks):
    found, _ = probabilities([1, 3], masks)
    assert found.sum().item() == pytest.approx(1.0, abs=1e-5)


def test_the_number_of_participants_has_the_probability_of_its_own_logit():
    found, logits = probabilities([1, 3])
    shares = logits[-2:].softmax(0)
    number = (ACTIONS > 0).sum(1)
    for index, count in enumerate((1, 3)):
        assert found[number == count].sum().item() == pytest.approx(shares[index].item(), abs=1e-5)


def test_given_their_number_the_devices_choose_as_if_each_chose_alone():
    found, logits = probabilities([2])
    alone = logits[: DEVICES * SIZE].reshape(DEVICES, SIZE).softmax(1)
    product = torch.stack([alone[device, ACTIONS[:, device]] for device in range(DEVICES)]).prod(0)
    product[(ACTIONS > 0).sum(1) != 2] = 0.0
    assert torch.allclose(found, product / product.sum(), atol=1e-6)


def test_samples_come_as_often_as_their_probability_says():
    choices, _ = distribution([1, 3], 40_000)
    drawn = choices.sample()
    found, _ = probabilities([1, 3])
    frequency = torch.stack([(drawn == action).all(1).float().mean() for action in ACTIONS])
    assert (frequency - found).abs().max().item() < 0.01


def test_closed_choices_are_not_taken_and_fewer_take_part_where_fewer_can():
    choices, _ = distribution([3], 500)
    choices.apply_masking(only(0, 2).expand(500, -1))
    for actions in (choices.sample(), choices.mode()):
        assert ((actions > 0) == torch.tensor([True, False, True, False])).all()
        assert torch.isfinite(choices.log_prob(actions)).all()


def test_nobody_takes_part_where_nobody_can():
    choices, _ = distribution([1, 3], 10)
    choices.apply_masking(only().expand(10, -1))
    assert (choices.sample() == 0).all()
    assert choices.log_prob(choices.mode()).exp().tolist() == pytest.approx([1.0] * 10)


def test_the_mode_is_the_most_likely_set_of_the_most_likely_size():
    choices, _ = distribution([2], 1)
    found, _ = probabilities([2])
    sets = {}
    for action, probability in zip(ACTIONS, found, strict=True):
        key = tuple((action > 0).tolist())
        sets[key] = sets.get(key, 0.0) + probability.item()
    assert tuple((choices.mode()[0] > 0).tolist()) == max(sets, key=sets.get)


def test_gradients_are_finite_even_where_choices_are_closed():
    logits = torch.randn(6, DEVICES * SIZE + 2, requires_grad=True)
    choices = CountedChoices(DEVICES, [SIZE], [1, 3]).proba_distribution(logits)
    choices.apply_masking(only(0, 1, 2).expand(6, -1))
    choices.log_prob(choices.sample()).sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0


def test_what_an_idle_device_chooses_else_does_not_count():
    choices = CountedChoices(2, [2, 3], [1]).proba_distribution(torch.randn(1, 2 * 2 + 2 * 3 + 1).expand(3, -1))
    found = choices.log_prob(torch.tensor([[1, 0, 0, 0], [1, 0, 0, 2], [1, 0, 1, 0]]))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_policy_that_chooses_the_number_first_keeps_to_it():
    from stable_baselines3.common.utils import ConstantSchedule

    from baselines.per_device import PerDevicePolicy

    space = spaces.Dict({"loss": spaces.Box(-1, 1, (5,)), "accuracy": spaces.Box(-1, 1, (1,))})
    actions = spaces.MultiDiscrete([4] * 5)
    policy = PerDevicePolicy(space, actions, ConstantSchedule(1e-3), num_devices=5, participants=[2])
    space.seed(0)
    for deterministic in (True, False):
        for _ in range(10):
            assert (policy.predict(space.sample(), deterministic=deterministic)[0] > 0).sum() == 2


def test_numbers_above_that_of_the_devices_stand_for_all():
    from stable_baselines3.common.utils import ConstantSchedule

    from baselines.per_device import PerDevicePolicy
    from qfl_envs.errors import InvalidValueError

    space = spaces.Dict({"loss": spaces.Box(-1, 1, (3,))})
    make = {"lr_schedule": ConstantSchedule(1e-3), "num_devices": 3}
    policy = PerDevicePolicy(space, spaces.MultiDiscrete([2] * 3), participants=[4, 9], **make)
    assert (policy.predict(space.sample())[0] == 1).all()
    with pytest.raises(InvalidValueError, match="whole numbers of at least 1"):
        PerDevicePolicy(space, spaces.MultiDiscrete([2] * 3), participants=[0, 2], **make)
