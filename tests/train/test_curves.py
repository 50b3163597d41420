import dataclasses
import json

import boards
import numpy as np
import pytest

from train.competition.results import to_row
from train.training import curves
from train.training.curves import Curve, page
from train.training.plans import TrainingPlan

SCHEDULING = "qfl/Scheduling-v0"


@pytest.fixture
def folder(tmp_path):
    """Results in which ppo is above random and below the best rule, and a2c like random."""
    means = {"random": -0.5, "round-robin": 0.3, "everyone": -0.3, "ppo": 0.0, "a2c": -0.5}
    rows = [boards.episode(name, seed, mean + 0.01 * seed) for name, mean in means.items() for seed in range(8)]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(to_row(row)) + "\n" for row in rows))
    return tmp_path


def curve(agent):
    settings = {"environment": {"learning": {"model": "surrogate"}}, "environment_share": 0.5}
    plan = TrainingPlan(agent, SCHEDULING, "small", 100, 3, {"num_devices": 8}, settings, parameters=1234)
    return Curve(None, plan, np.array([50, 100]), np.array([-1.0, 0.25]))


def test_the_page_has_the_command_of_every_training(folder):
    text = page([curve("ppo"), curve("a2c")], [folder], "curves.png")
    for agent in ("ppo", "a2c"):
        assert f"qfl train --agent {agent} --env {SCHEDULING} --preset small --steps 100 --seed 3 --set" in text
    assert "`surrogate, qnn`" in text
    assert "1,234" in text
    assert "(curves.png)" in text


def test_the_page_says_how_trained_agents_stand_to_random_play_and_to_the_best_rule(folder):
    lines = page([curve("ppo")], [folder], None).splitlines()
    cells = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")] for line in lines if "|" in line}
    header = next(line for line in lines if "against random" in line)
    assert "against round-robin" in header
    assert cells["ppo"][4:6] == ["above", "below"]
    assert cells["a2c"][4:6] == ["intervals overlap", "below"]
    assert cells["everyone"][4:6] == ["", ""]


def test_a_folder_without_results_shows_the_trainings_alone(tmp_path):
    assert "##" not in page([curve("ppo")], [tmp_path], None)


def test_the_picture_has_a_panel_for_each_environment(tmp_path):
    from PIL import Image

    widths = []
    for environments in ([SCHEDULING], [SCHEDULING, "qfl/Drift-v0"]):
        drawn = [
            dataclasses.replace(curve("ppo"), plan=dataclasses.replace(curve("ppo").plan, env_id=env_id))
            for env_id in environments
        ]
        curves.draw(drawn, tmp_path / "curves.png")
        widths.append(Image.open(tmp_path / "curves.png").width)
    assert widths[1] == 2 * widths[0]
