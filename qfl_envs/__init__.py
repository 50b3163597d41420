"""Gymnasium environments of quantum federated learning over a wireless network.

Importing this package registers ``qfl/Allocation-v0`` and ``qfl/Scheduling-v0``; each step of an environment is one
federated round.
"""

from qfl_envs.registration import register_envs
from qfl_envs.scenario import Scenario

__all__ = ["Scenario", "register_envs"]
__version__ = "0.1.0"

register_envs()
