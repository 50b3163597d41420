"""What competes: environments, competitors, preset, seeds and budgets, and all that the results depend on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from qfl_envs.errors import InvalidValueError
from train import competitors
from train.competition import outside
from train.competition.protocol import PROTOCOL, SPLIT, code_version
from train.competition.results import Entry
from train.evaluation import make_env, tier_of
from train.statistics import MIN_SEEDS
from train.training.plans import TrainingPlan, plan_training

PACKAGES = ("gymnasium", "numpy", "stable-baselines3", "sb3-contrib", "torch")
"""What results depend on; a run is not continued with other versions."""


@dataclass(frozen=True)
class Matrix:
    """What competes.

    Attributes:
        environments: Ids.
        competitors: Names.
        preset: Preset of the scenario.
        arguments: Further arguments of the environments.
        seeds: Episodes of each competitor in each environment, on seeds 0, 1, ... of the test split.
        steps: Training budget in each environment; the shipped one of the agent in those that are not named.
        training_seed: Seed of the training.
        only: Names in some environments, of the competitors; all that support it play in the others.
    """

    environments: tuple[str, ...]
    competitors: tuple[str, ...]
    preset: str = "small"
    arguments: dict[str, Any] = field(default_factory=dict)
    seeds: int = 20
    steps: Mapping[str, int] = field(default_factory=dict)
    training_seed: int = 0
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be compared.

        Raises:
            InvalidValueError: For too few seeds, or nobody to play.
            UnknownNameError: For an unknown competitor.
        """
        if self.seeds < MIN_SEEDS:
            raise InvalidValueError("seeds", self.seeds, f"at least {MIN_SEEDS}")
        for env_id in self.environments:
            if not any(self.supports(name, env_id) for name in self.competitors):
                raise InvalidValueError(f"competitors of {env_id}", list(self.competitors), "one that supports it")

    def supports(self, name: str, env_id: str) -> bool:
        """Whether a competitor can play an environment as it is here."""
        return competitors.supports(name, env_id, self.environment())

    def entries(self) -> Iterator[Entry]:
        """Every environment with every competitor that supports it."""
        for env_id in self.environments:
            for name in self.only.get(env_id, self.competitors):
                if self.supports(name, env_id):
                    yield env_id, name

    def environment(self) -> dict[str, Any]:
        """Arguments of the environments."""
        return {"scenario": self.preset, **self.arguments}

    def plan(self, entry: Entry) -> TrainingPlan:
        """How the trained competitor of an entry is trained."""
        env_id, name = entry
        steps = self.steps.get(env_id)
        return plan_training(name, env_id, self.preset, self.arguments, steps, self.training_seed)

    def config(self) -> dict[str, Any]:
        """All that the results depend on, as JSON values."""
        entries = list(self.entries())
        scenarios, tiers = {}, set()
        for env_id in self.environments:
            env: Any = make_env(env_id, SPLIT, self.environment())
            scenarios[env_id] = env.unwrapped.scenario.to_dict()
            tiers.add(tier_of(env))
            env.close()
        (tier,) = tiers
        return {
            "protocol": PROTOCOL,
            "code": code_version(),
            "versions": {package: version(package) for package in PACKAGES},
            "tier": tier,
            **asdict(self),
            "entries": entries,
            "outside": {name: outside.digest(name) for name in self.competitors if outside.is_outside(name)},
            "scenarios": scenarios,
            "training": [asdict(self.plan(entry)) for entry in entries if competitors.is_trained(entry[1])],
        }
