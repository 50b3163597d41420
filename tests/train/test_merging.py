"""Runs of several people become one table, unless something speaks against it."""

import json

import boards
import pytest

from train.cli import main
from train.competition.merging import MergeError, merge
from train.competition.results import Failure, to_row

SCHEDULING, POWER = boards.ENV_IDS
RETURNS = {"random": [-2.0, -2.2, -1.8, -2.1, -1.9, -2.0], "ppo": [0.5, 0.4, 0.6, 0.5, 0.45, 0.55]}


def a_run(path, records, names, **config):
    path.mkdir()
    (path / "config.json").write_text(json.dumps({**boards.config(names), "outside": {}, **config}))
    (path / "results.jsonl").write_text("".join(json.dumps(to_row(one)) + "\n" for one in records))
    return path


@pytest.fixture
def mine(tmp_path):
    return a_run(tmp_path / "mine", boards.played({"random": RETURNS["random"]}), ["random"])


@pytest.fixture
def yours(tmp_path):
    records = [*boards.played(RETURNS, decision_s=0.5), boards.training("ppo")]
    return a_run(tmp_path / "yours", records, ["random", "ppo"])


def test_one_table_has_the_entries_of_all_and_each_episode_once(tmp_path, mine, yours, capsys):
    assert main(["leaderboard", "merge", str(mine), str(yours), "--out", str(tmp_path / "both")]) == 0
    assert "ppo" in capsys.readouterr().out
    lines = (tmp_path / "both" / "results.jsonl").read_text().splitlines()
    assert len(lines) == 6 + 6 + 1
    (place,) = json.loads((tmp_path / "both" / "leaderboard.json").read_text())["environments"]
    assert [row["competitor"] for row in place["rows"]] == ["ppo", "random"]


def test_merging_again_changes_nothing_and_other_runs_do_not_go_into_the_same_folder(tmp_path, mine, yours):
    first = merge([mine, yours], tmp_path / "both")
    assert merge([mine, yours], tmp_path / "both") == first
    with pytest.raises(Exception, match="holds a run with other settings"):
        merge([mine], tmp_path / "both")


DIFFERENT = {
    "protocol": ({"protocol": 0}, "is of protocol 0"),
    "code": ({"code": "0.1.0+def"}, "differ in code: '0.1.0.abc' and '0.1.0.def'"),
    "versions": ({"versions": {"numpy": "3"}}, "differ in versions"),
    "preset": ({"preset": "small"}, "differ in preset: 'tiny' and 'small'"),
    "tier": ({"tier": "surrogate"}, "differ in tier: 'real' and 'surrogate'"),
    "seeds": ({"seeds": 9}, "differ in seeds"),
    "scenario": ({"scenarios": {SCHEDULING: {}}}, f"differ in scenarios of {SCHEDULING}"),
}


@pytest.mark.parametrize("changes, said", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_runs_that_differ_are_refused_and_the_difference_is_named(tmp_path, mine, changes, said):
    other = a_run(tmp_path / "other", [], ["random"], **changes)
    with pytest.raises(MergeError, match=said):
        merge([mine, other], tmp_path / "both")
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize(
    "record", [boards.episode("random", 2, -1.7), Failure(SCHEDULING, "random", 2, "RuntimeError: never mind")]
)
def test_results_of_the_same_episode_that_differ_are_refused(tmp_path, mine, record):
    other = a_run(tmp_path / "other", [record], ["random"])
    with pytest.raises(MergeError, match=f"differ in seed 2 of random in {SCHEDULING}"):
        merge([mine, other], tmp_path / "both")


def test_trainings_of_the_same_agent_must_be_planned_alike(tmp_path, yours):
    plans = [{**plan, "steps": 999} for plan in boards.config(["ppo"])["training"]]
    other = a_run(tmp_path / "other", [], ["ppo"], training=plans)
    with pytest.raises(MergeError, match="differ in the training of ppo"):
        merge([yours, other], tmp_path / "both")


BROKEN = [{"training": None}, {"scenarios": 5}, {"entries": 5}, {"training": [{}]}, {"protocol": "1"}]


@pytest.mark.parametrize("change", BROKEN, ids=map(str, BROKEN))
def test_settings_that_are_none_are_refused_and_named(tmp_path, mine, change):
    config = {**json.loads((mine / "config.json").read_text()), **change}
    (mine / "config.json").write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    with pytest.raises(MergeError, match=f"{mine} holds no run of qfl leaderboard|is of protocol '1', this is"):
        merge([mine], tmp_path / "both")


def test_who_has_not_played_all_episodes_is_told_so(tmp_path, yours, capsys):
    lines = (yours / "results.jsonl").read_text().splitlines()
    (yours / "results.jsonl").write_text(
        "\n".join(line for line in lines if '"ppo"' in line or '"seed": 1' in line) + "\n"
    )
    assert main(["leaderboard", "merge", str(yours), "--out", str(tmp_path / "both")]) == 0
    said = "random has played 1 of 6 episodes: not to be compared with those that played all."
    assert said in capsys.readouterr().out
    assert said in (tmp_path / "both" / "leaderboard.md").read_text()
    (place,) = json.loads((tmp_path / "both" / "leaderboard.json").read_text())["environments"]
    assert place["unfinished"] == [{"competitor": "random", "episodes": 1}]
    assert "<strong>random</strong> played 1<" in (tmp_path / "both" / "leaderboard.html").read_text()


def test_a_merge_does_not_advise_to_play_again_what_it_cannot_play(tmp_path, capsys):
    run = a_run(tmp_path / "run", [Failure(SCHEDULING, "random", 0, "no")], ["random"])
    assert main(["leaderboard", "merge", str(run), "--out", str(tmp_path / "both")]) == 3
    assert "1 of the entries failed\n" in capsys.readouterr().err


def test_a_folder_without_a_run_is_refused(tmp_path, mine, capsys):
    assert main(["leaderboard", "merge", str(mine), str(tmp_path / "nothing"), "--out", str(tmp_path / "both")]) == 2
    assert "holds no run of qfl leaderboard" in capsys.readouterr().err
