"""Quantum competitors and their controls, by name."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agents.qaoa.angles import Angles
from agents.qaoa.one_hot import OneHotQAOA
from qfl_envs.competitor import Registry

if TYPE_CHECKING:
    from agents.policies.per_device import PerDeviceVQCPolicy
    from agents.policies.vqc_policy import VQCPolicy
    from agents.policies.vqc_q_policy import VQCQPolicy

__all__ = ["Angles", "OneHotQAOA", "PerDeviceVQCPolicy", "VQCPolicy", "VQCQPolicy", "make", "names"]

_registry = Registry(
    "agent",
    {
        "qaoa-one-shot": "agents.qaoa.allocators:OneShot",
        "qaoa-recursive": "agents.qaoa.allocators:Recursive",
        "qaoa-block": "agents.qaoa.allocators:Block",
        "qaoa-online": "agents.qaoa.allocators:Online",
        "uniform-shots": "agents.qaoa.allocators:UniformShots",
        "recursive-uniform": "agents.qaoa.allocators:RecursiveUniform",
        "block-uniform": "agents.qaoa.allocators:BlockUniform",
        "block-exact": "agents.qaoa.allocators:BlockExact",
        "sqa": "agents.annealing.allocators:QuantumAnnealing",
        "sqa-undriven": "agents.annealing.allocators:Undriven",
        "sqa-penalty": "agents.annealing.allocators:PenaltyAnnealing",
        "dwave-sa": "agents.annealing.allocators:DWaveAnnealing",
        "dwave-sqa": "agents.annealing.allocators:DWaveQuantumAnnealing",
        "annealed-head": "agents.annealing.recalibration:AnnealedHead",
        "qaoa-scheduling": "agents.qaoa.scheduling:Scheduling",
        "uniform-scheduling": "agents.qaoa.scheduling:UniformScheduling",
        "greedy-scheduling": "agents.qaoa.scheduling:GreedyScheduling",
        "qaoa-settings": "agents.qaoa.settings:Settings",
        "uniform-settings": "agents.qaoa.settings:UniformSettings",
        "exhaustive-settings": "agents.qaoa.settings:ExhaustiveSettings",
    },
)
names = _registry.names
make = _registry.make

_LATER = {
    "PerDeviceVQCPolicy": "agents.policies.per_device",
    "VQCPolicy": "agents.policies.vqc_policy",
    "VQCQPolicy": "agents.policies.vqc_q_policy",
}
"""What needs Stable-Baselines3, which takes seconds to load."""


def __getattr__(name: str) -> Any:
    """Load a policy when it is asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
