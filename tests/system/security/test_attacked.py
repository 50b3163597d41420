import numpy as np
import pytest

from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.learning.aggregation import Updates
from qfl_envs.system.security.attacked import Adversary, AttackedSystem, Defence

# no packet is lost and no battery empty
SCENARIO = Scenario.preset("tiny").replace(
    {
        "learning": {"model": "logistic"},
        "num_devices": 8,
        "deadline_s": 1e3,
        "radio": {"link_drop": 0.0, "waterfall": 0.0},
        "fleet": {"battery_j": [1e6, 1e6]},
    }
)


def play(system, rounds=2, seeds=(0, 1)):
    system.reset([np.random.default_rng(seed) for seed in seeds])
    everybody = np.ones((len(seeds), SCENARIO.num_devices), dtype=bool)
    return [system.step(Decision(participate=everybody)) for _ in range(rounds)]


def attacked(kind="none", share=0.25, rule=None, systems=2, scenario=SCENARIO, **defence):
    return AttackedSystem(scenario, systems, Adversary(kind, share), Defence(rule, **defence))


def test_without_attack_and_defence_it_is_the_plain_system_bit_for_bit():
    plain, other = FederatedSystem(SCENARIO, 2), attacked()
    play(plain), play(other)
    assert np.array_equal(plain.state.parameters, other.state.parameters)
    assert all(
        a.bit_generator.state == b.bit_generator.state for a, b in zip(plain.generators, other.generators, strict=True)
    )


@pytest.mark.parametrize("kind", ["sign-flip", "gaussian", "ipm", "alie", "boost", "label-flip"])
def test_attacks_change_the_model_and_batches_are_rows(kind):
    plain, both, alone = attacked(), attacked(kind), attacked(kind, systems=1)
    play(plain), play(both), play(alone, seeds=(1,))
    assert both.hostile.sum(1).tolist() == [2, 2]
    assert not np.array_equal(plain.state.parameters, both.state.parameters)
    assert np.allclose(both.state.parameters[1], alone.state.parameters[0], atol=1e-6)


def test_a_robust_rule_keeps_the_model_near_what_it_would_have_been():
    # data that are alike: where every device has labels of its own, a median differs from a mean without any attack
    alike, ends = SCENARIO.replace({"learning": {"partition": "iid", "server_rule": "fedavg", "server_rate": 1.0}}), {}
    for name, system in {
        "honest": attacked(scenario=alike),
        "mean": attacked("gaussian", scenario=alike),
        "median": attacked("gaussian", rule="median", scenario=alike),
    }.items():
        play(system, 4)
        ends[name] = system.state.parameters
    far, near = (np.linalg.norm(ends[name] - ends["honest"]) for name in ("mean", "median"))
    assert near < far and np.isfinite(ends["median"]).all()


def test_a_mean_by_name_is_the_mean_of_the_scenario():
    plain, named = attacked(), attacked(rule="mean")
    play(plain), play(named)
    assert np.allclose(plain.state.parameters, named.state.parameters, atol=1e-6)


class Poisoner(AttackedSystem):
    def _attack(self, work):
        super()._attack(work)
        updates = work.result.updates
        updates.change[updates.device == 0] = np.nan
        updates.change[updates.device == 1] = 1e30
        object.__setattr__(work.result, "updates", Updates(updates.row, updates.device, updates.change))


def test_what_is_no_update_is_counted_and_never_merged():
    system = Poisoner(SCENARIO, 2, defence=Defence(longest=100.0))
    reports = play(system, 1)
    assert np.array_equal(system.not_finite, reports[0].delivered[:, 0])
    assert np.array_equal(system.too_long, reports[0].delivered[:, 1])
    assert np.isfinite(system.state.parameters).all() and np.abs(system.state.parameters).max() < 100


def test_a_round_with_too_many_attackers_fails_and_leaves_the_model():
    system = attacked("sign-flip", rule="krum", attackers=0.5)
    system.reset([np.random.default_rng(seed) for seed in (0, 1)])
    before = system.state.parameters.copy()
    system.step(Decision(participate=np.ones((2, 8), dtype=bool)))
    assert system.failed.all() and np.array_equal(system.state.parameters, before)


def test_bad_arguments_are_refused():
    with pytest.raises(InvalidValueError, match="sign-flip"):
        Adversary("shout")
    with pytest.raises(InvalidValueError, match="median"):
        Defence("mode")
    with pytest.raises(InvalidValueError, match="server_rule"):
        AttackedSystem(SCENARIO.replace({"learning": {"server_rule": "scaffold"}}))
