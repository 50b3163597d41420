"""How fast circuits are differentiated: the batched executor against PennyLane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qfl_envs.errors import QflError
from qfl_envs.quantum import batched, pennylane
from qfl_envs.quantum.circuits import Circuit
from train.benchmarks.timing import interleaved_medians

TOLERANCE = 1e-4
"""Largest difference between the executors, relative to the largest value where that is above 1."""


class ExecutorsDisagreeError(QflError):
    """Two executors of one circuit with different results, whose times cannot be compared."""

    def __init__(self, workload: str, executor: str, difference: float) -> None:
        """Say who differs, and by how much."""
        super().__init__(
            f"{executor} differs from the batched executor by {difference:.1e} at {workload}; allowed: {TOLERANCE:.0e}",
            workload,
            executor,
            difference,
        )


@dataclass(frozen=True)
class Workload:
    """One circuit, run by clients with weights of their own on samples of their own."""

    num_qubits: int
    num_layers: int
    clients: int
    samples: int

    def __str__(self) -> str:
        """In words."""
        sizes = f"{self.clients} clients x {self.samples} samples"
        return f"{self.num_qubits} qubits, {self.num_layers} layers, {sizes}"


WORKLOADS = (Workload(6, 3, 200, 32), Workload(8, 3, 100, 32), Workload(10, 3, 16, 32))


def measure(
    repeats: int = 5, workloads: Sequence[Workload] = WORKLOADS, single_samples: int = 24
) -> list[dict[str, Any]]:
    """Time of values and gradients of the sum of all Pauli-Z expectations by the weights of every client.

    The batched executor runs as the learners use it, in float32 with adjoint gradients. PennyLane runs all clients and
    samples as one broadcast circuit of ``default.qubit`` with backprop, the fastest that its simulators offer for a
    batch. It computes in complex128 whatever it is given, so it gets float64 angles, which spare it conversions. One
    QNode per sample means ``lightning.qubit`` with adjoint gradients, timed on a few samples and multiplied up to the
    workload.

    All run in this process, by turns, with the number of threads that torch finds set; the medians are compared.

    Args:
        repeats: Measured calls, at least 3; slow alternatives get 3.
        workloads: What to run.
        single_samples: Samples on which one QNode per sample is timed.

    Returns:
        One row per workload: ``workload``; ``seconds_batched`` and ``seconds_pennylane_broadcast`` per call;
        ``ratio_pennylane_broadcast`` and ``ratio_per_sample_qnodes``, how many times longer PennyLane takes.

    Raises:
        ExecutorsDisagreeError: If values or gradients differ.
    """
    return [_measure(workload, repeats, single_samples) for workload in workloads]


def _measure(workload: Workload, repeats: int, single_samples: int) -> dict[str, Any]:
    circuit = Circuit(workload.num_qubits, workload.num_layers)
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(workload.clients, *shape, generator=generator) for shape in circuit.shape().values()]
    inputs = torch.randn(workload.clients, workload.samples, workload.num_qubits, generator=generator)
    alone = [weight[:1] for weight in weights], inputs[:1, :single_samples]
    doubles = [weight.double() for weight in weights], inputs.double()
    lightning = {"device": "lightning.qubit", "gradient": "adjoint"}
    runs = {
        "batched": _Run(batched.expectations, circuit, weights, inputs, {"gradient": "adjoint"}),
        "broadcast": _Run(pennylane.expectations, circuit, *doubles, {}),
        "one QNode per sample": _Run(pennylane.expectations, circuit, *alone, lightning),
    }
    # this warms them up as well
    _check_agreement(workload, runs, _Run(batched.expectations, circuit, *alone, {"gradient": "adjoint"}))
    medians = interleaved_medians(runs, repeats, warm_up=False)
    one_sample_s = medians["one QNode per sample"] / alone[1].shape[1]
    return {
        "workload": str(workload),
        "seconds_batched": medians["batched"],
        "seconds_pennylane_broadcast": medians["broadcast"],
        "ratio_pennylane_broadcast": medians["broadcast"] / medians["batched"],
        "ratio_per_sample_qnodes": one_sample_s * workload.clients * workload.samples / medians["batched"],
    }


@dataclass(frozen=True)
class _Run:
    """Values and gradients of one executor; calling it returns both."""

    executor: Any
    circuit: Circuit
    weights: list[Tensor]
    inputs: Tensor
    keywords: dict[str, Any]

    def __call__(self) -> list[Tensor]:
        weights = [weight.detach().requires_grad_(True) for weight in self.weights]
        values = self.executor(self.circuit, *weights, self.inputs, **self.keywords)
        return [values.detach(), *torch.autograd.grad(values.sum(), weights)]


def _check_agreement(workload: Workload, runs: dict[str, _Run], batched_alone: _Run) -> None:
    """Refuse to compare executors whose values or gradients differ."""
    everything, few = runs["batched"](), batched_alone()
    for name, run in runs.items():
        expected = few if len(run.inputs) < workload.clients or run.inputs.shape[1] < workload.samples else everything
        for tensor, reference in zip(run(), expected, strict=True):
            scale = max(1.0, float(reference.abs().max()))
            difference = float((tensor - reference).abs().max()) / scale
            if not difference <= TOLERANCE:
                raise ExecutorsDisagreeError(str(workload), name, difference)
