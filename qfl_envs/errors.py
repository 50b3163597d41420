"""Errors that tell a person what is wrong and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


class QflError(Exception):
    """Base of every error that this project raises on purpose; the command line prints it as one line."""

    def __init__(self, message: str, *arguments: Any) -> None:
        """Keep the arguments of the subclass, from which a copy in another process is rebuilt.

        Args:
            message: The whole sentence.
            arguments: What the subclass was made with, if not the message.
        """
        super().__init__(message)
        self._arguments = arguments or (message,)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments, so that a worker process can hand the error on."""
        return type(self), self._arguments


class InvalidValueError(QflError, ValueError):
    """A value outside what is allowed."""

    def __init__(self, name: str, value: Any, allowed: str | Iterable[Any]) -> None:
        """Say which value is wrong.

        Args:
            name: What the value is of, e.g. ``"radio.num_cells"``.
            value: The value that was given.
            allowed: A sentence part such as ``"1 to 12"``, or the choices.
        """
        if not isinstance(allowed, str):
            allowed = "one of " + ", ".join(repr(choice) for choice in allowed)
        super().__init__(f"{name} is {value!r}; allowed: {allowed}", name, value, allowed)


class UnknownNameError(QflError, ValueError):
    """A name that does not exist."""

    def __init__(self, of: str, name: str, known: Sequence[str], closest: Sequence[str] = ()) -> None:
        """Say which name is unknown.

        Args:
            of: What it should have been the name of, e.g. ``"preset"``.
            name: The name that was given.
            known: All names that exist.
            closest: Those that look like it.
        """
        hint = f" (did you mean {closest[0]!r}?)" if closest else ""
        super().__init__(f"unknown {of} {name!r}{hint}; known: {', '.join(known)}", of, name, known, closest)


class MissingDataError(QflError):
    """A data set that is neither on this machine nor can be fetched."""


class MissingExtraError(QflError, ImportError):
    """Something that needs an optional package."""

    def __init__(self, name: str, package: str, extra: str) -> None:
        """Say how to install it.

        Args:
            name: What needs it.
            package: The package that is not installed.
            extra: Extra of this project that brings it.
        """
        super().__init__(
            f"{name!r} needs the package {package!r}: pip install 'qfl-envs[{extra}]'", name, package, extra
        )
