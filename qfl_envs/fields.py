"""Fields of frozen dataclasses that know their unit, their bounds and their source.

``integer``, ``real``, ``interval``, ``choice`` and ``flag`` declare a field; ``Section`` checks every declared field
when an object is made and converts to and from plain JSON values.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from qfl_envs.errors import InvalidValueError, UnknownNameError


@dataclass(frozen=True)
class Constraint:
    """What a field accepts; ``high`` is None where there is no upper bound."""

    kind: str
    doc: str
    unit: str = ""
    source: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False

    def allowed(self) -> str:
        """The accepted values in words."""
        if self.choices:
            words = "one of " + ", ".join(repr(choice) for choice in self.choices)
        elif self.kind == "flag":
            words = "true or false"
        elif self.kind == "text":
            words = "a non-empty string"
        else:
            kind = {"integer": "a whole number", "real": "a number", "interval": "two numbers, low <= high,"}[self.kind]
            low, high = (None if bound is None else f"{bound:g}" for bound in (self.low, self.high))
            words = kind + (f" from {low} to {high}" if high is not None else f" of at least {low}")
        return words + (" or null" if self.optional else "")

    def convert(self, name: str, value: Any) -> Any:
        """The value in the field's type.

        Raises:
            InvalidValueError: If it is not accepted.
        """
        if value is None and self.optional:
            return None
        converted = self._converted(value)
        if converted is None:
            raise InvalidValueError(name, value, self.allowed())
        return converted

    def _converted(self, value: Any) -> Any:
        """The accepted value in the field's type, None for any other."""
        if self.kind in ("choice", "text"):
            accepted = isinstance(value, str) and (value in self.choices if self.choices else bool(value))
            return value if accepted else None
        if self.kind == "flag":
            return value if isinstance(value, bool) else None
        if self.kind == "interval":
            if not isinstance(value, list | tuple) or len(value) != 2:
                return None
            low, high = (self._number(end) for end in value)
            return None if low is None or high is None or low > high else (low, high)
        return self._number(value)

    def _number(self, value: Any) -> float | int | None:
        if isinstance(value, bool | str):
            return None
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            return None
        if not math.isfinite(number) or (self.kind == "integer" and number != int(number)):
            return None
        if (self.low is not None and number < self.low) or (self.high is not None and number > self.high):
            return None
        return int(number) if self.kind == "integer" else number


def integer(
    default: int | None, low: int, high: int | None, doc: str, *, source: str = "", optional: bool = False
) -> Any:
    """A whole number from ``low`` to ``high``, or None where ``optional``."""
    return _declare(default, Constraint("integer", doc, source=source, low=low, high=high, optional=optional))


def real(
    default: float | None,
    low: float,
    high: float | None,
    unit: str,
    doc: str,
    *,
    source: str = "",
    optional: bool = False,
) -> Any:
    """A finite number from ``low`` to ``high``, or None where ``optional``."""
    return _declare(default, Constraint("real", doc, unit, source, low, high, optional=optional))


def interval(
    default: tuple[float, float], low: float, high: float | None, unit: str, doc: str, *, source: str = ""
) -> Any:
    """Two finite numbers in order, from ``low`` to ``high``."""
    return _declare(default, Constraint("interval", doc, unit, source, low, high))


def choice(default: str, choices: tuple[str, ...], doc: str, *, source: str = "") -> Any:
    """One of a few names."""
    return _declare(default, Constraint("choice", doc, source=source, choices=choices))


def flag(default: bool, doc: str) -> Any:
    """True or false."""
    return _declare(default, Constraint("flag", doc))


def text(default: str, doc: str) -> Any:
    """Any non-empty string."""
    return _declare(default, Constraint("text", doc))


def _declare(default: Any, constraint: Constraint) -> Any:
    return dataclasses.field(default=default, metadata={"constraint": constraint})


def reject_unknown(names: Iterable[str], known: Iterable[str], of: str) -> None:
    """Refuse names that do not exist.

    Raises:
        UnknownNameError: Naming the first one, the closest known name and all known names.
    """
    known = list(known)
    for name in names:
        if name not in known:
            raise UnknownNameError(of, name, known, difflib.get_close_matches(str(name), known, n=1))


def different_names(of: str, value: Any, known: Iterable[str]) -> tuple[str, ...]:
    """A list of one or more names that all exist, none of them twice.

    Args:
        of: What the list is called.
        value: The list, or whatever was given for it.
        known: All names.

    Raises:
        InvalidValueError: For anything else, naming all that exist.
    """
    known = list(known)
    named = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    if not named or len(set(map(str, named))) < len(named) or not all(name in known for name in named):
        raise InvalidValueError(of, value, f"different names out of {', '.join(known)}")
    return tuple(named)


@dataclass(frozen=True)
class Section:
    """Base of dataclasses made of declared fields and other sections; names its fields in errors by ``prefix``."""

    prefix: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Convert and check every declared field.

        Raises:
            InvalidValueError: Naming the field, the value and what is allowed.
        """
        for item in dataclasses.fields(self):
            constraint = item.metadata.get("constraint")
            if constraint is not None:
                value = constraint.convert(self.prefix + item.name, getattr(self, item.name))
                object.__setattr__(self, item.name, value)
        self.check_together()

    def check_together(self) -> None:
        """Check fields against each other; sections override it."""

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """A copy with some fields changed; the value of a nested section is a mapping of its own changes.

        Raises:
            UnknownNameError: For a field that does not exist.
            InvalidValueError: For a value that is not allowed.
        """
        names = [item.name for item in dataclasses.fields(self)]
        reject_unknown(changes, names, f"field of {self.prefix.rstrip('.') or 'scenario'}")
        values = {}
        for name, value in changes.items():
            current = getattr(self, name)
            if isinstance(current, Section) and not isinstance(value, Section):
                if not isinstance(value, Mapping):
                    raise InvalidValueError(self.prefix + name, value, "an object with some of its fields")
                value = current.replace(value)
            values[name] = value
        return dataclasses.replace(self, **values)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return {item.name: _plain(getattr(self, item.name)) for item in dataclasses.fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.to_dict()
    return list(value) if isinstance(value, tuple) else value
