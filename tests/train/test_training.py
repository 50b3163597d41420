import json
from dataclasses import replace

import numpy as np
import pytest

from baselines.configurations import configuration
from qfl_envs.errors import UnknownNameError
from train.competitors import make
from train.evaluation import make_env, play
from train.training.deep_rl import count_parameters, train
from train.training.plans import ModelFileError, plan_training, read_plan

ARGUMENTS = {"learning": {"model": "none"}, "max_rounds": 6}


@pytest.fixture(scope="module", params=["qfl/Scheduling-v0", "qfl/Allocation-v0"])
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    steps = []
    train(plan_training("ppo", request.param, "tiny", ARGUMENTS, steps=256), folder, steps.append)
    return request.param, folder, steps


def test_a_run_leaves_a_model_its_plan_and_tensorboard_events(trained):
    env_id, folder, steps = trained
    assert (folder / "model.zip").is_file()
    assert json.loads((folder / "plan.json").read_text())["env_id"] == env_id
    assert list(folder.glob("tensorboard_1/events.out.tfevents.*"))
    assert steps[-1] == 256


def test_tensorboard_has_the_curves_that_everyone_knows(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, folder, _ = trained
    events = EventAccumulator(str(next(folder.glob("tensorboard_1"))))
    events.Reload()
    assert {"rollout/ep_rew_mean", "rollout/ep_len_mean", "time/fps"} <= set(events.Tags()["scalars"])


def test_a_trained_model_competes_and_repeats_itself_under_one_seed(trained):
    env_id, folder, _ = trained
    env = make_env(env_id, "test", {"scenario": "tiny", **ARGUMENTS})
    one, two = (play(env, make("ppo", folder), seed=3) for _ in range(2))
    assert one.episode_return == two.episode_return
    assert one.parameters == sum(p.numel() for p in make("ppo", folder).model.policy.parameters()) > 0


def test_a_model_refuses_a_fleet_of_another_size(trained):
    env_id, folder, _ = trained
    env = make_env(env_id, "test", {"scenario": "tiny", "num_devices": 4, **ARGUMENTS})
    env.reset(seed=0)
    with pytest.raises(ValueError, match="on which the model was trained; play it in the") as refused:
        make("ppo", folder).reset(env, 0)
    assert len(str(refused.value)) < 400  # a part that differs, and not all the spaces


def test_the_policy_has_as_many_parameters_for_any_number_of_devices():
    from train.training.deep_rl import ALGORITHMS, POLICIES

    counts = set()
    for devices in (4, 9):
        env = make_env("qfl/Scheduling-v0", "train", {"scenario": "tiny", "num_devices": devices, **ARGUMENTS})
        model = ALGORITHMS["ppo"](POLICIES["per-device"], env, policy_kwargs={"num_devices": devices})
        counts.add(sum(p.numel() for p in model.policy.parameters()))
    assert len(counts) == 1


def test_the_policy_treats_devices_alike_wherever_they_stand():
    import torch

    from train.training.deep_rl import ALGORITHMS, POLICIES

    env = make_env("qfl/Allocation-v0", "train", {"scenario": "tiny", **ARGUMENTS})
    model = ALGORITHMS["ppo"](POLICIES["per-device"], env, policy_kwargs={"num_devices": 6}, seed=0)
    env.observation_space.seed(0)
    # no two devices alike: among equals the first has the lower rank
    observation = env.observation_space.sample()
    order = np.random.default_rng(0).permutation(6)
    permuted = {
        key: value.reshape(6, -1)[order].reshape(-1) if len(value) % 6 == 0 else value
        for key, value in observation.items()
    }
    with torch.no_grad():
        logits, others = (
            [choice.logits[0] for choice in model.policy.get_distribution(as_batch(obs)).distribution]
            for obs in (observation, permuted)
        )
        values = [model.policy.predict_values(as_batch(obs)) for obs in (observation, permuted)]
    for place, device in enumerate(order):
        assert torch.allclose(others[place], logits[device], atol=1e-5)
        assert torch.allclose(others[6 + place], logits[6 + device], atol=1e-5)
    assert torch.allclose(values[0], values[1], atol=1e-5)


def test_the_policy_gives_numbers_to_the_devices_of_slots_alike():
    import torch

    from train.training.deep_rl import ALGORITHMS, POLICIES

    env = make_env("qfl/Power-v0", "train", {"scenario": "tiny", "num_scheduled": 4, **ARGUMENTS})
    model = ALGORITHMS["ppo"](POLICIES["per-device"], env, policy_kwargs={"num_devices": 4}, seed=0)
    env.observation_space.seed(0)
    observation = env.observation_space.sample()
    order = np.array([2, 0, 3, 1])
    permuted = {key: value[order] if len(value) == 4 else value for key, value in observation.items()}
    with torch.no_grad():
        means, others = (
            model.policy.get_distribution(as_batch(obs)).distribution.mean.reshape(3, 4)
            for obs in (observation, permuted)
        )
    assert torch.allclose(others, means[:, order], atol=1e-6)
    assert (means.std(dim=1) > 1e-5).all()


def test_names_tell_devices_apart_that_are_otherwise_alike():
    import torch

    from train.training.deep_rl import ALGORITHMS, POLICIES

    env = make_env("qfl/Allocation-v0", "train", {"scenario": "tiny", **ARGUMENTS})
    model = ALGORITHMS["ppo"](POLICIES["per-device"], env, policy_kwargs={"num_devices": 6, "num_names": 2}, seed=0)
    features = model.policy.features_extractor(as_batch({k: v * 0 for k, v in env.observation_space.sample().items()}))
    names = features.reshape(6, -1)[:, -6:-4]
    assert torch.equal(names, torch.eye(2).repeat(3, 1))


def test_devices_begin_idle_as_often_as_the_settings_say():
    from train.training.deep_rl import ALGORITHMS, POLICIES

    env = make_env("qfl/Scheduling-v0", "train", {"scenario": "tiny", **ARGUMENTS})
    kwargs = {"num_devices": 6, "idle_probability": 0.7}
    model = ALGORITHMS["ppo"](POLICIES["per-device"], env, policy_kwargs=kwargs, seed=0)
    observation, _ = env.reset(seed=0)
    choices = model.policy.get_distribution(as_batch(observation)).distribution
    assert [choice.probs[0, 0].item() for choice in choices] == pytest.approx([0.7] * 6, abs=0.02)


def test_a_policy_whose_most_likely_choice_is_to_idle_is_sampled():
    from train.training.deep_rl import ALGORITHMS, POLICIES
    from train.training.validation import choose_mode

    environment = {"scenario": "tiny", "max_rounds": 6}
    env = make_env("qfl/Scheduling-v0", "train", environment)
    kwargs = {"num_devices": 6, "idle_probability": 0.7}
    model = ALGORITHMS["ppo"](POLICIES["per-device"], env, policy_kwargs=kwargs, seed=0)
    mode = choose_mode(model, "qfl/Scheduling-v0", environment)
    assert not mode["deterministic"]
    # idling takes all of the time and gains nothing
    assert mode["val_return_deterministic"] == pytest.approx(-2.0)
    assert mode["val_return_sampled"] > -2.0


def test_a_run_remembers_how_its_policy_should_play(trained):
    _, folder, _ = trained
    mode = json.loads((folder / "mode.json").read_text())
    assert mode["deterministic"] == (mode["val_return_deterministic"] > mode["val_return_sampled"])
    assert make("ppo", folder).deterministic == mode["deterministic"]


def as_batch(observation):
    import torch

    return {key: torch.as_tensor(value)[None] for key, value in observation.items()}


def test_settings_inherit_from_algorithm_to_environment_to_preset():
    general = configuration("ppo", "qfl/Scheduling-v0", "paper")
    tiny = configuration("ppo", "qfl/Scheduling-v0", "tiny")
    assert general["num_envs"] != tiny["num_envs"]
    assert general["algorithm"]["gamma"] == tiny["algorithm"]["gamma"]
    assert tiny["policy_kwargs"]["hidden"] == general["policy_kwargs"]["hidden"]


def test_the_first_steps_are_played_in_the_environment_of_the_settings_and_the_rest_in_that_of_the_evaluation():
    plan = plan_training("ppo", "qfl/Scheduling-v0", "tiny", {"learning": {"batch_size": 2}}, steps=1000)
    settings = {**plan.settings, "environment": {"learning": {"model": "surrogate", "batch_size": 8}}}
    both = replace(plan, settings={**settings, "environment_share": 0.75}).stages()
    assert [steps for _, steps in both] == [750, 250]
    # what was asked for comes before what the settings say
    assert both[0][0]["learning"] == {"model": "surrogate", "batch_size": 2}
    assert both[1][0] == plan.environment == {"scenario": "tiny", "learning": {"batch_size": 2}}
    assert [steps for _, steps in replace(plan, settings=settings).stages()] == [1000]


def test_a_training_in_two_stages_is_one_curve_of_one_model(tmp_path):
    plan = plan_training("ppo", "qfl/Scheduling-v0", "tiny", ARGUMENTS, steps=512)
    settings = {**plan.settings, "environment": {"max_rounds": 3}, "environment_share": 0.5}
    steps = []
    train(replace(plan, arguments={"learning": {"model": "none"}}, settings=settings), tmp_path, steps.append)
    assert steps[-1] == 512
    assert steps == sorted(steps)
    from train.training.curves import find

    (curve,) = find([tmp_path])
    assert curve.steps.max() == 512
    assert len(list(tmp_path.glob("tensorboard_*"))) == 1


def test_a_training_in_two_stages_is_the_same_under_the_same_seed(tmp_path):
    plan = plan_training("ppo", "qfl/Scheduling-v0", "tiny", ARGUMENTS, steps=512)
    settings = {**plan.settings, "environment": {"max_rounds": 3}, "environment_share": 0.5}
    plan = replace(plan, arguments={"learning": {"model": "none"}}, settings=settings)
    weights = []
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        train(plan, folder)
        weights.append(make("ppo", folder).model.policy.state_dict())
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])


def test_the_finished_plan_counts_the_parameters_that_the_model_has(trained):
    env_id, folder, _ = trained
    assert read_plan(folder).parameters == count_parameters(make("ppo", folder).model) > 0


def test_target_networks_are_not_counted():
    from stable_baselines3 import DQN

    model = DQN("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": [8]}, buffer_size=1)
    assert count_parameters(model) == 4 * 8 + 8 + 8 * 2 + 2


def test_a_policy_begins_with_little_work_where_the_settings_say_so():
    from train.training.deep_rl import ALGORITHMS, POLICIES

    env = make_env("qfl/Scheduling-v0", "train", {"scenario": "tiny", **ARGUMENTS})
    kwargs = {"num_devices": 6, "idle_probability": 0.5, "later_options": 0.5}
    model = ALGORITHMS["ppo"](POLICIES["per-device"], env, policy_kwargs=kwargs, seed=0)
    observation, _ = env.reset(seed=0)
    choices = model.policy.get_distribution(as_batch(observation)).distribution
    assert choices[0].probs[0].tolist() == pytest.approx([0.5, 0.5 * 4 / 7, 0.5 * 2 / 7, 0.5 / 7], abs=0.03)


def test_where_only_the_rank_is_shown_the_scale_does_not_matter():
    from baselines.per_device import DeviceFeatures

    env = make_env("qfl/Scheduling-v0", "train", {"scenario": "tiny", **ARGUMENTS})
    features = DeviceFeatures(env.observation_space, 6, 0, only_ranks=["loss"])
    env.observation_space.seed(0)
    one = as_batch(env.observation_space.sample())
    other = {**one, "loss": 0.1 * one["loss"] + 0.5}
    assert (features(one) == features(other)).all()
    assert (features(one) != features({**one, "age": 0.1 * one["age"] + 0.5})).any()
    assert features(one).shape == (1, features.features_dim)
    with pytest.raises(UnknownNameError, match="unknown entry per device 'los'"):
        DeviceFeatures(env.observation_space, 6, 0, only_ranks=["los"])


def test_an_unknown_agent_is_refused_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="known: ppo"):
        plan_training("popo", "qfl/Scheduling-v0", "tiny", {})


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="no finished training run"):
        read_plan(tmp_path)
