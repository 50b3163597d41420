import json

import numpy as np
import pytest

from train.cli import main
from train.security import costs, leaks


def test_costs_and_channels_are_printed_as_tables_and_as_json(capsys, tmp_path):
    picture = tmp_path / "security.png"
    words = ["security", "--part", "protection", "--part", "aggregation", "--part", "distance"]
    assert main([*words, "--json", "--out", str(picture)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"protection", "aggregation", "distance"} and picture.stat().st_size > 1000
    row = next(row for row in found["protection"] if row["protection"] == "ML-DSA-65, ML-KEM-768")
    assert row["qnn_expansion"] > 5 * row["dnn_expansion"] > 5
    assert main(words) == 0 and "grouped_expansion" in capsys.readouterr().out


def test_a_picture_has_a_name_that_says_so(capsys):
    assert main(["security", "--part", "aggregation", "--out", "picture.txt"]) == 2
    assert ".png" in capsys.readouterr().err


def test_the_compact_circuit_pays_most(capsys):
    sizes = costs.models()
    assert sizes["dnn"] > 20 * sizes["qnn"]
    compact, dense = costs.aggregation_rows()
    assert compact["masked_expansion"] > dense["masked_expansion"] > 1.0
    assert compact["grouped_expansion"] < compact["masked_expansion"]


def test_aggregated_gradients_are_their_sum():
    gradients = np.random.default_rng(0).normal(size=(4, 6))
    assert leaks.aggregated(gradients) == pytest.approx(gradients.sum(0), abs=1e-3)
