"""What all policies with circuits have in common: settings, learning rates by group, parts, and where circuits run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import CombinedExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from agents.parameters import count
from agents.policies.circuit_layer import circuit_layers
from agents.policies.circuit_network import CircuitNetwork, CircuitSettings
from agents.policies.execution import Execution
from agents.policies.rate_groups import RateGroups, grouped_optimizer
from baselines.fleet_summary import FleetSummary


@dataclass(frozen=True)
class Parts:
    """Trainable numbers of a policy's circuits and of the layers next to them.

    Attributes:
        quantum: Angles and input scales.
        pre: Of the linear layers before the circuits.
        post: Of output scales and of the layers behind them.
    """

    quantum: int
    pre: int
    post: int


class CircuitPolicy(BasePolicy):
    """Base of policies with circuits; comes before the class of SB3 that makes it a policy.

    Attributes:
        settings: The circuit.
        execution: Where all circuits run.
        num_devices: Devices N of a Dict observation, where they are shown as a fleet.
    """

    settings: CircuitSettings
    execution: Execution
    num_devices: int | None

    def take_settings(self, keywords: dict[str, Any]) -> None:
        """Take the settings out of a policy's keywords; without an optimizer of its own it gets SB3's, in one loop."""
        self.settings = CircuitSettings.taken_from(keywords)
        if "optimizer_class" not in keywords:
            # the groups are many small tensors, of which Adam would otherwise take one at a time
            keywords.setdefault("optimizer_kwargs", {"eps": 1e-5, "fused": True})

    def take_fleet(
        self, observation_space: spaces.Space[Any], num_devices: int | None, keywords: dict[str, Any]
    ) -> None:
        """Add to a policy's keywords how a Dict is shown: all numbers, or those of N devices summarised."""
        self.num_devices = num_devices
        if isinstance(observation_space, spaces.Dict):
            keywords.setdefault("features_extractor_class", CombinedExtractor if num_devices is None else FleetSummary)
        if num_devices is not None:
            keywords["features_extractor_kwargs"] = {"num_devices": num_devices}

    def _build(self, lr_schedule: Schedule) -> None:
        """Make the networks, and what trains them at rates of their own."""
        super()._build(lr_schedule)  # type: ignore[misc]  # that of the policy that comes after
        self.finish_network()
        self.run_on(Execution())
        self.optimizer = self.make_grouped_optimizer(lr_schedule(1))

    def finish_network(self) -> None:
        """Change what the policy that comes after has made; nothing, if it fits."""

    def run_on(self, execution: Execution) -> None:
        """Let all circuits run elsewhere; the weights stay what they are."""
        self.execution = execution
        for layer in circuit_layers(self):
            layer.execution = execution

    def trained_network(self) -> nn.Module:
        """What is trained: the policy itself, where nothing in it is a copy."""
        return self

    def last_layers(self) -> list[nn.Module]:
        """The layers behind circuits."""
        raise NotImplementedError

    def parts(self) -> Parts:
        """How many parameters circuits and the layers beside them have."""
        network = self.trained_network()
        networks = _networks(network)
        return Parts(
            quantum=count(parameter for layer in circuit_layers(network) for parameter in layer.parameters()),
            pre=count(parameter for one in networks for parameter in one.pre.parameters()),
            post=len(networks) + count(p for module in self.last_layers() for p in module.parameters()),
        )

    def make_grouped_optimizer(self, rate: float) -> RateGroups:
        """What trains circuits, outputs and the rest at rates of their own."""
        network = self.trained_network()
        angles = [parameter for layer in circuit_layers(network) for parameter in layer.parameters()]
        output = [one.raw_scale for one in _networks(network)]
        output += [parameter for module in self.last_layers() for parameter in module.parameters()]
        special = set(map(id, (*angles, *output)))
        rest = [parameter for parameter in network.parameters() if id(parameter) not in special]
        groups = {"angles": angles, "output": output, "classical": rest}
        return grouped_optimizer(self.optimizer_class, groups, self.settings.rates, rate, **self.optimizer_kwargs)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        """What a saved policy is rebuilt from."""
        return {**super()._get_constructor_parameters(), **asdict(self.settings), "num_devices": self.num_devices}


class ActorCriticCircuits(CircuitPolicy):
    """Base of those with an actor and a critic."""

    mlp_extractor: Any  # declared by SB3's policies as networks of their own, used by their interface
    action_net: Any
    value_net: Any

    def last_layers(self) -> list[nn.Module]:
        """The heads behind circuits."""
        if self.settings.network != "circuit":
            return []
        return [self.action_net, *([self.value_net] if self.settings.critic == "circuit" else [])]


def _networks(module: nn.Module) -> list[CircuitNetwork]:
    return [part for part in module.modules() if isinstance(part, CircuitNetwork)]
