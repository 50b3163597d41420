import json

import numpy as np
import pytest
from PIL import Image

from qfl_envs.errors import InvalidValueError
from train.case_study import learning, page, run, sum_rate
from train.case_study.settings import SERIES, CaseStudy
from train.cli import main
from train.runs import RunFolder

SMALL = {
    "num_devices": 6,
    "radio": {"num_subchannels": 2},
    "quantum": {"num_qubits": 3, "num_layers": 1},
    "learning": {"eval_samples": 40, "device_eval_samples": 2},
}
ALLOCATORS = ("hungarian", "sca", "sca-alternating", "fp-matching", "qaoa-one-shot", "uniform-shots", "qaoa-block")


@pytest.fixture(scope="module")
def study():
    return CaseStudy(
        "paper",
        SMALL,
        allocators=ALLOCATORS,
        series=tuple(one for one in SERIES if one.competitor in ("hungarian", "everyone")),
        instances=2,
        seeds=1,
        rounds=2,
    )


@pytest.fixture(scope="module")
def finished(study, tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "case-study", study.config())
    text = run.run(study, folder, ("4a", "4b"), lambda line: None)
    return folder, text


def test_both_figures_and_all_tables_are_written(finished):
    folder, text = finished
    assert (folder.path / "case_study.md").read_text() == text
    for name in ("figure_4a.png", "figure_4b.png"):
        assert min(Image.open(folder.path / name).size) > 500
        assert f"({name})" in text
    for name in ALLOCATORS:
        assert f"| {name} " in text
    assert "All circuits are classically simulated" in text
    assert "| everyone, by turns " in text


def test_every_unit_is_computed_once(study, finished):
    rows = finished[0].read()
    # fp-matching has no answer where all are assigned
    assert len(rows) == 2 * (2 * len(ALLOCATORS) - 1) + 3 * 2
    assert len({run.key(row) for row in rows}) == len(rows)


def test_a_run_goes_on_where_it_was_killed_and_ends_the_same(study, finished, tmp_path, monkeypatch):
    whole = finished[0].results.read_text().splitlines()
    folder = RunFolder(tmp_path / "again", study.config())
    kept = [line for line in whole if '"4a"' in line]
    # as kill -9 leaves it: half of the last line is missing
    folder.results.write_text("\n".join(kept[:-1]) + "\n" + kept[-1][:20])
    computed = []
    original = sum_rate.SumRates.compute
    monkeypatch.setattr(sum_rate, "warm_up", lambda *_: None)
    monkeypatch.setattr(sum_rate.SumRates, "compute", lambda self, unit: computed.append(unit) or original(self, unit))
    said = []
    run.run(study, folder, ("4a",), said.append)
    lost = json.loads(kept[-1])
    assert computed == [(lost["mode"], lost["allocator"], lost["instance"])]
    assert "1 are missing" in said[0]
    assert folder.read()[-1]["sum_rate_bps"] == lost["sum_rate_bps"]


def test_what_is_finished_is_published_when_a_run_is_interrupted(study, tmp_path, monkeypatch):
    def stop(self, unit):
        raise KeyboardInterrupt

    monkeypatch.setattr(sum_rate, "warm_up", lambda *_: None)
    monkeypatch.setattr(sum_rate.SumRates, "compute", stop)
    folder = RunFolder(tmp_path, study.config())
    with pytest.raises(KeyboardInterrupt):
        run.run(study, folder, ("4a",), lambda line: None)
    assert "Nothing has been computed yet" in (tmp_path / "case_study.md").read_text()


def test_a_trace_ends_at_the_allocation_and_is_below_the_bound(finished):
    for row in finished[0].read():
        if row["figure"] == "4a":
            assert len(row["sum_rate_bps"]) == len(row["iteration_s"]) + 1
            assert 0 < row["sum_rate_bps"][-1] <= row["bound_bps"] * (1 + 1e-9)
            assert row["transmitting"] == 6 or row["mode"] == "may idle"


def test_the_sweeps_of_the_block_method_never_lose(finished):
    for row in finished[0].read():
        if row.get("allocator") == "qaoa-block":
            assert len(row["iteration_s"]) == 4
            assert (np.diff(row["sum_rate_bps"]) >= 0).all()
            assert row["shots"] == 64 * row["circuits"] > 0


def test_instances_are_those_of_the_test_split(study):
    rates = sum_rate.SumRates(study)
    gains = [rates.problem("may idle", instance).gain for instance in (0, 1)]
    assert np.array_equal(rates.problem("all assigned", 0).gain, gains[0])
    assert not np.array_equal(*gains)
    assert rates._envs["may idle"].unwrapped.split == "test"


def test_parameters_are_matched_as_closely_as_hidden_units_allow():
    study = CaseStudy()
    quantum, matched, large = study.parameters().values()
    assert list(study.parameters()) == ["qnn", f"mlp-{study.learners()[list(study.learners())[1]]['hidden']}", "mlp-64"]
    # a hidden unit has 8 inputs, 10 outputs and a bias
    assert abs(matched - quantum) <= 19 / 2
    assert large > 3 * quantum


def test_labels_are_heard_with_the_devices_that_have_them(finished):
    rows = [row for row in finished[0].read() if row["figure"] == "4b"]
    for row in rows:
        assert len(row["accuracy"]) == len(row["seconds"]) == len(row["heard_labels"]) == 3
        assert (np.diff(row["heard_devices"]) >= 0).all()
        # each of the six devices has one label
        assert row["heard_labels"][-1] <= row["heard_devices"][-1] + 1e-9
    assert any(row["heard_labels"][-1] > 0 for row in rows)


def test_time_to_an_accuracy_is_that_of_the_first_round_that_had_it():
    row = {"seconds": [0.0, 1.0, 3.0, 4.0], "accuracy": [0.1, 0.4, 0.6, 0.5]}
    assert learning.seconds_to(row, 0.5) == 3.0
    assert learning.seconds_to(row, 0.7) is None


def test_gains_are_means_of_ratios_on_the_same_instances():
    def row(name, instance, rates, seconds):
        entry = {"mode": "may idle", "allocator": name, "instance": instance, "sum_rate_bps": rates}
        return {**entry, "decision_s": seconds}

    rows = [
        row("qaoa-one-shot", 0, [0.0, 1.5e6], 0.6),
        row("qaoa-one-shot", 1, [0.0, 4.0e6], 0.6),
        row("sca-matching", 0, [0.0, 0.5e6, 1.0e6], 1.0),
        row("sca-matching", 1, [0.0, 1.0e6, 4.0e6], 1.0),
        row("sca-matching", 2, [0.0, 1.0e6, 9.0e6], 1.0),
    ]
    (claim,) = page.claim_rows(rows)
    assert claim["rate, % [95 %]"] == "+25.00"
    assert (claim["less time, %"], claim["fewer iterations, %"], claim["instances"]) == ("+40", "+50", "2")


WRONG = {
    "part": (["--part", "4c"], ["'4c'", "4a"]),
    "allocator": (["--allocator", "hungarain"], ["'hungarain'", "did you mean 'hungarian'"]),
    "preset": (["--preset", "papr"], ["'papr'", "did you mean 'paper'"]),
    "count": (["--instances", "0"], ["'0'", "at least 1"]),
    "access": (["--set", '{"radio": {"access": "time_share"}}'], ["radio.access is 'time_share'", "'interference'"]),
}


@pytest.mark.parametrize("words, said", WRONG.values(), ids=WRONG.keys())
def test_wrong_input_is_one_line(capsys, tmp_path, words, said):
    try:
        code = main(["case-study", "--out", str(tmp_path), *words])
    except SystemExit as left:
        code = left.code
    captured = capsys.readouterr()
    assert (code, captured.out, list(tmp_path.iterdir())) == (2, "", [])
    assert len(captured.err.strip().splitlines()) == 1
    assert all(part in captured.err for part in said)


def test_a_run_is_not_continued_with_other_settings(study, finished):
    with pytest.raises(Exception, match="other settings .*figure_4b"):
        RunFolder(finished[0].path, CaseStudy("paper", SMALL, series=study.series, rounds=3).config())


def test_counts_are_whole():
    with pytest.raises(InvalidValueError, match="rounds is 0"):
        CaseStudy(rounds=0)
