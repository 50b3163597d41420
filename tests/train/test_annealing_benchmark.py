import json

import pytest

from train.benchmarks import annealing
from train.cli import main


@pytest.fixture(scope="module")
def rows():
    return annealing.measure(instances=1, large=1)


def test_what_is_enumerable_has_the_exact_minimum_beside_it(rows):
    exact = {row["problem"]: row for row in rows if row["method"] == "exact"}
    assert set(exact) >= {"allocation, tiny", "last layer of 3 bits, tiny"}
    assert all(row["at_best"] == 1.0 for row in exact.values())


def test_no_method_is_below_the_best_but_the_one_without_bits(rows):
    for row in rows:
        assert row["of_best"] <= 1.0 + 1e-9 or row["method"] == "solved, no bits"


def test_problems_too_large_for_a_penalty_form_go_without_it(rows):
    methods = {row["method"] for row in rows if row["problem"] == "allocation, paper"}
    assert methods == {"icm", "one-hot-annealing", "sqa", "sqa-undriven"}


def test_the_command_prints_the_rows(monkeypatch, capsys):
    monkeypatch.setattr(annealing, "measure", lambda: [{"problem": "none"}])
    assert main(["benchmark", "annealing", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"problem": "none"}]
