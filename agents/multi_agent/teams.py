"""Actors and critics made of settings.

Tables of an actor or critic, by ``kind``:

* ``entangled``: ``chain`` and ``shared`` (qubits of each device in the shared state), ``cluster_size``, ``qubits``,
  ``layers`` and ``entangler`` of a device's circuit, ``own_weights`` (a circuit for each device).
* ``classical`` (actors), ``split`` and ``central`` (critics): ``hidden`` widths; or, of actors and split critics,
  ``matches``, the table of a circuit: one hidden layer, as wide as makes the numbers of parameters most alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from agents.multi_agent.actors import Actor, ClassicalActor, EntangledActor
from agents.multi_agent.critics import CentralCritic, Critic, EntangledCritic, SplitCritic
from agents.multi_agent.shared_states import Clusters, SharedState
from agents.parameters import matching_width
from baselines.first_logits import first_logits
from qfl_envs.errors import InvalidValueError
from qfl_envs.quantum.circuits import Circuit

ACTORS = ("entangled", "classical")
CRITICS = ("entangled", "split", "central")


class TeamShape(NamedTuple):
    """Sizes of what a team sees and does.

    Attributes:
        num_devices: Devices N.
        num_features: Numbers F that each observes.
        num_options: Options O of each.
        num_state: Numbers S of the state for a central critic.
    """

    num_devices: int
    num_features: int
    num_options: int
    num_state: int


def make_actor(settings: Mapping[str, Any], shape: TeamShape) -> Actor:
    """The policy of a team, with weights of torch's global generator.

    Args:
        settings: With ``actor``, ``num_names``, and where option 0 is to idle, ``idle_probability`` and
            ``later_options``: how likely it is at the start, and how likely each option after the next one is compared
            with the one before it.
        shape: Sizes.

    Raises:
        InvalidValueError: For a kind that does not exist.
    """
    table, names = settings["actor"], settings["num_names"]
    idle, later = settings.get("idle_probability"), settings.get("later_options", 1.0)
    logits = None if idle is None else first_logits(shape.num_options, idle, later)
    own_weights = table.get("own_weights", False)
    if table["kind"] == "entangled":
        clusters, circuit, shared = _quantum_parts(table, shape)
        return EntangledActor(
            clusters, circuit, shared, shape.num_features, shape.num_options, own_weights, names, logits
        )
    if table["kind"] == "classical":
        hidden = table.get("hidden")
        if hidden is None:
            wanted = make_actor({**settings, "actor": table["matches"]}, shape).counts().total
            hidden = [matching_width(wanted, shape.num_features + names, shape.num_options)]
        return ClassicalActor(
            shape.num_devices, hidden, shape.num_features, shape.num_options, own_weights, names, logits
        )
    raise InvalidValueError("kind of an actor", table["kind"], ACTORS)


def make_critic(settings: Mapping[str, Any], shape: TeamShape) -> Critic:
    """The values of a team; arguments and errors as those of :func:`make_actor`, with the table ``critic``."""
    table, names = settings["critic"], settings["num_names"]
    if table["kind"] == "entangled":
        clusters, circuit, shared = _quantum_parts(table, shape)
        return EntangledCritic(clusters, circuit, shared, shape.num_features, table.get("own_weights", False), names)
    if table["kind"] == "split":
        hidden = table.get("hidden")
        if hidden is None:
            wanted = make_critic({**settings, "critic": table["matches"]}, shape).counts().total
            hidden = [matching_width(wanted, shape.num_features + names, 1)]
        return SplitCritic(shape.num_devices, hidden, shape.num_features, names)
    if table["kind"] == "central":
        return CentralCritic(shape.num_state, table["hidden"])
    raise InvalidValueError("kind of a critic", table["kind"], CRITICS)


def _quantum_parts(table: Mapping[str, Any], shape: TeamShape) -> tuple[Clusters, Circuit, SharedState]:
    size = min(table["cluster_size"], shape.num_devices)
    circuit = Circuit(table["qubits"], table["layers"], entangler=table["entangler"])
    return Clusters(shape.num_devices, size), circuit, SharedState(table["chain"], size, table["shared"])
