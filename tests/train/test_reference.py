import json
from types import SimpleNamespace

import pytest

from train import reference
from train.cli import main

ENV_ID = "qfl/Drift-v0"
FAST = [
    "reference",
    "--env",
    ENV_ID,
    "--preset",
    "tiny",
    "--tier",
    "surrogate",
    "--split",
    "val",
    "--competitor",
    "keep",
]
NAMES = {"random", reference.REFERENCES[ENV_ID]["reference"], "keep"}


def a_line(name, seed, value, command="qfl reference", **other):
    key = dict(zip(reference.KEY, (ENV_ID, "tiny", "val", "real"), strict=True))
    return {**key, "competitor": name, "seed": seed, "return": value, "version": "1", "command": command, **other}


@pytest.fixture
def shipped(monkeypatch, tmp_path):
    file = tmp_path / "shipped.json"
    monkeypatch.setattr(reference, "SHIPPED", file)
    return file


def test_a_row_has_mean_interval_and_number_of_seeds_of_each_and_the_commands_that_made_it():
    lines = [a_line("random", seed, value) for seed, value in enumerate((0.0, 1.0, 5.0))]
    (row,) = reference.summarise([*lines, a_line("oracle", 0, 7.0, "qfl reference --competitor oracle")])
    assert row["returns"]["random"]["mean"] == 2.0
    assert 0.0 <= row["returns"]["random"]["low"] < 2.0 < row["returns"]["random"]["high"] <= 5.0
    assert row["returns"]["oracle"] == {"mean": 7.0, "low": 7.0, "high": 7.0, "seeds": 1}
    assert (row["returns"]["random"]["seeds"], row["seeds"]) == (3, 1)
    assert row["commands"] == ["qfl reference", "qfl reference --competitor oracle"]
    assert row["version"] == "1"


def test_tiers_and_splits_are_rows_of_their_own():
    changes = ({}, {"tier": "surrogate"}, {"split": "test"})
    rows = reference.summarise([a_line("random", 0, float(place), **of) for place, of in enumerate(changes)])
    assert [row["returns"]["random"]["mean"] for row in rows] == [0.0, 1.0, 2.0]


def test_writing_replaces_rows_of_the_same_key_and_keeps_the_others_and_their_speed(tmp_path):
    file = tmp_path / "rows.json"
    old, other = reference.summarise([a_line("random", 0, 1.0), a_line("random", 0, 2.0, preset="small")])
    speed = {"steps_per_second": 1.0, "steps_per_second_vector": 2.0}
    reference.write([{**old, "speed": speed}, other], file)
    (new,) = reference.summarise([a_line("random", 0, 9.0)])
    reference.write([new], file)
    assert reference.shipped(file) == [{**new, "speed": speed}, other]


def test_the_page_names_the_reference_and_the_best_of_the_others():
    names = ("random", reference.REFERENCES[ENV_ID]["reference"], "keep", "fine-tune")
    (row,) = reference.summarise([a_line(name, 0, float(place)) for place, name in enumerate(names)])
    (shown,) = reference.table([row])
    assert shown["reference"] == f"1.00 [1.00, 1.00], 1 seeds ({names[1]})"
    assert shown["best other"] == "3.00 [3.00, 3.00], 1 seeds (fine-tune)"
    assert shown["rounds/s"] == ""


class Stopped(Exception):
    pass


def test_a_killed_measurement_goes_on_and_nothing_is_lost_or_played_twice(capsys, monkeypatch, shipped, tmp_path):
    command = [*FAST, "--seeds", "3", "--out", str(tmp_path)]
    results = tmp_path / "reference" / "results.jsonl"
    played = []

    def dying_play(env, player, seed):
        if len(played) == 4:
            raise Stopped
        return played.append((player.name, seed)) or SimpleNamespace(episode_return=float(seed))

    monkeypatch.setattr(reference, "play", dying_play)
    with pytest.raises(Stopped):
        main(command)
    kept = results.read_bytes()
    assert kept.count(b"\n") == 4
    results.write_bytes(kept + b'{"env_id": "qfl/Dr')

    def play_on(env, player, seed):
        return played.append((player.name, seed)) or SimpleNamespace(episode_return=float(seed))

    monkeypatch.setattr(reference, "play", play_on)
    assert main([*command, "--write", "--json"]) == 0
    assert results.read_bytes().startswith(kept)
    assert sorted(played) == sorted((name, seed) for name in NAMES for seed in range(3))
    (row,) = json.loads(capsys.readouterr().out)
    assert [row[name] for name in reference.KEY] == [ENV_ID, "tiny", "val", "surrogate"]
    assert {name: (of["mean"], of["seeds"]) for name, of in row["returns"].items()} == dict.fromkeys(NAMES, (1.0, 3))
    assert json.loads(shipped.read_text()) == [row]


def test_the_command_learns_on_the_tier_that_the_row_says(monkeypatch, shipped, tmp_path):
    seen = []

    def looking_play(env, player, seed):
        return seen.append(env.unwrapped.scenario.learning.model) or SimpleNamespace(episode_return=0.0)

    monkeypatch.setattr(reference, "play", looking_play)
    for tier in reference.TIERS:
        assert main([*FAST, "--tier", tier, "--seeds", "1", "--out", str(tmp_path)]) == 0
    assert seen == ["qnn"] * 3 + ["surrogate"] * 3


@pytest.mark.parametrize(
    "words, said",
    [
        (["--split", "exam"], "train, val, test"),
        (["--competitor", "ppo"], "one that needs no training"),
        (["--competitor", "convex"], f"one that supports {ENV_ID}"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_played(capsys, tmp_path, words, said):
    assert main([*FAST, *words, "--out", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
