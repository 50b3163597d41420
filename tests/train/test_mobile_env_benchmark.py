"""The comparison with mobile-env, which is not installed here: a stand-in of the same shape takes its place."""

import shlex
import sys

import numpy as np
import pytest

from qfl_envs.errors import QflError
from qfl_envs.vector import FederatedVectorEnv
from train.benchmarks import mobile_env
from train.cli import main

STAND_IN = """
import time
import gymnasium as gym

class StandIn(gym.Env):
    action_space = gym.spaces.MultiDiscrete([2] * 4)
    observation_space = gym.spaces.Discrete(1)
    users = dict.fromkeys(range(4))

    def reset(self, *, seed=None, options=None):
        time.sleep({reset_s})
        self.left = 2
        return 0, {{}}

    def step(self, action):
        assert self.left > 0 and self.action_space.contains(action)
        self.left -= 1
        return 0, 0.0, False, self.left == 0, {{}}

gym.register("mobile-medium-central-v0", StandIn)
"""
RUN = "import runpy, sys; sys.path.insert(0, {folder!r}); runpy.run_path(sys.argv[-1], run_name='__main__')"


def use_interpreter(monkeypatch, tmp_path, command):
    """Let the benchmark start a command where it would start a Python."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv(mobile_env.PYTHON_VARIABLE, str(script))


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """A function that makes mobile-env something whose reset takes a given time."""

    def install(reset_s):
        (tmp_path / "mobile_env.py").write_text(STAND_IN.format(reset_s=reset_s))
        run = RUN.format(folder=str(tmp_path))
        use_interpreter(monkeypatch, tmp_path, [sys.executable, "-c", run])

    monkeypatch.setattr(mobile_env, "FAST_MODEL", "none")
    monkeypatch.setattr(mobile_env, "FAST_ROWS", 8)
    return install


def test_one_environment_and_many_are_compared_with_mobile_env(stand_in):
    stand_in(reset_s=0.0)
    rows = mobile_env.measure(steps=3, repeats=3)
    assert [row["env"] for row in rows] == ["none, one at a time", "none, 8 rows", "real learning, 16 rows"]
    for row in rows:
        assert set(row) == {"env", "steps_per_second", "steps_per_second_mobile_env", "ratio"}
        assert all(np.isfinite(row[name]) and row[name] > 0 for name in set(row) - {"env"})
        assert row["ratio"] == row["steps_per_second"] / row["steps_per_second_mobile_env"]
    assert len({row["steps_per_second_mobile_env"] for row in rows}) == 1
    assert rows[1]["steps_per_second"] > rows[0]["steps_per_second"]


def test_ours_have_as_many_devices_as_mobile_env_has_users(stand_in, monkeypatch):
    stand_in(reset_s=0.0)
    made = []
    original = FederatedVectorEnv.__init__

    def remember(self, *arguments, **keywords):
        original(self, *arguments, **keywords)
        made.append((self.num_envs, self.scenario.num_devices, self.scenario.learning.model == "none"))

    monkeypatch.setattr(FederatedVectorEnv, "__init__", remember)
    mobile_env.measure(steps=1, repeats=3)
    assert made == [(8, 4, True), (16, 4, False)]


def test_the_resets_of_mobile_env_are_part_of_its_time(stand_in):
    stand_in(reset_s=0.1)
    row = mobile_env.measure(steps=4, repeats=3)[0]
    assert 10 < row["steps_per_second_mobile_env"] <= 4 / 0.2


def test_an_interpreter_without_mobile_env_is_one_line_that_says_how_to_install_it(monkeypatch, tmp_path, capsys):
    use_interpreter(monkeypatch, tmp_path, [sys.executable, "-S"])
    assert main(["benchmark", "mobile-env"]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert "ModuleNotFoundError" in said
    assert "make benchmark-mobile-env" in said
    assert mobile_env.PYTHON_VARIABLE in said


def test_an_interpreter_that_does_not_exist_is_named(monkeypatch):
    monkeypatch.setenv(mobile_env.PYTHON_VARIABLE, "/nowhere/python")
    with pytest.raises(QflError, match="QFL_MOBILE_ENV_PYTHON is '/nowhere/python': No such file"):
        mobile_env.measure()
