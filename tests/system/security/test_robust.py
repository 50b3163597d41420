import numpy as np
import pytest

from qfl_envs.errors import InvalidValueError, UnknownNameError
from qfl_envs.system.learning.aggregation import Updates
from qfl_envs.system.security.privacy import Accountant, noise_for, noise_std, private_update
from qfl_envs.system.security.robust import RULES, gather, krum_scores, merge, tolerated
from qfl_envs.system.security.screening import screen

VALUES = np.array([[0.0, 1.0], [1.0, 2.0], [2.0, 0.0], [3.0, 3.0], [100.0, -100.0]])


def gathered(*systems, weights=None):
    row = np.repeat(np.arange(len(systems)), [len(system) for system in systems])
    device = np.concatenate([np.arange(len(system)) for system in systems])
    change = np.concatenate([np.asarray(system, dtype=float).reshape(-1, 2) for system in systems])
    return gather(Updates(row, device, change), np.ones(len(row)) if weights is None else weights, len(systems))


def merged(rule, attackers=1, clip_norm=1.0, values=VALUES):
    return merge(rule, gathered(values), attackers, clip_norm).update[0]


def test_median_and_trimmed_mean_by_hand():
    assert merged("median").tolist() == [2.0, 1.0]
    assert merged("median", values=VALUES[:4]).tolist() == [1.5, 1.5]
    assert merged("trimmed-mean").tolist() == [2.0, 1.0]
    assert merged("trimmed-mean", 0).tolist() == VALUES.mean(0).tolist()


def test_krum_by_hand():
    # n = 5, f = 1: the two nearest others; distances of (1, 2): 2, 5, 5, ..., of (0, 1): 2, 5, 13, ...
    assert krum_scores(gathered(VALUES), 1)[0, :4].tolist() == [7.0, 7.0, 10.0, 15.0]
    assert merged("krum").tolist() == [0.0, 1.0]
    assert merged("multi-krum") == pytest.approx(VALUES[:4].mean(0))


def test_geometric_median_by_hand():
    # of three points with an angle above 120 degrees it is the middle one
    flat = [[-1.0, 0.1], [0.0, 0.0], [1.0, 0.1]]
    assert merged("geometric-median", 0, values=flat) == pytest.approx([0, 0], abs=1e-3)
    assert merged("geometric-median", 0, values=[[1, 0], [-1, 0], [0, 1], [0, -1]]) == pytest.approx([0, 0], abs=1e-9)


def test_clipping_by_hand():
    assert merged("norm-clipping", 0, 1.0, [[3.0, 4.0], [0.3, 0.4]]) == pytest.approx([0.45, 0.6])
    weighted = merge("norm-clipping", gathered([[3.0, 4.0], [0.0, 0.0]], weights=np.array([1.0, 3.0])), 0, 5.0)
    assert weighted.update[0] == pytest.approx([0.75, 1.0])
    # updates within the radius of their median: one step reaches the mean and stays there
    assert merged("centred-clipping", 0, 100.0, [[1, 0], [2, 0], [6, 0]]) == pytest.approx([3, 0])
    assert np.linalg.norm(merged("centred-clipping") - [2.0, 1.0]) <= 3.0


@pytest.mark.parametrize("rule", RULES)
def test_batches_give_what_each_system_gives_alone(rule):
    rng = np.random.default_rng(0)
    systems = [rng.normal(size=(count, 2)) for count in (7, 5, 9)]
    together = merge(rule, gathered(*systems), 1, 0.7)
    for row, system in enumerate(systems):
        assert np.allclose(together.update[row], merge(rule, gathered(system), 1, 0.7).update[0])
    assert not together.failed.any()


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "mean"])
def test_one_absurd_update_moves_no_robust_rule_far(rule):
    honest = np.random.default_rng(1).normal(size=(8, 2))
    attacked = np.concatenate([honest, [[1e9, -1e9]]])
    assert np.linalg.norm(merged(rule, 1, 2.0, attacked) - honest.mean(0)) < 3.0
    assert np.linalg.norm(merged("mean", 1, 2.0, attacked)) > 1e8


def test_more_attackers_than_a_rule_stands_fail_the_round():
    assert tolerated("krum", np.array([2, 5, 7])).tolist() == [0, 1, 2]
    assert tolerated("median", np.array([1, 2, 5])).tolist() == [0, 0, 2]
    assert tolerated("mean", 9) == 0
    got = merge("krum", gathered(VALUES, VALUES[:4]), 1)
    assert got.failed.tolist() == [False, True] and (got.update[1] == 0).all() and np.any(got.update[0] != 0)
    with pytest.raises(UnknownNameError, match="krum"):
        merge("krumm", gathered(VALUES), 1)


def test_where_nothing_arrived_nothing_is_merged_and_nothing_has_failed():
    for rule in RULES:
        got = merge(rule, gathered(VALUES, np.zeros((0, 2))), 1)
        assert not got.failed.any() and (got.update[1] == 0).all() and np.isfinite(got.update).all()


def test_what_is_no_number_or_absurdly_long_is_screened_and_counted():
    change = np.array([[1.0, 1.0], [np.nan, 0.0], [np.inf, 0.0], [1e200, 1e200], [3.0, 4.1]])
    got = screen(Updates(np.array([0, 0, 1, 1, 1]), np.arange(5), change), 5.0, 2)
    assert got.passed.tolist() == [True, False, False, False, False]
    assert got.not_finite.tolist() == [1, 1] and got.too_long.tolist() == [0, 2]


def test_accountant_by_hand():
    accountant = Accountant()
    accountant.spend(2.0, rounds=8)
    assert accountant.rho == 1.0
    assert accountant.epsilon(np.exp(-4.0)) == pytest.approx(1.0 + 2 * 2.0)
    noise = noise_for(3.0, 1e-5, 50)
    spent = Accountant()
    spent.spend(noise, 50)
    assert spent.epsilon(1e-5) == pytest.approx(3.0)


@pytest.mark.parametrize(("epsilon", "delta", "rounds"), [(0.0, 1e-5, 1), (1.0, 0.0, 1), (1.0, 1.0, 1), (1.0, 1e-5, 0)])
def test_privacy_that_nothing_buys_is_refused(epsilon, delta, rounds):
    with pytest.raises(InvalidValueError, match="epsilon|delta|rounds"):
        noise_for(epsilon, delta, rounds)
    with pytest.raises(InvalidValueError, match="rounds"):
        Accountant().spend(1.0, -1)


def test_noise_has_the_standard_deviation_that_the_accountant_assumes():
    normal = np.random.default_rng(2).standard_normal((2, 50_000))
    got = private_update(np.zeros((2, 50_000)), np.array([10, 0]), 1.5, 2.0, normal)
    assert noise_std(1.5, 2.0, np.array(10)) == 0.6
    assert got[0].std() == pytest.approx(0.6, rel=0.02) and (got[1] == 0).all()


def test_an_update_as_long_as_the_bound_passes():
    got = screen(Updates(np.zeros(2, dtype=int), np.arange(2), np.array([[3.0, 4.0], [3.0, 4.001]])), 5.0, 1)
    assert got.passed.tolist() == [True, False]


def test_what_was_spent_adds_up():
    accountant = Accountant()
    for _ in range(3):
        accountant.spend(1.0, rounds=2)
    assert accountant.rho == 3.0
    assert noise_std(1.0, 1.0, np.array([1, 4])).tolist() == [2.0, 0.5]


def test_a_mean_weighs_and_a_robust_rule_believes_no_weight():
    seen = gathered([[0.0, 0.0], [4.0, 8.0]], weights=np.array([3.0, 1.0]))
    assert merge("mean", seen, 0).update[0].tolist() == [1.0, 2.0]
    assert merge("trimmed-mean", seen, 0).update[0].tolist() == [2.0, 4.0]


def test_what_is_no_number_passes_no_bound():
    got = screen(Updates(np.zeros(2, dtype=int), np.arange(2), np.array([[np.inf, 0.0], [1e9, 0.0]])), np.inf, 1)
    assert got.passed.tolist() == [False, True] and got.not_finite.tolist() == [1]
