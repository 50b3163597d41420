"""How the experiments behind the claims are made: what is computed, unit by unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qfl_envs.competitor import Competitor
from qfl_envs.fields import reject_unknown
from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.shapes import model_bits, num_parameters
from train import competitors
from train.case_study import learning, sum_rate
from train.case_study.page import settled_after
from train.case_study.settings import LARGE_HIDDEN, SERIES, CaseStudy
from train.claims import attacks, protection
from train.claims.data import Plan
from train.claims.experiment import Experiment, Unit, Values
from train.claims.local_work import RULES
from train.evaluation import Episode, make_env, play
from train.training.loading import load


class SumRate(Experiment):
    """Figure 4a of the case study: one decision of each allocator on each instance."""

    MODES = {"assigned": "all assigned", "idle": "may idle"}

    def __init__(self, plan: Plan, folder: Path) -> None:
        """Prepare the instances."""
        super().__init__(plan, folder)
        self._study = CaseStudy(preset=plan.settings["preset"], allocators=tuple(plan.settings["allocators"]))
        self._solver: sum_rate.SumRates | None = None

    def series(self) -> list[str]:
        """Every allocator in both modes."""
        wanted = list(sum_rate.units(CaseStudy(self._study.preset, allocators=self._study.allocators, instances=1)))
        short = {mode: name for name, mode in self.MODES.items()}
        return [f"{allocator}, {short[mode]}" for mode, allocator, _ in wanted]

    def compute(self, series: str, seed: int) -> Values:
        """Sum-rate, iterations until it settled, and wall time."""
        allocator, mode = series.split(", ")
        if self._solver is None:
            sum_rate.warm_up(self._study, set(self._study.allocators or ()))
            self._solver = sum_rate.SumRates(self._study)
        return self._values(self._solver.compute((self.MODES[mode], allocator, seed)))

    def read(self, row: Mapping[str, Any]) -> tuple[Unit, Values] | None:
        """A line of the case study."""
        if row.get("figure") != "4a":
            return None
        mode = next(name for name, mode in self.MODES.items() if mode == row["mode"])
        return (f"{row['allocator']}, {mode}", row["instance"]), self._values(row)

    def _values(self, row: Mapping[str, Any]) -> Values:
        return {
            "sum_rate_bps": row["sum_rate_bps"][-1],
            "iterations": float(settled_after(dict(row))),
            "seconds": row["decision_s"],
        }


class Convergence(Experiment):
    """Figure 4b of the case study: episodes of learners under allocators."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        """Prepare the episodes."""
        super().__init__(plan, folder)
        settings = plan.settings
        chosen = tuple(one for one in SERIES if one.label in settings["allocators"])
        reject_unknown(settings["allocators"], [one.label for one in SERIES], "allocator")
        self._study = CaseStudy(settings["preset"], settings["arguments"], series=chosen, rounds=settings["rounds"])
        self._player: learning.Episodes | None = None
        quantum, matched, _ = self._study.learners()
        self._learners = {"qnn": quantum, "mlp": matched}

    def series(self) -> list[str]:
        """The quantum learner and the classical one of as many parameters, under every allocator."""
        return [f"{learner}, {one.label}" for learner in self._learners for one in self._study.series]

    def compute(self, series: str, seed: int) -> Values:
        """How fast the accuracy rose."""
        learner, label = series.split(", ", 1)
        allocator = next(one for one in self._study.series if one.label == label)
        self._player = self._player or learning.Episodes(self._study)
        return self._values(self._player.compute((self._learners[learner], allocator, seed)))

    def read(self, row: Mapping[str, Any]) -> tuple[Unit, Values] | None:
        """A line of the case study."""
        if row.get("figure") != "4b" or row["learner"] == f"mlp-{LARGE_HIDDEN}":
            return None
        # how many hidden units match the circuit depends on the scenario of the other command
        learner = row["learner"].split("-")[0]
        return (f"{learner}, {row['series']}", row["seed"]), self._values(row)

    def _values(self, row: Mapping[str, Any]) -> Values:
        return {
            "last_accuracy": row["accuracy"][-1],
            "accuracy_over_rounds": float(np.mean(row["accuracy"])),
            "accuracy_over_time": mean_until(row["seconds"], row["accuracy"], self.settings["horizon_s"]),
        }


class Episodes(Experiment):
    """Episodes of competitors, each in an environment with arguments of its own."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        """Prepare the environments."""
        super().__init__(plan, folder)
        self._of = {one["name"]: one for one in plan.settings["series"]}
        self._envs: dict[str, Any] = {}

    def series(self) -> list[str]:
        """All of them."""
        return list(self._of)

    def compute(self, series: str, seed: int) -> Values:
        """One episode of the test split."""
        one = self._of[series]
        if series not in self._envs:
            arguments = {**self.settings["arguments"], **one.get("arguments", {})}
            self._envs[series] = make_env(
                self.settings["env"], "test", {"scenario": self.settings["preset"], **arguments}
            )
        return values_of(play(self._envs[series], self._competitor(one), seed))

    def _competitor(self, one: Mapping[str, Any]) -> Competitor:
        name = one["competitor"]
        return RULES[name]() if name in RULES else competitors.make(name)


class Trainings(Experiment):
    """Trainings of agents, each of which then plays the same instances of the split test."""

    def series(self) -> list[str]:
        """The agents."""
        return list(self.settings["agents"])

    def compute(self, series: str, seed: int) -> Values:
        """Train once, then play."""
        from train.training.curves import curve_of
        from train.training.deep_rl import train
        from train.training.plans import MODEL_FILE, plan_training

        settings = self.settings
        plan = plan_training(
            series, settings["env"], settings["preset"], settings["arguments"], settings["steps"], seed
        )
        model = self.folder / "models" / f"{series}-{seed}"
        model.mkdir(parents=True, exist_ok=True)
        if not (model / MODEL_FILE).exists():
            train(plan, model)
        player = load(model)
        env = make_env(settings["env"], "test", plan.environment)
        returns = [play(env, player, episode).episode_return for episode in range(settings["episodes"])]
        curve = curve_of(model)
        return {
            "return": float(np.mean(returns)),
            "parameters": float(player.cost().parameters),
            "return_in_training": float(np.mean(curve.returns)),
        }


class Learners(Experiment):
    """Central training of the learners of the devices, and how large they are."""

    def series(self) -> list[str]:
        """The learners."""
        return list(self.settings["learners"])

    def compute(self, series: str, seed: int) -> Values:
        """Held-out accuracy after the training, parameters and bits of an upload."""
        from train.benchmarks.learners import central_accuracy

        scenario = Scenario.preset(self.settings["preset"]).replace(
            {
                "learning": {**self.settings["learners"][series], "warm_start_steps": self.settings["steps"]},
                "quantum": {"num_qubits": self.settings["features"]},
            }
        )
        return {
            "accuracy": central_accuracy(scenario, seed),
            "parameters": float(num_parameters(scenario)),
            "bits": float(model_bits(scenario)),
        }


KINDS: Mapping[str, type[Experiment]] = {
    "sum-rate": SumRate,
    "convergence": Convergence,
    "episodes": Episodes,
    "trainings": Trainings,
    "learners": Learners,
    "protection": protection.Overhead,
    "keys": protection.Keys,
    "sums": protection.Sums,
    "ledger": protection.Tampering,
    "leakage": attacks.Leakage,
    "screening": attacks.Screening,
    "poisoned": attacks.Poisoned,
}


def make(plan: Plan, folder: Path) -> Experiment:
    """The experiment of a plan.

    Raises:
        UnknownNameError: For an unknown kind.
    """
    reject_unknown([plan.kind], KINDS, "kind of experiment")
    return KINDS[plan.kind](plan, folder)


def values_of(episode: Episode) -> Values:
    """Numbers of an episode."""
    accuracies = [accuracy for _, accuracy in episode.curve]
    names = ("simulated_s", "energy_j", "accuracy", "sum_rate_bps", "delivered", "jain", "decision_s")
    return {
        "return": episode.episode_return,
        "accuracy_over_rounds": float(np.mean(accuracies)),
        **{name: float(getattr(episode, name)) for name in names},
    }


def mean_until(seconds: Sequence[float], accuracy: Sequence[float], horizon_s: float) -> float:
    """Mean accuracy over the first so many simulated seconds; after the last round the last one is held."""
    times = np.append(np.minimum(seconds, horizon_s), horizon_s)
    return float(np.sum(np.diff(times) * np.asarray(accuracy)) / horizon_s)
