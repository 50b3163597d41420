import json
import subprocess
import sys

import pytest
from PIL import Image

from train.cli import main

FAST = '{"learning": {"model": "none"}, "max_rounds": 4}'


def run(capsys, *words):
    code = main(words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


WRONG = {
    "unknown preset": (["evaluate", "--competitor", "random", "--preset", "smal"], ["'smal'", "did you mean 'small'"]),
    "unknown field": (["render", "--set", '{"radio": {"num_cell": 2}}'], ["'num_cell'", "did you mean 'num_cells'"]),
    "value out of range": (["render", "--set", '{"num_devices": 0}'], ["num_devices is 0", "from 1 to"]),
    "not a number": (["render", "--set", '{"deadline_s": NaN}'], ["deadline_s is nan", "a number of at least"]),
    "unknown environment": (["train", "--env", "qfl/Schedule-v0"], ["'qfl/Schedule-v0'", "qfl/Scheduling-v0"]),
    "unknown competitor": (["evaluate", "--competitor", "randm"], ["'randm'", "did you mean 'random'"]),
    "unsupported environment": (["evaluate", "--competitor", "hungarian"], ["does not support qfl/Scheduling-v0"]),
    "unknown agent": (["train", "--agent", "popo"], ["'popo'", "known: ppo, maskable-ppo"]),
    "agent for other actions": (["train", "--agent", "dqn"], ["is 'dqn'", "one of 'ppo', 'maskable-ppo', 'a2c'"]),
    "agent to tune for other actions": (
        ["tune", "--agent", "dqn"],
        ["is 'dqn'", "one of 'ppo', 'maskable-ppo', 'a2c'"],
    ),
    "unknown preset to tune in": (["tune", "--preset", "smal"], ["'smal'", "did you mean 'small'"]),
    "folder without curves": (["curves", "tests"], ["'tests'", "finished runs of qfl train"]),
    "curves of another kind": (["curves", "tests", "--out", "curves.gif"], ["curves.gif", ".png"]),
    "unknown split": (["evaluate", "--competitor", "random", "--split", "exam"], ["'exam'", "train, val, test"]),
    "model that is missing": (["evaluate", "--model", "/nowhere"], ["/nowhere", "qfl train"]),
    "agent without model": (["evaluate", "--competitor", "ppo"], ["'ppo'", "--model FOLDER"]),
    "file of another kind": (["render", "--out", "episode.mp4"], ["episode.mp4", ".gif or .png"]),
    "too few seeds": (["leaderboard", "--seeds", "3"], ["seeds is 3", "at least 5"]),
    "argument set elsewhere": (["leaderboard", "--set", '{"split": "val"}'], ["--set split", "set by the command"]),
    "competitor of other environments": (
        ["leaderboard", "--competitor", "random", "--competitor", "sac", "--env", "qfl/Scheduling-v0"],
        ["--competitor is 'sac'", "one that supports qfl/Scheduling-v0"],
    ),
    "unwritable folder": (["leaderboard", "--quick", "--out", "/dev/null"], ["cannot write to the run folder"]),
    "unknown preset to describe": (["envs", "--describe", "big"], ["'big'", "tiny, small, paper, city"]),
    "argument of no environment": (["leaderboard", "--set", '{"speed": 2}'], ["'speed'", "num_devices"]),
}


@pytest.mark.parametrize("words, said", WRONG.values(), ids=WRONG.keys())
def test_wrong_input_is_one_line_that_says_what_is_wrong_and_what_is_allowed(capsys, words, said):
    code, out, err = run(capsys, *words)
    assert code == 2
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    for part in said:
        assert part in err


UNREADABLE = {
    "no command": ([], "COMMAND"),
    "unknown command": (["compete"], "leaderboard"),
    "steps that are no number": (["train", "--steps", "many"], "a whole number of at least 1"),
    "negative seed": (["train", "--seed", "-1"], "a whole number of at least 0"),
    "broken JSON": (["render", "--set", "{num_devices: 3}"], "is no JSON"),
    "JSON that is no object": (["render", "--set", "[3]"], "a JSON object"),
}


@pytest.mark.parametrize("words, said", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_one_line_too(capsys, words, said):
    with pytest.raises(SystemExit) as left:
        main(words)
    err = capsys.readouterr().err
    assert left.value.code == 2
    assert len(err.strip().splitlines()) == 1
    assert said in err


def test_nothing_is_left_behind_by_a_refused_training(capsys, tmp_path):
    code, _, _ = run(capsys, "train", "--preset", "smal", "--out", str(tmp_path))
    assert code == 2
    assert list(tmp_path.iterdir()) == []


def test_envs_and_competitors_are_listed(capsys):
    _, out, _ = run(capsys, "envs", "--json")
    assert {row["id"] for row in json.loads(out)} >= {"qfl/Allocation-v0", "qfl/Scheduling-v0"}
    _, out, _ = run(capsys, "competitors", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows["hungarian"]["environments"] == "qfl/Allocation-v0"
    assert rows["ppo"]["kind"] == "classical"
    assert [name for name in ("ppo", "a2c", "sac") if rows[name]["by_default"]] == ["ppo"]
    assert rows["qaoa-one-shot"]["kind"] == "quantum"
    table = [line.split() for line in run(capsys, "competitors")[1].splitlines()]
    kinds = {words[0]: words[1] for words in table if words and words[0] in rows}
    assert kinds == {name: row["kind"] for name, row in rows.items()}
    assert rows["oracle"]["kind"] == "privileged"
    assert not rows["oracle"]["by_default"]


def test_a_model_is_trained_and_then_evaluated_where_it_was_trained(capsys, tmp_path):
    words = ["train", "--preset", "tiny", "--set", FAST, "--steps", "256", "--out", str(tmp_path), "--name", "one"]
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert " parameters" in out.splitlines()[0]
    folder = str(tmp_path / "one")
    code, out, _ = run(capsys, "curves", folder, "--out", str(tmp_path / "curves.png"), "--json")
    assert code == 0
    assert [(row["agent"], row["steps"]) for row in json.loads(out)] == [("ppo", 256)]
    assert json.loads(out)[0]["learner_in_training"] == "none"
    assert Image.open(tmp_path / "curves.png").format == "PNG"
    code, out, _ = run(capsys, "evaluate", "--model", folder, "--seeds", "2", "--json")
    episodes = json.loads(out)
    assert code == 0
    assert [episode["seed"] for episode in episodes] == [0, 1]
    assert {episode["env_id"] for episode in episodes} == {"qfl/Scheduling-v0"}
    assert all(episode["rounds"] == 4 for episode in episodes)
    code, _, err = run(capsys, *words)
    assert code == 2
    assert "choose another --name" in err
    code, _, err = run(capsys, "evaluate", "--model", folder, "--env", "qfl/Allocation-v0")
    assert code == 2
    assert "it supports: qfl/Scheduling-v0" in err


def test_an_evaluation_prints_a_table(capsys):
    code, out, _ = run(
        capsys, "evaluate", "--competitor", "everyone", "--preset", "tiny", "--set", FAST, "--seeds", "2"
    )
    assert code == 0
    assert "everyone" in out
    assert "return (IQM)" in out


def test_an_episode_is_rendered_as_text_picture_and_animation(capsys, tmp_path):
    common = ["render", "--preset", "tiny", "--set", FAST, "--rounds", "2"]
    _, out, _ = run(capsys, *common)
    assert out.count("round ") == 3
    assert run(capsys, *common, "--out", str(tmp_path / "last.png"))[0] == 0
    assert Image.open(tmp_path / "last.png").size == (960, 540)
    assert run(capsys, *common, "--out", str(tmp_path / "all.gif"))[0] == 0
    assert Image.open(tmp_path / "all.gif").n_frames == 3


def test_the_solvers_are_measured_on_demand(capsys, monkeypatch):
    monkeypatch.setattr("train.benchmarks.solvers.measure", lambda: [{"solver": "hungarian", "ratio_hungarian": 1.0}])
    code, out, _ = run(capsys, "benchmark", "solvers", "--json")
    assert code == 0
    assert json.loads(out) == [{"solver": "hungarian", "ratio_hungarian": 1.0}]


def test_help_of_every_command_explains_every_option(capsys):
    commands = ("envs", "competitors", "train", "tune", "curves", "evaluate", "leaderboard", "render", "qaoa-angles")
    for command in (*commands, "benchmark"):
        with pytest.raises(SystemExit) as left:
            main([command, "--help"])
        assert left.value.code == 0
        assert "usage: qfl " + command in capsys.readouterr().out


def test_python_m_train_is_the_same_command():
    done = subprocess.run([sys.executable, "-m", "train", "envs", "--set", "[]"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("qfl envs: error:")


def test_one_that_is_trained_is_not_evaluated_untrained(capsys):
    assert main(["evaluate", "--competitor", "ppo"]) == 2
    assert "--competitor is 'ppo'; allowed: one that needs no training; those that do play from --model" in (
        capsys.readouterr().err
    )
