"""Progress bars for people, and a line now and then for a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm


def progress_bar(total: int, unit: str) -> Any:
    """A bar on stderr; updated every second on a terminal and every 20 seconds elsewhere."""
    return _bar(total=total, unit=unit, unit_scale=True)


class TimeBar:
    """A bar of wall time, for work whose pieces differ so much that counting them would mislead."""

    def __init__(self, bar: Any) -> None:
        """Begin; see :func:`time_bar`."""
        self._bar, self._begun = bar, time.monotonic()

    def show(self, left_s: float | None, said: str) -> None:
        """Go on.

        Args:
            left_s: Time that is left in s; None if nobody knows yet.
            said: What else there is to say.
        """
        elapsed_s = time.monotonic() - self._begun
        left = "time left not known yet" if left_s is None else f"{tqdm.format_interval(left_s)} left"
        self._bar.total = None if left_s is None else elapsed_s + left_s
        self._bar.set_postfix_str(f"{left}, {said}", refresh=False)
        self._bar.update(elapsed_s - self._bar.n)


@contextmanager
def time_bar() -> Iterator[TimeBar]:
    """A bar like :func:`progress_bar`, of time."""
    with _bar(total=None, bar_format="{percentage:3.0f}%|{bar}| [{elapsed}{postfix}]") as bar:
        yield TimeBar(bar)


def _bar(**options: Any) -> Any:
    seconds = 1.0 if sys.stderr.isatty() else 20.0
    return tqdm(mininterval=seconds, maxinterval=seconds, **options)
