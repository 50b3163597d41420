"""Competitors from outside: objects and models that the command line names."""

import json
import re
import zipfile
from pathlib import Path

import inline
import numpy as np
import pytest
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, DQN, PPO, SAC

import qfl_envs
from train import competitors
from train.cli import main
from train.competition import outside
from train.competition.matrix import Matrix
from train.evaluation import make_env
from train.training.plans import ModelFileError

SCHEDULING, DRIFT, POWER = "qfl/Scheduling-v0", "qfl/Drift-v0", "qfl/Power-v0"
FAST = {"learning": {"model": "none"}, "max_rounds": 3}
ENVIRONMENT = {"scenario": "tiny", **FAST}
PAGE = Path(qfl_envs.__file__).parents[1] / "docs" / "submitting.md"


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    monkeypatch.setattr("train.competition.workers.start_workers", lambda count: inline.inline())


def compete(out, *names, env_id=SCHEDULING, words=()):
    command = ["leaderboard", "--env", env_id, "--preset", "tiny", "--seeds", "5", "--set", json.dumps(FAST)]
    command += ["--out", str(out), "--name", "run", *words]
    for name in names:
        command += ["--competitor", name]
    return main(command)


def rows_of(out):
    (place,) = json.loads((out / "run" / "leaderboard.json").read_text())["environments"]
    return {row["competitor"]: row for row in place["rows"]}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """An untrained model of each algorithm."""
    folder, files = tmp_path_factory.mktemp("models"), {}
    for algorithm, name, env_id in (
        (PPO, "ppo", SCHEDULING),
        (A2C, "a2c", SCHEDULING),
        (MaskablePPO, "maskable-ppo", SCHEDULING),
        (DQN, "dqn", DRIFT),
        (SAC, "sac", POWER),
    ):
        keywords = {"buffer_size": 10} if name in ("dqn", "sac") else {}
        model = algorithm("MultiInputPolicy", make_env(env_id, "train", ENVIRONMENT), device="cpu", seed=0, **keywords)
        files[name] = folder / f"{name}-of-mine.zip"
        model.save(files[name])
    return files


def test_an_object_competes_under_its_whole_name(tmp_path):
    assert compete(tmp_path, "random", "misbehaving:Honest") == 0
    assert set(rows_of(tmp_path)) == {"random", "misbehaving:Honest"}


def test_one_need_not_derive_from_anything(tmp_path):
    assert compete(tmp_path, "misbehaving:ByTheRulesAlone") == 0
    evaluate = ["evaluate", "--competitor", "misbehaving:ByTheRulesAlone", "--preset", "tiny", "--seeds", "1"]
    assert main([*evaluate, "--set", json.dumps(FAST)]) == 0


def test_another_version_of_the_module_that_makes_one_is_another_version_of_it(tmp_path, monkeypatch):
    module = tmp_path / "making.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    digests = set()
    for said in ("one", "another"):
        module.write_text(f'"""{said}"""\nfrom misbehaving import Honest\n\ndef make():\n    return Honest()\n')
        digests.add(outside.digest("making:make"))
    assert len(digests) == 2


def test_one_that_fails_leaves_exit_code_3_and_a_table_of_the_others(tmp_path, capsys):
    assert compete(tmp_path, "random", "misbehaving:OutOfSpace") == 3
    shown = capsys.readouterr()
    assert "misbehaving:OutOfSpace failed on seed 0" in shown.out
    assert "1 of the entries failed; --retry-failed" in shown.err
    assert set(rows_of(tmp_path)) == {"random"}


WRONG = {
    "misbehavin:Honest": ["No module named 'misbehavin'", "module:Name"],
    "misbehaving:Honst": ["has no attribute 'Honst'"],
    "misbehaving:Unmakeable": ["ValueError: no weights here"],
    "misbehaving:WithoutCost": ["lacks cost"],
    "misbehaving:DoesNotSay": [f"does not say whether it supports {SCHEDULING} (RuntimeError: who asks?)"],
    "leaving:Anything": ["leaving:Anything cannot be had (SystemExit: 0)"],
    "misbehaving:OfAnotherKind": ["is of kind 'magic'", "classical, quantum, privileged"],
    "nowhere/model.zip": ["nowhere/model.zip is no model of Stable-Baselines3"],
}


@pytest.mark.parametrize("name, said", WRONG.items(), ids=WRONG.keys())
def test_one_that_cannot_be_had_is_one_line(tmp_path, capsys, name, said):
    assert compete(tmp_path, name) == 2
    shown = capsys.readouterr()
    assert len(shown.err.strip().splitlines()) == 1
    for part in said:
        assert part in shown.err


def test_an_environment_that_is_named_twice_is_one(tmp_path):
    assert compete(tmp_path, "random", words=("--env", SCHEDULING)) == 0
    assert set(rows_of(tmp_path)) == {"random"}
    assert len((tmp_path / "run" / "results.jsonl").read_text().splitlines()) == 5


def test_the_example_of_the_page_is_ten_lines_and_competes(tmp_path, monkeypatch):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    (tmp_path / "my_pkg.py").write_text(example)
    monkeypatch.chdir(tmp_path)
    (name,) = re.findall(r"--competitor (my_pkg:\w+)", PAGE.read_text())
    assert compete(tmp_path, name) == 0
    assert rows_of(tmp_path)[name]["means"]["participants"]["value"] == 3.0


def test_the_algorithm_of_a_model_is_found_from_its_file(models):
    assert {name: outside._algorithm(file) for name, file in models.items()} == {name: name for name in models}


def test_a_model_plays_its_most_likely_actions(models, tmp_path):
    name = str(models["ppo"])
    assert compete(tmp_path, "random", name) == 0
    assert rows_of(tmp_path)[name]["parameters"] > 0
    env, player = make_env(SCHEDULING, "test", ENVIRONMENT), competitors.make(name)
    observation, _ = env.reset(seed=0)
    player.reset(env, 0)
    np.testing.assert_array_equal(player.act(observation), PPO.load(name).predict(observation, deterministic=True)[0])


def test_a_model_competes_where_its_spaces_are(models):
    names = (str(models["dqn"]), "random")
    assert list(Matrix((DRIFT, SCHEDULING), names, "tiny", FAST, 5).entries()) == [
        (DRIFT, names[0]),
        (DRIFT, "random"),
        (SCHEDULING, "random"),
    ]
    assert not outside.fits(str(models["ppo"]), SCHEDULING, {"scenario": "small"})


def _without_spaces(data):
    return json.dumps({name: value for name, value in json.loads(data).items() if "space" not in name}).encode()


def _with_another_pickle(data):
    settings = json.loads(data)
    return json.dumps({**settings, "observation_space": {":serialized:": "AAAA"}}).encode()


DAMAGES = {
    "no object": {"data": lambda data: b"[1, 2]"},
    "no spaces": {"data": _without_spaces},
    "no pickle": {"data": _with_another_pickle},
    "no weights": {"policy.pth": lambda weights: weights[:100]},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_model_is_one_line(models, tmp_path, capsys, damage):
    file = tmp_path / "damaged.zip"
    with zipfile.ZipFile(models["ppo"]) as whole, zipfile.ZipFile(file, "w") as damaged:
        for name in whole.namelist():
            damaged.writestr(name, damage.get(name, bytes)(whole.read(name)))
    assert compete(tmp_path, str(file)) == 2
    said = capsys.readouterr().err
    assert f"{file} is no model of Stable-Baselines3" in said and len(said.strip().splitlines()) == 1


def test_a_model_beside_a_damaged_plan_is_one_line(models, tmp_path, capsys):
    (tmp_path / "model.zip").write_bytes(models["ppo"].read_bytes())
    (tmp_path / "plan.json").write_text("{")
    assert compete(tmp_path, str(tmp_path / "model.zip")) == 2
    assert "holds no finished training run" in capsys.readouterr().err


def test_a_model_that_fits_nowhere_is_refused(models, tmp_path, capsys):
    assert compete(tmp_path, "random", str(models["sac"])) == 2
    assert f"one that supports {SCHEDULING}, with the observation and action space" in capsys.readouterr().err


def test_a_model_under_the_name_of_another_algorithm_is_refused(models):
    with pytest.raises(ModelFileError, match="is no model of 'dqn'"):
        competitors.make(f"dqn:{models['ppo']}")


def test_another_file_under_the_same_name_is_another_run(models, tmp_path, capsys):
    mine = tmp_path / "mine.zip"
    mine.write_bytes(models["ppo"].read_bytes())
    assert compete(tmp_path, str(mine)) == 0
    mine.write_bytes(models["a2c"].read_bytes())
    assert compete(tmp_path, str(mine)) == 2
    assert "other settings (outside)" in capsys.readouterr().err
