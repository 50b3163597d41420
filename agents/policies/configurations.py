"""Settings of agents with circuits and of their controls, as :mod:`baselines.configurations` reads them."""

from pathlib import Path

FILE, SEARCH_FILE = (Path(__file__).with_name(name) for name in ("vqc.toml", "search.toml"))
