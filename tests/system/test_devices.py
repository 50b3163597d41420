"""What computing takes, by hand, and what is drawn per device."""

import numpy as np
import pytest

from qfl_envs.scenario import Fleet, Scenario
from qfl_envs.system import devices

MANY = 100_000


def scenario(**changes):
    """A cheap device: 10 samples of 1e6 cycles per step at kappa 1e-28; its circuit has 2 qubits and 1 layer."""
    return Scenario().replace(
        {
            "fleet": {"cycles_per_sample": 1e6, "capacitance": 1e-28, **changes.pop("fleet", {})},
            "learning": {"batch_size": 10, **changes.pop("learning", {})},
            "quantum": {"num_qubits": 2, "num_layers": 1, "shots": 100},
            **changes,
        }
    )


def one(value):
    return np.array([[value]])


def work(described, steps=3, cpu_hz=2e9, shot_s=1e-6, load=0.0):
    return devices.compute_work(described, one(steps), one(cpu_hz), one(shot_s), one(load))


def test_a_classical_step_takes_cycles_over_clock():
    seconds = work(scenario(learning={"model": "logistic", "num_features": 2})).seconds.item()
    assert seconds == pytest.approx(3 * 10 * 1e6 / 2e9)


def test_a_classical_step_takes_kappa_cycles_clock_squared():
    energy_j = work(scenario(learning={"model": "logistic", "num_features": 2})).energy_j.item()
    assert energy_j == pytest.approx(1e-28 * 3 * 10 * 1e6 * (2e9) ** 2)


def test_a_step_runs_a_circuit_and_two_shifted_ones_per_angle_for_every_sample():
    # 2 qubits and 1 layer have 2 * 2 RY and 2 RZ angles
    assert devices.shots_per_step(scenario()) == 10 * (1 + 2 * 6) * 100


def test_a_network_without_learning_keeps_the_cost_of_the_quantum_learner():
    assert devices.shots_per_step(scenario(learning={"model": "none"})) == devices.shots_per_step(scenario())


@pytest.mark.parametrize("model", ["mlp", "logistic", "tensor_network"])
def test_classical_learners_take_no_shots(model):
    assert devices.shots_per_step(scenario(learning={"model": model})) == 0


def test_a_quantum_step_takes_shots_beside_cycles():
    assert work(scenario()).seconds.item() == pytest.approx(3 * (10 * 1e6 / 2e9 + 13_000 * 1e-6))


def test_other_work_stretches_the_time_on_the_quantum_processor():
    assert work(scenario(), load=0.75).seconds.item() == pytest.approx(3 * (10 * 1e6 / 2e9 + 4 * 13_000 * 1e-6))


def test_circuits_draw_the_power_of_the_quantum_processor_while_they_run():
    with_power, without = (work(scenario(fleet={"quantum_w": watt}), load=0.5).energy_j.item() for watt in (5.0, 0.0))
    assert with_power - without == pytest.approx(5.0 * 3 * 13_000 * 1e-6)


def test_the_wait_for_the_quantum_processor_comes_once_a_round():
    waiting, at_once = (work(scenario(fleet={"queue_s": wait})).seconds.item() for wait in (0.5, 0.0))
    assert waiting - at_once == pytest.approx(0.5)


def test_a_classical_learner_does_not_wait_for_a_quantum_processor():
    described = scenario(fleet={"queue_s": 0.5}, learning={"model": "logistic", "num_features": 2})
    assert work(described).seconds.item() == pytest.approx(3 * 10 * 1e6 / 2e9)


def test_a_device_without_steps_takes_no_time():
    assert work(scenario(fleet={"queue_s": 0.5}), steps=0).seconds.item() == 0.0


def test_a_device_without_steps_takes_no_energy():
    assert work(scenario(fleet={"quantum_w": 5.0}), steps=0).energy_j.item() == 0.0


def load_share(normal):
    """Share of the processors that other work takes, for a mean of 0.4 and a standard deviation of 0.05."""
    described = scenario(fleet={"load_mean": 0.4, "load_std": 0.05})
    one = np.ones((1, len(normal)))
    return devices.offer(described, normal[None], one, one).load_share[0]


def test_the_load_has_its_mean_and_spread():
    load = load_share(np.random.default_rng(0).normal(size=MANY))
    assert (load.mean(), load.std()) == (pytest.approx(0.4, abs=0.001), pytest.approx(0.05, rel=0.02))


@pytest.mark.parametrize(("normal", "load"), [(-100.0, 0.0), (100.0, 0.9)])
def test_the_load_stays_between_none_and_nine_tenths(normal, load):
    assert load_share(np.array([normal])).item() == pytest.approx(load)


def load_after_a_round():
    rng = np.random.default_rng(0)
    before = rng.normal(size=MANY)
    return before, devices.next_load_normal(Fleet(load_memory=0.8), before, rng.normal(size=MANY))


def test_the_load_is_remembered_from_round_to_round():
    assert np.corrcoef(*load_after_a_round())[0, 1] == pytest.approx(0.8, abs=0.01)


def test_the_load_keeps_its_spread_from_round_to_round():
    assert load_after_a_round()[1].std() == pytest.approx(1.0, abs=0.01)


def test_draws_per_device_stay_within_their_bounds():
    drawn = devices.draw_per_device((4e-7, 5e-6), np.random.default_rng(0).random(MANY))
    assert 4e-7 <= drawn.min() < drawn.max() <= 5e-6


@pytest.mark.parametrize("quantile", [0.25, 0.5, 0.75])
def test_draws_per_device_are_uniform_in_the_logarithm(quantile):
    drawn = devices.draw_per_device((1.0, 100.0), np.random.default_rng(0).random(MANY))
    assert np.quantile(drawn, quantile) == pytest.approx(100.0**quantile, rel=0.03)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_equal_bounds_give_every_device_the_same(value):
    np.testing.assert_array_equal(devices.draw_per_device((value, value), np.array([0.0, 0.7])), value)


def test_protecting_an_update_takes_cycles_of_those_who_take_part():
    described = scenario(security={"protection_cycles": 4e6})
    taken = devices.protection_work(described, np.array([[True, False]]), np.array([[2e9, 2e9]]))
    np.testing.assert_allclose(taken.seconds, [[2e-3, 0.0]])
    np.testing.assert_allclose(taken.energy_j, [[1e-28 * 4e6 * (2e9) ** 2, 0.0]])


@pytest.mark.parametrize("name", ["active", "link_up", "battery_j", "busy_s"])
def test_who_has_left_or_no_link_or_no_charge_or_is_busy_is_not_available(begin, name):
    system = begin(Scenario.preset("tiny").replace({"learning": {"model": "none"}, "fleet": {"reserve": 0.1}}))
    state = system.state
    state.active[:], state.link_up[:], state.busy_s[:] = True, True, 0.0
    state.battery_j[:] = state.full_battery_j
    assert devices.available(system.scenario.fleet, state).all()
    blocked = {"active": False, "link_up": False, "battery_j": 0.1 * state.full_battery_j[0, 2], "busy_s": 0.5}
    getattr(state, name)[0, 2] = blocked[name]
    assert devices.available(system.scenario.fleet, state)[0].tolist() == [True, True, False, True, True, True]
