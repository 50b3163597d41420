import numpy as np
import pytest

from qfl_envs.errors import UnknownNameError
from train.describe import calibrate, describe

QUICK = {"learning": {"eval_samples": 20, "device_eval_samples": 1}}


@pytest.fixture(scope="module")
def tiny():
    return calibrate("tiny", episodes=2, policies=("round-robin", "everyone"))


def test_text_has_a_section_for_times_limits_and_learning(tiny):
    text = tiny.text()
    for part in (
        "Scenario tiny: 6 devices, 2 sub-channels",
        "Times of a device in s",
        "Limits that bind before the target is reached",
        "Accuracy after so many rounds",
        "slowest / quickest",
        "links down:",
    ):
        assert part in text
    assert "█" in text
    assert all(len(line) <= 120 and line == line.rstrip() for line in text.splitlines())


def test_text_has_a_row_for_each_policy_in_both_tables(tiny):
    lines = tiny.text().splitlines()
    for name in ("round-robin", "everyone"):
        assert sum(line.split()[:1] == [name] for line in lines) == 2


def test_one_number_per_device_and_round(tiny):
    assert tiny.compute_s.shape == tiny.upload_s.shape
    assert len(tiny.compute_s) == 2 * 6 * tiny.scenario.max_rounds


def test_shares_are_shares_and_curves_end_with_the_last_round(tiny):
    assert tiny.curve_rounds == (0, 10, 20, 30, 40)
    for policy in tiny.policies:
        shares = (policy.late, policy.lost, policy.depleted, policy.unavailable, policy.reached)
        assert all(0 <= share <= 1 for share in (*shares, *policy.accuracy))
        assert len(policy.accuracy) == len(tiny.curve_rounds)


def test_overrides_reach_the_scenario():
    calibration = calibrate("tiny", {**QUICK, "max_rounds": 2, "radio": {"num_subchannels": 2}}, 1, ("everyone",))
    assert calibration.scenario.radio.num_subchannels == 2
    assert calibration.curve_rounds == (0, 2)


def test_the_target_of_the_scenario_is_the_one_reported():
    overrides = {**QUICK, "max_rounds": 3, "target_accuracy": 0.0}
    calibration = calibrate("tiny", overrides, 1, ("everyone",))
    assert calibration.scenario.target_accuracy == 0.0
    assert (calibration.policies[0].reached, calibration.policies[0].rounds) == (1.0, 1.0)


def test_what_never_binds_is_zero():
    easy = {"deadline_s": 1e6, "radio": {"link_drop": 0.0, "waterfall": 0.0}, "fleet": {"battery_j": [1e9, 1e9]}}
    overrides = {**QUICK, **easy, "max_rounds": 5}
    calibration = calibrate("tiny", overrides, 1, ("everyone",))
    everyone = calibration.policies[0]
    limits = (everyone.late, everyone.lost, everyone.depleted, everyone.unavailable, everyone.battery_rounds)
    assert (*limits, calibration.link_down) == (0.0,) * 6
    assert everyone.participants == 6


def test_a_deadline_that_nobody_meets_makes_everybody_late():
    calibration = calibrate("tiny", {**QUICK, "deadline_s": 1e-4, "max_rounds": 2}, 1, ("everyone",))
    everyone = calibration.policies[0]
    assert (everyone.late, everyone.late_rounds) == (1.0, 1.0)
    assert np.isnan(everyone.rounds)
    assert "-" in calibration.text().splitlines()[-1].split()[-2:]


def test_a_network_that_learns_nothing_has_no_section_on_accuracy():
    text = describe("tiny", {"learning": {"model": "none"}, "max_rounds": 3}, 1, ("round-robin",))
    assert "Accuracy" not in text
    assert "Limits" in text


def test_unknown_policies_are_named():
    with pytest.raises(UnknownNameError, match="unknown baseline"):
        calibrate("tiny", policies=("nobody",))


def test_the_small_scenario_is_worth_scheduling():
    small = calibrate("small", {**QUICK, "max_rounds": 25}, 4, ("round-robin", "everyone"))
    assert 0.1 < small.compute_per_upload < 10
    assert small.compute_spread.extremes > 5
    assert small.upload_spread.extremes > 5
    assert 0 < small.link_down < 0.5
    everyone = next(policy for policy in small.policies if policy.name == "everyone")
    assert 0 < everyone.late < 0.5
    assert 0 < everyone.battery_rounds <= 1
