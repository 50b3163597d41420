"""What a run does with competitors that fail, with processes that are killed, and with more of them."""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import random
import re
import signal
import time

import inline
import misbehaving
import pytest
from processes import children_of, wait_for_end

from train.competition.board import board
from train.competition.jobs import PlayJob
from train.competition.leaderboard import run
from train.competition.matrix import Matrix
from train.competition.results import to_row
from train.competition.standings import standings, text
from train.competition.workers import start_workers
from train.runs import RunFolder, RunFolderError

SCHEDULING, POWER = "qfl/Scheduling-v0", "qfl/Power-v0"
FAST = {"learning": {"model": "none"}, "max_rounds": 3}


def matrix_of(*names, env_ids=(SCHEDULING,), **changes):
    return Matrix(env_ids, names, **{"preset": "tiny", "arguments": FAST, "seeds": 5, **changes})


def play(matrix, path, pool=None, **options):
    """Results and what was said."""
    said = []
    folder = RunFolder(path, matrix.config())
    return run(matrix, folder, pool or inline.inline(), said.append, **options), said


def without_wall_times(matrix, results):
    content = board(standings(json.loads(json.dumps(matrix.config())), results))
    for place in content["environments"]:
        for row in place["rows"]:
            del row["means"]["decision_s"]
            if row["training"] is not None:
                del row["training"]["training_s"]
    return content


MISBEHAVING = {
    "Raises": (SCHEDULING, 2, r"RuntimeError: no idea what to do \(misbehaving.py, line \d+\)"),
    "NotANumber": (POWER, 0, r"InvalidValueError: action is '\[nan"),
    "OutOfSpace": (SCHEDULING, 0, r"InvalidValueError: action is '\[99"),
    "Leaves": (SCHEDULING, 0, "SystemExit: 0"),
    "Generates": (SCHEDULING, 0, "InvalidValueError: action is '<generator object Generates.act>'; allowed"),
    "Unprintable": (SCHEDULING, 0, r"ValueError: a byte , a colour \[31m \("),
    "CountsNothing": (SCHEDULING, 0, r"InvalidValueError: parameters of a competitor's cost\(\) is nan"),
    "TakesNoNumber": (SCHEDULING, 0, "TypeError: decision_s is nan, no finite float"),
}


@pytest.mark.parametrize("name, where", MISBEHAVING.items(), ids=MISBEHAVING.keys())
def test_a_competitor_that_misbehaves_has_failed_and_the_others_play_on(tmp_path, name, where):
    env_id, seed, reason = where
    matrix = matrix_of(f"misbehaving:{name}", "random", env_ids=(env_id,))
    results, said = play(matrix, tmp_path)
    failed = results.failure((env_id, f"misbehaving:{name}"))
    assert failed.seed == seed
    assert re.match(reason, failed.reason), failed.reason
    assert str(failed) in said
    assert len(results.of((env_id, "random"), range(5))) == 5
    assert f"{failed}." in text(standings(matrix.config(), results))


def test_a_failed_entry_is_not_played_again_unless_asked(tmp_path, monkeypatch):
    matrix = matrix_of("misbehaving:Raises", "random")
    play(matrix, tmp_path)
    before = (tmp_path / "results.jsonl").read_bytes()
    pool = inline.InlinePool()
    results, _ = play(matrix, tmp_path, inline.inline(pool))
    assert (tmp_path / "results.jsonl").read_bytes() == before and pool.started == []
    monkeypatch.setattr(misbehaving.Raises, "choose", misbehaving.Honest.choose)
    results, _ = play(matrix, tmp_path, inline.inline(pool), retry_failed=True)
    assert [job.seed for job in pool.started] == [2, 3, 4]
    assert results.failure((SCHEDULING, "misbehaving:Raises")) is None


def test_a_lower_seed_that_a_kill_kept_from_its_end_is_played_before_the_failure_is_told(tmp_path):
    matrix = matrix_of("misbehaving:Raises", "random")
    undisturbed, _ = play(matrix, tmp_path / "undisturbed")
    folder = RunFolder(tmp_path / "killed", matrix.config())
    for row in map(json.loads, rows_in(tmp_path / "undisturbed")):
        if row["seed"] not in (1, 2):  # two processes were at work on these, when the third had failed on seed 3
            folder.append(row)
    folder.append({**to_row(undisturbed.failure((SCHEDULING, "misbehaving:Raises"))), "seed": 3})
    resumed, _ = play(matrix, tmp_path / "killed")
    assert without_wall_times(matrix, resumed) == without_wall_times(matrix, undisturbed)


def test_costs_may_be_numbers_of_any_library(tmp_path):
    results, _ = play(matrix_of("misbehaving:CountsInArrays"), tmp_path)
    (episode, *_) = results.of((SCHEDULING, "misbehaving:CountsInArrays"), range(5))
    assert (episode.parameters, episode.quantum_parameters, episode.decision_s) == (3, 2, 0.5)


def test_a_competitor_that_leaves_the_folder_does_not_take_others_along(tmp_path):
    before = os.getcwd()
    play(matrix_of("misbehaving:GoesElsewhere"), tmp_path)
    assert os.getcwd() == before


def test_a_training_that_fails_is_the_end_of_its_entry_alone(tmp_path, monkeypatch):
    def fail(*_):
        raise MemoryError("too large")

    monkeypatch.setattr("train.training.deep_rl.train", fail)
    results, _ = play(matrix_of("random", "ppo"), tmp_path)
    failed = results.failure((SCHEDULING, "ppo"))
    assert failed.seed is None and failed.reason.startswith("MemoryError: too large")
    assert len(results.of((SCHEDULING, "random"), range(5))) == 5


def test_a_full_disk_ends_the_run_and_is_nobodys_failure(tmp_path, monkeypatch):
    def fill(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("train.training.deep_rl.train", fill)
    with pytest.raises(RunFolderError, match="No space left on device.*run the command again"):
        play(matrix_of("random", "ppo"), tmp_path)
    assert not (tmp_path / "results.jsonl").exists()


class Slow(inline.InlinePool):
    """Says that every job took 100 s."""

    def collect(self, timeout_s):
        return [dataclasses.replace(done, seconds=100.0) for done in super().collect(timeout_s)]


def test_an_entry_has_failed_when_its_jobs_together_have_taken_too_long(tmp_path):
    pool = Slow()
    results, _ = play(matrix_of("random", "round-robin"), tmp_path, inline.inline(pool), entry_timeout_s=250)
    assert [(job.entry[1], job.seed) for job in pool.started] == [
        (name, seed) for seed in (0, 1, 2) for name in ("random", "round-robin")
    ]
    for name in ("random", "round-robin"):
        failed = results.failure((SCHEDULING, name))
        assert failed.seed == 3 and "250 s" in failed.reason


def test_a_line_that_is_no_result_is_reported_and_only_its_episode_played_again(tmp_path):
    matrix = matrix_of("random", "round-robin")
    before, _ = play(matrix, tmp_path)
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    lines[3] = lines[3][:-10]
    lines[4] = json.dumps({**json.loads(lines[4]), "accuracy": None})
    (tmp_path / "results.jsonl").write_text("\n".join(lines) + "\n")
    pool = inline.InlinePool()
    after, said = play(matrix, tmp_path, inline.inline(pool))
    assert [(job.entry[1], job.seed) for job in pool.started] == [("round-robin", 1), ("random", 2)]
    assert sum("line 4 cannot be used" in line or "line 5 cannot be used" in line for line in said) == 2
    assert without_wall_times(matrix, after) == without_wall_times(matrix, before)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A matrix that two processes have played, and its table."""
    matrix = matrix_of("random", "round-robin", "everyone", "misbehaving:Raises", "ppo", steps={SCHEDULING: 64})
    results, _ = play(matrix, tmp_path_factory.mktemp("undisturbed"), start_workers(2))
    return matrix, without_wall_times(matrix, results)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, undisturbed):
    """The table of the same matrix, played in this process, which has loaded all that it takes from then on."""
    results, _ = play(undisturbed[0], tmp_path_factory.mktemp("alone"))
    return without_wall_times(undisturbed[0], results)


def test_the_table_is_the_same_however_many_processes_play(undisturbed, alone):
    assert alone == undisturbed[1]


def work_in_copies(monkeypatch):
    """Let workers be copies of this process, which has loaded everything: at work after milliseconds, not seconds."""
    monkeypatch.setattr("train.competition.workers.get_context", lambda method: multiprocessing.get_context("fork"))


def rows_in(folder):
    file = folder / "results.jsonl"
    return file.read_text().splitlines() if file.exists() else []


def test_ten_kills_at_random_moments_end_in_the_table_of_an_undisturbed_run(tmp_path, undisturbed, alone, monkeypatch):
    matrix, table = undisturbed
    work_in_copies(monkeypatch)
    monkeypatch.setattr("train.competition.workers.ALONE_S", 0.02)
    moments = random.Random(0)
    unfinished, kept = 0, []
    for _ in range(10):
        enough = len(rows_in(tmp_path)) + moments.randint(0, 2)
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                play(matrix, tmp_path, start_workers(2))
            os._exit(0)
        while (
            len(rows_in(tmp_path)) < enough and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        ):
            time.sleep(0.002)
        time.sleep(moments.uniform(0.0, 0.1))
        workers = children_of(child)
        os.kill(child, signal.SIGKILL)
        unfinished += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        wait_for_end(workers)  # as copies, they hold the lock of the run for as long as they live
        kept.append(len(rows_in(tmp_path)))
    assert unfinished >= 5 and len(set(kept)) >= 5
    killed, _ = play(matrix, tmp_path)
    assert without_wall_times(matrix, killed) == table
    rows = [json.loads(line) for line in rows_in(tmp_path)]
    keys = [(row["row"], row["competitor"], row["seed"]) for row in rows]
    assert len(keys) == len(set(keys)) == 4 * 5 + 2 + 1 + 1  # a training, a failure on seed 2, and who played before it


def a_job(name):
    return PlayJob((SCHEDULING, name), {"scenario": "tiny", **FAST}, None, 0)


@pytest.mark.parametrize("name, limit_s, reason", [("Hangs", 1.0, "ended after 1 s"), ("Dies", None, "exit code 7")])
def test_a_process_that_hangs_or_dies_has_failed_and_the_next_job_runs(monkeypatch, name, limit_s, reason):
    work_in_copies(monkeypatch)
    with start_workers(2) as processes:
        processes.start(a_job(f"misbehaving:{name}"), limit_s)
        assert processes.free() == 1
        (ended,) = wait_for(processes)
        assert reason in ended.result.reason
        assert processes.free() == 2
        processes.start(a_job("random"))
        (played,) = wait_for(processes)
        assert played.result.competitor == "random"


def test_a_process_that_dies_after_its_first_job_is_not_the_fault_of_the_next_one(monkeypatch):
    work_in_copies(monkeypatch)
    with start_workers(1) as processes:
        processes.start(a_job("random"))
        wait_for(processes)
        processes.start(a_job("misbehaving:TakesItsTime"), 60.0)
        (worker,) = processes._workers
        os.kill(worker.process.pid, signal.SIGKILL)
        assert processes.free() == 0
        (played,) = wait_for(processes)
        assert played.result.competitor == "misbehaving:TakesItsTime" and played.result.rounds == 3
        assert processes.free() == 1
        processes.start(a_job("misbehaving:Dies"))
        (failed,) = wait_for(processes)
        assert "exit code 7" in failed.result.reason


def wait_for(pool):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        done = pool.collect(1.0)
        if done:
            return done
    pytest.fail("nothing ended")
