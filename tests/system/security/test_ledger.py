import hashlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qfl_envs.errors import InvalidValueError
from qfl_envs.system.security.ledger import Ledger, line_of, verify
from qfl_envs.system.security.primitives import SigningKey
from train.cli import main


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("ledger") / "updates.jsonl"
    ledger = Ledger(path, {device: SigningKey("ml-dsa-44") for device in range(2)})
    for number in range(4):
        ledger.add(number // 2, number % 2, bytes([number]) * 10)
    return path


def test_a_whole_ledger_verifies(written, capsys):
    found = verify(written)
    assert (found.entries, found.problem) == (4, None) and found.root != found.head
    assert main(["ledger", "verify", str(written)]) == 0 and "4" in capsys.readouterr().out


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_altered_byte_of_an_entry_is_found(written, tmp_path, data):
    content = bytearray(written.read_bytes())
    first = content.index(b"\n") + 1
    place = data.draw(st.integers(first, len(content) - 2))
    content[place] ^= 1 << data.draw(st.integers(0, 6))
    altered = tmp_path / "altered.jsonl"
    altered.write_bytes(content)
    found = verify(altered)
    assert found.problem is not None and found.entries < 4


def test_entries_that_are_missing_or_exchanged_are_found(written, tmp_path, capsys):
    lines = written.read_bytes().splitlines(keepends=True)
    path = tmp_path / "altered.jsonl"
    for order, right in (([0, 1, 3, 4], 1), ([0, 2, 1, 3, 4], 0), ([0, 1, 1, 2], 1)):
        path.write_bytes(b"".join(lines[number] for number in order))
        found = verify(path)
        assert found.entries == right and "does not follow" in found.problem
    assert main(["ledger", "verify", str(path)]) == 2 and "does not follow" in capsys.readouterr().err
    # what is cut off at the end shows in the head alone
    path.write_bytes(b"".join(lines[:3]))
    assert verify(path).problem is None and verify(path).head != verify(written).head


def test_what_is_no_ledger_is_refused(tmp_path, written):
    for content in (b"", b"[]\n", b'{"scheme": "ml-dsa-44"}\n', b"\xff\n"):
        path = tmp_path / "other"
        path.write_bytes(content)
        with pytest.raises(InvalidValueError, match="ledger"):
            verify(path)
    with pytest.raises(InvalidValueError, match="exist"):
        Ledger(written, {0: SigningKey("ml-dsa-44")})
    with pytest.raises(InvalidValueError, match="one signature scheme"):
        Ledger(tmp_path / "new", {0: SigningKey("ml-dsa-44"), 1: SigningKey("ecdsa-p256")})


def test_entries_of_nobody_known_or_of_an_earlier_round_are_found(written, tmp_path):
    key, stranger, path = SigningKey("ecdsa-p256"), SigningKey("ecdsa-p256"), tmp_path / "own.jsonl"
    ledger = Ledger(path, {0: key})
    ledger.add(3, 0, b"first")
    ledger.add(3, 0, b"another of the same round")
    assert verify(path).problem is None
    ledger.add(2, 0, b"late")
    assert verify(path).entries == 2 and verify(path).problem == "round 2 after round 3"
    other = tmp_path / "other.jsonl"
    ledger = Ledger(other, {0: key})
    ledger._keys[7] = stranger
    ledger.add(0, 7, b"smuggled")
    assert "device 7" in verify(other).problem
    assert verify(other).root == verify(other).head
    assert verify(path).root != verify(path).head


def test_an_entry_is_written_in_one_way_alone(written, tmp_path):
    *lines, last = written.read_bytes().splitlines(keepends=True)
    path = tmp_path / "spaced.jsonl"
    begin, signature, end = last.partition(json.loads(last)["signature"].encode())
    # no entry follows the last one, whose hash would tell
    for other in (
        last.replace(b"\n", b"\r\n"),
        last.replace(b":", b": ", 1),
        begin + signature.upper() + end,
        begin + b" " + signature + end,
    ):
        path.write_bytes(b"".join(lines) + other)
        assert verify(path).problem == "not of the form of an entry" and verify(path).entries == 3


def test_what_is_no_entry_is_found_whatever_it_is(written, tmp_path, capsys):
    *lines, last = written.read_bytes().splitlines()
    entry, path = json.loads(last), tmp_path / "other.jsonl"
    wrong = [{**entry, "round": value} for value in (float("inf"), float("nan"), 1.0, True, "1", None)]
    wrong += [{**entry, "device": value} for value in (True, 1.0, [1])]
    for line in (*map(line_of, wrong), b"[" * 100_000, b"", b"\xff", b"null"):
        path.write_bytes(b"\n".join([*lines, line]) + b"\n")
        assert verify(path).problem == "not of the form of an entry"
    path.write_bytes(b"[" * 100_000)
    with pytest.raises(InvalidValueError, match="ledger"):
        verify(path)
    assert main(["ledger", "record", str(tmp_path / "nowhere" / "updates")]) == 2
    assert "can be written" in capsys.readouterr().err


def test_a_fraction_is_no_round_even_if_its_device_signs_it(tmp_path):
    key, path = SigningKey("ecdsa-p256"), tmp_path / "own.jsonl"
    Ledger(path, {0: key}).add(1.5, 0, b"between rounds")
    assert verify(path).problem == "not of the form of an entry"


def test_no_other_signature_passes_for_the_one_that_was_made(tmp_path):
    path = tmp_path / "ecdsa.jsonl"
    ledger = Ledger(path, {0: SigningKey("ecdsa-p256")})
    ledger.add(0, 0, b"update")
    first, last = path.read_bytes().splitlines()
    entry = json.loads(last)
    r, s = entry["signature"][:64], entry["signature"][64:]
    # by the order of P-256: who sees a signature can make a second one of it
    other = 115792089210356248762697446949407573529996955224135760342422259061068512044369 - int(s, 16)
    for signature, problem in ((r + "00" + s, "does not verify"), (r + f"{other:064x}", "not the one that was made")):
        path.write_bytes(first + b"\n" + line_of({**entry, "signature": signature}) + b"\n")
        assert problem in verify(path).problem and verify(path).head == hashlib.sha256(first).hexdigest()
