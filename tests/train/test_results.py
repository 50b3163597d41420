"""Records of a run: written, read, and the latest of each counts."""

import json

import boards
import pytest

from train.competition.results import Failure, record_from_row, to_row

ENV_ID = boards.ENV_IDS[0]


@pytest.mark.parametrize(
    "record", [boards.episode("random", 3, 1.25), boards.training("ppo"), Failure(ENV_ID, "ppo", None, "no memory")]
)
def test_records_come_back_as_they_were_written(record):
    assert to_row(record_from_row(json.loads(json.dumps(to_row(record))))) == json.loads(json.dumps(to_row(record)))
    assert type(record_from_row(to_row(record))) is type(record)


CHANGES = [
    *({"row": "song"}, {"seed": None}, {"accuracy": "high"}, {"rounds": 1.5}, {"parameters": True}),
    *({"episode_return": float("nan")}, {"simulated_s": float("inf")}, {"reward_terms": 5}, {"reward_terms": {}}),
    *({"curve": None}, {"curve": []}, {"curve": [[1.0]]}, {"curve": [[0.0, None]]}),
]


@pytest.mark.parametrize("change", CHANGES, ids=map(str, CHANGES))
def test_a_row_of_another_kind_or_with_other_values_is_refused(change):
    with pytest.raises((KeyError, TypeError, ValueError)):
        record_from_row({**to_row(boards.episode("random", 0, 1.0)), **change})


def test_a_failure_on_no_seed_and_a_training_of_no_steps_are_refused():
    with pytest.raises(TypeError, match="seed is first"):
        record_from_row({**to_row(Failure(ENV_ID, "ppo", None, "no memory")), "seed": "first"})
    with pytest.raises(ValueError, match="steps is 0"):
        record_from_row({**to_row(boards.training("ppo")), "steps": 0})


def test_a_row_without_a_field_is_refused():
    row = to_row(boards.training("ppo"))
    del row["steps"]
    with pytest.raises(KeyError, match="steps"):
        record_from_row(row)


def test_the_first_failure_is_that_of_the_training_and_else_that_of_the_lowest_seed():
    on_4, on_2, in_training = (Failure(ENV_ID, "ppo", seed, "") for seed in (4, 2, None))
    found = boards.results(on_4, on_2)
    assert found.failure((ENV_ID, "ppo")) is on_2
    found.add(in_training)
    assert found.failure((ENV_ID, "ppo")) is in_training
    assert found.failure((ENV_ID, "random")) is None


def test_what_goes_well_later_is_no_failure_any_more():
    found = boards.results(Failure(ENV_ID, "ppo", None, ""), Failure(ENV_ID, "ppo", 1, ""))
    found.add(boards.training("ppo"))
    found.add(boards.episode("ppo", 1, 0.0))
    assert found.failure((ENV_ID, "ppo")) is None
