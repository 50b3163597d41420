"""A run's folder: what was asked for, one line per finished episode, and nothing lost when the process dies.

``config.json`` is written once and must not change; ``results.jsonl`` only grows, one flushed line at a time, and a
line that a dying process left unfinished is cut off when the run goes on.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qfl_envs.errors import QflError


class RunFolderError(QflError):
    """A run folder that cannot be used as asked."""


class RunFolder:
    """Files of one run."""

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        """Open the folder, and go on with what is in it.

        Args:
            path: The folder; it is made if it does not exist.
            config: What the run is; must equal that of an earlier start.

        Raises:
            RunFolderError: If the folder cannot be written, or holds another run.
        """
        self.path = path
        make_writable(path)
        self._keep(config)

    def _keep(self, config: Mapping[str, Any]) -> None:
        file = self.path / "config.json"
        wanted = json.loads(json.dumps(config))
        if not file.exists():
            write_atomically(file, json.dumps(wanted, indent=2) + "\n")
            return
        found = json.loads(file.read_text())
        if found != wanted:
            differing = sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
            raise RunFolderError(
                f"{self.path} holds a run with other settings ({', '.join(differing)}); "
                "choose another --name, or delete it"
            )

    @property
    def results(self) -> Path:
        """The file of finished episodes."""
        return self.path / "results.jsonl"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from writing into the run.

        Raises:
            RunFolderError: If another process does.
        """
        with open(self.path / ".lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunFolderError(
                    f"another process is writing to {self.path}; wait for it, or choose another --name"
                ) from error
            yield

    def read(self) -> list[dict[str, Any]]:
        """Every finished episode; an unfinished last line is removed from the file.

        Raises:
            RunFolderError: For a line that is no JSON, with its number.
        """
        if not self.results.exists():
            return []
        content = self.results.read_bytes()
        complete = content.rfind(b"\n") + 1
        if complete < len(content):
            with open(self.results, "r+b") as file:
                file.truncate(complete)
        rows = []
        for number, line in enumerate(content[:complete].splitlines(), start=1):
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise RunFolderError(f"{self.results}, line {number} is no JSON ({error}); remove that line") from error
        return rows

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one finished episode, on disk when this returns."""
        with open(self.results, "a") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())


def make_writable(path: Path) -> None:
    """Make the folder if it does not exist, and try to write into it.

    Raises:
        RunFolderError: If that fails.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RunFolderError(
            f"cannot write to the run folder {path}: {error.strerror}; choose another --out or --name"
        ) from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file that is either whole or not there."""
    temporary = path.with_name(path.name + ".part")
    data = content.encode() if isinstance(content, str) else content
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
