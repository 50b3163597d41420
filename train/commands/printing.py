"""What commands print."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def say(line: str) -> None:
    """A line for people, beside what is printed for programs."""
    print(line, file=sys.stderr)


def print_rows(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """A table, or JSON."""
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    from tabulate import tabulate

    print(tabulate(rows, headers="keys", floatfmt=".4g"))
