"""A progress bar for people, and a line now and then for a log."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(total: int, unit: str) -> Any:
    """A bar on stderr; updated every second on a terminal and every 20 seconds elsewhere."""
    seconds = 1.0 if sys.stderr.isatty() else 20.0
    return tqdm(total=total, unit=unit, unit_scale=True, mininterval=seconds, maxinterval=seconds)
