"""Quantum competitors, by name."""

from qfl_envs.competitor import Registry

_registry = Registry("agent", {})
names = _registry.names
make = _registry.make
