"""Devices as quantum agents: shared entanglement, local circuits on it, and a critic that measures it jointly."""
