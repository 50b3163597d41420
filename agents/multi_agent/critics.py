"""Values for training: of the joint measurement of entangled circuits, or of classical networks.

The entangled split critic is that of eQMARL (DeRieux & Saad 2025, ICLR, arXiv 2405.17486): each device runs its circuit
on its own observation and its own qubits of a shared state, and a server that is sent the qubits, but no observation,
measures the parity of all of them. Exactly, in O(n 4^d) for n devices of d qubits::

    <Z...Z> = 2^-d sum_{b,b'} s_b s_b' prod_i <b + f_i|M_i|b' + f_i>,    M_i = U_i^dagger Z^(x)d U_i

The parity of many devices concentrates: where each circuit is random, its standard deviation falls by about the same
factor with every further device. So devices are in clusters of two or three, and the values of clusters are summed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agents.multi_agent.actors import Counts, Names, tanh_network
from agents.multi_agent.local_circuits import LocalCircuit, operators
from agents.multi_agent.shared_states import Clusters, SharedState
from agents.parameters import count
from qfl_envs.quantum.circuits import Circuit, z_signs


class Critic(nn.Module):
    """Base: the value of what a team sees."""

    def forward(self, observations: Tensor, states: Tensor) -> Tensor:
        """Values (E) of observations (E, N, F) and states (E, S); a critic uses one of them."""
        raise NotImplementedError

    def counts(self) -> Counts:
        """Trainable numbers."""
        raise NotImplementedError

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """As those of :meth:`agents.multi_agent.actors.Actor.groups`."""
        raise NotImplementedError


class EntangledCritic(Critic):
    """V = b + w sum over clusters of (1 + <Z...Z>) / 2; w and b are all that the server trains."""

    parity: Tensor

    def __init__(
        self,
        clusters: Clusters,
        circuit: Circuit,
        shared: SharedState,
        num_features: int,
        own_weights: bool = False,
        num_names: int = 0,
    ) -> None:
        """Make the critic; arguments as those of :class:`agents.multi_agent.actors.EntangledActor`."""
        super().__init__()
        self.clusters, self.shared = clusters, shared
        copies = clusters.num_devices if own_weights else None
        self.local = LocalCircuit(circuit, shared.num_entangled, num_features + num_names, copies)
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.bias = nn.Parameter(torch.tensor(-clusters.count / 2))
        signs = torch.tensor(z_signs(circuit.num_qubits), dtype=torch.float32)
        self.register_buffer("parity", signs.prod(-1), persistent=False)
        self.named = Names(clusters.num_devices, num_names)

    def parities(self, observations: Tensor) -> Tensor:
        """(E, G) expectation of the product of Pauli-Z on all qubits of each cluster."""
        measured = operators(self.local(self.named(observations)), self.parity)
        return self.shared.expectation(self.clusters.split(measured, -3, 1.0))

    def forward(self, observations: Tensor, states: Tensor) -> Tensor:
        """See :meth:`Critic.forward`; uses the observations."""
        value: Tensor = self.bias + self.scale * ((1 + self.parities(observations)) / 2).sum(-1)
        return value

    def counts(self) -> Counts:
        """See :meth:`Critic.counts`."""
        return Counts(count(self.local.angles), count(self.local.encoder.parameters()), 2)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """See :meth:`Critic.groups`."""
        return {
            "angles": self.local.angles,
            "classical": list(self.local.encoder.parameters()),
            "output": [self.scale, self.bias],
        }


class ClassicalCritic(Critic):
    """Base of the classical ones."""

    network: nn.Sequential

    def counts(self) -> Counts:
        """See :meth:`Critic.counts`."""
        return Counts(0, count(self.parameters()), 0)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """See :meth:`Critic.groups`."""
        return {"classical": list(self.parameters())}


class SplitCritic(ClassicalCritic):
    """The classical counterpart: one small network on each device's observation, and the mean of what they say."""

    def __init__(self, num_devices: int, hidden: list[int], num_features: int, num_names: int = 0) -> None:
        """Make the critic: N devices, the width of each hidden layer, F features, M names."""
        super().__init__()
        self.network = tanh_network([num_features + num_names, *hidden, 1], None, gain=1.0)
        self.named = Names(num_devices, num_names)

    def forward(self, observations: Tensor, states: Tensor) -> Tensor:
        """See :meth:`Critic.forward`; uses the observations."""
        value: Tensor = self.network(self.named(observations)).squeeze(-1).mean(-1)
        return value


class CentralCritic(ClassicalCritic):
    """One network on the state of the environment, as MAPPO has it."""

    def __init__(self, num_state: int, hidden: list[int]) -> None:
        """Make the critic: S numbers of the state, the width of each hidden layer."""
        super().__init__()
        self.network = tanh_network([num_state, *hidden, 1], None, gain=1.0)

    def forward(self, observations: Tensor, states: Tensor) -> Tensor:
        """See :meth:`Critic.forward`; uses the states."""
        value: Tensor = self.network(states).squeeze(-1)
        return value
