import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image
from processes import children_of, wait_for_end

from qfl_envs.errors import InvalidValueError, UnknownNameError
from train.cli import main
from train.competition.matrix import Matrix

ENV_IDS = ("qfl/Allocation-v0", "qfl/Scheduling-v0")
QUICK = [sys.executable, "-m", "train", "leaderboard", "--quick", "--preset", "tiny", "--seeds", "5"]
QUICK += ["--set", json.dumps({"max_rounds": 16})]
for env_id in ENV_IDS:
    QUICK += ["--env", env_id]
COMPETITORS = ("random", "round-robin", "hungarian", "qaoa-one-shot", "ppo")


def results_of(folder):
    """Episodes; trainings and failures are rows of other kinds."""
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    return [row for row in rows if row["row"] == "episode"]


def said_by(command):
    """What the command prints on both streams."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as errors:
        code = main(command)
    assert code == 0, errors.getvalue()
    return out.getvalue(), errors.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    command = [*QUICK[3:], "--workers", "1", "--steps", "256", "--out", str(out), "--name", "tiny"]
    for name in COMPETITORS:
        command += ["--competitor", name]
    printed, _ = said_by(command)
    return command, out / "tiny", printed


def test_every_competitor_plays_every_environment_that_it_supports_on_every_seed(finished):
    rows = results_of(finished[1])
    keys = [(row["env_id"], row["competitor"], row["seed"]) for row in rows]
    matrix = Matrix(ENV_IDS, tuple({row["competitor"] for row in rows}), preset="tiny", seeds=5)
    assert "ppo" in matrix.competitors
    assert sorted(keys) == sorted((*entry, seed) for entry in matrix.entries() for seed in range(5))


def test_all_competitors_meet_the_same_instances(finished):
    instances = {}
    for row in results_of(finished[1]):
        instances.setdefault((row["env_id"], row["seed"]), set()).add(row["instance"])
    assert all(len(met) == 1 for met in instances.values())


def test_the_learner_is_the_real_quantum_one_and_it_learns(finished):
    config = json.loads((finished[1] / "config.json").read_text())
    assert config["scenarios"][ENV_IDS[0]]["learning"]["model"] == "qnn"
    curves = [row["curve"] for row in results_of(finished[1]) if row["competitor"] == "round-robin"]
    assert sum(max(accuracy for _, accuracy in curve) > curve[0][1] + 0.1 for curve in curves) >= len(curves) - 1


def test_the_tables_name_everybody_with_intervals_and_say_how_the_agent_stands(finished):
    _, folder, printed = finished
    page = (folder / "leaderboard.md").read_text()
    for text in (printed, page):
        for env_id in ENV_IDS:
            assert env_id in text
        for name in COMPETITORS:
            assert name in text
        assert text.count("against random") == len(ENV_IDS)
        assert "[95 %]" in text


def test_the_picture_of_accuracy_against_time_is_written(finished):
    picture = Image.open(finished[1] / "leaderboard.png")
    assert picture.width > picture.height > 300
    assert len(picture.convert("RGB").getcolors(maxcolors=1 << 20)) > 20


def test_the_agents_training_can_be_looked_at(finished):
    for env_id in ENV_IDS:
        assert list((finished[1] / "models" / f"{env_id[4:]}-ppo").glob("tensorboard_1/events.*"))


def test_a_second_call_plays_nothing_again(finished):
    command, folder, printed = finished
    before = (folder / "results.jsonl").read_bytes()
    printed_again, said = said_by(command)
    assert "0 are missing" in said
    assert (folder / "results.jsonl").read_bytes() == before
    assert printed_again == printed


def test_the_workers_of_a_killed_run_end_with_it(tmp_path):
    command = [
        *QUICK[:3],
        "leaderboard",
        "--preset",
        "tiny",
        "--seeds",
        "5",
        "--set",
        '{"learning": {"model": "none"}}',
    ]
    command += ["--env", ENV_IDS[1], "--competitor", "random", "--competitor", "misbehaving:Hangs"]
    command += ["--out", str(tmp_path), "--name", "killed", "--workers", "2"]
    paths = os.pathsep.join([*sys.path, os.path.dirname(__file__)])
    process = subprocess.Popen(
        command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": paths}
    )
    while not (tmp_path / "killed" / "results.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.05)
    workers = children_of(process.pid)
    assert len(workers) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for_end(workers)


def test_too_few_seeds_are_refused():
    with pytest.raises(InvalidValueError, match="seeds is 4; allowed: at least 5"):
        Matrix(ENV_IDS, ("random",), seeds=4)


def test_an_environment_without_a_competitor_is_refused():
    with pytest.raises(InvalidValueError, match="competitors of qfl/Scheduling-v0"):
        Matrix(("qfl/Scheduling-v0",), ("hungarian",))


def test_an_unknown_competitor_is_refused():
    with pytest.raises(UnknownNameError, match="nobody"):
        Matrix(ENV_IDS, ("nobody",))
