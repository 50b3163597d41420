"""Versions of the rules by which everybody competes, which docs/protocol.md has, and of the code they compete in."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

PROTOCOL = 1
"""Raised with every change of docs/protocol.md that can change a number; results of different versions never meet."""
SPLIT = "test"
"""Instances of which results are made."""
DECIDING = ("qfl_envs", "agents", "baselines")
"""Packages whose sources decide what an episode is and what its competitors do."""
SOURCES = (".py", ".toml", ".json")


@cache
def code_version() -> str:
    """Release, and what its sources add up to: ``0.1.0+3f2a9c17b0d4``, equal only where all of them are."""
    digest = hashlib.sha256()
    for package in DECIDING:
        spec = find_spec(package)
        assert spec is not None and spec.origin is not None
        root = Path(spec.origin).parent
        for path in sorted(path for path in root.rglob("*") if path.suffix in SOURCES):
            digest.update(f"{package}/{path.relative_to(root).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return f"{version('qfl-envs')}+{digest.hexdigest()[:12]}"
