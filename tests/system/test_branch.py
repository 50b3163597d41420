import dataclasses

import numpy as np
import pytest

from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem

TINY = Scenario.preset("tiny").replace({"learning": {"model": "surrogate"}})


@pytest.fixture
def running():
    """Three systems in the middle of their episodes."""
    system = FederatedSystem(TINY, 3)
    system.reset([np.random.default_rng(seed) for seed in range(3)])
    for _ in range(3):
        system.step(everyone(3))
    return system


def everyone(systems):
    return Decision(np.ones((systems, TINY.num_devices), dtype=bool))


def fields(system, rows):
    return {field.name: getattr(system.state, field.name)[rows].copy() for field in dataclasses.fields(system.state)}


def test_copies_have_the_future_of_their_originals(running):
    copies = running.branch([2, 0, 2])
    for _ in range(3):
        running.step(everyone(3)), copies.step(everyone(3))
    ours, theirs = fields(copies, slice(None)), fields(running, [2, 0, 2])
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6, atol=1e-9, err_msg=name)


def test_what_becomes_of_copies_does_not_touch_their_originals(running):
    before, drawn = fields(running, slice(None)), [g.bit_generator.state for g in running.generators]
    copies = running.branch([0, 1])
    for _ in range(2):
        copies.step(everyone(2))
    copies.state.battery_j[:] = -1.0
    after = fields(running, slice(None))
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert drawn == [g.bit_generator.state for g in running.generators]


def test_a_branch_keeps_what_the_task_has_set(running):
    running.devices_leave, running.max_local_steps = True, 7
    copies = running.branch([0])
    assert (copies.devices_leave, copies.max_local_steps, copies.num_systems) == (True, 7, 1)
    assert copies.difficulty is running.difficulty
