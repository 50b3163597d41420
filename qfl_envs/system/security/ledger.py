"""A ledger of updates: every entry holds the hash of the one before it, and a signature of the device that it is of.

One JSON object per line. The first names the signature scheme and the devices' public keys; whoever verifies must know
the hash of that line from elsewhere to know that the ledger is the one that was meant.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security.primitives import SigningKey, VerifyingKey

FIELDS = {"round", "device", "update", "previous", "signature"}


@dataclass(frozen=True)
class Verdict:
    """What a verification found.

    Attributes:
        entries: Entries that are right, from the first one on.
        root: Hash of the first line, which says whose ledger it is.
        head: Hash of the last right line, which says that nothing was cut off.
        problem: What is wrong with the next entry; None if nothing is.
    """

    entries: int
    root: str
    head: str
    problem: str | None


class Ledger:
    """A ledger that is being written."""

    def __init__(self, path: Path, keys: dict[int, SigningKey]) -> None:
        """Begin a ledger.

        Args:
            path: File to write; one that exists is not overwritten.
            keys: Key of every device, all of one scheme.

        Raises:
            InvalidValueError: If the file exists or cannot be written, or the keys are of several schemes or none.
        """
        schemes = {key.scheme for key in keys.values()}
        if len(schemes) != 1:
            raise InvalidValueError("keys", sorted(schemes), "keys of one signature scheme")
        if path.exists():
            raise InvalidValueError("path", str(path), "a file that does not exist")
        self.path, self._keys = path, keys
        publics = {str(device): key.public.hex() for device, key in keys.items()}
        try:
            self._head = self._append({"scheme": schemes.pop(), "keys": publics})
        except OSError as error:
            raise InvalidValueError("path", str(path), f"a file that can be written ({error})") from error

    def add(self, round_index: int, device: int, update: bytes) -> None:
        """Append an update, of which only the hash is kept, signed by its device."""
        digest = hashlib.sha256(update).hexdigest()
        entry = {"round": round_index, "device": device, "update": digest, "previous": self._head}
        signature = self._keys[device].sign(line_of(entry)).hex()
        self._head = self._append({**entry, "signature": signature})

    def _append(self, entry: dict[str, Any]) -> str:
        with self.path.open("ab") as file:
            file.write(line_of(entry) + b"\n")
        return hashlib.sha256(line_of(entry)).hexdigest()


def verify(path: Path) -> Verdict:
    """Check every entry of a ledger: form, hash of the one before, signature, and rounds in order.

    Raises:
        InvalidValueError: For a file that cannot be read, or that is no ledger.
    """
    try:
        # one byte ends a line: others would be a second way to write the same ledger
        lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
        first = json.loads(lines[0])
        keys = {int(name): VerifyingKey(first["scheme"], bytes.fromhex(key)) for name, key in first["keys"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidValueError("ledger", str(path), f"a file that a ledger was written to ({error})") from error
    root = head = hashlib.sha256(lines[0]).hexdigest()
    last_round = -1
    for number, line in enumerate(lines[1:]):
        problem, of_round = _problem(line, head, last_round, keys)
        if problem is not None:
            return Verdict(number, root, head, problem)
        head, last_round = hashlib.sha256(line).hexdigest(), of_round
    return Verdict(len(lines) - 1, root, head, None)


def _problem(line: bytes, head: str, last_round: int, keys: dict[int, VerifyingKey]) -> tuple[str | None, int]:
    """What is wrong with an entry, None if nothing is; and its round."""
    try:
        entry = json.loads(line)
        if not isinstance(entry, dict) or entry.keys() != FIELDS or line_of(entry) != line:
            return "not of the form of an entry", 0
        written = entry.pop("signature")
        signature = bytes.fromhex(written)
        if signature.hex() != written:  # the same bytes in capitals: no other line may pass for this one
            return "not of the form of an entry", 0
        of_round, device = entry["round"], entry["device"]
        if type(of_round) is not int or type(device) is not int:
            return "not of the form of an entry", 0
    except (ValueError, TypeError, RecursionError):
        return "not of the form of an entry", 0
    if entry["previous"] != head:
        return "does not follow the entry before it", 0
    if device not in keys:
        return f"of device {device}, whose key is not in the ledger", 0
    if not keys[device].verify(signature, line_of(entry)):
        return "signature does not verify", 0
    if not keys[device].is_canonical(signature):
        return "signature is not the one that was made", 0
    if of_round < last_round:
        return f"round {of_round} after round {last_round}", 0
    return None, of_round


def line_of(entry: dict[str, Any]) -> bytes:
    """The one way to write an entry."""
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
