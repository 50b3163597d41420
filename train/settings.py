"""Settings and search spaces of all agents that are trained, classical and quantum."""

from __future__ import annotations

from agents.policies import configurations as quantum
from baselines import configurations as classical
from baselines import search_space as classical_search
from baselines.configurations import Configurations
from baselines.search_space import SearchSpaces

_settings = Configurations(classical.FILE, quantum.FILE)
names, configuration, general = _settings.names, _settings.configuration, _settings.general
search_space = SearchSpaces(classical_search.FILE, quantum.SEARCH_FILE).search_space
