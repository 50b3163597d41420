import time
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

import qfl_envs  # noqa: F401
from qfl_envs.envs.base import FederatedEnv
from qfl_envs.quantum import pennylane
from train.benchmarks import circuits, environments, harness, scaling, security, solvers
from train.benchmarks.circuits import ExecutorsDisagreeError, Workload
from train.benchmarks.timing import interleaved_medians, medians_of_turns
from train.competition import jobs
from train.competition.matrix import Matrix
from train.evaluation import play
from train.runs import RunFolder

NO_LEARNING = {"learning": {"model": "none"}}
SMALL = [Workload(num_qubits=3, num_layers=1, clients=4, samples=3)]


def positive(row, names):
    return all(np.isfinite(row[name]) and row[name] > 0 for name in names)


def test_alternatives_take_turns_after_a_warm_up():
    called = []
    medians = interleaved_medians({name: lambda name=name: called.append(name) for name in "ab"}, repeats=4)
    assert called == ["a", "b"] * 5
    assert set(medians) == {"a", "b"}


def test_a_slow_alternative_gets_by_with_fewer_calls():
    called = []

    def slow():
        called.append("slow")
        time.sleep(0.01)

    runs = {"slow": slow, "fast": lambda: called.append("fast")}
    medians = interleaved_medians(runs, repeats=6, budget_s=0.005, warm_up=False)
    assert called.count("slow") == 3
    assert called.count("fast") == 6
    assert medians["slow"] >= 0.01


def test_what_turns_measure_themselves_counts_but_for_the_first():
    times = {"a": iter([9.0, 1.0, 5.0, 2.0]), "b": iter([0.0, 3.0, 3.0, 3.0])}
    turns = {name: partial(next, taken) for name, taken in times.items()}
    assert medians_of_turns(turns, repeats=3) == {"a": 2.0, "b": 3.0}


def test_circuits_report_times_and_ratios():
    (row,) = circuits.measure(repeats=3, workloads=SMALL, single_samples=2)
    ratios = {"ratio_pennylane_broadcast", "ratio_per_sample_qnodes"}
    assert set(row) == {"workload", "seconds_batched", "seconds_pennylane_broadcast", *ratios}
    assert row["workload"] == "3 qubits, 1 layers, 4 clients x 3 samples"
    assert positive(row, set(row) - {"workload"})
    assert row["ratio_pennylane_broadcast"] == row["seconds_pennylane_broadcast"] / row["seconds_batched"]


def test_one_qnode_per_sample_is_multiplied_up_to_the_workload(monkeypatch):
    medians = {"batched": 1.0, "broadcast": 20.0, "one QNode per sample": 3.0}
    monkeypatch.setattr(circuits, "interleaved_medians", lambda *_, **__: medians)
    (row,) = circuits.measure(workloads=SMALL, single_samples=2)
    assert row["ratio_per_sample_qnodes"] == 3.0 / 2 * 12


def test_times_of_executors_that_disagree_are_refused(monkeypatch):
    original = pennylane.expectations
    monkeypatch.setattr(pennylane, "expectations", lambda *a, **k: original(*a, **k) * 1.001)
    with pytest.raises(ExecutorsDisagreeError, match=r"broadcast differs .* allowed: 1e-04"):
        circuits.measure(workloads=SMALL)


def test_gradients_of_executors_that_disagree_are_refused(monkeypatch):
    original = pennylane.expectations

    def half_gradient(*arguments, **keywords):
        values = original(*arguments, **keywords)
        return values / 2 + values.detach() / 2

    monkeypatch.setattr(pennylane, "expectations", half_gradient)
    with pytest.raises(ExecutorsDisagreeError):
        circuits.measure(workloads=SMALL)


def test_the_number_of_threads_is_left_alone():
    torch.set_num_threads(2)
    circuits.measure(repeats=3, workloads=SMALL, single_samples=1)
    assert torch.get_num_threads() == 2


def test_every_registered_environment_is_measured():
    rows = environments.measure(presets=("tiny",), num_envs=2, rounds=3, fast_rows=4)
    ids = [spec.id for spec in gym.registry.values() if spec.namespace == "qfl"]
    assert [row["env_id"] for row in rows] == ids * 2
    real, fast = rows[: len(ids)], rows[len(ids) :]
    for row in real:
        assert (row["preset"], row["learning"], row["num_envs"]) == ("tiny", "qnn", 2)
        assert positive(row, {"steps_per_second", "ratio_scalar"})
        assert row["ratio_sync"] is row["ratio_bridge"] is None
    for row in fast:
        assert (row["preset"], row["learning"], row["num_envs"]) == ("small", "surrogate", 4)
        assert positive(row, {"steps_per_second", "ratio_scalar", "ratio_sync", "ratio_bridge"})


def test_a_large_fleet_is_measured_with_fewer_rows(monkeypatch):
    monkeypatch.setattr(environments, "MOST_DEVICES", 20)
    rows = environments.measure(presets=("tiny",), num_envs=16, rounds=1, fast_rows=1)
    assert {row["num_envs"] for row in rows if row["learning"] == "qnn"} == {3}


def test_random_actions_are_open_ones_and_all_of_them():
    space = spaces.MultiDiscrete([3, 2, 4])
    masks = np.array([[1, 0, 1, 0, 1, 0, 1, 1, 0], [0, 1, 0, 1, 1, 1, 0, 0, 1]], dtype=bool)
    rng = np.random.default_rng(0)
    drawn = np.stack([environments.random_actions(space, masks, rng) for _ in range(100)])
    assert drawn.shape == (100, 2, 3)
    for row, mask in enumerate(masks):
        for entry, part in enumerate(np.split(mask, [3, 5])):
            assert set(drawn[:, row, entry]) == set(np.flatnonzero(part))


def test_devices_are_measured_with_the_slope_between_counts():
    first, second = scaling.measure_devices(counts=(20, 40), repeats=3)
    assert set(first) == set(second) == {"devices", "seconds_per_round", "microseconds_per_device", "slope"}
    assert (first["devices"], second["devices"]) == (20, 40)
    assert first["slope"] is None
    assert second["slope"] == pytest.approx(np.log2(second["seconds_per_round"] / first["seconds_per_round"]))
    assert first["microseconds_per_device"] == pytest.approx(1e6 * first["seconds_per_round"] / 20)


def test_solvers_are_measured_against_the_bound_and_the_hungarian_allocator():
    cases = (solvers.Case("tiny", 3), solvers.Case("tiny", 2, may_idle=False))
    rows = solvers.measure(cases, names=("greedy", "fp-matching"))
    # a schedule that leaves devices out has no answer where all must transmit
    assert [row["solver"] for row in rows] == ["hungarian", "greedy", "fp-matching", "hungarian", "greedy"]
    assert [row["instances"] for row in rows] == [3, 3, 3, 2, 2]
    for row in rows:
        assert positive(row, {"sum_rate_mbps", "seconds", "ratio_hungarian", "iterations"})
        assert 0 < row["share_of_bound"] <= 1 + 1e-9
        assert row["settled_after"] <= row["iterations"]
    assert rows[0]["ratio_hungarian"] == 1
    assert rows[1]["ratio_hungarian"] == rows[1]["seconds"] / rows[0]["seconds"]


def test_in_paper_the_hungarian_allocator_takes_under_a_tenth_of_150_alternations():
    rows = solvers.measure((solvers.Case("paper", 1),), names=("sca-matching",))
    assert [row["iterations"] for row in rows[1:]] == [151]
    assert all(row["ratio_hungarian"] > 10 for row in rows[1:])
    assert rows[0]["share_of_bound"] > 0.999


def test_memory_is_that_of_a_process_of_its_own_in_which_everyone_trains():
    held = np.ones(2**27)  # 1 GiB that must not count
    (row,) = scaling.measure_memory(num_devices=6, preset="tiny")
    assert set(row) == {"workload", "peak_gib", "limit_gib"}
    assert 0.05 < row["peak_gib"] < held.nbytes / 2**30
    assert row["limit_gib"] == 1.5
    assert row["workload"].startswith("tiny, ")
    assert "of 6 devices train" in row["workload"]
    assert not row["workload"].startswith("tiny, 0 ")


def test_the_harness_is_measured_over_its_own_episodes_and_apart_from_what_every_run_costs(monkeypatch):
    monkeypatch.setattr(harness, "_times", lambda matrix: (2.0 * matrix.seeds, 2.04 * matrix.seeds))
    took = {"-c": 6.0, "-m": 9.0}
    monkeypatch.setattr(harness, "_seconds", lambda work: took[work.args[0][0]])
    (row,) = harness.measure(names=("random", "everyone"), seeds=10)
    assert (row["episodes"], row["bare_s"], row["fixed_s"]) == (20, 1.0, 3.0)
    assert row["overhead"] == pytest.approx(0.02)
    # 3 s, and 2 % of so many episodes of 1 s, are 5 % of them
    assert row["episodes_to_5_percent"] == pytest.approx(100)


def test_what_the_harness_adds_is_all_but_decisions_and_steps(monkeypatch):
    step, append = FederatedEnv.step, RunFolder.append

    def slowly(function, seconds):
        def slow(*arguments):
            until = time.process_time() + seconds
            while time.process_time() < until:
                pass
            return function(*arguments)

        return slow

    matrix = Matrix(("qfl/Scheduling-v0",), ("random",), "tiny", {**NO_LEARNING, "max_rounds": 2}, 5)
    harness._times(matrix)  # what is loaded on first use would count
    monkeypatch.setattr(FederatedEnv, "step", slowly(step, 0.01))
    monkeypatch.setattr(RunFolder, "append", slowly(append, 0.04))
    bare_s, whole_s = harness._times(matrix)
    assert bare_s >= 5 * 2 * 0.01 and whole_s - bare_s >= 5 * 0.04
    assert bare_s < 5 * 2 * 0.01 + 5 * 0.04
    assert jobs.play is play


def test_protection_is_measured_inside_of_the_round_that_it_protects(monkeypatch):
    monkeypatch.setattr(security, "ROUNDS", {"tiny": ("tiny", {}), "dense": ("tiny", {"learning": {"model": "mlp"}})})
    rows = security.measure(repeats=3)
    assert [row["round"] for row in rows[:: 2 * len(security.SCHEMES)]] == ["tiny", "dense"]
    for row in rows:
        assert row["added_ms"] > 0 and row["ratio"] == pytest.approx(1 + row["added_ms"] / row["plain_ms"])
    # time of the processor, since others on a busy machine make two rounds of three longer than a signature takes
    modelled, executed = (
        [row["cpu_ratio"] for row in rows if row["mode"] == mode] for mode in ("modelled", "executed")
    )
    assert all(one < other for one, other in zip(modelled, executed, strict=True))


def test_every_executed_update_is_accepted():
    scheme = {"signature": "ml-dsa-44", "protection": "executed"}
    rounds = security._Protected("tiny", {"radio": {"cell_radius_m": 100.0}}, scheme)
    rounds.play(), rounds.play()
    (receiver,) = rounds.system.guard._mail._receivers.values()
    assert receiver.accepted > security.PARTICIPANTS and not receiver.refused
