import json
import os
import signal
import subprocess
import sys
import time
import tomllib

import pytest

from baselines import search_space as spaces_of
from baselines.configurations import algorithms, configuration
from baselines.search_space import search_space, value_at, with_values
from qfl_envs.errors import InvalidValueError
from qfl_envs.registration import ENVIRONMENTS
from train.cli import main
from train.runs import RunFolder, RunFolderError
from train.training.algorithms import supports
from train.training.plans import plan_training
from train.training.tuning import BEST_FILE, JOURNAL_FILE, Search, as_toml, tune

SCHEDULING = "qfl/Scheduling-v0"
FAST = {"learning": {"model": "none"}, "max_rounds": 4}


def search_of(trials, agent="ppo"):
    return Search(plan_training(agent, SCHEDULING, "tiny", FAST, steps=256), trials)


def run(search, path, objective):
    return tune(search, RunFolder(path, search.config()), objective, say=lambda line: None)


def closeness(plan, folder):
    """A stand-in for training: best at a learning rate of 0.01."""
    return -abs(plan.settings["algorithm"]["learning_rate"] - 0.01)


def values_of(plan):
    return json.dumps(plan.settings, sort_keys=True)


def test_the_best_settings_are_found_and_ready_to_paste(tmp_path):
    search = search_of(12)
    found = run(search, tmp_path, closeness)
    assert found.trials == 12
    assert found.val_return > found.shipped_return
    text = (tmp_path / BEST_FILE).read_text()
    assert text == as_toml(search, found)
    table = tomllib.loads(text)["ppo"][SCHEDULING]["tiny"]
    assert {key: value_at(table, key) for key in search.space} == found.values
    assert "mean return" in text


def test_the_first_trial_has_the_shipped_settings(tmp_path):
    seen = []
    run(search_of(1), tmp_path, lambda plan, folder: seen.append(plan.settings) or 1.0)
    shipped = configuration("ppo", SCHEDULING, "tiny")
    assert seen[0]["algorithm"]["learning_rate"] == shipped["algorithm"]["learning_rate"]
    assert seen[0]["algorithm"]["gamma"] == shipped["algorithm"]["gamma"]


def test_a_search_that_was_stopped_goes_on_as_one_that_was_not(tmp_path):
    whole, parts = [], []
    run(search_of(5), tmp_path / "whole", lambda plan, folder: whole.append(values_of(plan)) or closeness(plan, folder))

    def stopped(plan, folder):
        if len(parts) == 2:
            raise KeyboardInterrupt
        parts.append(values_of(plan))
        return closeness(plan, folder)

    with pytest.raises(KeyboardInterrupt):
        run(search_of(5), tmp_path / "parts", stopped)
    found = run(
        search_of(5), tmp_path / "parts", lambda plan, folder: parts.append(values_of(plan)) or closeness(plan, folder)
    )
    assert found.trials == 5
    # what was interrupted is played again with the same settings
    assert parts[:3] == whole[:3]
    assert len(parts) == 5


def test_a_finished_search_plays_nothing_and_more_trials_are_added(tmp_path):
    seen = []
    for trials in (2, 2, 3):
        run(search_of(trials), tmp_path, lambda plan, folder: seen.append(1) or closeness(plan, folder))
    assert len(seen) == 3


def test_a_training_that_breaks_down_counts_as_a_bad_one(tmp_path):
    played = []

    def breaks(plan, folder):
        played.append(folder)
        if len(played) == 1:
            raise ValueError("the parameter logits has invalid values")
        return float("nan") if len(played) == 2 else 1.0

    found = run(search_of(4), tmp_path, breaks)
    assert (found.trials, found.diverged, found.val_return, found.shipped_return) == (4, 2, 1.0, None)
    assert "that were shipped broke down" in (tmp_path / BEST_FILE).read_text()


def test_a_line_that_a_dying_process_left_unfinished_is_cut_off(tmp_path):
    run(search_of(2), tmp_path, closeness)
    with open(tmp_path / JOURNAL_FILE, "a") as journal:
        journal.write('{"op_code": 4, "worker')
    (tmp_path / (JOURNAL_FILE + ".lock")).symlink_to(JOURNAL_FILE)
    assert run(search_of(3), tmp_path, closeness).trials == 3


def test_a_folder_of_another_search_is_refused(tmp_path):
    run(search_of(1), tmp_path, closeness)
    with pytest.raises(RunFolderError, match=r"other settings \(agent"):
        run(search_of(1, "a2c"), tmp_path, closeness)


def test_a_killed_search_goes_on_where_it_was(tmp_path):
    words = ["tune", "--preset", "tiny", "--set", json.dumps(FAST), "--steps", "64", "--out", str(tmp_path)]
    words += ["--name", "killed"]
    process = subprocess.Popen(
        [sys.executable, "-m", "train", *words, "--trials", "50"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    best = tmp_path / "killed" / BEST_FILE
    deadline = time.monotonic() + 120
    while not best.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert tomllib.loads(best.read_text())["ppo"]
    assert main([*words, "--trials", "2"]) == 0
    assert "# mean return" in best.read_text()


@pytest.mark.parametrize("agent", algorithms())
def test_every_algorithm_has_a_space_that_holds_its_shipped_settings(agent):
    for env_id in ENVIRONMENTS:
        if not supports(agent, env_id):
            continue
        settings = configuration(agent, env_id, "small")
        space = search_space(agent, settings["policy"])
        assert "algorithm.learning_rate" in space
        assert any(key.startswith("policy_kwargs.") for key in space)
        # a key that the algorithm does not know would be refused by its class only when it is trained
        known = settings["algorithm"].keys() | {"clip_range", "ent_coef"}
        assert {key.split(".")[1] for key in space if key.startswith("algorithm.")} <= known


def test_values_go_to_their_places_and_leave_the_rest():
    settings = {"num_envs": 8, "algorithm": {"gamma": 0.9, "n_steps": 4}}
    changed = with_values(settings, {"algorithm.gamma": 0.5, "policy_kwargs.hidden": 16})
    assert changed == {"num_envs": 8, "algorithm": {"gamma": 0.5, "n_steps": 4}, "policy_kwargs": {"hidden": 16}}
    assert settings["algorithm"]["gamma"] == 0.9


def test_a_range_that_is_empty_is_refused(monkeypatch):
    monkeypatch.setattr(
        spaces_of, "read_tables", lambda files: {"ppo": {"algorithm": {"gamma": {"low": 1.0, "high": 0.5}}}}
    )
    with pytest.raises(InvalidValueError, match="range of algorithm.gamma"):
        search_space("ppo", "mlp")
