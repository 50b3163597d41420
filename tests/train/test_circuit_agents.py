"""Agents with circuits by name: settings, training, other backends, costs, and the benchmark of their speed."""

import json
import shutil

import numpy as np
import pytest

from agents.policies.execution import Execution
from baselines.search_space import value_at
from qfl_envs.errors import InvalidValueError
from qfl_envs.registration import ENVIRONMENTS
from train import competitors
from train.benchmarks import policies
from train.benchmarks.circuits import ExecutorsDisagreeError
from train.cli import main
from train.competition.matrix import Matrix
from train.evaluation import make_env, play
from train.training import settings
from train.training.algorithms import supports
from train.training.deep_rl import train
from train.training.plans import MODEL_FILE, ModelFileError, plan_training, read_plan
from train.training.trained import TrainedModel

ARGUMENTS = {"learning": {"model": "none"}, "max_rounds": 3}
DRIFT, SCHEDULING = "qfl/Drift-v0", "qfl/Scheduling-v0"
CIRCUITS = [name for name in settings.names() if "vqc" in name]
CONTROL, CHAIN = "mlp-ppo-matched", "mps-ppo"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of short trainings, by agent and environment."""
    folders = {}
    for agent, env_id in (
        ("vqc-ppo", DRIFT),
        ("vqc-ppo", SCHEDULING),
        ("vqc-dqn", DRIFT),
        (CONTROL, DRIFT),
        (CHAIN, SCHEDULING),
    ):
        folders[agent, env_id] = tmp_path_factory.mktemp(agent)
        train(plan_training(agent, env_id, "tiny", ARGUMENTS, steps=64), folders[agent, env_id])
    return folders


def episode(model, env_id, seed=3):
    return play(make_env(env_id, "test", {"scenario": "tiny", **ARGUMENTS}), model, seed)


@pytest.mark.parametrize("agent, env_id", [("vqc-ppo", DRIFT), ("vqc-ppo", SCHEDULING), ("vqc-dqn", DRIFT)])
def test_an_agent_with_circuits_is_trained_by_name_and_competes(runs, agent, env_id):
    one, two = (episode(competitors.make(agent, runs[agent, env_id]), env_id) for _ in range(2))
    assert (one.competitor, one.kind) == (agent, "quantum")
    assert one.episode_return == two.episode_return


def test_costs_count_circuits_shots_and_parameters_apart(runs):
    for (agent, env_id), circuits in {("vqc-ppo", DRIFT): 1, ("vqc-ppo", SCHEDULING): 6}.items():
        model = TrainedModel(runs[agent, env_id])
        episode(model, env_id)
        cost, scenario = model.cost(), model.env.scenario
        assert cost.circuit_evaluations == circuits
        assert cost.shots == circuits * scenario.quantum.shots
        shot_s = np.sqrt(np.prod(scenario.fleet.shot_s))
        assert cost.quantum_s == pytest.approx(scenario.fleet.queue_s + cost.shots * shot_s)
        assert 0 < cost.decision_s
        kwargs = model.plan.settings["policy_kwargs"]
        qubits, layers = kwargs["num_qubits"], kwargs["num_layers"]
        assert cost.quantum_parameters == (3 * layers + 1) * qubits
        assert cost.classical_pre_parameters % qubits == 0 < cost.classical_pre_parameters
        beside = cost.quantum_parameters + cost.classical_pre_parameters + cost.classical_post_parameters
        assert beside < cost.parameters == read_plan(runs[agent, env_id]).parameters


def test_target_networks_do_not_count(runs):
    cost = TrainedModel(runs["vqc-dqn", DRIFT]).cost()
    beside = cost.quantum_parameters + cost.classical_pre_parameters + cost.classical_post_parameters
    assert beside == cost.parameters


@pytest.mark.parametrize("agent, env_id", [(CONTROL, DRIFT), (CHAIN, SCHEDULING)])
def test_what_stands_for_a_circuit_is_as_large_and_costs_no_circuits(runs, agent, env_id):
    model = TrainedModel(runs[agent, env_id])
    assert episode(model, env_id).kind == "classical"
    cost = model.cost()
    assert (cost.circuit_evaluations, cost.quantum_parameters, cost.quantum_s) == (0, 0, 0.0)
    assert 0 < cost.decision_s
    circuit = TrainedModel(runs["vqc-ppo", env_id]).cost().parameters
    assert cost.parameters == pytest.approx(circuit, rel=0.02)


def test_the_same_weights_run_on_pennylane_with_shots_and_noise(runs, capsys):
    words = ["evaluate", "--model", str(runs["vqc-ppo", DRIFT]), "--seeds", "1", "--json"]
    returns = {}
    for name, more in {
        "here": [],
        "there": ["--backend", "pennylane:lightning.qubit"],
        "shots": ["--backend", "pennylane:lightning.qubit", "--shots", "50"],
        "noise": ["--backend", "pennylane:default.mixed", "--noise", "0.01"],
    }.items():
        assert main([*words, *more]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        returns[name] = row["episode_return"]
        assert row["cost"]["circuit_evaluations"] == 1
    assert row["cost"]["shots"] == 100
    assert returns["there"] == pytest.approx(returns["here"])


def test_what_circuits_cost_is_printed(runs, capsys):
    assert main(["evaluate", "--model", str(runs["vqc-ppo", SCHEDULING]), "--seeds", "1", "--shots", "10"]) == 0
    assert "circuits: 6 a decision, 60 shots" in capsys.readouterr().out


def test_a_backend_for_what_has_no_circuit_is_refused(runs, capsys):
    with pytest.raises(InvalidValueError, match="backend is 'batched'; allowed: none for 'mlp-ppo-matched'"):
        TrainedModel(runs[CONTROL, DRIFT], Execution(shots=10))
    assert main(["evaluate", "--competitor", "random", "--shots", "5"]) == 2
    assert "none without --model" in capsys.readouterr().err
    assert main(["evaluate", "--model", str(runs["vqc-ppo", DRIFT]), "--backend", "pennylane:no.such"]) == 2
    assert "backend is 'pennylane:no.such'" in capsys.readouterr().err


def test_a_model_with_weights_of_another_circuit_is_refused_in_a_sentence(runs, tmp_path):
    shutil.copytree(runs["vqc-ppo", DRIFT], tmp_path / "run")
    plan = plan_training("vqc-ppo", DRIFT, "tiny", ARGUMENTS, steps=64)
    model = TrainedModel(tmp_path / "run").model
    model.policy_kwargs = {**model.policy_kwargs, "num_qubits": 4}
    model.save(tmp_path / "run" / MODEL_FILE)
    assert plan.settings["policy_kwargs"]["num_qubits"] == 5
    with pytest.raises(ModelFileError, match=r"rotations is \(6, 5\); allowed: \(6, 4\), as 4 qubits in 5 layers have"):
        TrainedModel(tmp_path / "run")


@pytest.mark.parametrize("agent", [*CIRCUITS, CONTROL, CHAIN])
def test_every_agent_has_a_space_of_settings_that_holds_the_shipped_ones(agent):
    for env_id in filter(lambda env_id: supports(agent, env_id), ENVIRONMENTS):
        shipped = settings.configuration(agent, env_id, "small")
        space = settings.search_space(agent, shipped["policy"])
        assert {"algorithm.learning_rate", "policy_kwargs.num_qubits"} <= space.keys()
        for key, choices in space.items():
            assert value_at(shipped, key) in [*choices, None], key


def test_controls_differ_from_their_agents_in_one_setting():
    changes = {
        "vqc-ppo-unentangled": {"entangler": "none"},
        CONTROL: {"network": "mlp"},
        CHAIN: {"network": "tensor_network"},
    }
    for env_id in (DRIFT, SCHEDULING):
        shipped = settings.configuration("vqc-ppo", env_id, "small")
        for agent, change in changes.items():
            control = settings.configuration(agent, env_id, "small")
            assert control["policy_kwargs"] == {**shipped["policy_kwargs"], **change}


def test_names_compete_where_their_algorithm_can():
    matrix = Matrix((DRIFT, SCHEDULING), ("vqc-ppo", "vqc-dqn", CONTROL))
    assert set(matrix.entries()) == {(e, n) for e in (DRIFT, SCHEDULING) for n in ("vqc-ppo", CONTROL)} | {
        (DRIFT, "vqc-dqn")
    }
    assert competitors.kind("vqc-dqn") == "quantum"
    assert competitors.kind(CONTROL) == competitors.kind("ppo") == "classical"


def test_updates_are_timed_against_torch_layer_and_an_mlp():
    (row,) = policies.measure(repeats=3, workloads=[policies.Workload(DRIFT, num_devices=3)])
    assert row["ratio_torch_layer"] == row["seconds_torch_layer"] / row["seconds_circuit"] > 2
    assert row["speed_of_mlp"] == row["seconds_mlp"] / row["seconds_circuit"] > 0.2


def test_a_torch_layer_that_acts_differently_is_not_compared(monkeypatch):
    forward = policies.TorchLayerCircuit.forward
    monkeypatch.setattr(policies.TorchLayerCircuit, "forward", lambda self, x: forward(self, x) + 1e-3)
    with pytest.raises(ExecutorsDisagreeError, match="TorchLayer differs"):
        policies.measure(workloads=[policies.Workload(DRIFT, num_devices=3)])
