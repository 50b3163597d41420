"""Random clusters of devices, as the simulation and the reference take them."""

import torch

from qfl_envs.quantum.circuits import Circuit

KEYS = ("rotations", "phases", "scales")


def random_cluster(circuit: Circuit, num_devices: int, seed: int) -> dict[str, torch.Tensor]:
    """Angles of each device, and what it uploads, float64."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: (num_devices, *shape) for name, shape in circuit.shape().items()}
    shapes["inputs"] = (num_devices, circuit.num_qubits)
    return {name: 6.0 * torch.rand(*shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}


def random_observations(count: int, num_devices: int, num_features: int, seed: int = 0) -> torch.Tensor:
    """(E, N, F) within [-1, 1]."""
    return 2 * torch.rand(count, num_devices, num_features, generator=torch.Generator().manual_seed(seed)) - 1
