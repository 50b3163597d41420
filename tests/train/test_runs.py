import json
import os

import pytest

from train.runs import RunFolder, RunFolderError, make_writable


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


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    folder = RunFolder(tmp_path, {})
    folder.results.write_text('{"seed": 0}\nnonsense\n')
    with pytest.raises(RunFolderError, match="line 2"):
        folder.read()


def test_a_run_with_other_settings_is_refused_and_the_setting_named(tmp_path):
    RunFolder(tmp_path, {"seeds": 5, "preset": "tiny"})
    RunFolder(tmp_path, {"seeds": 5, "preset": "tiny"})
    with pytest.raises(RunFolderError, match=r"\(seeds\)"):
        RunFolder(tmp_path, {"seeds": 6, "preset": "tiny"})


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
