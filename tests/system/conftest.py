import numpy as np
import pytest

from qfl_envs.scenario import Scenario
from qfl_envs.system.federation import FederatedSystem


@pytest.fixture
def begin():
    """Systems of a scenario, already reset: ``begin(scenario, seeds=(0,))``, with one row per seed."""

    def begin_systems(scenario: Scenario, seeds=(0,), **options) -> FederatedSystem:
        system = FederatedSystem(scenario, len(seeds), **options)
        system.reset([np.random.default_rng(seed) for seed in seeds])
        return system

    return begin_systems
