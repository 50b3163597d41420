import json

import numpy as np
import pytest

from qfl_envs.errors import InvalidValueError, UnknownNameError
from train.claims import experiments, local_work
from train.claims.data import Claim, Measure, Plan, load, parse
from train.claims.experiments import Experiment, mean_until
from train.claims.run import publish, run
from train.claims.verdicts import measured, verdict
from train.cli import main
from train.evaluation import make_env
from train.report.page import read_claims
from train.runs import RunFolderError

SILENT = lambda line: None  # noqa: E731
BETTER = {"says": "a better", "experiment": "e", "quantity": "q", "ours": "a", "theirs": "b", "how": "difference"}


def rows(ours, theirs, quantity="q"):
    return [
        {"series": series, "seed": seed, "values": {quantity: value}}
        for series, values in (("a", ours), ("b", theirs))
        for seed, value in enumerate(values)
    ]


def judged(ours, theirs, *others, reproduced_from=0.0, partly_from=0.0, role="claim"):
    measure = Measure(**BETTER, role=role, reproduced_from=reproduced_from, partly_from=partly_from)
    claim = Claim("c", "says", "where", tuple([measure, *(one.measure for one in others)]))
    return verdict(claim, [measured(measure, rows(ours, theirs)), *others])


def of(ours, theirs, **changes):
    return measured(Measure(**{**BETTER, "reproduced_from": 0.0, **changes}), rows(ours, theirs))


class TestMeasures:
    def test_a_difference_is_that_of_the_means(self):
        found = of([3.0, 5.0], [1.0, 2.0])
        assert (found.ours, found.theirs, found.found.value, found.count) == (4.0, 1.5, 2.5, 2)

    def test_gains_and_savings_are_of_the_means_in_percent(self):
        assert of([3.0, 5.0], [1.0, 4.0], how="gain").found.value == pytest.approx(60.0)
        assert of([3.0, 1.0], [4.0, 4.0], how="saving").found.value == pytest.approx(50.0)

    def test_only_seeds_that_both_met_count(self):
        assert of([1.0, 2.0, 3.0], [0.0, 1.0]).count == 2
        assert of([1.0], []).found is None

    def test_the_interval_pairs_what_met_the_same_instance(self):
        level = np.array([0.0, 100.0, 7.0, -40.0, 3.0, 21.0])
        found = of(level + [1.0, 1.1, 0.9, 1.0, 1.2, 0.8], level).found
        assert found.low > 0.8 and found.high < 1.2

    def test_who_never_varies_is_his_own_interval(self):
        found = of([130.0] * 5, [260.0] * 5, how="saving").found
        assert (found.low, found.value, found.high) == (50.0, 50.0, 50.0)


class TestVerdicts:
    SEVEN = [0.0] * 7

    def test_the_beginning_of_the_interval_decides(self):
        wide = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
        assert judged([30.0] * 7, self.SEVEN, reproduced_from=28.0) == "reproduced"
        assert judged([20.0] * 7, self.SEVEN, reproduced_from=28.0) == "partly"
        assert judged(wide, self.SEVEN, reproduced_from=4.0) == "partly"
        assert judged([-1.0] * 7, self.SEVEN, reproduced_from=28.0) == "not"
        assert judged([-9.0, 9.0, 1.0, -1.0, 0.0, 2.0, -2.0], self.SEVEN) == "not"

    def test_better_means_more_than_level(self):
        assert judged([0.0] * 7, self.SEVEN) == "not"

    def test_equal_allows_a_small_loss(self):
        loss = {"reproduced_from": -0.01, "partly_from": -0.05}
        assert judged([-0.005] * 7, self.SEVEN, **loss) == "reproduced"
        assert judged([-0.03] * 7, self.SEVEN, **loss) == "partly"
        assert judged([-0.1] * 7, self.SEVEN, **loss) == "not"

    def test_a_control_that_does_as_well_takes_the_cause_away(self):
        good, bad = (of(values, self.SEVEN, role="control") for values in ([1.0] * 7, [0.0] * 7))
        assert (good.verdict, bad.verdict) == ("passed", "failed")
        assert judged([1.0] * 7, self.SEVEN, good) == "reproduced"
        assert judged([1.0] * 7, self.SEVEN, bad) == "partly"
        assert judged([-1.0] * 7, self.SEVEN, good) == "not"

    def test_one_of_two_measures_is_partly(self):
        failed = of([-1.0] * 7, self.SEVEN)
        assert judged([1.0] * 7, self.SEVEN, failed) == "partly"
        assert judged([-1.0] * 7, self.SEVEN, failed) == "not"

    def test_too_few_values_decide_nothing(self):
        assert judged([1.0] * 4, [0.0] * 4) == "undecided"
        assert judged([1.0] * 7, self.SEVEN, of([1.0], [0.0], role="control")) == "undecided"

    def test_what_stands_beside_has_no_say(self):
        beside = of([-1.0] * 7, self.SEVEN, role="beside", reproduced_from=None)
        assert beside.verdict == ""
        assert judged([1.0] * 7, self.SEVEN, beside) == "reproduced"

    def test_what_cannot_be_tested_says_why(self):
        assert verdict(Claim("c", "says", "where", untestable="nobody knows"), []) == "untestable"


@pytest.mark.parametrize(
    "changes",
    [
        {"how": "ratio"},
        {"role": "judge"},
        {"role": "beside"},
        {"reproduced_from": None},
        {"partly_from": 1.0},
    ],
)
def test_measures_from_which_no_verdict_follows_are_refused(changes):
    with pytest.raises(InvalidValueError):
        Measure(**{**BETTER, "reproduced_from": 0.0, **changes})


def test_a_claim_is_measured_or_says_why_not():
    with pytest.raises(InvalidValueError):
        Claim("c", "says", "where")
    with pytest.raises(InvalidValueError):
        Claim("c", "says", "where", (Measure(**BETTER, reproduced_from=0.0),), untestable="why")


@pytest.mark.parametrize("size", ["quick", "full"])
def test_all_that_is_claimed_can_be_measured_with_what_the_experiments_compute(size, tmp_path):
    catalogue = load(size)
    series = {name: experiments.make(plan, tmp_path).series() for name, plan in catalogue.plans.items()}
    assert len({claim.name for claim in catalogue.claims}) == len(catalogue.claims)
    used = set()
    for claim in catalogue.claims:
        for measure in claim.measures:
            used.add(measure.experiment)
            assert {measure.ours, measure.theirs} <= set(series[measure.experiment]), measure
    assert used == set(catalogue.plans)
    assert all(plan.settings["seeds"] >= 5 for plan in catalogue.plans.values())


SMALLEST = {
    "sum-rate": {"preset": "tiny", "allocators": ["hungarian", "qaoa-one-shot"]},
    "convergence": {"preset": "tiny", "rounds": 2, "allocators": ["round-robin"]},
    "episodes": {"preset": "tiny"},
    "learners": {"features": 4, "steps": 2, "learners": {"logistic": {"model": "logistic"}}},
    "trainings": {"preset": "tiny", "steps": 1, "episodes": 1, "agents": ["a2c"]},
    "protection": {"preset": "tiny", "rounds": 1},
    "keys": {"sessions": 1},
    "sums": {"samples": 200, "length": 5},
    "ledger": {},
    "screening": {"rounds": 1},
    "poisoned": {"rounds": 1, "attacks": ["ipm"]},
    "leakage": {"iterations": 1, "searches": 1},
}
FAST = {"num_devices": 3, "max_rounds": 2, "learning": {"model": "none"}}


@pytest.mark.parametrize("name", load("quick").plans)
def test_an_experiment_computes_every_quantity_that_is_asked_of_it(name, tmp_path):
    catalogue = load("quick")
    plan = catalogue.plans[name]
    wanted = {one.quantity for claim in catalogue.claims for one in claim.measures if one.experiment == name}
    settings = {**plan.settings, **SMALLEST[plan.kind]}
    if plan.kind == "episodes":
        settings["arguments"] = {**settings["arguments"], **FAST}
        if settings["env"] == "qfl/Drift-v0":
            settings["arguments"]["learning"] = {"model": "surrogate"}
    if plan.kind == "trainings":
        settings["arguments"] = {"max_rounds": 8, "learning": {"model": "surrogate"}}
    experiment = experiments.make(Plan(name, plan.kind, plan.about, settings), tmp_path)
    values = experiment.compute(experiment.series()[0], 0)
    assert wanted <= values.keys()
    assert all(isinstance(value, float) and np.isfinite(value) for value in values.values())


class Counting(Experiment):
    """Remembers what was computed, and stops at a unit."""

    computed: list[tuple[str, int]] = []
    stop_at = None

    def series(self):
        return ["a", "b"]

    def compute(self, series, seed):
        if (series, seed) == Counting.stop_at:
            raise KeyboardInterrupt
        Counting.computed.append((series, seed))
        return {"q": 2.0 if series == "a" else 1.0}

    def read(self, row):
        return ((row["who"], row["n"]), {"q": row["q"]}) if "who" in row else None


@pytest.fixture
def catalogue(monkeypatch):
    monkeypatch.setitem(experiments.KINDS, "counting", Counting)
    Counting.computed, Counting.stop_at = [], None
    table = {
        "article": "An article",
        "experiment": {"e": {"kind": "counting", "about": "counts", "quick": {"seeds": 6}, "full": {"seeds": 9}}},
        "claim": [
            {"name": "one", "says": "a is more.", "where": "here", "measure": [{**BETTER, "reproduced_from": 0.5}]},
            {"name": "two", "says": "b flies.", "where": "there", "untestable": "b has no wings"},
        ],
    }
    return parse(table, "quick")


def test_an_experiment_goes_on_where_it_was_stopped_and_computes_nothing_twice(catalogue, tmp_path):
    Counting.stop_at = ("b", 3)
    with pytest.raises(KeyboardInterrupt):
        run(catalogue, tmp_path, catalogue.claims, {}, SILENT)
    before = (tmp_path / "claims.md").read_text()
    assert "undecided" in before  # three instances are too few
    Counting.stop_at = None
    text = run(catalogue, tmp_path, catalogue.claims, {}, SILENT)
    assert sorted(Counting.computed) == [(series, seed) for series in "ab" for seed in range(6)]
    assert "**reproduced**" in text and "b has no wings" in text
    kept = [json.loads(line) for line in (tmp_path / "e" / "results.jsonl").read_text().splitlines()]
    assert all(row["code"] for row in kept)


def test_a_line_that_a_dying_process_left_unfinished_is_computed_again(catalogue, tmp_path):
    run(catalogue, tmp_path, catalogue.claims, {}, SILENT)
    results = tmp_path / "e" / "results.jsonl"
    results.write_text(results.read_text()[:-20])
    Counting.computed.clear()
    run(catalogue, tmp_path, catalogue.claims, {}, SILENT)
    assert Counting.computed == [("b", 5)]


DAMAGES = [{"values": 5}, {"values": {"q": None}}, {"seed": [1]}, {"series": 3}, {"code": None}]


@pytest.mark.parametrize("damage", DAMAGES, ids=map(str, DAMAGES))
def test_a_line_that_is_no_unit_is_reported_and_computed_again(catalogue, tmp_path, damage):
    whole = run(catalogue, tmp_path, catalogue.claims, {}, SILENT)
    results, said = tmp_path / "e" / "results.jsonl", []
    first, *others = results.read_text().splitlines()
    results.write_text("\n".join([json.dumps({**json.loads(first), **damage}), *others]) + "\n")
    Counting.computed.clear()
    assert run(catalogue, tmp_path, catalogue.claims, {}, said.append) == whole
    assert Counting.computed == [("a", 0)] and "line 1 cannot be used" in said[0]


def test_settings_of_an_experiment_that_cannot_be_read_are_named(catalogue, tmp_path):
    run(catalogue, tmp_path, catalogue.claims, {}, SILENT)
    (tmp_path / "e" / "config.json").write_text("{")
    with pytest.raises(RunFolderError, match="config.json cannot be read"):
        run(catalogue, tmp_path, catalogue.claims, {}, SILENT)


def test_a_folder_that_cannot_be_written_is_named(catalogue, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot write to the run folder"):
        run(catalogue, tmp_path / "file" / "claims", catalogue.claims, {}, SILENT)


def test_a_damaged_line_of_another_command_is_left_out(catalogue, tmp_path):
    source, said = tmp_path / "source", []
    source.mkdir()
    (source / "results.jsonl").write_text('{"who": "a", "n": 0}\n{"who": "a", "n": 1, "q": 2.0}\n')
    (source / "config.json").write_text("{}")
    run(catalogue, tmp_path / "out", catalogue.claims, {"e": source}, said.append)
    assert "line 1 cannot be used (KeyError: 'q')" in said[0] and "1 units read" in said[1]


def test_results_of_another_command_can_be_read(catalogue, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    lines = [{"who": who, "n": seed, "q": value} for who, value in (("a", 9.0), ("b", 1.0)) for seed in range(5)]
    (source / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"other": 1}]))
    (source / "config.json").write_text('{"rounds": 3}')
    text = run(catalogue, tmp_path / "out", catalogue.claims, {"e": source}, SILENT)
    assert "+8.000" in text and "`source`" in text
    assert Counting.computed == []
    with pytest.raises(RunFolderError, match="no results of another command"):
        run(catalogue, tmp_path / "out", catalogue.claims, {"e": tmp_path}, SILENT)


def test_the_numbers_are_there_for_programs_and_for_the_page_of_the_leaderboard(catalogue, tmp_path):
    run(catalogue, tmp_path / "claims-quick", catalogue.claims, {}, SILENT)
    found = read_claims(tmp_path)
    assert [one["verdict"] for one in found["claims"]] == ["reproduced", "untestable"]
    assert found["claims"][0]["measures"][0]["found"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    publish(catalogue, tmp_path / "claims")  # of full size, and empty: it is the one that is shown
    assert read_claims(tmp_path)["claims"][0]["verdict"] == "undecided"
    (tmp_path / "claims" / "claims.json").write_text("{")
    with pytest.raises(RunFolderError, match="qfl claims"):
        read_claims(tmp_path)


def test_claims_are_a_section_of_the_page(catalogue, tmp_path):
    from pages import leaderboard

    from train.report.content import content_of
    from train.report.page import render

    run(catalogue, tmp_path / "claims", catalogue.claims, {}, SILENT)
    content = content_of(leaderboard())
    shown = render(content, {}, read_claims(tmp_path))
    assert 'id="claims"' in shown and "a is more." in shown and "b has no wings" in shown
    assert 'id="claims"' not in render(content, {}, None)


def test_the_case_study_is_read_with_the_learners_that_match(tmp_path):
    experiment = experiments.make(load("quick").plans["convergence"], tmp_path)
    line = {"figure": "4b", "series": "round-robin", "seed": 3, "seconds": [0.0, 20.0], "accuracy": [0.1, 0.5]}
    for learner, series in (("qnn", "qnn, round-robin"), ("mlp-9", "mlp, round-robin")):
        unit, values = experiment.read({**line, "learner": learner})
        assert unit == (series, 3) and series in experiment.series()
        assert values["last_accuracy"] == 0.5
    assert experiment.read({**line, "learner": "mlp-64"}) is None
    assert experiment.read({"figure": "4a"}) is None
    rates = experiments.make(load("quick").plans["sum-rate"], tmp_path)
    row = {"figure": "4a", "mode": "all assigned", "allocator": "hungarian", "instance": 2, "decision_s": 0.1}
    unit, values = rates.read({**row, "sum_rate_bps": [1.0, 5.0, 5.0]})
    assert unit == ("hungarian, assigned", 2)
    assert values == {"sum_rate_bps": 5.0, "iterations": 1.0, "seconds": 0.1}


def test_unknown_names_are_refused(capsys, tmp_path):
    assert main(["claims", "--claim", "qaoa-sum-rat", "--out", str(tmp_path)]) == 2
    assert "did you mean 'qaoa-sum-rate'" in capsys.readouterr().err
    assert main(["claims", "--from", "sumrate=runs", "--out", str(tmp_path)]) == 2
    assert "sum-rate" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["claims", "--from", "sum-rate"])
    assert "EXPERIMENT=FOLDER" in capsys.readouterr().err
    with pytest.raises(UnknownNameError):
        experiments.make(Plan("e", "divination", "about"), tmp_path)


def test_the_mean_over_time_holds_the_last_accuracy():
    assert mean_until([0.0, 2.0, 4.0], [0.1, 0.5, 0.7], 10.0) == pytest.approx((2 * 0.1 + 2 * 0.5 + 6 * 0.7) / 10)
    assert mean_until([0.0, 2.0, 40.0], [0.1, 0.5, 0.7], 10.0) == pytest.approx((2 * 0.1 + 8 * 0.5) / 10)


class TestLocalWork:
    @pytest.fixture
    def view(self):
        env = make_env("qfl/StragglerFairness-v0", "test", {"scenario": "small", "learning": {"model": "none"}})
        observation, _ = env.reset(seed=0)
        self.env = env
        return env.unwrapped.view(observation)

    def decide(self, rule, view):
        rule.reset(self.env, 0)
        return rule.decide(view)

    def test_reduced_work_asks_everybody_and_the_slow_for_less(self, view):
        full, reduced = (self.decide(rule(), view) for rule in (local_work.AllWork, local_work.ReducedWork))
        assert (reduced.participate == full.participate).all() and (full.participate[0] == view.available).all()
        assert set(full.local_steps[0]) == {4}
        order = np.argsort(view.step_s)
        assert (np.diff(reduced.local_steps[0][order]) <= 0).all()
        assert len(set(reduced.local_steps[0])) > 1

    def test_the_alternative_leaves_the_slow_half_out(self, view):
        left = self.decide(local_work.WithoutStragglers(), view)
        assert set(left.local_steps[0]) == {4}
        part, others = view.step_s[left.participate[0]], view.step_s[view.available & ~left.participate[0]]
        assert part.max() <= others.min()
        assert len(part) == pytest.approx(view.available.sum() / 2, abs=1)
