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
    "round_s": [0.325832096, 0.562501419, 1, 1, 0.1916312],
    "energy_j": [0.739365003, 1.24290982, 0.995337085, 1.24715174, 0.450638832],
    "sum_rate_bps": [1199004.67, 1005897.45, 120263.573, 717739.232, 1099105.56],
    "accuracy": [0.0833333333, 0.0833333333, 0.266666667, 0.166666667, 0.216666667],
    "loss": [2.44857452, 2.34905581, 2.26325457, 2.26342448, 2.23295466],
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
