"""Settings and search spaces of all that is trained: agents of SB3, classical and quantum, and teams of devices."""

from __future__ import annotations

from typing import Any

from agents.multi_agent import configurations as teams
from agents.policies import configurations as quantum
from baselines import configurations as classical
from baselines import search_space as classical_search
from baselines.configurations import Configurations
from baselines.search_space import SearchSpaces
from qfl_envs.competitor import Kind
from qfl_envs.fields import reject_unknown

_agents = Configurations(classical.FILE, quantum.FILE)
search_space = SearchSpaces(classical_search.FILE, quantum.SEARCH_FILE).search_space


def names() -> list[str]:
    """All that have settings, teams last."""
    return [*_agents.names(), *teams.names()]


def is_team(name: str) -> bool:
    """Whether it is a team of devices, each an agent, and no agent of SB3."""
    return name in teams.names()


def configuration(name: str, env_id: str, preset: str) -> dict[str, Any]:
    """Settings in an environment and preset.

    See :class:`baselines.configurations.Configurations`, and :mod:`agents.multi_agent.configurations` for teams.

    Raises:
        UnknownNameError: Naming all that have settings.
    """
    reject_unknown([name], names(), "trained agent")
    return (teams.configuration if is_team(name) else _agents.configuration)(name, env_id, preset)


def algorithm(name: str) -> str:
    """Name of the algorithm of SB3 by which an agent is trained.

    Raises:
        UnknownNameError: Naming all agents of SB3.
    """
    by: str = _agents.general(name, "trained_by")
    return by


def kind(name: str) -> Kind:
    """Whether an agent has circuits, or the devices of a team have.

    Raises:
        UnknownNameError: Naming all agents of SB3.
    """
    if is_team(name):
        return "quantum" if teams.is_quantum(name) else "classical"
    of_agent: Kind = _agents.general(name, "kind", "classical")
    return of_agent
