"""Rounds of other kinds than ordinary ones, and the readouts that local steps can drop or round."""

import dataclasses

import by_hand
import numpy as np
import pytest
import torch
from by_hand import reliable

from qfl_envs.errors import InvalidValueError
from qfl_envs.scenario import Scenario
from qfl_envs.system import devices
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.learning.adaptation import CANDIDATES, RETRAIN_FACTOR, Adaptation
from qfl_envs.system.learning.aggregation import ADAM_EPSILON
from qfl_envs.system.learning.models import Model, Readout, quantised
from qfl_envs.system.learning.training import kept_readouts

FINE_TUNE, HEAD, RETRAIN, REOPTIMISE, ANNEAL_HEAD, SOLVE_HEAD = Adaptation
TRAINING = (FINE_TUNE, HEAD, RETRAIN, REOPTIMISE)
NUM_HEAD = 4 * 10 + 10
NUM_BODY = 3 * 4 + 2 * 4 + 2 * 4
"""Rotations, phases and scales of the circuit of 4 qubits and 2 layers."""
QUANTUM = {"model": "qnn", "batch_size": 2, "local_steps": 2, "eval_samples": 20}
SOFTMAX = {"server_rule": "fedavg", "server_rate": 1.0, "local_steps": 2}


def decision(*kinds, who=None, systems=1):
    kinds = kinds * systems if len(kinds) == 1 else kinds
    who = np.ones(6, dtype=bool) if who is None else np.isin(np.arange(6), who)
    return Decision(np.tile(who, (len(kinds), 1)), adaptation=np.array(kinds))


def adapting(begin, learning, seeds=(0,), **changes):
    return begin(reliable(learning, **changes), seeds, adapts=True)


def parts(parameters):
    """Of a flat vector: what belongs to the circuit, and what to the last layer."""
    assert parameters.shape[-1] == NUM_BODY + NUM_HEAD
    return parameters[..., :NUM_BODY], parameters[..., NUM_BODY:]


# the last layer alone


def after_a_round_of_the_head(begin, rule="fedadam"):
    """Parameters before and after it, where an ordinary round has given the server's Adam a direction to move in."""
    system = adapting(begin, {**QUANTUM, "server_rule": rule})
    system.step(decision(FINE_TUNE))
    before = system.state.copy()
    system.step(decision(HEAD))
    return before, system.state


@pytest.mark.parametrize("rule", ["fedadam", "fedavg", "fednova", "q-fedavg", "scaffold"])
def test_a_round_of_the_head_leaves_the_circuit_as_it_is(begin, rule):
    before, after = after_a_round_of_the_head(begin, rule)
    np.testing.assert_array_equal(parts(after.parameters)[0], parts(before.parameters)[0])


def test_the_adam_of_the_server_has_a_direction_that_a_round_of_the_head_must_not_follow(begin):
    before, _ = after_a_round_of_the_head(begin)
    assert parts(before.first_moment)[0].any()


def test_a_round_of_the_head_leaves_the_control_variates_of_the_circuit_as_they_are(begin):
    before, after = after_a_round_of_the_head(begin, "scaffold")
    for name in ("controls", "server_control"):
        (old_circuit, old_head), (circuit, head) = (parts(getattr(state, name)) for state in (before, after))
        assert old_circuit.any() and (circuit == old_circuit).all() and (head != old_head).any()


@pytest.mark.parametrize("kind", TRAINING, ids=lambda kind: kind.name)
def test_devices_train_their_circuits_in_all_rounds_but_those_of_the_head(begin, kind):
    system = adapting(begin, QUANTUM)
    seen = by_hand.watch(system)
    system.step(decision(kind))
    circuit, head = parts(system.learner.train(*seen[0]).updates.change)
    assert circuit.any(-1).tolist() == [kind != HEAD] * 6 and head.any(-1).all()


def test_a_round_of_the_head_trains_the_head(begin):
    before, after = after_a_round_of_the_head(begin)
    assert (parts(after.parameters)[1] != parts(before.parameters)[1]).any()


def test_a_round_of_the_head_freezes_the_circuit_of_its_own_system_alone(begin):
    system = adapting(begin, QUANTUM, seeds=(0, 1))
    before = system.state.copy()
    system.step(decision(HEAD, FINE_TUNE))
    moved = parts(system.state.parameters)[0] != parts(before.parameters)[0]
    assert moved.any(-1).tolist() == [False, True]


def test_a_round_of_the_head_sends_the_parameters_of_the_head(begin):
    report = adapting(begin, QUANTUM, security={"protection_bits": 7}).step(decision(HEAD))
    np.testing.assert_allclose(report.bits_sent, 32 * NUM_HEAD + 7)


def test_an_ordinary_round_sends_all_parameters(begin):
    report = adapting(begin, QUANTUM, security={"protection_bits": 7}).step(decision(FINE_TUNE))
    np.testing.assert_allclose(report.bits_sent, 32 * (NUM_BODY + NUM_HEAD) + 7)


CIRCUITS_ALONE = {"shot_s": [1e-6, 1e-6], "queue_s": 0.5, "cycles_per_sample": 0.0, "load_mean": 0.0, "load_std": 0.0}


@pytest.mark.parametrize(
    ("kind", "circuits"),
    [
        # 2 steps of 2 samples; 2 (4 + 4) + 4 angles, each of which takes two shifted circuits beside the plain one
        (FINE_TUNE, 2 * 2 * (1 + 2 * 20)),
        (HEAD, 2 * 2 * 1),
        (RETRAIN, 4 * 2 * 2 * (1 + 2 * 20)),
        (REOPTIMISE, 12 * 2 * 2 * (1 + 2 * 20)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_time_of_a_round_is_that_of_its_circuits_and_one_wait(begin, kind, circuits):
    report = adapting(begin, QUANTUM, fleet=CIRCUITS_ALONE).step(decision(kind))
    np.testing.assert_allclose(report.compute_s, 0.5 + circuits * 100 * 1e-6)


@pytest.mark.parametrize("kind", Adaptation, ids=lambda kind: kind.name)
def test_the_energy_of_a_round_is_that_of_its_circuits(begin, kind):
    fleet = {**CIRCUITS_ALONE, "queue_s": 0.0}
    loud, silent = (
        adapting(begin, QUANTUM, fleet={**fleet, "quantum_w": watt}).step(decision(kind)) for watt in (5.0, 0.0)
    )
    assert loud.energy_j.item() - silent.energy_j.item() == pytest.approx(5.0 * loud.compute_s.sum())


@pytest.mark.parametrize(("kind", "factor"), [(FINE_TUNE, 1), (HEAD, 1), (RETRAIN, 4), (REOPTIMISE, 12)])
def test_the_processor_counts_the_cycles_of_all_steps(begin, kind, factor):
    system = adapting(begin, QUANTUM, fleet={"shot_s": [0.0, 0.0], "queue_s": 0.0, "load_mean": 0.0, "load_std": 0.0})
    report = system.step(decision(kind))
    np.testing.assert_allclose(report.compute_s, factor * 2 * 2 * 2e6 / system.state.max_cpu_hz)


# all of it, again


def test_retraining_takes_as_many_times_the_steps(begin):
    report = adapting(begin, SOFTMAX).step(decision(RETRAIN))
    assert report.local_steps.tolist() == [[2 * RETRAIN_FACTOR] * 6]


def test_retraining_is_no_repair(begin):
    assert not adapting(begin, SOFTMAX).step(decision(RETRAIN)).repaired.any()


def test_retraining_trains_all_of_its_steps(begin):
    system = adapting(begin, SOFTMAX)
    seen = by_hand.watch(system)
    system.step(decision(RETRAIN, who=[3]))
    ((state, work),) = seen
    batches = by_hand.batches_of(system, state, work, 3)
    assert len(batches) == 8
    np.testing.assert_allclose(
        system.state.parameters[0], by_hand.local_steps(state.parameters[0], batches, 0.1), atol=1e-5
    )


def after_ordinary_rounds(begin, kind):
    """A system after a round of a kind that follows two ordinary ones, and what it was before and was to learn."""
    system = adapting(begin, {**SOFTMAX, "server_rule": "fedadam", "server_rate": 0.1, "local_steps": 1})
    system.step(decision(FINE_TUNE)), system.step(decision(FINE_TUNE))
    seen = by_hand.watch(system)
    system.step(decision(kind))
    return system, *seen[0]


def test_retraining_forgets_the_direction_of_the_server(begin):
    system, state, work = after_ordinary_rounds(begin, RETRAIN)
    start = state.parameters[0].astype(float)
    trained = [by_hand.local_steps(start, by_hand.batches_of(system, state, work, device), 0.1) for device in range(6)]
    mean = np.average(trained, axis=0, weights=state.num_samples[0]) - start
    # the first step of Adam is the sign of the gradient, but for its epsilon
    expected = start + 0.1 * mean / (np.abs(mean) + ADAM_EPSILON)
    np.testing.assert_allclose(system.state.parameters[0], expected, atol=1e-4)


@pytest.mark.parametrize(("kind", "steps"), [(FINE_TUNE, 3), (HEAD, 3), (RETRAIN, 1), (REOPTIMISE, 3)])
def test_only_retraining_begins_to_count_the_steps_of_adam_again(begin, kind, steps):
    assert after_ordinary_rounds(begin, kind)[0].state.adam_steps.tolist() == [steps]


def test_retraining_of_which_nothing_arrives_forgets_nothing(begin):
    system = adapting(begin, {**SOFTMAX, "server_rule": "fedadam"}, seeds=(0, 1))
    system.step(decision(FINE_TUNE, systems=2))
    before = system.state.copy()
    system.step(Decision(np.array([[True] * 6, [False] * 6]), adaptation=np.array([RETRAIN, RETRAIN])))
    same = (system.state.first_moment == before.first_moment).all(-1)
    assert same.tolist() == [False, True] and system.state.adam_steps.tolist() == [1, 1]


def test_retraining_is_counted_as_one_version(begin):
    assert after_ordinary_rounds(begin, RETRAIN)[0].state.updates.tolist() == [3]


# how it is trained


def nearest(values, bits, bound):
    """Nearest of 2^bits points from -bound to bound, one value after the other; all values for no bits."""
    if bits == 0:
        return values
    grid = np.linspace(-bound, bound, 2**bits)
    return np.vectorize(lambda value: grid[np.abs(grid - value).argmin()])(values)


def trained_by_hand(system, state, work, device, rate, dropout, bits):
    """Softmax regression whose inputs, which are its readouts, are rounded and dropped."""
    batches = []
    for step, (features, labels) in enumerate(by_hand.batches_of(system, state, work, device)):
        kept = (work.uniform["dropout"][0, device, step] >= dropout) / (1 - dropout)
        batches.append((nearest(features, bits, 4.0) * kept, labels))
    return by_hand.local_steps(state.parameters[0], batches, rate)


def searched(begin, rate=0.1, rounds=1, who=(0, 2, 5)):
    """A system after a round of re-optimisation, with the state before it and what was to be learned."""
    system = adapting(begin, {**SOFTMAX, "local_rate": rate})
    seen = by_hand.watch(system)
    for _ in range(rounds):
        system.step(decision(REOPTIMISE, who=who))
    return system, *seen[-1]


def every_candidate(system, state, work, rate):
    """Mean loss of each candidate on the data that measure models of those who train, and their models."""
    who, first = np.flatnonzero(work.trains[0]), system.scenario.learning.device_eval_samples
    models = [
        [
            trained_by_hand(system, state, work, device, rate * each.rate_factor, each.dropout, each.activation_bits)
            for device in who
        ]
        for each in CANDIDATES
    ]
    losses = [
        np.mean(
            [
                by_hand.loss(model, *by_hand.data_of(system, state, device, first=first))
                for device, model in zip(who, of, strict=True)
            ]
        )
        for of in models
    ]
    return np.array(losses), models


def test_there_is_a_candidate_for_every_choice():
    choices = {(each.rate_factor, each.dropout, each.activation_bits) for each in CANDIDATES}
    assert choices == {(rate, drop, bits) for rate in (0.5, 1.0, 2.0) for drop in (0.0, 0.2) for bits in (0, 4)}


@pytest.mark.parametrize("rate", [0.1, 30.0])
def test_reoptimisation_goes_on_with_the_candidate_of_the_least_loss(begin, rate):
    system, state, work = searched(begin, rate)
    losses, _ = every_candidate(system, state, work, rate)
    best = CANDIDATES[losses.argmin()]
    chosen = system.state.local_rate[0] / rate, system.state.dropout[0], system.state.activation_bits[0]
    assert np.sort(losses)[1] - losses.min() > 1e-5  # rounding does not decide
    assert chosen == (pytest.approx(best.rate_factor), best.dropout, best.activation_bits)


def test_the_best_candidate_depends_on_the_rate(begin):
    # or else the test above would pass with one that is always the same
    factors = [searched(begin, rate)[0].state.local_rate[0] / rate for rate in (0.1, 30.0)]
    assert factors[0] != pytest.approx(factors[1])


def test_reoptimisation_merges_the_updates_of_its_best_candidate(begin):
    system, state, work = searched(begin)
    losses, models = every_candidate(system, state, work, 0.1)
    expected = np.average(models[losses.argmin()], axis=0, weights=state.num_samples[0, np.flatnonzero(work.trains[0])])
    np.testing.assert_allclose(system.state.parameters[0], expected, atol=1e-5)


def test_another_search_begins_at_the_rate_of_the_scenario(begin):
    system, state, work = searched(begin, rounds=2)
    result = system.learner.train(state, work)
    assert state.local_rate[0] != pytest.approx(0.1)
    np.testing.assert_allclose(result.rate, 0.1 * CANDIDATES[result.chosen[0]].rate_factor)


def test_what_another_search_finds_does_not_add_to_what_the_last_one_found(begin):
    system, state, work = searched(begin, rounds=2)
    losses, _ = every_candidate(system, state, work, 0.1)
    assert state.local_rate[0] != pytest.approx(0.1)
    assert system.state.local_rate[0] == pytest.approx(0.1 * CANDIDATES[losses.argmin()].rate_factor)


def test_later_rounds_use_what_reoptimisation_found(begin):
    system = adapting(begin, SOFTMAX)
    system.server.adopt(system.state, np.array([11]))  # twice the rate, a fifth dropped, 4 bits
    seen = by_hand.watch(system)
    system.step(decision(FINE_TUNE, who=[3]))
    ((state, work),) = seen
    expected = trained_by_hand(system, state, work, 3, rate=0.2, dropout=0.2, bits=4)
    np.testing.assert_allclose(system.state.parameters[0], expected, atol=1e-5)


def test_reoptimisation_of_which_nothing_arrives_finds_nothing(begin):
    system = adapting(begin, SOFTMAX, seeds=(0, 1))
    system.step(Decision(np.array([[True] * 6, [False] * 6]), adaptation=np.array([REOPTIMISE, REOPTIMISE])))
    assert (system.state.local_rate != 0.1).tolist() == [True, False]


def test_a_new_episode_begins_with_the_settings_of_the_scenario(begin):
    system = adapting(begin, {**SOFTMAX, "dropout": 0.1, "activation_bits": 3})
    system.server.adopt(system.state, np.array([11]))
    system.reset([np.random.default_rng(0)])
    state = system.state
    assert (state.local_rate[0], state.dropout[0], state.activation_bits[0]) == (0.1, 0.1, 3)


def test_reoptimisation_sends_all_parameters_and_a_loss_for_every_candidate(begin):
    report = adapting(begin, QUANTUM, security={"protection_bits": 7}).step(decision(REOPTIMISE))
    np.testing.assert_allclose(report.bits_sent, 32 * (NUM_BODY + NUM_HEAD + 12) + 7)


def test_kinds_of_rounds_do_not_mix_between_systems(begin):
    together = adapting(begin, SOFTMAX, seeds=range(3, 3 + len(Adaptation)))
    together.step(decision(*Adaptation))
    for row, kind in enumerate(Adaptation):
        alone = adapting(begin, SOFTMAX, seeds=(3 + row,))
        alone.step(decision(kind))
        np.testing.assert_allclose(together.state.parameters[row], alone.state.parameters[0], atol=1e-5)
        assert together.state.local_rate[row] == alone.state.local_rate[0]


@pytest.mark.parametrize("kind", Adaptation, ids=lambda kind: kind.name)
def test_every_kind_of_round_draws_the_same_amount_of_randomness(begin, kind):
    ends = []
    for each in (kind, FINE_TUNE):
        system = adapting(begin, SOFTMAX)
        system.step(decision(each))
        ends.append(system.generators[0].bit_generator.state)
    assert ends[0] == ends[1]


@pytest.mark.parametrize("aggregation", ["asynchronous", "buffered"])
def test_rounds_of_other_kinds_are_refused_where_updates_of_several_rounds_are_merged(aggregation):
    rule = "fedasync" if aggregation == "asynchronous" else "fedavg"
    scenario = reliable({"aggregation": aggregation, "server_rule": rule})
    with pytest.raises(InvalidValueError, match=f"learning.aggregation is '{aggregation}'; allowed: 'deadline'"):
        FederatedSystem(scenario, adapts=True)


# readouts


def test_dropout_leaves_readouts_out_and_raises_the_others():
    kept = kept_readouts(np.array([0.5, 0.2]), np.array([[[0.1, 0.5, 0.9]], [[0.1, 0.2, 0.9]]]))
    np.testing.assert_allclose(kept, [[[0.0, 2.0, 2.0]], [[0.0, 1.25, 1.25]]])


def test_who_drops_nothing_keeps_every_readout_beside_those_who_do():
    kept = kept_readouts(np.array([0.5, 0.0]), np.zeros((2, 1, 3)))
    np.testing.assert_allclose(kept, [[[0.0] * 3], [[1.0] * 3]])


def test_quantised_readouts_are_the_nearest_points_of_an_even_grid():
    # 2 bits: -1, -1/3, 1/3 and 1
    values = torch.tensor([[[-5.0, -0.9, -0.5, 0.2, 0.6, 0.7]]])
    rounded = quantised(values, torch.tensor([[[2]]]), 1.0)
    np.testing.assert_allclose(rounded[0, 0], [-1, -1, -1 / 3, 1 / 3, 1 / 3, 1], atol=1e-6)


def test_one_bit_keeps_the_sign():
    rounded = quantised(torch.tensor([[[-0.3, 0.2]]]), torch.tensor([[[1]]]), 4.0)
    np.testing.assert_allclose(rounded[0, 0], [-4.0, 4.0])


def test_no_bits_are_full_precision_beside_those_who_have_some():
    values = torch.tensor([[[0.123456]], [[0.123456]]])
    rounded = quantised(values, torch.tensor([[[0]], [[3]]]), 1.0)
    assert rounded[0] == values[0] and rounded[1] != values[1]


def test_the_gradient_passes_straight_through_the_grid():
    values = torch.tensor([[[-5.0, 0.2]]], requires_grad=True)
    (quantised(values, torch.tensor([[[2]]]), 1.0) * torch.tensor([3.0, 7.0])).sum().backward()
    assert values.grad.tolist() == [[[3.0, 7.0]]]


def readouts(bits):
    """What the last layer of a circuit sees: the scores of a layer that passes its inputs on."""
    scenario = Scenario.preset("tiny")
    model, rng = Model(scenario), np.random.default_rng(0)
    parameters = torch.from_numpy(model.initial(rng.random((2, model.num_parameters))))
    parameters[:, NUM_BODY:] = 0.0
    parameters[:, NUM_BODY : NUM_BODY + 40] = torch.eye(4, 10).flatten()
    inputs = torch.from_numpy(rng.normal(size=(2, 5, 4)).astype(np.float32))
    readout = None if bits is None else Readout(bits=torch.tensor(bits)[:, None, None])
    return model.logits(parameters, inputs, readout=readout)[..., :4].numpy()


def test_expectations_of_circuits_are_rounded_between_minus_and_plus_one():
    exact, rounded = readouts(None), readouts([3, 0])
    np.testing.assert_allclose(rounded[0], nearest(exact[0], 3, 1.0), atol=1e-5)
    np.testing.assert_allclose(rounded[1], exact[1])


@pytest.mark.parametrize("learning", [{"dropout": 0.5}, {"activation_bits": 2}], ids=["dropout", "activation_bits"])
def test_scenarios_drop_and_round_readouts_in_every_local_step(begin, learning):
    system = begin(reliable({**SOFTMAX, **learning}))
    seen = by_hand.watch(system)
    system.step(dataclasses.replace(decision(FINE_TUNE, who=[3]), adaptation=None))
    ((state, work),) = seen
    work.uniform.setdefault("dropout", np.ones((1, 6, 2, 4)))
    dropout, bits = learning.get("dropout", 0.0), learning.get("activation_bits", 0)
    expected = trained_by_hand(system, state, work, 3, 0.1, dropout, bits)
    np.testing.assert_allclose(system.state.parameters[0], expected, atol=1e-5)
    assert not np.allclose(expected, trained_by_hand(system, state, work, 3, 0.1, 0.0, 0), atol=1e-3)


def test_what_is_dropped_or_rounded_in_training_is_measured_in_full(begin):
    plain, rounded = (begin(reliable({**SOFTMAX, **more})) for more in ({}, {"activation_bits": 1, "dropout": 0.9}))
    assert rounded.state.loss.item() == plain.state.loss.item()


def test_the_gradient_of_the_last_layer_takes_one_circuit_per_sample():
    assert devices.shots_per_step(Scenario.preset("tiny"), head_only=True) == 4 * 100
