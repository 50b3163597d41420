"""A run's folder: what was asked for, one line per finished episode, and nothing lost when the process dies.

``config.json`` is written once and must not change; ``results.jsonl`` only grows, one flushed line at a time, and a
line that a dying process left unfinished is cut off when the run goes on.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from qfl_envs.errors import QflError

CONFIG_FILE, RESULTS_FILE, LOCK_FILE = "config.json", "results.jsonl", ".lock"
T = TypeVar("T")


class RunFolderError(QflError):
    """A run folder that cannot be used as asked."""


def as_object(value: Any) -> dict[str, Any]:
    """The value, if it is a JSON object.

    Raises:
        TypeError: If it is not.
    """
    if not isinstance(value, dict):
        raise TypeError(f"no JSON object: {value!r}")
    return value


def to_stderr(line: str) -> None:
    """Print a line for people."""
    print(line, file=sys.stderr)


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
        file = self.path / CONFIG_FILE
        wanted = json.loads(json.dumps(config))
        if not file.exists():
            write_atomically(file, json.dumps(wanted, indent=2) + "\n")
            return
        try:
            found = as_object(json.loads(file.read_text()))
        except (OSError, TypeError, ValueError) as error:
            raise RunFolderError(
                f"{file} cannot be read ({error}), so that nobody knows what the run is; choose another --out or "
                "--name, or delete its folder"
            ) from error
        if found != wanted:
            differing = sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
            raise RunFolderError(
                f"{self.path} holds a run with other settings ({', '.join(differing)}); "
                "choose another --out or --name, or delete it"
            )

    @property
    def results(self) -> Path:
        """The file of finished episodes."""
        return self.path / RESULTS_FILE

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from writing into the run.

        Raises:
            RunFolderError: If another process does, or the file that says so cannot be had.
        """
        try:
            file = open(self.path / LOCK_FILE, "w")  # noqa: SIM115
        except OSError as error:
            raise _unwritable(self.path / LOCK_FILE, error) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunFolderError(
                    f"another process is writing to {self.path}; wait for it, or choose another --out or --name"
                ) from error
            yield

    def read(self) -> list[dict[str, Any]]:
        """Every finished row, see :meth:`read_as`."""
        return self.read_as(as_object)

    def read_as(self, parse: Callable[[Any], T], report: Callable[[str], None] = to_stderr) -> list[T]:
        """Every finished row; an unfinished last line is removed from the file.

        Args:
            parse: Makes a row of a JSON value; see :func:`read_lines`.
            report: Called with a sentence on every line that cannot be used.

        Raises:
            RunFolderError: If the file cannot be read, or what is unfinished not removed.
        """
        content = _bytes_of(self.results)
        complete = content.rfind(b"\n") + 1
        if complete < len(content):
            try:
                os.truncate(self.results, complete)
            except OSError as error:
                raise _unwritable(self.results, error) from error
        return read_lines(self.results, parse, report)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one finished row, on disk when this returns.

        Raises:
            RunFolderError: If it cannot be written; nothing of it stays in the file.
        """
        line = json.dumps(row).encode() + b"\n"
        try:
            with open(self.results, "ab", buffering=0) as file:
                size = file.tell()
                try:
                    written = file.write(line)
                    while written < len(line):
                        written += file.write(line[written:])
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(size)
                    raise
        except OSError as error:
            raise _unwritable(self.results, error) from error


def read_lines(file: Path, parse: Callable[[Any], T], report: Callable[[str], None] = to_stderr) -> list[T]:
    """Rows of a file of JSON lines; a line that cannot be used is reported with its number, and left out.

    Args:
        file: It need not exist.
        parse: Makes a row of a JSON value; may raise KeyError, TypeError or ValueError.
        report: Called with a sentence on every line that cannot be used.

    Raises:
        RunFolderError: If it is there and cannot be read.
    """
    rows = []
    for number, line in enumerate(_bytes_of(file).splitlines(), start=1):
        try:
            rows.append(parse(json.loads(line)))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            report(f"{file}, line {number} cannot be used ({type(error).__name__}: {error}); it is left out")
    return rows


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
    """Write a file that is either whole or not there.

    Raises:
        RunFolderError: If it cannot be written; what was there before stays.
    """
    temporary = path.with_name(path.name + ".part")
    data = content.encode() if isinstance(content, str) else content
    try:
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unwritable(path, error) from error


def _bytes_of(file: Path) -> bytes:
    """What is in a file, nothing if there is none.

    Raises:
        RunFolderError: If it is there and cannot be read.
    """
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise RunFolderError(
            f"cannot read {file}: {error.strerror}; make it a file that can be read, or move it away to begin anew"
        ) from error


def _unwritable(path: Path, error: OSError) -> RunFolderError:
    return RunFolderError(
        f"cannot write {path}: {error.strerror}; what was finished before is kept: make room, or whatever is missing, "
        "and run the same command again"
    )
