"""Policies of devices that decide at the same time and do not hear each other.

A quantum device runs its circuit on its own qubits, measures them once, and draws its option by a linear layer on the
bits that it measured. Given what was shared before, the joint distribution of a cluster's options is exact::

    P(a_1 ... a_n) = <prod_i A_i>,    A_i = U_i^dagger diag_k K(a_i | k) U_i

with K(a | k) the softmax over the open options after outcome k. It is trained on the logarithm of this joint
probability, which is what devices that share entanglement can correlate; its marginals are those of each device alone.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from agents.multi_agent.local_circuits import DeviceLinear, LocalCircuit, operators
from agents.multi_agent.shared_states import Clusters, SharedState
from agents.parameters import count
from baselines.device_entries import one_hot_names
from qfl_envs.quantum.circuits import Circuit, z_signs

SMALLEST_PROBABILITY = 1e-9
"""Below it a logarithm would be that of rounding errors."""


class Counts(NamedTuple):
    """Trainable numbers: of circuits, and of the classical layers before and after them; all, if it has no circuit."""

    quantum: int
    classical_pre: int
    classical_post: int

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)


class Names(nn.Module):
    """Tells devices apart that share weights: appends to what each observes what it is called."""

    names: Tensor

    def __init__(self, num_devices: int, num_names: int) -> None:
        """Name the devices: device n of N is called n modulo M; with M = 0 there are no names."""
        super().__init__()
        self.register_buffer("names", one_hot_names(num_devices, num_names), persistent=False)

    def forward(self, observations: Tensor) -> Tensor:
        """(..., N, F) -> (..., N, F + M)."""
        return torch.cat([observations, self.names.expand(*observations.shape[:-1], -1)], dim=-1)


class Actor(nn.Module):
    """Base: what the trainer and those who play need of a policy.

    Attributes:
        clusters: Which devices decide jointly; their probabilities are clipped together in training.
        named: Appends names to what devices observe.
    """

    def __init__(self, clusters: Clusters, num_names: int) -> None:
        """Name the devices.

        Args:
            clusters: Which devices decide jointly.
            num_names: Device n is called n modulo this; 0 for no names.
        """
        super().__init__()
        self.clusters = clusters
        self.named = Names(clusters.num_devices, num_names)

    def log_probabilities(self, observations: Tensor, masks: Tensor, options: Tensor) -> tuple[Tensor, Tensor]:
        """How likely options are.

        Args:
            observations: (E, N, F).
            masks: (E, N, O) bool, the open options.
            options: (E, N) open ones.

        Returns:
            (E, G) logarithm of the joint probability of each cluster's options, and (E, N) entropy of each device's
            own options.
        """
        raise NotImplementedError

    def act(
        self, observations: Tensor, masks: Tensor, generator: torch.Generator, greedy: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Options (E, N), and the logarithms (E, G) of their joint probabilities.

        Args:
            observations: (E, N, F).
            masks: (E, N, O).
            generator: Of measurements and draws.
            greedy: Take the most likely option, which for a quantum device is that of the bits it measured.
        """
        raise NotImplementedError

    def counts(self) -> Counts:
        """Trainable numbers."""
        raise NotImplementedError

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by the learning rate they need: ``angles``, ``classical`` or ``output``."""
        raise NotImplementedError


class EntangledActor(Actor):
    """Devices with circuits on shared qubits and qubits of their own.

    A qubit of a maximally entangled chain looks the same to its device whatever the device does to it: such qubits
    correlate options, and qubits of its own make them depend on what the device observes. It takes both.
    """

    signs: Tensor
    present: Tensor
    alone: Tensor

    def __init__(
        self,
        clusters: Clusters,
        circuit: Circuit,
        shared: SharedState,
        num_features: int,
        num_options: int,
        own_weights: bool = False,
        num_names: int = 0,
        first_logits: Tensor | None = None,
    ) -> None:
        """Make the policy.

        Args:
            clusters: Which devices share a state.
            circuit: Of one device.
            shared: What a cluster shares; its devices must be as many as a cluster has.
            num_features: Numbers F that a device observes.
            num_options: Options O of a device.
            own_weights: Whether each device has weights of its own, in place of one set for all.
            num_names: See :class:`Actor`.
            first_logits: (O) logits at the start, before what the bits add; None for all options alike.
        """
        super().__init__(clusters, num_names)
        copies = clusters.num_devices if own_weights else None
        self.shared = shared
        self.local = LocalCircuit(circuit, shared.num_entangled, num_features + num_names, copies)
        self.head = DeviceLinear(circuit.num_qubits, num_options, copies)
        _begin_with(self.head, first_logits)
        self.register_buffer("signs", torch.tensor(z_signs(circuit.num_qubits), dtype=torch.float32), persistent=False)
        present = clusters.split(torch.ones(clusters.num_devices), -1, 0.0)
        self.register_buffer("present", present.bool(), persistent=False)
        company = present.sum(-1, keepdim=True).expand(-1, clusters.size)
        self.register_buffer("alone", clusters.join(company) == 1, persistent=False)

    def _parts(self, observations: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """States (E, N, T, D), and the probabilities K (E, N, D, O) of the open options after each outcome."""
        states = self.local(self.named(observations))
        if self.head.weight.ndim == 2:
            logits = self.signs @ self.head.weight + self.head.bias
        else:
            logits = self.signs @ self.head.weight + self.head.bias[:, None]
        open_logits = logits.masked_fill(~masks[..., None, :], -math.inf)
        return states, open_logits.softmax(-1)

    def log_probabilities(self, observations: Tensor, masks: Tensor, options: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Actor.log_probabilities`."""
        states, chances = self._parts(observations, masks)
        chosen = options[..., None, None].expand(*chances.shape[:-1], 1)
        effects = operators(states, chances.gather(-1, chosen).squeeze(-1))
        joint = self.shared.expectation(self.clusters.split(effects, -3, 1.0))
        own = self.marginals(states, chances)
        entropy = -(own * own.clamp_min(SMALLEST_PROBABILITY).log()).sum(-1)
        return joint.clamp_min(SMALLEST_PROBABILITY).log(), entropy

    def marginals(self, states: Tensor, chances: Tensor) -> Tensor:
        """(E, N, O) how likely each device's options are to whoever sees that device alone.

        The other devices' qubits are averaged over, and leave the terms of the shared state without their interference.
        """
        outcomes = _squared(states).mean(-2)
        if self.alone.any():  # who has nobody to share with has a superposition instead of a mixture
            amplitudes = torch.tensor(self.shared.amplitudes(), dtype=states.dtype)
            superposed = (states * amplitudes[:, None]).sum(-2)
            outcomes = torch.where(self.alone[:, None], _squared(superposed), outcomes)
        return (outcomes[..., None, :] @ chances).squeeze(-2)

    def act(
        self, observations: Tensor, masks: Tensor, generator: torch.Generator, greedy: bool = False
    ) -> tuple[Tensor, Tensor]:
        """See :meth:`Actor.act`; outcomes are drawn device by device, each given those before it."""
        states, chances = self._parts(observations, masks)
        if greedy:
            best = chances.argmax(-1, keepdim=True)
            chances = torch.zeros_like(chances).scatter_(-1, best, 1.0)
        projected = states.conj()[..., :, None, :] * states[..., None, :, :]  # (E, N, T, T, D)
        effects = (projected @ chances.to(states.dtype)[..., None, :, :]).movedim(-1, -3)  # (E, N, O, T, T)
        effects = self.clusters.split(effects, -4, 1.0)  # (E, G, n, O, T, T)
        so_far = self.shared.weights(states).expand(*effects.shape[:2], -1, -1).to(states.dtype)
        likelihood, options = torch.ones(effects.shape[:2]), []
        for device in range(self.clusters.size):
            later = self.present[:, device + 1 :].any(-1)
            unseen = torch.where(later[:, None, None], torch.eye(self.shared.num_terms), torch.tensor(1.0))
            mine = torch.stack(
                [self.shared.ordered(effects[..., option, :, :], device) for option in range(effects.shape[-3])], -3
            )
            weights = (so_far[..., None, :, :] * mine * unseen[:, None]).real.sum((-2, -1)).clamp_min(0.0)
            drawn = torch.multinomial(weights.flatten(0, 1), 1, generator=generator).view(*weights.shape[:2])
            index = drawn[..., None, None, None].expand(*drawn.shape, 1, *mine.shape[-2:])
            so_far = so_far * mine.gather(-3, index).squeeze(-3)
            likelihood = weights.gather(-1, drawn[..., None]).squeeze(-1)
            options.append(drawn)
        chosen = self.clusters.join(torch.stack(options, -1))
        return chosen, likelihood.clamp_min(SMALLEST_PROBABILITY).log()

    def counts(self) -> Counts:
        """See :class:`Counts`."""
        return Counts(count(self.local.angles), count(self.local.encoder.parameters()), count(self.head.parameters()))

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """See :meth:`Actor.groups`."""
        return {
            "angles": self.local.angles,
            "classical": list(self.local.encoder.parameters()),
            "output": list(self.head.parameters()),
        }


class ClassicalActor(Actor):
    """A small network that all devices share, each on what it observes itself: the actors of MAPPO."""

    def __init__(
        self,
        num_devices: int,
        hidden: list[int],
        num_features: int,
        num_options: int,
        own_weights: bool = False,
        num_names: int = 0,
        first_logits: Tensor | None = None,
    ) -> None:
        """Make the policy; the other arguments are those of :class:`EntangledActor`.

        Args:
            num_devices: N; every device is a cluster of its own.
            hidden: Width of each hidden layer.
            num_features: F.
            num_options: O.
            own_weights: One network for each device.
            num_names: See :class:`Actor`.
            first_logits: See :class:`EntangledActor`.
        """
        super().__init__(Clusters(num_devices, 1), num_names)
        self.network = tanh_network(
            [num_features + num_names, *hidden, num_options], num_devices if own_weights else None, gain=0.1
        )
        last = self.network[-1]
        assert isinstance(last, DeviceLinear)
        _begin_with(last, first_logits)

    def _logarithms(self, observations: Tensor, masks: Tensor) -> Tensor:
        logits: Tensor = self.network(self.named(observations))
        return logits.masked_fill(~masks, -math.inf).log_softmax(-1)

    def log_probabilities(self, observations: Tensor, masks: Tensor, options: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Actor.log_probabilities`."""
        logarithms = self._logarithms(observations, masks)
        finite = logarithms.masked_fill(~masks, 0.0)
        entropy = -(finite.exp() * finite * masks).sum(-1)
        return logarithms.gather(-1, options[..., None]).squeeze(-1), entropy

    def act(
        self, observations: Tensor, masks: Tensor, generator: torch.Generator, greedy: bool = False
    ) -> tuple[Tensor, Tensor]:
        """See :meth:`Actor.act`."""
        logarithms = self._logarithms(observations, masks)
        if greedy:
            options = logarithms.argmax(-1)
        else:
            drawn = torch.multinomial(logarithms.exp().flatten(0, 1), 1, generator=generator)
            options = drawn.view(logarithms.shape[:-1])
        return options, logarithms.gather(-1, options[..., None]).squeeze(-1)

    def counts(self) -> Counts:
        """See :class:`Counts`."""
        return Counts(0, count(self.parameters()), 0)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """See :meth:`Actor.groups`."""
        return {"classical": list(self.parameters())}


def tanh_network(sizes: list[int], copies: int | None, gain: float) -> nn.Sequential:
    """Linear layers with tanh between them; the last one begins with weights of that gain."""
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(zip(sizes, sizes[1:], strict=False)):
        is_last = number == len(sizes) - 2
        layers += [DeviceLinear(inputs, outputs, copies, gain if is_last else 1.0)] + ([] if is_last else [nn.Tanh()])
    return nn.Sequential(*layers)


def _begin_with(head: DeviceLinear, logits: Tensor | None) -> None:
    if logits is not None:
        with torch.no_grad():
            head.bias.copy_(logits)


def _squared(amplitudes: Tensor) -> Tensor:
    """|z|^2, whose derivative at 0 is 0."""
    return torch.view_as_real(amplitudes).square().sum(-1)
