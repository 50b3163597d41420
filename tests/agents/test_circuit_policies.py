"""Circuits as policies of SB3: gradients, learning rates, saving, backends, controls, and what is refused."""

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, DQN, PPO

import qfl_envs  # noqa: F401  # registers the environments
from agents import VQCPolicy, VQCQPolicy
from agents.policies.circuit_layer import CircuitLayer, circuit_layers
from agents.policies.circuit_network import CircuitNetwork, CircuitSettings
from agents.policies.execution import Execution
from agents.policies.per_device import PerDeviceVQCPolicy
from qfl_envs.errors import InvalidValueError, UnknownNameError
from qfl_envs.quantum import batched, parameter_shift
from qfl_envs.quantum.circuits import ENTANGLERS, Circuit
from train.training.settings import configuration

CART = gym.make("CartPole-v1")
SCHEDULING = gym.make("qfl/Scheduling-v0", scenario="tiny", learning={"model": "none"})
DRIFT = gym.make("qfl/Drift-v0", scenario="tiny", learning={"model": "none"})


def make(env=CART, policy=VQCPolicy, algorithm=PPO, **settings):
    few = {"n_steps": 64, "n_epochs": 2} if algorithm is PPO else {}
    return algorithm(policy, env, policy_kwargs=settings, seed=0, device="cpu", **few)


def observed(env, number=5):
    env.observation_space.seed(0)
    samples = [env.observation_space.sample() for _ in range(number)]
    if isinstance(samples[0], dict):
        return {name: torch.as_tensor(np.stack([one[name] for one in samples])) for name in samples[0]}
    return torch.as_tensor(np.clip(np.stack(samples), -2, 2))


def logits(policy, observation):
    features = policy.extract_features(observation)
    return policy.action_net(policy.mlp_extractor.forward_actor(features))


class Elsewhere(Execution):
    """Runs circuits on an executor with weights per client."""

    def __init__(self, executor):
        super().__init__()
        self.executor = executor

    def expectations(self, circuit, *tensors):
        return self.executor(circuit, *(tensor[None] for tensor in tensors))[0]


@pytest.mark.parametrize("entangler", ENTANGLERS)
def test_adjoint_backprop_and_parameter_shift_give_a_policy_the_same_gradients(entangler):
    policy = make(num_qubits=3, num_layers=2, entangler=entangler).policy
    observation, found = observed(CART), {}
    executors = {
        "adjoint": Execution(),
        "backprop": Elsewhere(lambda *a: batched.expectations(*a, gradient="backprop")),
        "parameter shift": Elsewhere(parameter_shift.expectations),
    }
    for name, execution in executors.items():
        policy.run_on(execution)
        policy.zero_grad()
        (logits(policy, observation) * torch.tensor([1.0, -0.5])).sum().backward()
        network = policy.mlp_extractor.actor
        found[name] = {key: parameter.grad.clone() for key, parameter in network.named_parameters()}
    assert {"layer.rotations", "layer.phases", "layer.scales", "raw_scale", "pre.weight"} <= found["adjoint"].keys()
    for name in ("backprop", "parameter shift"):
        for key, gradient in found["adjoint"].items():
            torch.testing.assert_close(
                found[name][key], gradient, rtol=1e-4, atol=1e-6, msg=lambda m, k=key: f"{k}: {m}"
            )


def shipped(agent, env_id):
    kwargs = configuration(agent, env_id, "small")["policy_kwargs"]
    return CircuitSettings.taken_from(dict(kwargs))


@pytest.mark.parametrize(
    "agent, env_id",
    [
        ("vqc-ppo", "qfl/Drift-v0"),
        ("vqc-ppo", "qfl/Scheduling-v0"),
        ("vqc-ppo-unentangled", "qfl/Scheduling-v0"),
        ("vqc-dqn", "qfl/Drift-v0"),
    ],
)
def test_shipped_circuits_begin_neither_barren_nor_saturated(agent, env_id):
    settings = shipped(agent, env_id)
    torch.manual_seed(0)
    gradients, values = [], []
    for _ in range(60):
        layer = CircuitLayer(settings.circuit)
        measured = layer(torch.atan(torch.rand(8, settings.num_qubits) * 2 - 1))
        values.append(measured.detach())
        (gradient,) = torch.autograd.grad(measured[:, 0].mean(), layer.rotations)
        gradients.append(gradient)
    # of the first qubit's own angle in the last rotation but one, deep in the circuit and in its light cone
    variance = torch.stack(gradients)[:, -2, 0].var()
    assert variance > 1e-2
    assert torch.stack(values).abs().mean() < 0.7


@pytest.mark.parametrize("agent", ["vqc-ppo", "vqc-ppo-unentangled", "mps-ppo"])
def test_shipped_policies_that_decide_begin_undecided_and_with_gradients(agent):
    shown = {"num_devices": 6, **configuration(agent, "qfl/Drift-v0", "small")["policy_kwargs"]}
    observation, gradients, entropies = observed(DRIFT, 16), [], []
    for seed in range(8):
        policy = PPO(VQCPolicy, DRIFT, policy_kwargs=shown, seed=seed, device="cpu", n_steps=8, batch_size=8).policy
        logarithms = logits(policy, observation).log_softmax(-1)
        entropies.append(-(logarithms.exp() * logarithms).sum(-1).mean().item() / np.log(9))
        network = policy.mlp_extractor.actor
        inner = [parameter for name, parameter in network.named_parameters() if name[:3] not in ("pre", "raw")]
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(logarithms[:, 0].mean(), inner)]))
    assert np.mean(entropies) > 0.7
    assert torch.stack(gradients).square().mean() > 1e-2


def test_a_circuit_too_wide_and_deep_would_be_called_barren():
    torch.manual_seed(0)
    gradients = []
    for _ in range(30):
        layer = CircuitLayer(Circuit(10, 12))
        (gradient,) = torch.autograd.grad(layer(torch.rand(1, 10))[:, 0].mean(), layer.rotations)
        gradients.append(gradient[-4, 0])
    assert torch.stack(gradients).var() < 1e-2


@pytest.mark.parametrize("algorithm, policy", [(PPO, VQCPolicy), (A2C, VQCPolicy), (DQN, VQCQPolicy)])
def test_rates_of_groups_survive_training_and_loading(tmp_path, algorithm, policy):
    rates = {"angles": 0.02, "output": 0.05}
    more = {"learning_starts": 8} if algorithm is DQN else {"n_steps": 16}
    model = algorithm(
        policy,
        gym.make("CartPole-v1"),
        learning_rate=lambda left: 1e-3 * left,
        policy_kwargs={"num_qubits": 2, "num_layers": 1, "rates": rates},
        seed=0,
        **more,
    )
    assert model.policy.optimizer.rates() == pytest.approx({**rates, "classical": 1e-3})
    for _ in range(2):  # a second time: annealing must not add up
        model.learn(64)
        scale = model.policy.optimizer.param_groups[0]["lr"] / 1e-3
        assert 0 <= scale < 1
        assert model.policy.optimizer.rates() == pytest.approx(
            {"angles": 0.02 * scale, "output": 0.05 * scale, "classical": 1e-3 * scale}
        )
    model.save(tmp_path / "model")
    loaded = algorithm.load(tmp_path / "model")
    assert loaded.policy.optimizer.rates() == pytest.approx(model.policy.optimizer.rates())


def test_each_group_moves_at_its_own_rate():
    policy = make(rates={"angles": 1e-2, "output": 1e-1}).policy
    before = {name: parameter.detach().clone() for name, parameter in policy.named_parameters()}
    logits(policy, observed(CART))[:, 0].sum().backward()
    policy.optimizer.step()
    moved = {name: float((p - before[name]).abs().max()) for name, p in policy.named_parameters()}
    # the first step of Adam is the rate itself
    assert moved["mlp_extractor.actor.layer.rotations"] == pytest.approx(1e-2, rel=1e-2)
    assert moved["action_net.weight"] == pytest.approx(1e-1, rel=1e-2)


def test_a_saved_policy_acts_the_same_in_another_process(tmp_path):
    model = make()
    model.learn(64)
    model.save(tmp_path / "model")
    observation = observed(CART)
    expected = logits(model.policy, observation)
    np.save(tmp_path / "observation.npy", observation.numpy())
    code = f"""
import numpy as np, torch
from stable_baselines3 import PPO
policy = PPO.load({str(tmp_path / "model")!r}, device="cpu").policy
features = policy.extract_features(torch.as_tensor(np.load({str(tmp_path / "observation.npy")!r})))
np.save({str(tmp_path / "logits.npy")!r}, policy.action_net(policy.mlp_extractor.forward_actor(features)).detach())
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected.detach(), atol=1e-6)


@pytest.mark.parametrize("network", ["circuit", "mlp", "tensor_network"])
@pytest.mark.parametrize(
    "env, policy, settings",
    [
        (DRIFT, VQCPolicy, {"num_devices": 6, "num_qubits": 4}),
        (SCHEDULING, PerDeviceVQCPolicy, {"num_devices": 6, "participants": [1, 2, 3]}),
    ],
)
def test_a_saved_policy_acts_the_same_and_learns_on_another_device(tmp_path, env, policy, settings, network):
    model = make(env, policy, network=network, **settings)
    model.save(tmp_path / "model")
    # where there is no other device the file is at least read for a named one
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = PPO.load(tmp_path / "model", env=env, device=device)
    assert {parameter.device.type for parameter in loaded.policy.parameters()} == {device}
    env.observation_space.seed(0)
    for _ in range(5):
        observation = env.observation_space.sample()
        expected, _ = model.predict(observation, deterministic=True)
        found, _ = loaded.predict(observation, deterministic=True)
        assert np.array_equal(found, expected)
    before = [parameter.detach().clone() for parameter in loaded.policy.mlp_extractor.parameters()]
    loaded.learn(64)
    after = list(loaded.policy.mlp_extractor.parameters())
    assert all(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_ppo_learns_cart_pole_with_a_circuit():
    model = PPO(VQCPolicy, "CartPole-v1", n_steps=128, n_epochs=4, learning_rate=3e-3, seed=0)
    before = [parameter.detach().clone() for parameter in circuit_layers(model.policy)[0].parameters()]
    model.learn(384)
    after = list(circuit_layers(model.policy)[0].parameters())
    assert all(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert all(torch.isfinite(parameter).all() for parameter in model.policy.parameters())


@pytest.mark.parametrize("critic", ["mlp", "circuit"])
@pytest.mark.parametrize("network", ["circuit", "mlp", "tensor_network"])
def test_devices_are_treated_alike_wherever_they_stand(network, critic):
    settings = {"num_devices": 6, "network": network, "critic": critic, "num_qubits": 3, "num_layers": 2}
    policy = make(SCHEDULING, PerDeviceVQCPolicy, **settings).policy
    one = observed(SCHEDULING)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    other = {name: value[:, order] if value.shape[1] == 6 else value for name, value in one.items()}
    mine, others = (logits(policy, observation).view(5, 6, -1) for observation in (one, other))
    torch.testing.assert_close(others, mine[:, order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(policy.predict_values(other), policy.predict_values(one), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", ["pennylane:default.qubit", "pennylane:lightning.qubit"])
@pytest.mark.parametrize("env, settings", [(CART, {}), (DRIFT, {"num_devices": 6, "num_qubits": 4})])
def test_logits_are_the_same_on_every_backend(backend, env, settings):
    policy, observation = make(env, num_layers=2, **settings).policy, observed(env)
    here = logits(policy, observation).detach()
    policy.run_on(Execution(backend))
    np.testing.assert_allclose(logits(policy, observation).detach(), here, atol=2e-5)


@pytest.mark.parametrize("backend", ["batched", "pennylane:lightning.qubit"])
def test_shots_scatter_around_the_exact_values_and_repeat_themselves_under_a_seed(backend):
    layer, angles = CircuitLayer(Circuit(3, 2)), torch.rand(4, 3)
    exact = layer(angles).detach()
    layer.execution = Execution(backend, shots=400)
    with torch.no_grad():
        one = layer(angles)
        layer.execution.seed(0)
        again = layer(angles)
    assert torch.equal(one, again)
    assert not torch.equal(one, exact)
    assert float((one - exact).abs().max()) < 5 / 400**0.5
    assert layer.execution.circuits == 8


def test_noise_draws_expectations_to_zero():
    layer, angles = CircuitLayer(Circuit(2, 2)), torch.rand(2, 2)
    exact = layer(angles).detach()
    for noise in (0.0, 0.2, 0.75):
        layer.execution = Execution("pennylane:default.mixed", noise=noise)
        with torch.no_grad():
            norm = float(layer(angles).norm())
        expected = {0.0: float(exact.norm()), 0.75: 0.0}.get(noise)
        if expected is None:
            assert norm < 0.7 * float(exact.norm())
        else:
            # at 3/4 the channel is fully depolarising
            assert norm == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("outputs", [2, 4, 9, 11])
def test_the_control_has_as_many_parameters(outputs):
    for settings in ({"num_qubits": 4}, {"num_qubits": 5}, {"num_qubits": 6, "num_layers": 3}):
        for kind in ("local", "deciding"):
            sizes = []
            for network in ("circuit", "mlp"):
                made = getattr(CircuitSettings(network=network, **settings), f"{kind}_network")(30, outputs)
                head = 0 if kind == "deciding" else (made.width + 1) * outputs
                sizes.append(sum(parameter.numel() for parameter in made.parameters()) + head)
            # the pre-layer, which is the same, has most of them
            assert sizes[1] == pytest.approx(sizes[0], abs=(settings["num_qubits"] + 1 + outputs) / 2)


def test_without_entanglers_a_qubit_knows_nothing_of_another_input():
    for entangler, knows in (("none", False), ("cz_ring", True)):
        layer, angles = CircuitLayer(Circuit(3, 3, entangler=entangler)), torch.rand(1, 3)
        moved = angles + torch.tensor([0.0, 1.0, 0.0])
        assert bool((layer(angles)[0, 0] - layer(moved)[0, 0]).abs() > 1e-4) == knows


def test_a_partition_with_output_scale_one_acts_as_the_circuit_is_measured():
    network = CircuitNetwork(4, Circuit(4, 2), actions=9)
    assert float(network.output_scale) == pytest.approx(1.0)
    features = torch.rand(3, 4)
    outcomes = network.layer(torch.atan(features))
    expected = torch.stack([outcomes[:, action::9].sum(-1) for action in range(9)], dim=-1)
    torch.testing.assert_close(network(features).softmax(-1), expected, rtol=1e-4, atol=1e-3)


def test_the_output_scale_stays_below_its_bound():
    network = CircuitNetwork(2, Circuit(2, 1))
    with torch.no_grad():
        network.raw_scale.fill_(50.0)
    assert float(network.output_scale) == pytest.approx(10.0)


def test_more_qubits_than_the_limit_are_refused():
    with pytest.raises(InvalidValueError, match="num_qubits is 13; allowed: 1 to 12"):
        make(num_qubits=13)


def test_more_actions_than_outcomes_are_refused():
    with pytest.raises(InvalidValueError, match="number of actions is 9; allowed: at most 8, the outcomes of 3 qubits"):
        make(DRIFT, num_qubits=3)


def test_weights_of_another_shape_are_refused():
    with pytest.raises(InvalidValueError, match=r"rotations is \(3, 3\); allowed: \(3, 4\), as 4 qubits in 2 layers"):
        make(num_layers=2).policy.load_state_dict(make(num_qubits=3, num_layers=2).policy.state_dict())


@pytest.mark.parametrize(
    "keywords, message",
    [
        ({"backend": "pennylane:nothing.qubit"}, "backend is 'pennylane:nothing.qubit'.*lightning.qubit"),
        ({"backend": "qiskit"}, "backend is 'qiskit'; allowed: 'batched', or 'pennylane:'"),
        ({"shots": 0}, "shots is 0; allowed: at least 1"),
        ({"noise": 0.1}, "noise is 0.1; allowed: 0 on batched; pennylane:default.mixed"),
        ({"noise": 2.0}, "noise is 2.0; allowed: 0 to 1"),
    ],
)
def test_a_backend_that_cannot_be_had_is_refused(keywords, message):
    with pytest.raises(InvalidValueError, match=message):
        Execution(**keywords)


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"network": "tensor"}, InvalidValueError, "network is 'tensor'; allowed: one of 'circuit', 'mlp'"),
        ({"readout": "global"}, InvalidValueError, "readout is 'global'"),
        ({"rates": {"angle": 0.1}}, UnknownNameError, "did you mean 'angles'"),
        ({"rates": {"angles": 0.0}}, InvalidValueError, "rates.angles is 0.0; allowed: above 0"),
    ],
)
def test_settings_that_do_not_exist_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        CircuitSettings(**settings)


def test_a_partition_is_refused_where_there_are_many_choices():
    with pytest.raises(InvalidValueError, match="readout is 'partition'; allowed: 'local'"):
        make(SCHEDULING, readout="partition")


def test_numbers_can_be_actions():
    box = gym.make("Pendulum-v1")
    assert isinstance(box.action_space, spaces.Box)
    action, _ = make(box).predict(box.observation_space.sample())
    assert box.action_space.contains(action)
