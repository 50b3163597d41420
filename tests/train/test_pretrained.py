"""Policies that come with the package act as those that were trained, and their files hold no code."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from qfl_envs.errors import InvalidValueError
from train.cli import main
from train.evaluation import make_env
from train.training import pretrained
from train.training.deep_rl import train
from train.training.plans import ModelFileError, model_name, plan_training
from train.training.trained import TrainedModel

ENV_ID = "qfl/Scheduling-v0"
FAST = {"learning": {"model": "none"}, "max_rounds": 4}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    train(plan_training("ppo", ENV_ID, "tiny", FAST, 128), folder)
    return folder


@pytest.fixture
def kept(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    return pretrained.keep(trained)


def decisions(model):
    env, chosen = make_env(ENV_ID, "test", {"scenario": "tiny", **FAST}), []
    observation, _ = env.reset(seed=3)
    model.reset(env, 3)
    for _ in range(4):
        chosen.append(model.act(observation))
        observation, *_ = env.step(chosen[-1])
    return np.array(chosen)


def test_a_kept_policy_acts_as_the_trained_one(trained, kept):
    assert list(pretrained.known()) == [(ENV_ID, "ppo")]
    np.testing.assert_array_equal(decisions(pretrained.load(ENV_ID, "ppo")), decisions(TrainedModel(trained)))


def test_it_plays_at_once(kept, capsys):
    arguments = ["evaluate", "--pretrained", "--env", ENV_ID, "--seeds", "5", "--split", "val"]
    assert main(arguments) == 0
    assert "ppo" in capsys.readouterr().out
    assert main(["pretrained"]) == 0
    assert ENV_ID in capsys.readouterr().out


def test_what_is_not_there_is_named_with_what_is(kept):
    with pytest.raises(InvalidValueError, match="a2c in qfl/Drift-v0.*ppo in qfl/Scheduling-v0"):
        pretrained.load("qfl/Drift-v0", "a2c")


class Code:
    def __reduce__(self):
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize("content", [{"no": torch.zeros(2)}, Code(), b"text"])
def test_other_weights_and_code_are_refused(kept, content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if isinstance(content, bytes):
        (kept / pretrained.WEIGHTS_FILE).write_bytes(content)
    elif isinstance(content, Code):
        (kept / pretrained.WEIGHTS_FILE).write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, kept / pretrained.WEIGHTS_FILE)
    with pytest.raises(ModelFileError, match="holds no weights of 'ppo'"):
        pretrained.load(ENV_ID, "ppo")
    assert not Path("executed").exists()


def test_large_weights_are_not_kept(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    monkeypatch.setattr(pretrained, "MOST_BYTES", 100)
    with pytest.raises(InvalidValueError, match="bytes of ppo.*up to 100"):
        pretrained.keep(trained)


@pytest.mark.parametrize(("env_id", "agent"), list(pretrained.known()) or [None])
def test_shipped_policies_load_and_are_small(env_id, agent):
    assert pretrained.load(env_id, agent).plan.preset == "small"
    file = pretrained.FOLDER / model_name(env_id, agent) / pretrained.WEIGHTS_FILE
    assert file.stat().st_size < pretrained.MOST_BYTES
