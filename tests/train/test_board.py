"""Tables and leaderboard.json say what the results are."""

import dataclasses
import json
import math
import shlex

import boards
import pytest

from qfl_envs.errors import InvalidValueError
from train.cli import make_parser
from train.competition import board, summaries, table
from train.competition.leaderboard import publish
from train.competition.results import Failure
from train.competition.standings import command_of, page, standings, text

SCHEDULING, POWER = boards.ENV_IDS
RETURNS = {"random": [-2.0, -2.2, -1.8, -2.1, -1.9, -2.0], "ppo": [0.5, 0.4, 0.6, 0.5, 0.45, 0.55]}


@pytest.fixture
def found():
    failed = Failure(SCHEDULING, "everyone", 2, "ValueError: action is nan")
    known = boards.results(*boards.played(RETURNS), boards.training("ppo"), failed, boards.episode("everyone", 0, 9.0))
    return standings(boards.config(["random", "ppo", "everyone"]), known)


def documented(name):
    """Names in the first column of a table of the schema, which follows the sentence with this beginning."""
    lines = board.__doc__.split(name)[1].split("\n\n")[1].splitlines()
    return {line.split("``")[1] for line in lines if line.startswith("``")}


def test_the_schema_names_what_is_in_the_file_and_nothing_else(found):
    content = board.board(found)
    (place,) = content["environments"]
    assert set(content) == documented("The file has:")
    assert set(place) == documented("An environment has:")
    assert all(set(row) == documented("A row has:") for row in place["rows"])


def test_the_file_is_json_without_numbers_that_json_does_not_have(tmp_path, found):
    never = boards.played(RETURNS, target_reached=False)
    publish(boards.config(list(RETURNS)), boards.results(*never, boards.training("ppo")), tmp_path)
    content = json.loads((tmp_path / "leaderboard.json").read_text(), parse_constant=pytest.fail)
    assert content["environments"][0]["rows"][0]["to_target_s"] == {"value": None, "low": None, "high": None}
    assert (tmp_path / "leaderboard.md").exists() and (tmp_path / "leaderboard.png").exists()


def test_rows_are_ordered_by_return_and_know_how_they_stand(found):
    rows = board.board(found)["environments"][0]["rows"]
    assert [(row["competitor"], row["stand_to_random"]) for row in rows] == [("ppo", "above"), ("random", None)]
    assert rows[0]["improvement"]["value"] == 1.0 and rows[1]["improvement"] is None
    assert rows[0]["over_random"]["value"] == pytest.approx(2.5)
    assert rows[0]["training"]["curve"] == {"steps": [128, 256], "returns": [-2.0, -1.0]}
    assert rows[0]["per_seed"][3]["curve"] == {"seconds": [0.0, 1.0, 2.0], "accuracy": [0.1, 0.3, 0.6]}
    assert rows[0]["reward_terms"]["time"]["value"] == pytest.approx(-0.5)


def test_an_entry_that_failed_has_no_score_and_says_why(found):
    (failed,) = board.board(found)["environments"][0]["failures"]
    assert (failed["competitor"], failed["seed"], failed["reason"]) == ("everyone", 2, "ValueError: action is nan")
    for shown in (text(found), page(found, "picture.png")):
        assert "everyone failed on seed 2: ValueError: action is nan." in shown
        assert next(line for line in shown.splitlines() if "everyone" in line).count("failed") == 1


def test_scores_profiles_and_gaps_follow_from_the_scale(found):
    (place,) = board.board(found)["environments"]
    scale, row = place["scale"], place["rows"][0]
    span = scale["reference"] - scale["random"]
    assert row["score"]["value"] == pytest.approx((row["return"]["value"] - scale["random"]) / span)
    shares = row["profile"]["value"]
    assert shares[0] == 1.0 and shares[-1] == 0.0 and shares == sorted(shares, reverse=True)
    lacking = [max(1 - one["score"], 0) for one in row["per_seed"]]
    assert row["optimality_gap"]["value"] == pytest.approx(sum(lacking) / len(lacking))


def test_over_environments_only_those_in_several_are_compared():
    returns = {"random": [-2.0] * 6, "ppo": [0.5, 0.4, 0.6, 0.5, 0.45, 0.55]}
    known = [*boards.played(returns), *boards.played(returns, POWER), *boards.played({"convex": [1.0] * 6}, POWER)]
    content = board.board(standings(boards.config(["random", "ppo", "convex"], boards.ENV_IDS), boards.results(*known)))
    overall = content["overall"]
    assert [(row["competitor"], row["environments"]) for row in overall] == [
        ("ppo", list(boards.ENV_IDS)),
        ("random", list(boards.ENV_IDS)),
    ]
    assert overall[0]["improvement"]["value"] == 1.0 and overall[1]["improvement"] is None


def test_tiers_in_one_table_are_refused():
    mixed = [boards.episode("random", 0, 1.0), boards.episode("random", 1, 1.0, tier="surrogate")]
    with pytest.raises(InvalidValueError, match="learning tiers in one table"):
        summaries.rows(mixed)


def test_the_target_of_half_of_the_episodes_is_out_of_reach_where_most_miss_it():
    reached = [True, True, False, False, False, False]
    episodes = [boards.episode("a", seed, 0.0, target_reached=one) for seed, one in enumerate(reached)]
    (row,) = summaries.rows(episodes)
    assert math.isinf(row.to_target_s.value) and row.reached == 2
    assert "-" in table.render([row], "github", everything=True)


def test_the_console_shows_some_of_the_columns_and_the_page_all(found):
    rows = found.places[0].rows
    console, whole = (table.render(rows, "github", everything=every).splitlines()[0] for every in (False, True))
    assert set(console.split("|")) < set(whole.split("|"))
    for header in ("parameters", "angles", "circuits", "shots", "ms", "training s", "s to target", "J to target"):
        assert header in whole


def test_a_name_with_a_bar_stays_in_its_cell():
    rows = summaries.rows([boards.episode("models/a|b.zip", seed, 0.0) for seed in range(5)])
    head, _, row = table.render(rows, "github").splitlines()
    assert row.replace("\\|", "").count("|") == head.count("|") and "a\\|b.zip" in row
    assert "a|b.zip" in table.render(rows, "simple")


def test_the_command_of_a_row_can_be_typed_and_asks_for_its_settings():
    config = boards.config(["ppo"], arguments={"num_devices": 7})
    words = shlex.split(command_of((SCHEDULING, "ppo"), config))
    options = make_parser().parse_args(words[1:])
    assert (options.env, options.competitor, options.preset) == ([SCHEDULING], ["ppo"], ["tiny"])
    assert (options.seeds, options.steps, options.training_seed) == (6, 256, 0)
    assert options.arguments == {"num_devices": 7}


def test_episodes_come_back_as_they_were_written():
    one = boards.episode("random", 3, 1.25)
    assert dataclasses.asdict(one)["seed"] == 3
