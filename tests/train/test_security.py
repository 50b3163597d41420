import json

import numpy as np
import pytest

from train.cli import main
from train.security import answers, costs, leaks


def test_costs_and_channels_are_printed_as_tables_and_as_json(capsys, tmp_path):
    picture = tmp_path / "security.png"
    words = ["security", "--part", "protection", "--part", "rounds", "--part", "aggregation", "--part", "distance"]
    assert main([*words, "--json", "--out", str(picture)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"protection", "rounds", "aggregation", "distance"} and picture.stat().st_size > 1000
    row = next(row for row in found["protection"] if row["protection"] == "ML-DSA-65, ML-KEM-768")
    assert row["qnn_expansion"] > 5 * row["dnn_expansion"] > 5
    of_rounds = {row["protection"]: row for row in found["rounds"]}
    plain, strong = of_rounds["none"], of_rounds["ML-DSA-87, ML-KEM-1024"]
    assert plain["round_s"] < strong["round_s"] and plain["arrived_in_time"] > strong["arrived_in_time"]
    assert main(words) == 0 and "grouped_expansion" in capsys.readouterr().out


def test_a_picture_has_a_name_that_says_so(capsys):
    assert main(["security", "--part", "aggregation", "--out", "picture.txt"]) == 2
    assert ".png" in capsys.readouterr().err


def test_a_picture_shows_something_in_a_folder_that_exists(capsys, tmp_path):
    assert main(["security", "--part", "aggregation", "--out", str(tmp_path / "picture.png")]) == 2
    assert "defences" in capsys.readouterr().err
    assert main(["security", "--part", "defences", "--out", str(tmp_path / "nowhere" / "picture.png")]) == 2
    assert "folder that exists" in capsys.readouterr().err


def test_the_compact_circuit_pays_most(capsys):
    sizes = costs.models()
    assert sizes["dnn"] > 20 * sizes["qnn"]
    compact, dense = costs.aggregation_rows()
    assert compact["masked_expansion"] > dense["masked_expansion"] > 1.0
    assert compact["grouped_expansion"] < compact["masked_expansion"]


def test_aggregated_gradients_are_their_sum():
    gradients = np.random.default_rng(0).normal(size=(4, 6))
    assert leaks.aggregated(gradients) == pytest.approx(gradients.sum(0), abs=1e-3)


def test_answers_are_worse_the_further_samples_are_pushed():
    rows = answers.rows("tiny", 8, 1)
    accuracy = [row["accuracy"] for row in rows]
    assert accuracy[0] > accuracy[-1] + 0.1 and sorted(accuracy, reverse=True) == accuracy
    assert 0.4 < rows[0]["membership_auc"] < 0.7 and 0.0 <= rows[0]["membership_advantage"] < 0.3


def test_a_ledger_is_recorded_verified_and_found_out(capsys, tmp_path):
    path = tmp_path / "updates.jsonl"
    assert main(["ledger", "record", str(path), "--rounds", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)[0]
    assert found["entries"] == len(path.read_text().splitlines()) - 1 > 0 and found["problem"] is None
    path.write_text(path.read_text().replace('"round":0', '"round":1', 1))
    assert main(["ledger", "verify", str(path)]) == 2
    assert "does not verify" in capsys.readouterr().err
    assert main(["ledger", "record", str(path)]) == 2 and "does not exist" in capsys.readouterr().err
    assert main(["ledger", "record", str(tmp_path / "new"), "--signature", "none"]) == 2
