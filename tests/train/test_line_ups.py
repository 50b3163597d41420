"""The shipped line-ups are what they should be."""

import pytest

from qfl_envs.registration import ENVIRONMENTS
from train import competitors
from train.cli import make_parser
from train.commands.competition import matrix_of
from train.competition.line_ups import SHIPPED, line_up
from train.competition.matrix import Matrix
from train.statistics import MIN_SEEDS

both = pytest.mark.parametrize("name", ["quick", "full"])


@both
def test_everybody_who_is_named_can_play_there(name):
    found = line_up(name)
    # the quick line-up is to take minutes, and has five environments without the one of attacks
    there = set(ENVIRONMENTS) - ({"qfl/Security-v0"} if name == "quick" else set())
    assert set(found.competitors) == set(found.steps) == there
    for env_id, names in found.competitors.items():
        assert [one for one in names if not competitors.supports(one, env_id)] == []
        assert len(names) == len(set(names))


@both
def test_each_environment_has_two_quantum_and_four_classical_ones_random_play_among_them(name):
    for names in line_up(name).competitors.values():
        kinds = [competitors.kind(one) for one in names]
        assert kinds.count("quantum") >= 2 and kinds.count("classical") >= 4 and "random" in names


@both
def test_nobody_privileged_plays_unasked_and_intervals_are_possible(name):
    found = line_up(name)
    assert found.seeds >= MIN_SEEDS
    assert all(competitors.kind(one) != "privileged" for names in found.competitors.values() for one in names)


def test_who_plays_quickly_plays_fully_too():
    assert set(SHIPPED) == {"quick", "full"}
    for env_id, names in line_up("quick").competitors.items():
        assert set(names) <= set(line_up("full").competitors[env_id])


def test_a_matrix_can_have_others_in_every_environment():
    env_ids = ("qfl/Scheduling-v0", "qfl/Power-v0")
    matrix = Matrix(env_ids, ("random", "oort", "convex"), only={env_ids[0]: ("oort",)})
    assert list(matrix.entries()) == [(env_ids[0], "oort"), (env_ids[1], "random"), (env_ids[1], "convex")]


def test_all_agents_that_learn_in_an_environment_get_its_budget():
    found = line_up("quick")
    matrix = Matrix(tuple(ENVIRONMENTS), ("random",), steps=found.steps, only=found.competitors)
    for entry in matrix.entries():
        if competitors.is_trained(entry[1]):
            assert matrix.plan(entry).steps == found.steps[entry[0]]


@pytest.mark.parametrize(
    ("words", "played"),
    [
        (["--quick"], set(ENVIRONMENTS) - {"qfl/Security-v0"}),
        (["--full"], set(ENVIRONMENTS)),
        ([], set(ENVIRONMENTS)),
        (["--quick", "--env", "qfl/Security-v0"], {"qfl/Security-v0"}),
    ],
)
def test_the_environments_of_a_line_up_are_played_and_no_others_unless_they_are_asked_for(words, played):
    options = make_parser().parse_args(["leaderboard", *words])
    pace = "quick" if options.quick else "full" if options.full else None
    matrix = matrix_of(options, "small", line_up(pace))
    assert {env_id for env_id, _ in matrix.entries()} == played
