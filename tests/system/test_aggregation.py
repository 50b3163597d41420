"""How updates are merged: every rule on numbers that fit on a sheet of paper."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qfl_envs.scenario import Learning
from qfl_envs.system.learning.aggregation import (
    ADAM_BETAS,
    ADAM_EPSILON,
    Updates,
    mix,
    next_controls,
    normalised_update,
    q_fair_update,
    server_step,
    staleness_weight,
    total_per_system,
    weighted_mean_update,
)

modest = settings(deadline=None, max_examples=50, derandomize=True)


def updates(change, row=None):
    """Updates of devices 0, 1, ... of one system, or of those of ``row``."""
    change = np.asarray(change, dtype=float)
    row = np.zeros(len(change), dtype=int) if row is None else np.asarray(row)
    return Updates(row, np.arange(len(change)), change)


@st.composite
def arrivals(draw):
    """Updates of some participants of three systems, and their weights."""
    m = draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return updates(rng.normal(size=(m, 4)), np.sort(rng.integers(0, 3, m))), rng.integers(1, 100, m).astype(float)


# sums


@modest
@given(arrivals())
def test_sums_per_system_are_those_of_one_row_after_the_other(arrived):
    sent, _ = arrived
    expected = np.zeros((3, 4))
    np.add.at(expected, sent.row, sent.change)
    np.testing.assert_allclose(total_per_system(sent.change, sent.row, 3), expected, atol=1e-12)


def test_sums_of_nothing_are_zero():
    total = total_per_system(np.zeros((0, 4)), np.zeros(0, dtype=int), 2)
    np.testing.assert_array_equal(total, np.zeros((2, 4)))


# fedavg


def test_the_mean_update_is_weighted_by_data_points():
    mean = weighted_mean_update(updates([[1, 0], [4, 2], [7, 7]], [0, 0, 1]), np.array([2.0, 1.0, 5.0]), 2)
    np.testing.assert_allclose(mean, [[2.0, 2 / 3], [7.0, 7.0]])


def test_updates_of_weight_zero_do_not_count():
    mean = weighted_mean_update(updates([[1], [9]]), np.array([3.0, 0.0]), 1)
    np.testing.assert_allclose(mean, [[1.0]])


def test_a_system_where_nothing_arrives_has_a_mean_update_of_zero():
    mean = weighted_mean_update(updates([[1], [9]], [0, 1]), np.array([3.0, 0.0]), 3)
    np.testing.assert_array_equal(mean[1:], 0.0)


@modest
@given(arrivals(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_in_a_system_does_not_matter(arrived, random):
    sent, weights = arrived
    order = list(range(len(sent)))
    random.shuffle(order)
    order.sort(key=lambda index: sent.row[index])
    other = Updates(sent.row[order], sent.device[order], sent.change[order])
    expected = weighted_mean_update(sent, weights, 3)
    np.testing.assert_allclose(weighted_mean_update(other, weights[order], 3), expected, atol=1e-12)


@modest
@given(arrivals(), st.floats(0.01, 100.0))
def test_only_the_proportion_of_the_weights_matters(arrived, factor):
    sent, weights = arrived
    expected = weighted_mean_update(sent, weights, 3)
    np.testing.assert_allclose(weighted_mean_update(sent, factor * weights, 3), expected, atol=1e-12)


@modest
@given(arrivals())
def test_the_mean_update_lies_between_the_updates(arrived):
    sent, weights = arrived
    mean = weighted_mean_update(sent, weights, 3)
    for system in np.unique(sent.row):
        own = sent.change[sent.row == system]
        assert ((own.min(0) - 1e-12 <= mean[system]) & (mean[system] <= own.max(0) + 1e-12)).all()


@pytest.mark.parametrize("rule", ["fedavg", "fednova", "scaffold"])
def test_most_rules_add_their_step_times_the_rate_of_the_server(rule):
    learning = Learning(server_rule=rule, server_rate=0.5)
    zeros = np.zeros((1, 2))
    parameters, _, _ = server_step(learning, np.array([[1.0, 2.0]]), np.array([[4.0, -2.0]]), zeros, zeros, np.zeros(1))
    np.testing.assert_allclose(parameters, [[3.0, 1.0]])


# fedadam


def test_fedadam_is_adam_with_the_update_as_its_negative_gradient():
    learning = Learning(server_rule="fedadam", server_rate=0.1)
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=(2, 5))
    leaf = torch.tensor(parameters, requires_grad=True)
    adam = torch.optim.Adam([leaf], lr=0.1, betas=ADAM_BETAS, eps=ADAM_EPSILON)
    first, second = np.zeros((2, 5)), np.zeros((2, 5))
    for step in range(6):
        update = rng.normal(size=(2, 5))
        leaf.grad = torch.from_numpy(-update)
        adam.step()
        parameters, first, second = server_step(learning, parameters, update, first, second, np.full(2, step))
    np.testing.assert_allclose(parameters, leaf.detach(), atol=1e-12)


def test_fedadam_corrects_the_bias_of_every_system_by_its_own_number_of_updates():
    learning = Learning(server_rule="fedadam")
    rng = np.random.default_rng(0)
    parameters, update, first = rng.normal(size=(3, 2, 5))
    second = rng.random((2, 5))
    together = server_step(learning, parameters, update, first, second, np.array([0, 7]))[0]
    alone = server_step(learning, parameters[1:], update[1:], first[1:], second[1:], np.array([7]))[0]
    np.testing.assert_array_equal(together[1:], alone)


# q-fedavg


def test_q_fedavg_takes_the_step_of_its_article():
    # rate 0.5, so L = 2; updates 1 and -3 are dw of -2 and 6; q = 2 and losses 1 and 3 give
    # D = F^2 dw = -2, 54 and h = 2 F dw^2 + 2 F^2 = 2 * 1 * 4 + 2 = 10, 2 * 3 * 36 + 18 = 234
    step = q_fair_update(updates([[1.0], [-3.0]]), np.array([1.0, 3.0]), 2.0, np.array([0.5, 0.5]), 1)
    np.testing.assert_allclose(step, [[-(-2 + 54) / (10 + 234)]])


def test_q_fedavg_measures_the_length_of_an_update_over_all_parameters():
    # L = 1 and dw = (-3, -4) of squared length 25; q = 1 and loss 2 give D = 2 dw and h = 25 + 2
    step = q_fair_update(updates([[3.0, 4.0]]), np.array([2.0]), 1.0, np.array([1.0]), 1)
    np.testing.assert_allclose(step, [[6 / 27, 8 / 27]])


@modest
@given(arrivals(), st.floats(0.01, 1.0))
def test_q_fedavg_without_fairness_is_the_plain_mean(arrived, rate):
    sent, losses = arrived
    step = q_fair_update(sent, losses, 0.0, np.full(len(sent), rate), 3)
    for system in np.unique(sent.row):
        np.testing.assert_allclose(step[system], sent.change[sent.row == system].mean(0), atol=1e-12)


def test_q_fedavg_leaves_a_system_where_nothing_arrives():
    step = q_fair_update(updates([[1.0]], [1]), np.array([1.0]), 2.0, np.array([0.5]), 2)
    np.testing.assert_array_equal(step[0], 0.0)


def test_q_fedavg_adds_its_step_whatever_the_rate_of_the_server():
    learning = Learning(server_rule="q-fedavg", server_rate=0.5)
    zeros = np.zeros((1, 1))
    parameters, _, _ = server_step(learning, np.array([[1.0]]), np.array([[4.0]]), zeros, zeros, np.zeros(1))
    np.testing.assert_allclose(parameters, [[5.0]])


# fednova


@modest
@given(arrivals(), st.integers(1, 9))
def test_fednova_of_equal_steps_is_the_weighted_mean(arrived, steps):
    sent, weights = arrived
    expected = weighted_mean_update(sent, weights, 3)
    np.testing.assert_allclose(normalised_update(sent, weights, np.full(len(sent), steps), 3), expected, atol=1e-12)


def test_fednova_weighs_directions_and_not_the_number_of_steps():
    # shares 1/4 and 3/4; directions 8 / 4 = 2 and 3 / 1 = 3; 4 and 1 steps are 1.75 on average
    step = normalised_update(updates([[8.0], [3.0]]), np.array([10.0, 30.0]), np.array([4, 1]), 1)
    np.testing.assert_allclose(step, [[1.75 * (2 / 4 + 3 * 3 / 4)]])


def test_fednova_counts_the_steps_of_each_system_apart():
    together = normalised_update(updates([[8.0], [3.0]], [0, 1]), np.ones(2), np.array([4, 1]), 2)
    np.testing.assert_allclose(together, [[8.0], [3.0]])


# scaffold


def test_scaffold_makes_control_variates_of_two_rounds_by_hand():
    # three devices of f_k(y) = (y - a_k)^2 / 2, a = 1, 5 and 9, two steps of rate 0.1, server rate 1, start at 0.
    # round 1, devices 0 and 1, c = c_k = 0: y_0 = 0.1, 0.19 and y_1 = 0.5, 0.95; x = 0.57;
    # c_0 = (0 - 0.19) / 0.2 = -0.95, c_1 = (0 - 0.95) / 0.2 = -4.75, c = (-0.95 - 4.75) / 3 = -1.9
    controls, of_server = next_controls(
        np.zeros((1, 3, 1)), np.zeros((1, 1)), updates([[0.19], [0.95]]), np.array([2, 2]), np.array([0.1, 0.1])
    )
    np.testing.assert_allclose(controls[0, :, 0], [-0.95, -4.75, 0.0])
    np.testing.assert_allclose(of_server, [[-1.9]])
    # round 2, devices 1 and 2, from 0.57 with gradients y - a_k - c_k + c:
    # y_1: gradient -4.43 + 4.75 - 1.9 = -1.58, y = 0.728; -4.272 + 4.75 - 1.9 = -1.422, y = 0.8702
    # y_2: gradient -8.43 - 0 - 1.9 = -10.33, y = 1.603; -7.397 - 1.9 = -9.297, y = 2.5327
    # c_1 = -4.75 + 1.9 + (0.57 - 0.8702) / 0.2 = -4.351; c_2 = 0 + 1.9 + (0.57 - 2.5327) / 0.2 = -7.9135
    # c = -1.9 + ((-4.351 + 4.75) + (-7.9135 - 0)) / 3 = -4.40483...
    sent = Updates(np.zeros(2, dtype=int), np.array([1, 2]), np.array([[0.8702 - 0.57], [2.5327 - 0.57]]))
    controls, of_server = next_controls(controls, of_server, sent, np.array([2, 2]), np.array([0.1, 0.1]))
    np.testing.assert_allclose(controls[0, :, 0], [-0.95, -4.351, -7.9135])
    np.testing.assert_allclose(of_server, [[-1.9 + (0.399 - 7.9135) / 3]])


def test_scaffold_keeps_the_mean_of_all_control_variates_at_the_server():
    rng = np.random.default_rng(0)
    controls, of_server = np.zeros((2, 4, 3)), np.zeros((2, 3))
    for _ in range(3):
        sent = Updates(np.array([0, 0, 1]), np.array([1, 3, 2]), rng.normal(size=(3, 3)))
        controls, of_server = next_controls(controls, of_server, sent, np.array([1, 2, 3]), np.full(3, 0.1))
    np.testing.assert_allclose(of_server, controls.mean(1))


# fedasync


def test_a_constant_law_does_not_mind_staleness():
    np.testing.assert_array_equal(staleness_weight(Learning(staleness="constant"), np.array([0, 3, 100])), 1.0)


def test_the_polynomial_law_is_a_power_of_the_versions_behind():
    weight = staleness_weight(Learning(staleness="polynomial", staleness_exponent=0.5), np.array([0, 3, 8]))
    np.testing.assert_allclose(weight, [1, 1 / 2, 1 / 3])


def test_the_hinge_law_falls_beyond_its_delay():
    # 1 / (a (s - b) + 1), which is not 1 / (a (s - b + 1))
    learning = Learning(staleness="hinge", hinge_slope=10.0, hinge_delay=4)
    np.testing.assert_allclose(staleness_weight(learning, np.array([0, 4, 5, 7])), [1, 1, 1 / 11, 1 / 31])


def test_mixing_takes_a_share_of_the_new_model():
    mixed = mix(np.array([[0.0, 4.0], [1.0, 1.0]]), np.array([[4.0, 0.0], [2.0, 2.0]]), np.array([0.25, 1.0]))
    np.testing.assert_allclose(mixed, [[1.0, 3.0], [2.0, 2.0]])
