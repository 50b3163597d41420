"""Entries and names of devices, and how likely options are before anything is learned."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from baselines.device_entries import by_device, lengths_of_entries, one_hot_names
from baselines.first_logits import first_logits


def test_entries_of_devices_are_those_whose_length_is_a_multiple_of_their_number():
    space = spaces.Dict({name: spaces.Box(-1, 1, (size,)) for name, size in (("gain", 6), ("age", 3), ("round", 1))})
    assert lengths_of_entries(space, 3) == ({"gain": 6, "age": 3}, {"round": 1})


def test_numbers_of_a_device_lie_together():
    observed = {"gain": torch.arange(6.0)[None], "age": torch.tensor([[7.0, 8.0, 9.0]])}
    assert by_device(observed, ("gain", "age"), 3).tolist() == [[[0, 1, 7], [2, 3, 8], [4, 5, 9]]]


def test_devices_are_named_in_turn():
    assert one_hot_names(5, 2).tolist() == [[1, 0], [0, 1], [1, 0], [0, 1], [1, 0]]
    assert one_hot_names(5, 0).shape == (5, 0)


@pytest.mark.parametrize("later", [1.0, 0.2])
def test_a_device_begins_as_likely_to_idle_as_was_asked(later):
    chances = first_logits(4, 0.8, later).softmax(-1).numpy()
    np.testing.assert_allclose(chances[0], 0.8, rtol=1e-5)
    np.testing.assert_allclose(chances[2:] / chances[1:-1], later, rtol=1e-5)
