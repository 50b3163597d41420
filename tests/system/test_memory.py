"""What is remembered of a round: versions received, losses reported, ages."""

from types import SimpleNamespace

import numpy as np

from qfl_envs.system import memory


def remembered():
    """Two systems of two devices."""
    return SimpleNamespace(
        updates=np.array([5, 8]),
        device_loss=np.array([[0.1, 0.2], [0.3, 0.4]]),
        held_version=np.array([[1, 2], [3, 4]]),
        received_loss=np.array([[1.1, 1.2], [1.3, 1.4]]),
        reported_loss=np.array([[2.1, 2.2], [2.3, 2.4]]),
        age=np.array([[0, 1], [2, 3]]),
    )


def test_who_takes_part_receives_the_newest_model_and_measures_it():
    state = remembered()
    memory.receive(state, np.array([[True, False], [False, True]]))
    assert state.held_version.tolist() == [[5, 2], [3, 8]]
    assert state.received_loss.tolist() == [[0.1, 1.2], [1.3, 0.4]]


def test_who_delivers_reports_its_loss_and_all_others_are_a_round_older():
    state = remembered()
    heard = memory.hear(state, np.array([[False, False], [True, False]]))
    assert state.reported_loss.tolist() == [[2.1, 2.2], [1.3, 2.4]]
    assert state.age.tolist() == [[1, 2], [0, 4]]
    assert heard.tolist() == [False, True]


def test_what_was_remembered_before_is_not_overwritten():
    state = remembered()
    before = state.held_version, state.received_loss, state.reported_loss, state.age
    memory.receive(state, np.ones((2, 2), dtype=bool))
    memory.hear(state, np.ones((2, 2), dtype=bool))
    for old, name in zip(before, ("held_version", "received_loss", "reported_loss", "age"), strict=True):
        np.testing.assert_array_equal(old, getattr(remembered(), name))
