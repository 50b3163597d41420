import json

import numpy as np
import pytest

from qfl_envs.errors import InvalidValueError
from qfl_envs.registration import ENVIRONMENTS
from train import reference
from train.cli import main
from train.competition import scores, summaries, table
from train.evaluation import Episode

KEY = ("qfl/Drift-v0", "tiny", "val", "real")


def a_row(key=KEY, random=-2.0, best=2.0, **others):
    means = {"random": random, "strong": best, **others}
    returns = {name: {"mean": mean, "low": mean, "high": mean, "seeds": 3} for name, mean in means.items()}
    return {**dict(zip(reference.KEY, key, strict=True)), "reference": "strong", "returns": returns}


def an_episode(name, seed, episode_return):
    numbers = dict.fromkeys(
        ("simulated_s", "energy_j", "accuracy", "sum_rate_bps", "participants", "delivered", "devices_heard", "jain"),
        0.0,
    )
    numbers |= dict.fromkeys(("circuit_evaluations", "shots", "quantum_s"), 0.0)
    whole = {"seed": seed, "instance": seed, "rounds": 1, "parameters": 0, "quantum_parameters": 0}
    return Episode(
        env_id=KEY[0],
        competitor=name,
        kind="classical",
        tier="real",
        episode_return=episode_return,
        reward_terms={},
        target_reached=False,
        decision_s=0.0,
        curve=[],
        **whole,
        **numbers,
    )


def cells_of(row):
    """What the table shows of a row, by header."""
    header, _, cells = ([one.strip() for one in line.split("|")] for line in table.render([row], "github").splitlines())
    return dict(zip(header, cells, strict=True))


def test_random_scores_0_the_reference_1_and_what_is_better_more():
    found = scores.normalise([-2.0, 2.0, 4.0, -3.0], *KEY, rows=[a_row()])
    np.testing.assert_allclose(found, [0.0, 1.0, 1.5, -0.25])


@pytest.mark.parametrize("part, other", [(0, "qfl/Power-v0"), (1, "small"), (2, "test"), (3, "surrogate")])
def test_rows_of_another_environment_preset_split_or_tier_are_never_used(part, other):
    wanted = [other if place == part else value for place, value in enumerate(KEY)]
    with pytest.raises(scores.MissingScaleError) as refused:
        scores.normalise(0.0, *wanted, rows=[a_row()])
    assert f"no scores for {' '.join(wanted)}" in str(refused.value)
    assert f"measured: {' '.join(KEY)};" in str(refused.value)


@pytest.mark.parametrize("missing", ["random", "strong"])
def test_a_row_without_random_or_the_reference_is_no_scale(missing):
    row = a_row()
    del row["returns"][missing]
    with pytest.raises(scores.MissingScaleError, match="measured: none"):
        scores.scale_of(*KEY, rows=[row])


def test_a_reference_that_is_no_better_than_random_is_refused():
    with pytest.raises(InvalidValueError, match="return of strong is -2.0; allowed: more than that of random"):
        scores.scale_of(*KEY, rows=[a_row(best=-2.0)])


def test_the_tier_follows_from_the_arguments_and_a_changed_preset_has_none():
    assert scores.tier_of({}) == "real"
    assert scores.tier_of({"learning": {"model": "surrogate"}}) == "surrogate"
    for changed in (
        {"num_devices": 3},
        {"learning": {"model": "mlp"}},
        {"learning": {"model": "surrogate", "mixing": 0}},
    ):
        with pytest.raises(InvalidValueError, match="arguments of a scored environment"):
            scores.tier_of(changed)


def test_the_table_scores_the_interquartile_mean_and_its_interval():
    episodes = [an_episode("one", seed, value) for seed, value in enumerate((-100.0, 0.0, 2.0, 4.0))]
    scale = scores.Scale(-2.0, 2.0, "strong")
    (row,) = summaries.rows(episodes, scale)
    assert (row.episode_return.value, row.score.value) == (1.0, 0.75)
    assert (row.score.low, row.score.high) == tuple(scale.score([row.episode_return.low, row.episode_return.high]))
    assert cells_of(row)["score (IQM) [95 %]"] == str(row.score)


def test_without_a_scale_the_table_has_no_score():
    (row,) = summaries.rows([an_episode("one", 0, 1.0)])
    assert row.score is None
    assert cells_of(row)["score (IQM) [95 %]"] == ""


def evaluated(capsys, monkeypatch, tmp_path, rows, *words):
    monkeypatch.setattr(reference, "SHIPPED", tmp_path / "reference.json")
    (tmp_path / "reference.json").write_text(json.dumps(rows))
    fast = ["--set", '{"learning": {"model": "surrogate"}}']
    of = ["evaluate", "--competitor", "keep", "--env", KEY[0], "--preset", "tiny", "--split", "val", "--seeds", "1"]
    assert main([*of, *fast, *words]) == 0
    return capsys.readouterr().out


def test_evaluate_scores_on_the_tier_that_was_played(capsys, monkeypatch, tmp_path):
    rows = [a_row((*KEY[:3], "surrogate"), -3.0, 5.0), a_row()]
    (episode,) = json.loads(evaluated(capsys, monkeypatch, tmp_path, rows, "--json"))
    assert episode["score"] == pytest.approx((episode["episode_return"] + 3.0) / 8.0)


def test_evaluate_says_why_there_is_no_score(capsys, monkeypatch, tmp_path):
    printed = evaluated(capsys, monkeypatch, tmp_path, [a_row()])
    assert f"no score: no scores for {' '.join(KEY[:3])} surrogate" in printed
    assert f"measured: {' '.join(KEY)};" in printed


def test_every_environment_has_a_reference_that_supports_it_and_every_shipped_row_is_a_scale():
    assert reference.REFERENCES.keys() == ENVIRONMENTS.keys()
    for env_id in ENVIRONMENTS:
        assert reference.REFERENCES[env_id]["reference"] in reference.Plan([env_id], ["tiny"]).names(env_id)
    for row in reference.shipped():
        scale = scores.scale_of(*(row[name] for name in reference.KEY))
        assert scale.name == reference.REFERENCES[row["env_id"]]["reference"]
        assert row["version"] and row["commands"]
