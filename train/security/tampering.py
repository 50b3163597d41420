"""Ways to tamper with a ledger of updates, and who notices: its verification, or less than that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from qfl_envs.system.security.ledger import Ledger, line_of, verify
from qfl_envs.system.security.primitives import SigningKey, VerifyingKey

Lines = list[bytes]


def written(path: Path, scheme: str, devices: int, rounds: int) -> Lines:
    """Lines of an honest ledger with an update of every device in every round."""
    ledger = Ledger(path, {device: SigningKey(scheme) for device in range(devices)})
    for round_index in range(rounds):
        for device in range(devices):
            ledger.add(round_index, device, f"update {round_index} of {device}".encode())
    return path.read_bytes().splitlines()


def altered(lines: Lines, at: int) -> Lines:
    """Another update in an entry, and nothing else."""
    entry = json.loads(lines[at])
    entry["update"] = hashlib.sha256(b"another update").hexdigest()
    return [*lines[:at], line_of(entry), *lines[at + 1 :]]


def rewritten(lines: Lines, at: int) -> Lines:
    """Another update in an entry, by somebody without keys who makes all later links fit."""
    return relinked(altered(lines, at))


def deleted(lines: Lines, at: int) -> Lines:
    """An entry less."""
    return [*lines[:at], *lines[at + 1 :]]


def dropped(lines: Lines, at: int) -> Lines:
    """An entry less, and all later links made to fit."""
    return relinked(deleted(lines, at))


def swapped(lines: Lines, at: int) -> Lines:
    """An entry and the one before it the other way round."""
    return [*lines[: at - 1], lines[at], lines[at - 1], *lines[at + 1 :]]


def repeated(lines: Lines, at: int) -> Lines:
    """An entry once more, at the end."""
    return [*lines, lines[at]]


def cut_off(lines: Lines, at: int) -> Lines:
    """Nothing from an entry on."""
    return lines[:at]


TAMPERING: dict[str, Callable[[Lines, int], Lines]] = {
    "altered": altered,
    "rewritten": rewritten,
    "deleted": deleted,
    "dropped": dropped,
    "swapped": swapped,
    "repeated": repeated,
    "cut off": cut_off,
}


def relinked(lines: Lines) -> Lines:
    """The same entries, every one of which holds the hash of the one before it."""
    found = lines[:1]
    for line in lines[1:]:
        found.append(line_of({**json.loads(line), "previous": _hash(found[-1])}))
    return found


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def by_ledger(lines: Lines, path: Path) -> bool:
    """Whether the verification of the whole ledger finds a fault."""
    path.write_bytes(b"\n".join(lines) + b"\n")
    return verify(path).problem is not None


def by_signatures(lines: Lines, path: Path) -> bool:
    """Whether a signature of an entry, each looked at by itself, does not verify."""
    first = json.loads(lines[0])
    keys = {int(name): VerifyingKey(first["scheme"], bytes.fromhex(key)) for name, key in first["keys"].items()}
    for line in lines[1:]:
        entry = json.loads(line)
        signature = bytes.fromhex(entry.pop("signature"))
        if not keys[entry["device"]].verify(signature, line_of(entry)):
            return True
    return False


def by_hashes(lines: Lines, path: Path) -> bool:
    """Whether a link of the chain does not fit."""
    return relinked(lines) != lines


CHECKS: dict[str, Callable[[Lines, Path], bool]] = {
    "ledger": by_ledger,
    "signatures only": by_signatures,
    "hashes only": by_hashes,
}


def noticed(check: str, lines: Lines, path: Path, generator: np.random.Generator) -> dict[str, float]:
    """Whether each kind of tampering with an entry drawn at random is noticed, 0 or 1, and the share of them that is.

    Args:
        check: Of :data:`CHECKS`.
        lines: An honest ledger.
        path: File to write.
        generator: Of the entries.

    Returns:
        By kind; ``"share"`` of all kinds but the one that cuts entries off, which nothing inside a ledger shows.
    """
    found = {}
    for name, tamper in TAMPERING.items():
        # not the first, before which there is nothing, nor the last, behind which nothing is missed
        at = int(generator.integers(2, len(lines) - 1))
        changed = tamper(lines, at)
        found[name] = float(CHECKS[check](changed, path))
    return {**found, "share": float(np.mean([value for name, value in found.items() if name != "cut off"]))}
