"""Gymnasium environments of quantum federated learning over a wireless network.

Importing this package registers ``qfl/Allocation-v0``, ``qfl/Drift-v0``, ``qfl/Power-v0``, ``qfl/Scheduling-v0`` and
``qfl/StragglerFairness-v0``; each step of an environment is one federated round.
"""

from qfl_envs.registration import register_envs
from qfl_envs.scenario import Scenario

__all__ = ["Scenario", "register_envs"]
__version__ = "0.1.0"

register_envs()
