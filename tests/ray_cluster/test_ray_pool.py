"""The leaderboard on a Ray cluster of two nodes, one of which is lost."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from train.cli import main
from train.competition.jobs import PlayJob
from train.competition.ray_pool import connect, pack, unpack

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "train")])
FAST = {"learning": {"model": "none"}, "max_rounds": 3}
SCHEDULING = "qfl/Scheduling-v0"


@pytest.fixture(scope="module")
def cluster():
    """A head without processors of its own, and two nodes with one each."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    cluster.nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    yield cluster
    cluster.shutdown()


def leaderboard(out, *words, competitors=("random", "misbehaving:Raises", "ppo")):
    command = [sys.executable, "-m", "train", "leaderboard", "--env", SCHEDULING, "--preset", "tiny", "--seeds", "5"]
    command += ["--steps", "64", "--set", json.dumps(FAST), "--out", str(out), "--name", "run", *words]
    for name in competitors:
        command += ["--competitor", name]
    out.mkdir(exist_ok=True)
    # into a file, since a pipe that nobody reads is soon full of what Ray says about a lost node, and blocks
    with open(out / "said", "w") as said:
        return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": PATHS}, stdout=said, stderr=said)


def returns_in(out):
    (place,) = json.loads((out / "run" / "leaderboard.json").read_text())["environments"]
    found = {row["competitor"]: [one["return"] for one in row["per_seed"]] for row in place["rows"]}
    return found, [(failed["competitor"], failed["seed"]) for failed in place["failures"]]


def lines_in(out):
    file = out / "run" / "results.jsonl"
    return file.read_text().splitlines() if file.exists() else []


def said_in(out):
    return (out / "said").read_text()[-3000:]


def test_a_node_is_lost_in_mid_run_and_the_table_is_that_of_processes(tmp_path, cluster):
    run = leaderboard(tmp_path / "cluster", "--ray", cluster.address)
    while not lines_in(tmp_path / "cluster"):
        assert run.poll() is None, said_in(tmp_path / "cluster")
        time.sleep(0.05)
    cluster.remove_node(cluster.nodes[0], allow_graceful=False)
    at_loss = len(lines_in(tmp_path / "cluster"))
    assert run.wait(300) == 3, said_in(tmp_path / "cluster")
    assert at_loss < len(lines_in(tmp_path / "cluster"))
    alone = leaderboard(tmp_path / "alone", "--workers", "1")
    assert alone.wait(300) == 3, said_in(tmp_path / "alone")
    assert returns_in(tmp_path / "cluster") == returns_in(tmp_path / "alone")
    model = tmp_path / "cluster" / "run" / "models" / "Scheduling-v0-ppo"
    assert (model / "model.zip").exists() and list(model.glob("tensorboard_1/events.*"))


def a_job(name):
    return PlayJob((SCHEDULING, name), {"scenario": "tiny", **FAST}, None, 0)


def next_of(pool):
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for done in pool.collect(1.0):
            return done.result
    pytest.fail("nothing ended")


def test_what_takes_too_long_on_a_node_is_ended_and_the_node_works_on(monkeypatch, cluster):
    monkeypatch.setenv("PYTHONPATH", PATHS)
    with connect(cluster.address) as pool:
        nodes = pool.free()
        for _ in range(nodes):
            pool.start(a_job("misbehaving:Hangs"), 20.0)
        assert pool.free() == 0
        assert all("ended after 20 s" in next_of(pool).reason for _ in range(nodes))
        pool.start(a_job("random"))
        assert next_of(pool).competitor == "random"


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere"])
def test_an_address_that_does_not_answer_is_one_line(tmp_path, capsys, address):
    words = ["leaderboard", "--preset", "tiny", "--env", SCHEDULING, "--competitor", "random", "--ray", address]
    assert main([*words, "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1
    assert f"no Ray cluster answers at '{address}'" in said and "ray start --head" in said


def test_a_model_travels_with_what_says_how_it_plays(tmp_path):
    folder = tmp_path / "Scheduling-v0-ppo"
    (folder / "tensorboard_1").mkdir(parents=True)
    for name in ("model.zip", "mode.json", "plan.json", "tensorboard_1/events"):
        (folder / name).write_text(name)
    for model in (folder, folder / "model.zip"):
        there = tmp_path / f"there-{model.name}"
        unpack(pack(model), there)
        assert sorted(path.name for path in there.iterdir()) == ["mode.json", "model.zip", "plan.json"]
