import json

import numpy as np
import pytest

from agents.qaoa import angles
from agents.qaoa.qubits import QubitQAOA
from train import qaoa_angles
from train.benchmarks import allocation, qaoa
from train.cli import main


def test_the_small_circuit_is_timed_against_the_same_circuit_on_qubits():
    row = qaoa._small_circuit(repeats=3)
    assert (row["qubits"], row["against"]) == (16, "lightning.qubit")
    assert row["ratio"] == row["seconds_against"] / row["seconds"] > 10


def test_a_circuit_that_no_qubit_simulator_holds_runs_and_has_no_ratio():
    row = qaoa._circuit(4, 20, repeats=3)
    assert row["qubits"] == 80
    assert 0 < row["seconds"] < 60
    assert row["ratio"] is None


def test_simulators_that_disagree_are_not_compared(monkeypatch):
    original = QubitQAOA.one_hot_probabilities
    monkeypatch.setattr(QubitQAOA, "one_hot_probabilities", lambda *a: original(*a) + 1e-4)
    with pytest.raises(qaoa.SimulatorsDisagreeError, match="differs by 1.0e-04"):
        qaoa._small_circuit(3)


def test_the_diagonal_is_the_energy_of_every_choice():
    problem = qaoa.random_problem(3, 4)
    cost = qaoa.diagonal(problem)
    for choice in [(0, 0, 0), (1, 2, 1), (3, 3, 0), (0, 1, 2)]:
        assert cost[(0, *choice)] == pytest.approx(problem.energy(np.array([choice]))[0])


def test_allocators_are_compared_on_the_same_instances():
    rows = allocation.measure(["tiny"], 2)
    assert [row["allocator"] for row in rows] == allocation.names()
    by_name = {row["allocator"]: row for row in rows}
    reference = by_name["hungarian"]
    assert (reference["of_hungarian"], reference["worst"], reference["shots"]) == (1.0, 1.0, 0.0)
    assert by_name["qaoa-one-shot"]["shots"] == 150
    difference = by_name["qaoa-one-shot"]["of_hungarian"] - by_name["uniform-shots"]["of_hungarian"]
    assert float(by_name["qaoa-one-shot"]["over_control"].split()[0]) == pytest.approx(difference, abs=1e-4)
    assert reference["over_control"] is None
    over_exact = by_name["qaoa-block"]["of_hungarian"] - by_name["block-exact"]["of_hungarian"]
    assert float(by_name["qaoa-block"]["over_exact"].split()[0]) == pytest.approx(over_exact, abs=1e-4)
    assert all(0 < row["worst"] <= row["of_hungarian"] < 1.01 for row in rows)


def test_angles_are_tuned_printed_and_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(qaoa_angles, "TABLE", tmp_path / "angles.json")
    monkeypatch.setattr(qaoa_angles.tune, "__defaults__", ("small", 40, (1,), 2))
    monkeypatch.setattr(qaoa_angles, "minimize", lambda function, start, **_: type("Found", (), {"x": start}))
    assert main(["qaoa-angles", "--preset", "tiny", "--instances", "2", "--write", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "angles.json").read_text())
    assert printed["settings"] == {"preset": "tiny", "split": "train", "instances": 2, "block_size": 2}
    assert set(printed["angles"]) == {"block", "one-shot", "recursive", "scheduling"}
    assert printed["angles"]["block"]["1"]["gamma"][0] > 0 > printed["angles"]["block"]["1"]["beta_times_options"][0]
    rows = qaoa_angles.table(printed)
    assert [(row["use"], row["depth"]) for row in rows] == [
        (use, 1) for use in ("block", "one-shot", "recursive", "scheduling")
    ]


def test_the_shipped_angles_say_what_they_were_tuned_on():
    document = angles.table()
    assert document["settings"]["split"] == "train"
    assert set(document["angles"]) == {"block", "one-shot", "recursive", "scheduling"}


def test_an_unknown_preset_is_refused(capsys):
    assert main(["qaoa-angles", "--preset", "smal"]) == 2
    assert "did you mean 'small'" in capsys.readouterr().err
