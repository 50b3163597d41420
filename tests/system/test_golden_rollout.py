"""A rollout that must not change unnoticed.

The numbers were measured once. Where a change of the system or of the preset ``tiny`` is meant to change them, print
new ones with ``python tests/system/test_golden_rollout.py`` and put them in place of ``GOLDEN``.
"""

import json

import numpy as np
import pytest

from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem

GOLDEN = {
    "round_s": [1.0, 0.618526381, 0.185415724, 0.501570086, 0.732259661],
    "energy_j": [0.957567979, 0.903874394, 0.1681051, 0.794445538, 0.98017529],
    "sum_rate_bps": [897088.163, 580917.492, 479746.198, 996786.594, 168201.031],
    "accuracy": [0.133333333, 0.15, 0.183333333, 0.166666667, 0.183333333],
    "loss": [2.32504356, 2.22442701, 2.21847125, 2.27499619, 2.27452261],
}

# radio and energies are double precision; the learner's single precision may decide a few of the 60 held-out samples
TOLERANCES = {
    "round_s": {"rtol": 1e-6},
    "energy_j": {"rtol": 1e-6},
    "sum_rate_bps": {"rtol": 1e-6},
    "accuracy": {"rtol": 0, "atol": 0.04},
    "loss": {"rtol": 1e-3},
}


def rollout():
    """What five rounds of an instance of ``tiny`` report, under decisions that go through all that can be decided."""
    scenario = Scenario.preset("tiny")
    system = FederatedSystem(scenario, max_local_steps=3)
    system.reset([np.random.default_rng(2028)])
    device = np.arange(scenario.num_devices)
    reports = []
    for number in range(5):
        decision = Decision(
            participate=((device + number) % 3 <= number % 2)[None],
            subchannel=((device + number) % scenario.radio.num_subchannels)[None],
            power_dbm=np.linspace(17.0, 11.0, scenario.num_devices)[None],
            local_steps=(1 + (device * number) % 3)[None],
            time_share=np.array([number % 2 == 1]),
        )
        reports.append(system.step(decision))
    return {name: [getattr(report, name).item() for report in reports] for name in TOLERANCES}


@pytest.fixture(scope="module")
def measured():
    return rollout()


@pytest.mark.parametrize("name", TOLERANCES)
def test_the_rollout_is_the_one_that_was_recorded(name, measured):
    np.testing.assert_allclose(measured[name], GOLDEN[name], **TOLERANCES[name])


if __name__ == "__main__":
    print(json.dumps(rollout(), indent=4))
