import numpy as np
import pytest

from qfl_envs.security import Security
from qfl_envs.system.learning.aggregation import Updates
from qfl_envs.system.learning.work import LocalResult
from qfl_envs.system.security import merging
from qfl_envs.system.security.choices import Choices
from qfl_envs.system.security.merging import merge_round
from qfl_envs.system.security.round_cost import groups_of_participants
from qfl_envs.system.security.signs import looks, turned
from qfl_envs.system.security.threats import THREATS, at_start

CHANGE = np.random.default_rng(0).normal(0.0, 0.1, (8, 5)).astype(np.float32)


def merged(heard, aggregation="mean", weights=None, noise=None, **security):
    """What one system of eight participants makes of the updates of those who are heard."""
    heard = np.asarray(heard)
    updates = Updates(np.zeros(len(heard), dtype=int), heard, CHANGE[heard])
    result = LocalResult(updates, np.ones(len(heard), dtype=int), np.ones(len(heard)), None, None)
    settings = Security(aggregation=aggregation, **security)
    weights = np.ones(len(heard)) if weights is None else np.asarray(weights, dtype=float)
    groups = groups_of_participants(np.ones((1, 8), dtype=bool), settings.group_size)
    return merge_round(settings, result, weights, Choices.usual(settings, 1), groups, noise)


@pytest.mark.parametrize("protection", ["modelled", "executed"])
@pytest.mark.parametrize(("heard", "failed"), [(range(4), True), (range(5), False)])
def test_a_masked_sum_needs_more_than_half_of_those_who_masked(heard, failed, protection):
    found = merged(heard, "secure", protection=protection)
    assert found.failed.tolist() == [failed]
    if not failed:
        assert found.result.updates.change[0] == pytest.approx(CHANGE[list(heard)].mean(0), abs=1e-4)


@pytest.mark.parametrize(
    ("chosen", "of_pairs"), [("none", "x25519"), ("ml-kem-768", "ml-kem-768"), ("qkd", "ml-kem-768")]
)
def test_pairs_agree_on_their_masks_by_the_exchange_that_was_chosen(monkeypatch, chosen, of_pairs):
    played, secure_sum = [], merging.secure_sum

    def recorded(numbers, bits, threshold, exchange, **keywords):
        played.append(exchange)
        return secure_sum(numbers, bits, threshold, exchange, **keywords)

    monkeypatch.setattr(merging, "secure_sum", recorded)
    found = merged(range(5), "secure", protection="executed", key_exchange=chosen)
    assert played == [of_pairs]
    assert found.result.updates.change[0] == pytest.approx(CHANGE[:5].mean(0), abs=1e-4)


def test_a_group_that_is_too_small_leaves_the_others():
    # groups of devices 0 to 3 and 4 to 7, of which the second has two left
    found = merged([0, 1, 2, 4, 5], "secure", group_size=4)
    assert found.result.updates.change[0] == pytest.approx(CHANGE[:3].mean(0), abs=1e-4)


def test_masked_updates_weigh_as_plain_ones():
    weights = [1.0, 2.0, 3.0, 4.0, 5.0]
    found = merged(range(5), "secure", weights)
    assert found.result.updates.change[0] == pytest.approx(np.average(CHANGE[:5], 0, weights), abs=1e-4)


def test_private_updates_are_clipped_and_all_weigh_the_same():
    found = merged(
        range(5), weights=[1.0, 2.0, 3.0, 4.0, 5.0], noise=np.zeros((1, 5)), noise_multiplier=1.0, clip_norm=0.1
    )
    norm = np.linalg.norm(CHANGE[:5], axis=-1, keepdims=True)
    short = CHANGE[:5] * np.minimum(0.1 / norm, 1.0)
    assert found.result.updates.change[0] == pytest.approx(short.mean(0), abs=1e-6)


def test_the_noise_of_privacy_is_that_of_its_definition():
    still, noisy = (
        merged(range(5), noise=np.full((1, 5), size), noise_multiplier=3.0, clip_norm=0.1) for size in (0.0, 1.0)
    )
    moved = noisy.result.updates.change[0] - still.result.updates.change[0]
    assert moved == pytest.approx(3.0 * 2 * 0.1 / 5, abs=1e-6)


def test_the_noise_of_privacy_is_that_of_the_updates_that_are_unmasked():
    # of groups of four, the second has two left, and its updates hide nothing of the others
    of = {"aggregation": "secure", "group_size": 4, "noise_multiplier": 3.0, "clip_norm": 0.1}
    still, noisy = (merged([0, 1, 2, 4, 5], noise=np.full((1, 5), size), **of) for size in (0.0, 1.0))
    moved = noisy.result.updates.change[0] - still.result.updates.change[0]
    assert moved == pytest.approx(3.0 * 2 * 0.1 / 3, abs=1e-6)


def test_the_assumed_share_of_attackers_is_rounded_up():
    # of eight, 0.3 may be three, against whom multi-Krum needs nine
    assert merged(range(8), "multi-krum", assumed_attackers=0.3).failed.tolist() == [True]
    assert merged(range(8), "multi-krum", assumed_attackers=0.25).failed.tolist() == [False]


def test_updates_along_the_median_pass_and_those_against_it_do_not():
    found = merged(range(8), screening="direction")
    along = (CHANGE * np.median(CHANGE, 0)).sum(-1) >= 0
    assert found.passed.tolist() == along.tolist() and 0 < along.sum() < 8


@pytest.mark.parametrize("group_size", [None, 3, 4, 5])
def test_groups_are_as_equal_as_can_be_and_in_order(group_size):
    rng = np.random.default_rng(1)
    participate = rng.random((40, 13)) < 0.6
    groups = groups_of_participants(participate, group_size)
    for row, part in enumerate(participate):
        devices = np.flatnonzero(part)
        count = 1 if group_size is None else max(-(-len(devices) // group_size), 1)
        for number, members in enumerate(np.array_split(devices, count)):
            assert (groups.number[row, members] == number).all() and (groups.size[row, members] == len(members)).all()
    assert (groups.size[~participate] == 0).all()


def test_threats_begin_with_the_share_of_the_time_that_they_are_on():
    uniform = np.tile((np.arange(100) + 0.5)[:, None] / 100, (1, len(THREATS)))
    on = at_start(Security(tampered_share=1.0, threat_begins=0.1, threat_ends=0.3), uniform)
    assert on.mean(0) == pytest.approx([0.0, 0.25, 0.0, 0.0, 0.0])
    assert not at_start(Security(tampered_share=1.0, threat_begins=0.0), uniform).any()


def test_what_is_merged_against_the_honest_mean_is_steered_altogether():
    honest = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    mean = np.array([[2.0, 0.0], [-0.1, 0.0], [0.0, 3.0], [0.0, 0.0]])
    assert turned(mean, honest) == pytest.approx([0.0, 1.0, 0.5, 0.0])
    assert turned(mean, None) == pytest.approx(np.zeros(4))
    assert turned(mean, np.zeros((4, 2))) == pytest.approx([1.0, 1.0, 1.0, 0.0])


def test_a_server_sees_how_long_updates_are_and_whether_they_agree():
    change = np.array([[1.0, 0.0], [2.0, 0.0], [4.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    spread, agreement = looks(Updates(np.array([0, 0, 0, 2, 2]), np.arange(5), change), 3)
    assert spread == pytest.approx([2.0, 0.0, 1.0]) and agreement == pytest.approx([1.0, 0.0, 0.0])
