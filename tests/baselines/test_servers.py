import pytest

from baselines.servers import names, with_server
from qfl_envs.errors import InvalidValueError, UnknownNameError
from qfl_envs.scenario import Scenario
from train.cli import main


@pytest.mark.parametrize("name", names())
def test_every_method_is_a_valid_scenario(name):
    learning = Scenario.preset("small").replace(with_server(name, {})).learning
    rule = {"fedprox": "fedavg", "fedbuff": "fedavg"}.get(name, name)
    assert learning.server_rule == rule
    assert (learning.proximal > 0) == (name == "fedprox")
    assert (learning.aggregation == "buffered") == (name == "fedbuff")


def test_what_the_arguments_say_goes_before_the_method():
    given = {"num_devices": 5, "learning": {"fairness_q": 3.0}}
    arguments = with_server("q-fedavg", given)
    assert arguments["learning"]["server_rule"] == "q-fedavg"
    assert arguments["learning"]["fairness_q"] == 3.0
    assert arguments["num_devices"] == 5
    assert given == {"num_devices": 5, "learning": {"fairness_q": 3.0}}


def test_an_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="did you mean 'q-fedavg'.*scaffold"):
        with_server("q-fedagv", {})
    with pytest.raises(InvalidValueError, match="learning is 3"):
        with_server("fedavg", {"learning": 3})


def test_the_command_line_plays_under_a_method(capsys):
    game = ["evaluate", "--competitor", "round-robin", "--preset", "tiny", "--seeds", "1", "--json"]
    short = ["--set", '{"max_rounds": 3}']
    results = []
    for server in ([], ["--server", "q-fedavg"]):
        assert main([*game, *short, *server]) == 0
        results.append(capsys.readouterr().out)
    assert results[0] != results[1]
    assert main([*game, "--server", "fedavgg"]) == 2
    assert "unknown server" in capsys.readouterr().err
