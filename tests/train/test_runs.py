import contextlib
import json
import os
import resource

import pytest

from train.runs import RunFolder, RunFolderError, make_writable, write_atomically


def test_rows_come_back_as_they_were_added(tmp_path):
    folder = RunFolder(tmp_path / "run", {"seeds": 5})
    folder.append({"seed": 0})
    folder.append({"seed": 1})
    assert folder.read() == [{"seed": 0}, {"seed": 1}]


def test_a_line_that_a_dying_process_left_unfinished_is_cut_off(tmp_path):
    folder = RunFolder(tmp_path, {})
    folder.append({"seed": 0})
    with open(folder.results, "a") as file:
        file.write('{"seed": 1, "ret')
    assert folder.read() == [{"seed": 0}]
    folder.append({"seed": 1})
    assert [json.loads(line) for line in folder.results.read_text().splitlines()] == [{"seed": 0}, {"seed": 1}]


@pytest.mark.parametrize("broken", ["nonsense", "[3]", '{"seed": 0', "[" * 100_000], ids=lambda line: line[:9])
def test_a_broken_line_in_the_middle_is_reported_with_its_number_and_the_rest_is_used(tmp_path, capsys, broken):
    folder = RunFolder(tmp_path, {})
    folder.results.write_text(f'{{"seed": 0}}\n{broken}\n{{"seed": 2}}\n')
    assert folder.read() == [{"seed": 0}, {"seed": 2}]
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and "line 2 cannot be used" in said


@contextlib.contextmanager
def small_files():
    """No file can grow beyond 100 bytes, which fails in the middle of a write, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_nothing_of_a_row_stays_where_the_space_ends_within_it(tmp_path):
    folder = RunFolder(tmp_path, {})
    folder.append({"seed": 0})
    too_long = pytest.raises(RunFolderError, match="cannot write .*results.jsonl.* run the same command again")
    with small_files(), too_long:
        folder.append({"seed": 1, "text": "x" * 200})
    assert folder.results.read_text() == '{"seed": 0}\n'
    folder.append({"seed": 2})
    assert folder.read() == [{"seed": 0}, {"seed": 2}]


def test_a_file_is_as_it_was_where_the_space_ends_within_its_successor(tmp_path):
    write_atomically(tmp_path / "page", "old")
    with small_files(), pytest.raises(RunFolderError, match="cannot write"):
        write_atomically(tmp_path / "page", "new" * 100)
    assert os.listdir(tmp_path) == ["page"] and (tmp_path / "page").read_text() == "old"


def test_a_run_with_other_settings_is_refused_and_the_setting_named(tmp_path):
    RunFolder(tmp_path, {"seeds": 5, "preset": "tiny"})
    RunFolder(tmp_path, {"seeds": 5, "preset": "tiny"})
    with pytest.raises(RunFolderError, match=r"\(seeds\)"):
        RunFolder(tmp_path, {"seeds": 6, "preset": "tiny"})


@pytest.mark.parametrize("content", ["", "[]", '{"seeds": 5'])
def test_settings_that_cannot_be_read_are_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(RunFolderError, match="config.json cannot be read .*choose another --out or --name, or delete"):
        RunFolder(tmp_path, {"seeds": 5})


def test_results_that_are_no_file_are_named(tmp_path):
    folder = RunFolder(tmp_path, {})
    folder.results.mkdir()
    with pytest.raises(RunFolderError, match="cannot read .*results.jsonl: Is a directory"):
        folder.read()


def test_a_lock_that_cannot_be_had_is_named(tmp_path):
    folder = RunFolder(tmp_path, {})
    (tmp_path / ".lock").mkdir()
    with pytest.raises(RunFolderError, match="cannot write .*lock: Is a directory"), folder.lock():
        pass


def test_two_processes_cannot_write_into_one_run(tmp_path):
    folder = RunFolder(tmp_path, {})
    with folder.lock(), pytest.raises(RunFolderError, match="another process"), folder.lock():
        pass
    with folder.lock():
        pass


def test_a_folder_below_a_file_cannot_be_written(tmp_path):
    # root may write anywhere, but nobody can make a folder below a file
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot write to the run folder"):
        make_writable(tmp_path / "file" / "run")
    assert os.listdir(tmp_path) == ["file"]
