"""How fast circuits learn as policies: against the same policy on PennyLane's TorchLayer, and against an MLP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import pennylane as qml
import torch
from stable_baselines3 import PPO
from torch import Tensor, nn

from agents.policies.circuit_layer import CircuitLayer
from agents.policies.circuit_network import CircuitNetwork
from agents.policies.per_device import PerDeviceVQCPolicy
from agents.policies.vqc_policy import VQCPolicy
from baselines.per_device import PerDevicePolicy
from qfl_envs.quantum import pennylane
from qfl_envs.vector import FederatedVectorEnv
from train.benchmarks.circuits import TOLERANCE, ExecutorsDisagreeError
from train.benchmarks.timing import interleaved_medians
from train.sb3 import SB3VecEnv
from train.training.settings import configuration

ROWS, STEPS, BATCH = 32, 16, 256


@dataclass(frozen=True)
class Workload:
    """A policy with circuits and the classical one beside it, in an environment of the preset ``small``.

    Attributes:
        env_id: Environment; which policies are compared follows from the shipped settings.
        num_devices: Size of the fleet.
    """

    env_id: str
    num_devices: int = 20


WORKLOADS = (Workload("qfl/Drift-v0"), Workload("qfl/Scheduling-v0"))


def measure(repeats: int = 5, workloads: Sequence[Workload] = WORKLOADS) -> list[dict[str, Any]]:
    """Time of PPO's updates, one epoch on the same 512 rounds in mini-batches of 256.

    All three have PPO's settings alike: the policy with circuits as shipped, on the fast simulator; the same, with its
    circuit in a TorchLayer of PennyLane on ``default.qubit`` with backprop, all samples of a mini-batch in one
    broadcast circuit; and the shipped classical policy. All run in this process, by turns; the medians are compared.

    Args:
        repeats: Measured calls, at least 3; slow alternatives get 3.
        workloads: What to run.

    Returns:
        One row per workload: ``workload``; ``seconds_circuit``, ``seconds_torch_layer`` and ``seconds_mlp`` per epoch;
        ``ratio_torch_layer``, how many times longer PennyLane takes; ``speed_of_mlp``, the speed of the policy with
        circuits as a share of that of the classical one.

    Raises:
        ExecutorsDisagreeError: If the policy acts differently on PennyLane.
    """
    return [_measure(workload, repeats) for workload in workloads]


def _measure(workload: Workload, repeats: int) -> dict[str, Any]:
    circuit, on_pennylane, mlp = _model("vqc-ppo", workload), _model("vqc-ppo", workload), _model("ppo", workload)
    layer = put_torch_layer(on_pennylane)
    name = f"{workload.env_id}, {workload.num_devices} devices, {layer.num_qubits} qubits, {layer.num_layers} layers"
    _check_agreement(name, circuit, on_pennylane)
    runs = {"circuit": circuit.train, "torch layer": on_pennylane.train, "mlp": mlp.train}
    medians = interleaved_medians(runs, repeats)
    return {
        "workload": name,
        "seconds_circuit": medians["circuit"],
        "seconds_torch_layer": medians["torch layer"],
        "seconds_mlp": medians["mlp"],
        "ratio_torch_layer": medians["torch layer"] / medians["circuit"],
        "speed_of_mlp": medians["mlp"] / medians["circuit"],
    }


def _model(agent: str, workload: Workload) -> PPO:
    """A model that has played its rounds and is about to learn from them."""
    settings = configuration(agent, workload.env_id, "small")
    vector_env = gym.make_vec(
        workload.env_id,
        num_envs=ROWS,
        autoreset_mode="SameStep",
        num_devices=workload.num_devices,
        learning={"model": "none"},
    )
    assert isinstance(vector_env, FederatedVectorEnv)
    policies: dict[str, Any] = {
        "vqc": VQCPolicy,
        "vqc-per-device": PerDeviceVQCPolicy,
        "per-device": PerDevicePolicy,
        "mlp": "MultiInputPolicy",
    }
    keywords = dict(settings["policy_kwargs"])
    if settings["policy"] != "mlp":
        keywords["num_devices"] = vector_env.task.num_shown
    model = PPO(
        policies[settings["policy"]],
        SB3VecEnv(vector_env),
        n_steps=STEPS,
        batch_size=BATCH,
        n_epochs=1,
        seed=0,
        policy_kwargs=keywords,
        device="cpu",
    )
    model.learn(ROWS * STEPS)
    return model


class TorchLayerCircuit(nn.Module):
    """The circuit of a policy as PennyLane's TorchLayer."""

    def __init__(self, layer: CircuitLayer) -> None:
        """Take description and weights of a layer."""
        super().__init__()
        circuit = layer.circuit
        self.all_outcomes, self.num_qubits = layer.all_outcomes, circuit.num_qubits
        self.num_layers = circuit.num_layers
        measured = "probabilities" if layer.all_outcomes else "z"
        node = pennylane.qnode(circuit, "default.qubit", "backprop", measured)
        values = {name: getattr(layer, name).detach().clone() for name in circuit.shape()}
        self.layer = qml.qnn.TorchLayer(node, circuit.shape(), init_method=values)

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., num_qubits) angles -> (..., width)."""
        found: Tensor = self.layer(inputs.reshape(-1, self.num_qubits))
        return found.to(inputs).view(*inputs.shape[:-1], -1)


def put_torch_layer(model: PPO) -> TorchLayerCircuit:
    """Let the circuit of a model's actor run as a TorchLayer, from now on with Adam at one rate."""
    (network,) = [module for module in model.policy.modules() if isinstance(module, CircuitNetwork)]
    layer = TorchLayerCircuit(network.layer)
    network.layer = layer  # type: ignore[assignment]  # it does the same
    model.policy.optimizer = torch.optim.Adam(model.policy.parameters(), lr=1e-3, fused=True)
    return layer


def _check_agreement(name: str, circuit: PPO, on_pennylane: PPO) -> None:
    """Refuse to compare policies that act differently."""
    on_pennylane.policy.load_state_dict(circuit.policy.state_dict(), strict=False)
    (source,) = [module for module in circuit.policy.modules() if isinstance(module, CircuitLayer)]
    (target,) = [module for module in on_pennylane.policy.modules() if isinstance(module, TorchLayerCircuit)]
    with torch.no_grad():
        for weight, parameter in target.layer.qnode_weights.items():
            parameter.copy_(getattr(source, weight))
        angles = torch.tensor(np.random.default_rng(0).uniform(-1, 1, (64, target.num_qubits)), dtype=torch.float32)
        difference = float((source(angles) - target(angles)).abs().max())
    if not difference <= TOLERANCE:
        raise ExecutorsDisagreeError(name, "TorchLayer", difference)
