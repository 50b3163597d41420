"""Teams of devices are trained, killed, resumed, and compete."""

import json

import numpy as np
import pytest
import torch

from agents.multi_agent import configurations as teams
from agents.multi_agent.critics import EntangledCritic
from agents.multi_agent.teams import TeamShape, make_actor, make_critic
from qfl_envs.errors import InvalidValueError, UnknownNameError
from train import competitors
from train.cli import main
from train.evaluation import make_env, play
from train.training.deep_rl import train
from train.training.multi_agent import CHECKPOINT_FILE, clipped_loss
from train.training.plans import MODE_FILE, MODEL_FILE, PLAN_FILE, ModelFileError, plan_training
from train.training.returns import RunningScale, advantages_of
from train.training.teams import make_teams

STRAGGLERS, ALLOCATION = "qfl/StragglerFairness-v0", "qfl/Allocation-v0"
FAST = {"learning": {"model": "none"}, "max_rounds": 6}
SHAPE = TeamShape(num_devices=20, num_features=12, num_options=4, num_state=164)


def plan_of(agent, steps, env_id=STRAGGLERS):
    plan = plan_training(agent, env_id, "tiny", FAST, steps)
    plan.settings["num_envs"] = 4
    return plan


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("team")
    train(plan_of("qmarl", 192), folder)
    return folder


class KilledError(Exception):
    """Stands for a kill at any moment."""


def test_a_killed_training_goes_on_as_if_nothing_had_happened(finished, tmp_path, monkeypatch):
    def kill(steps):
        if steps > 100:
            raise KilledError

    monkeypatch.setattr("train.training.multi_agent.CHECKPOINT_S", 0.0)
    with pytest.raises(KilledError):
        train(plan_of("qmarl", 192), tmp_path, kill)
    assert (tmp_path / CHECKPOINT_FILE).exists() and not (tmp_path / "model.zip").exists()
    seen = []
    train(plan_of("qmarl", 192), tmp_path, seen.append)
    assert seen == [192]  # two updates of 64 steps were kept
    whole, resumed = (torch.load(folder / "model.zip")["actor"] for folder in (finished, tmp_path))
    for name, weights in whole.items():
        assert torch.equal(weights, resumed[name]), name
    assert not (tmp_path / CHECKPOINT_FILE).exists()


def test_a_checkpoint_of_another_training_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("train.training.multi_agent.CHECKPOINT_S", 0.0)

    def kill(steps):
        raise KilledError

    with pytest.raises(KilledError):
        train(plan_of("mappo", 128), tmp_path, lambda steps: kill(steps) if steps > 64 else None)
    with pytest.raises(ModelFileError, match="another training"):
        train(plan_of("mappo", 256), tmp_path)


def test_curves_have_the_usual_names(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished / "tensorboard_1"))
    events.Reload()
    assert {"rollout/ep_rew_mean", "charts/SPS", "train/entropy"} <= set(events.Tags()["scalars"])


def test_a_trained_team_competes_and_says_what_it_costs(finished):
    team = competitors.make("qmarl", finished)
    env = make_env(STRAGGLERS, "test", {"scenario": "tiny", **FAST})
    first, again = (play(env, team, seed=3) for _ in range(2))
    assert first.kind == "quantum" and first.episode_return == again.episode_return
    cost = team.cost()
    parts = (cost.quantum_parameters, cost.classical_pre_parameters, cost.classical_post_parameters)
    assert cost.parameters == sum(parts) == first.parameters and min(parts) > 0
    assert cost.circuit_evaluations == cost.shots == 6  # a circuit and a shot of each of the six devices
    fleet = env.unwrapped.scenario.fleet
    assert cost.quantum_s == pytest.approx(fleet.queue_s + np.sqrt(fleet.shot_s[0] * fleet.shot_s[1]))
    assert cost.decision_s > 0


def test_a_team_does_not_play_with_more_devices_than_it_was_trained_with(finished):
    env = make_env(STRAGGLERS, "test", {"scenario": "tiny", **FAST, "num_devices": 8})
    env.reset(seed=0)
    with pytest.raises(InvalidValueError, match="with which the team was trained"):
        competitors.make("qmarl", finished).reset(env, 0)


def test_weights_of_another_team_are_refused_in_a_sentence(finished, tmp_path):
    saved = torch.load(finished / MODEL_FILE, weights_only=True)
    for file in (PLAN_FILE, MODE_FILE):
        (tmp_path / file).write_text((finished / file).read_text())
    name, weights = next((name, one) for name, one in saved["actor"].items() if one.ndim == 2)
    saved["actor"][name] = weights[:-1]
    torch.save(saved, tmp_path / MODEL_FILE)
    sizes = rf"{weights.shape[0] - 1}, .*{weights.shape[0]}, "
    with pytest.raises(ModelFileError, match=rf"(?s)is no model of 'qmarl' \(.*{name}.*{sizes}"):
        competitors.make("qmarl", tmp_path)


@pytest.mark.parametrize("name", teams.names())
def test_every_team_is_known_by_name_and_plays_where_devices_are_agents(name):
    assert competitors.is_trained(name)
    assert [env_id for env_id in (STRAGGLERS, ALLOCATION, "qfl/Drift-v0") if competitors.supports(name, env_id)] == [
        STRAGGLERS,
        ALLOCATION,
    ]
    assert competitors.kind(name) == ("quantum" if name.startswith("qmarl") else "classical")
    with pytest.raises(InvalidValueError, match=name):
        plan_training(name, "qfl/Drift-v0", "tiny", {})


@pytest.mark.parametrize("env_id", [STRAGGLERS, ALLOCATION])
def test_controls_have_as_many_parameters_or_differ_in_entanglement_only(env_id):
    counts = {
        name: [make(teams.configuration(name, env_id, "small"), SHAPE).counts() for make in (make_actor, make_critic)]
        for name in teams.names()
    }
    assert counts["qmarl"] == counts["qmarl-product"] == counts["qmarl-unentangled"]
    for quantum, matched in zip(counts["qmarl"], counts["mappo-matched"], strict=True):
        assert abs(quantum.total - matched.total) / quantum.total < 0.15  # whole neurons
    assert teams.configuration("qmarl-product", env_id, "small")["actor"]["entangler"] == "cz_ring"
    assert teams.configuration("qmarl-unentangled", env_id, "small")["critic"]["entangler"] == "none"


def test_an_entangled_value_is_the_sum_of_its_clusters():
    critic = make_critic(teams.configuration("qmarl", STRAGGLERS, "small"), SHAPE)
    assert isinstance(critic, EntangledCritic)
    observations = torch.rand(5, 20, 12)
    parities = critic.parities(observations)
    assert parities.shape == (5, 10) and parities.abs().max() <= 1 + 1e-5
    changed = observations.clone()
    changed[:, 1] = 0.0
    assert (critic.parities(changed) != parities).any(0).tolist() == [True] + [False] * 9
    value = critic(observations, torch.zeros(5, 164))
    torch.testing.assert_close(value, ((1 + parities) / 2).sum(-1) - 5)


def test_teams_play_what_the_environment_of_agents_plays():
    import pettingzoo

    teams_of_two = make_teams(STRAGGLERS, 2, "train", scenario="tiny", **FAST)
    env = pettingzoo.make("parallel", STRAGGLERS, split="train", scenario="tiny", **FAST)
    observations, _ = env.reset(seed=8)
    seen = teams_of_two.reset(seed=7)
    for _ in range(6):
        for number, agent in enumerate(env.possible_agents):
            assert np.array_equal(seen.observations[1, number].numpy(), observations[agent]["observation"])
            assert np.array_equal(seen.masks[1, number].numpy(), observations[agent]["action_mask"] == 1)
        assert np.array_equal(seen.states[1].numpy(), env.state())
        options = seen.masks.int().argmax(-1).numpy()
        options[1] = [np.flatnonzero(mask)[-1] for mask in seen.masks[1].numpy()]
        played = teams_of_two.step(options)
        observations, rewards, terminations, truncations, _ = env.step(
            dict(zip(env.possible_agents, options[1].tolist(), strict=True))
        )
        assert played.rewards[1] == pytest.approx(rewards["device_0"])
        assert (played.terminated[1], played.truncated[1]) == (terminations["device_0"], truncations["device_0"])
        seen = played.seen
    assert played.truncated.all() and np.array_equal(played.last.states[1].numpy(), env.state())


def test_advantages_expect_nothing_after_the_end_and_do_not_cross_it():
    rewards, values = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[0.5], [0.5], [0.5]])
    following = torch.tensor([[0.5], [9.0], [4.0]])
    terminated = torch.tensor([[False], [True], [False]])
    found = advantages_of(rewards, values, following, terminated, terminated, gamma=0.5, decay=0.5)
    assert found.flatten().tolist() == pytest.approx([0.75 + 0.25 * 1.5, 1.5, 3 + 0.5 * 4 - 0.5])


def test_the_loss_gains_nothing_from_ratios_beyond_the_clip_range():
    ratios, advantages = torch.tensor([1.5, 0.5, 1.5, 0.5]), torch.tensor([2.0, -2.0, -2.0, 2.0])
    loss, share = clipped_loss(ratios, advantages, 0.2)
    assert loss.item() == pytest.approx(-(1.2 * 2 - 0.8 * 2 - 1.5 * 2 + 0.5 * 2) / 4)
    assert share.item() == 1.0
    assert clipped_loss(torch.tensor([1.1, 0.9]), torch.ones(2), 0.2)[1].item() == 0.0


def test_the_scale_of_returns_is_that_of_all_of_them():
    values, scale = torch.randn(3, 40) * 5 + 2, RunningScale()
    for part in values:
        scale.add(part)
    assert scale.mean == pytest.approx(values.mean().item(), abs=1e-5)
    assert scale.deviation == pytest.approx(values.std(correction=0).item(), rel=1e-5)
    torch.testing.assert_close(scale.restore(scale.normalise(values)), values)


def test_teams_are_compared_and_the_comparison_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("train.training.team_comparison.ARGUMENTS", FAST)
    monkeypatch.setattr("train.training.team_comparison.EPISODES", 2)
    monkeypatch.setattr("train.training.team_comparison.RATES", (1e-3, 1e-2))
    words = ["compare-teams", "--env", STRAGGLERS, "--team", "mappo-matched", "--preset", "tiny", "--json"]
    words += ["--steps", "64", "--seeds", "1", "--out", str(tmp_path)]
    assert main(words) == 0
    first = capsys.readouterr()
    rows = json.loads(first.out)
    assert [row["team"] for row in rows] == ["mappo-matched", "random", "age-and-speed"]
    results = (tmp_path / "teams-tiny" / "results.jsonl").read_text()
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == rows
    assert (tmp_path / "teams-tiny" / "results.jsonl").read_text() == results


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"actor": {"kind": "oracle"}}, InvalidValueError),
        ({"critic": {"kind": "oracle"}}, InvalidValueError),
        ({"actor": {**teams.configuration("qmarl", STRAGGLERS, "small")["actor"], "chain": "w"}}, InvalidValueError),
        ({"actor": {**teams.configuration("qmarl", STRAGGLERS, "small")["actor"], "qubits": 13}}, InvalidValueError),
    ],
)
def test_settings_of_no_team_are_refused(change, error):
    settings = {**teams.configuration("qmarl", STRAGGLERS, "small"), **change}
    with pytest.raises(error):
        make_actor(settings, SHAPE)
        make_critic(settings, SHAPE)


def test_a_team_that_does_not_exist_is_refused():
    with pytest.raises(UnknownNameError, match="qmarl"):
        teams.configuration("qmarll", STRAGGLERS, "small")


def test_what_cannot_be_tuned_is_one_line(capsys):
    assert main(["tune", "--agent", "qmarl", "--env", STRAGGLERS]) == 2
    assert "unknown agent to tune 'qmarl'" in capsys.readouterr().err
