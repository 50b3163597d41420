"""The forms of the action mask of Gymnasium and of PettingZoo."""

import numpy as np
import pytest
from gymnasium import spaces
from playing import make

from qfl_envs.envs.masks import device_masks, split_mask
from qfl_envs.errors import InvalidValueError


def test_split_mask_gives_one_int8_array_per_entry_in_order():
    parts = split_mask(np.array([True, False, True, False, False, True]), np.array([2, 3, 1]))
    assert [part.tolist() for part in parts] == [[1, 0], [1, 0, 0], [1]]
    assert isinstance(parts, tuple)
    assert {part.dtype for part in parts} == {np.dtype(np.int8)}


def test_gymnasium_samples_only_open_choices_with_a_split_mask():
    space = spaces.MultiDiscrete([3, 3], seed=0)
    mask = split_mask(np.array([False, True, False, True, False, True]), space.nvec)
    samples = {tuple(int(choice) for choice in space.sample(mask=mask)) for _ in range(50)}
    assert samples == {(1, 0), (1, 2)}


@pytest.mark.parametrize("length", [0, 5, 7])
def test_split_mask_refuses_a_mask_of_another_length(length):
    with pytest.raises(InvalidValueError, match=rf"\({length},\).*\(6,\)"):
        split_mask(np.ones(length, dtype=bool), np.array([2, 3, 1]))


def test_device_masks_joins_the_choices_of_each_device():
    first_choice, second_choice = [[1, 0, 0], [1, 1, 1]], [[1, 1], [0, 1]]
    mask = np.array([*first_choice[0], *first_choice[1], *second_choice[0], *second_choice[1]], dtype=bool)
    rows = device_masks(mask, np.array([3, 3, 2, 2]), num_devices=2)
    assert rows.tolist() == [[1, 0, 0, 1, 1], [1, 1, 1, 0, 1]]
    assert rows.dtype == np.int8


@pytest.mark.parametrize(
    ("env_id", "options"), [("qfl/Scheduling-v0", 4), ("qfl/StragglerFairness-v0", 4), ("qfl/Allocation-v0", 3 + 4)]
)
def test_device_masks_of_an_environment_have_one_row_of_zeros_and_ones_per_device(env_id, options):
    env = make(env_id)
    env.reset(seed=0)
    rows = device_masks(env.unwrapped.action_masks(), env.action_space.nvec, num_devices=6)
    assert rows.shape == (6, options)
    assert rows.dtype == np.int8
    assert set(np.unique(rows)) <= {0, 1}


def test_device_masks_close_the_same_choices_as_the_flat_mask():
    env = make("qfl/Allocation-v0", radio={"link_drop": 0.5})
    env.reset(seed=0)
    rows = device_masks(env.unwrapped.action_masks(), env.action_space.nvec, num_devices=6)
    available = env.unwrapped.system.available()[0]
    assert not available.all() and available.any()
    assert (rows[:, 1:4].all(-1) == available).all()
    assert rows[:, 0].all() and rows[:, 4:].all()


@pytest.mark.parametrize("nvec", [[3, 2, 3, 2], [3, 3, 2]])
def test_device_masks_refuses_an_action_that_is_not_choice_after_choice(nvec):
    with pytest.raises(InvalidValueError, match="nvec"):
        device_masks(np.ones(sum(nvec), dtype=bool), np.array(nvec), num_devices=2)
