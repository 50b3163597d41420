"""What a guarded server makes of the updates that arrive: it screens, and merges robustly, masked or privately."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from qfl_envs.security import AGGREGATIONS, SCREENINGS, Security
from qfl_envs.system.learning.aggregation import Updates, total_per_system
from qfl_envs.system.learning.work import LocalResult
from qfl_envs.system.security.choices import Choices
from qfl_envs.system.security.privacy import private_update
from qfl_envs.system.security.quantisation import decode_sum, encode
from qfl_envs.system.security.robust import clipped, gather, median, merge
from qfl_envs.system.security.round_cost import Groups, mask_exchange
from qfl_envs.system.security.screening import screen
from qfl_envs.system.security.secure_aggregation import secure_sum

_NORM, _DIRECTION = SCREENINGS.index("norm"), SCREENINGS.index("direction")


@dataclass(frozen=True)
class MergedRound:
    """What the server makes of a round.

    Attributes:
        result: What it goes on with: single updates, or one for a system whose rule has merged them.
        weights: Weight of each of these in a mean.
        passed: (M) bool, of the updates that it was given, those that it did not throw away.
        failed: (E) bool, where updates arrived and none could be merged, so that the model is the old one.
    """

    result: LocalResult
    weights: np.ndarray
    passed: np.ndarray
    failed: np.ndarray


def only(result: LocalResult, chosen: np.ndarray) -> LocalResult:
    """The result of some of the devices: (M) bool, or places."""
    updates = result.updates
    return replace(
        result,
        updates=Updates(updates.row[chosen], updates.device[chosen], updates.change[chosen]),
        steps=result.steps[chosen],
        rate=result.rate[chosen],
        losses=None if result.losses is None else result.losses[chosen],
    )


def merge_round(
    security: Security,
    result: LocalResult,
    weights: np.ndarray,
    choices: Choices,
    groups: Groups,
    noise: np.ndarray | None,
) -> MergedRound:
    """Screen and merge.

    Args:
        security: What is the same in all systems.
        result: What arrived and was accepted.
        weights: (M) weight of each update in a mean.
        choices: How each system merges and screens; nothing is screened where updates are masked.
        groups: Participants that mask together.
        noise: (E, P) standard normal numbers of privacy; None without.
    """
    aggregation, updates = choices.aggregation, result.updates
    systems = len(aggregation)
    passed = choices.secure[updates.row] | _passed(security, updates, choices.screening, systems)
    kept = result
    if not passed.all():
        kept, weights = only(result, passed), weights[passed]
    arrived = np.bincount(updates.row, minlength=systems)
    plain = aggregation == AGGREGATIONS.index("mean")
    if noise is None and plain.all():
        return MergedRound(
            kept, weights, passed, (arrived > 0) & (np.bincount(kept.updates.row, minlength=systems) == 0)
        )
    update, merged = np.zeros((systems, updates.change.shape[1])), np.zeros(systems, dtype=bool)
    count = np.bincount(kept.updates.row, minlength=systems)
    if noise is not None:
        # a mean whose sensitivity is known: of clipped updates that all weigh the same
        weights = np.ones(len(weights))
        short = clipped(kept.updates.change.astype(float), security.clip_norm)
        kept = replace(kept, updates=replace(kept.updates, change=short))
    gathered = gather(kept.updates, weights, systems)
    for place in np.unique(aggregation):
        name, rows = AGGREGATIONS[place], np.flatnonzero(aggregation == place)
        if name == "secure":
            count[rows] = _add_masked(security, kept.updates, weights, choices, groups, update, merged)[rows]
            continue
        if name == "mean" and noise is None:
            continue
        assumed = np.ceil(security.assumed_attackers * gathered.count[rows] - 1e-9).astype(np.int64)
        for attackers in np.unique(assumed):
            those = rows[assumed == attackers]
            found = merge(name, gathered.of(those), int(attackers), security.clip_norm)
            update[those], merged[those] = found.update, ~found.failed & (count[those] > 0)
    if noise is not None:
        update = private_update(
            update, np.where(merged, count, 0), security.noise_multiplier, security.clip_norm, noise
        )
    single = plain[kept.updates.row] & (noise is None)
    result, weights = _with_merged(kept, weights, single, update, merged)
    return MergedRound(
        result,
        weights,
        passed,
        (arrived > 0) & ~merged & (np.bincount(kept.updates.row[single], minlength=systems) == 0),
    )


def _with_merged(
    kept: LocalResult, weights: np.ndarray, single: np.ndarray, update: np.ndarray, merged: np.ndarray
) -> tuple[LocalResult, np.ndarray]:
    """Single updates of some systems and the merged one of others, in ascending order of the system, and weights."""
    row = kept.updates.row
    present, first = np.unique(row, return_index=True)
    stands_for = first[merged[present]]
    chosen = np.sort(np.concatenate([np.flatnonzero(single), stands_for]))
    change = np.where(single[chosen, None], kept.updates.change[chosen], update[row[chosen]])
    taken = only(kept, chosen)
    return replace(taken, updates=replace(taken.updates, change=change.astype(np.float32))), weights[chosen]


def _passed(security: Security, updates: Updates, screening: np.ndarray, systems: int) -> np.ndarray:
    """(M) bool, updates that are numbers, of a sane length, and not what the system screens for."""
    passed = screen(updates, security.longest_update, systems).passed
    kind = screening[updates.row]
    if not (kind > 0).any() or not passed.any():
        return passed
    sane = Updates(updates.row[passed], updates.device[passed], updates.change[passed].astype(float))
    of_sane, stays, alike = kind[passed], np.ones(len(sane), dtype=bool), np.ones(len(sane))
    if (of_sane == _NORM).any():
        norm = np.linalg.norm(sane.change, axis=-1)
        usual = median(gather(replace(sane, change=norm[:, None]), alike, systems))[sane.row, 0]
        stays &= (of_sane != _NORM) | (norm <= security.norm_factor * usual)
    if (of_sane == _DIRECTION).any():
        along = (sane.change * median(gather(sane, alike, systems))[sane.row]).sum(-1)
        stays &= (of_sane != _DIRECTION) | (along >= 0.0)
    passed[passed] = stays
    return passed


def _add_masked(
    security: Security,
    updates: Updates,
    weights: np.ndarray,
    choices: Choices,
    groups: Groups,
    update: np.ndarray,
    merged: np.ndarray,
) -> np.ndarray:
    """Fill in the mean that the sums of masked updates give, where enough of a group are left to unmask them.

    Returns:
        (E) updates that are in it.
    """
    of_rows = choices.secure[updates.row]
    row, device = updates.row[of_rows], updates.device[of_rows]
    if not len(row):
        return np.zeros(len(update), dtype=np.int64)
    group, size = groups.number[row, device], groups.size[row, device]
    place = row * (groups.number.max() + 1) + group
    present = np.bincount(place)[place]
    enough = (present >= size // 2 + 1) & (size >= 2)
    heaviest = np.zeros(len(groups.size))
    np.maximum.at(heaviest, row, weights[of_rows])
    share = weights[of_rows] / np.maximum(heaviest[row], 1e-300)
    numbers = encode(_finite(updates.change[of_rows] * share[:, None]), security.sum_bound, security.sum_bits)
    for one in np.unique(place[enough]):
        inside = np.flatnonzero(place == one)
        system = row[inside[0]]
        if security.protection == "executed":
            exchange = mask_exchange(choices.names(system)["key_exchange"])
            total = _executed_sum(security, numbers[inside], int(size[inside[0]]), exchange)
        else:
            total = numbers[inside].sum(0)
        update[system] += decode_sum(total, len(inside), security.sum_bound, security.sum_bits)
        merged[system] = True
    weight = total_per_system(np.where(enough, share, 0.0)[:, None], row, len(update))
    update[choices.secure] /= np.maximum(weight[choices.secure], 1e-300)
    return np.bincount(row[enough], minlength=len(update))


def _executed_sum(security: Security, numbers: np.ndarray, size: int, exchange: str) -> np.ndarray:
    """The sum by the protocol itself; members of the group whose numbers never came leave before they send."""
    absent = np.zeros((size - len(numbers), numbers.shape[1]), dtype=np.int64)
    dropped = range(len(numbers), size)
    done = secure_sum(
        np.concatenate([numbers, absent]), security.sum_bits, size // 2 + 1, exchange, drop_before_sending=dropped
    )
    assert done.total is not None, done.failure  # the threshold was looked at before
    return done.total.astype(np.int64)


def _finite(values: np.ndarray) -> np.ndarray:
    """What a device that masks can send: no number but a finite one has a code."""
    return np.nan_to_num(values.astype(float), nan=0.0)
