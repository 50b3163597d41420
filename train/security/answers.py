"""What a trained quantum model tells by its answers: who was in its training set, and which small push flips it."""

from __future__ import annotations

from typing import Any

import numpy as np

from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.learning.learner import Learner
from qfl_envs.system.security.inference import accuracy, adversarial, losses, membership_advantage, membership_auc
from train.progress import progress_bar
from train.security.defences import scenario_of

BOUNDS_RAD = (0.0, 0.05, 0.1, 0.2, 0.4)
"""Largest push of an encoded angle."""
SAMPLES = 200
"""Of every kind."""


def rows(preset: str = "tiny", rounds: int = 20, seeds: int = 3, partition: str = "iid") -> list[dict[str, Any]]:
    """Accuracy on held-out samples that are pushed, by the largest push of an angle; and how well members are told.

    ``membership_auc`` is the chance that a member's loss is below that of another sample, 0.5 where nothing is told,
    ``membership_advantage`` the largest difference of true and false positives; neither depends on the push. Members
    are samples that devices hold, others the held-out ones.

    Args:
        preset: Scenario to start from.
        rounds: Federated rounds behind the model.
        seeds: Systems that are trained.
        partition: How data are dealt out.
    """
    scenario = scenario_of(preset, partition).replace({"quantum": {"gradient": "backprop"}})
    system = FederatedSystem(scenario, seeds)
    system.reset([np.random.default_rng(seed) for seed in range(seeds)])
    everybody = Decision(participate=np.ones((seeds, scenario.num_devices), dtype=bool))
    for _ in range(rounds):
        system.step(everybody)
    learner = system.learner
    assert isinstance(learner, Learner)
    world = learner.data.worlds[0]
    held_out, true = world.test_features[:SAMPLES], world.test_labels[:SAMPLES]
    known, labels = world.train_features[:SAMPLES], world.train_labels[:SAMPLES]
    found: list[dict[str, Any]] = []
    told = []
    for parameters in system.state.parameters:
        of_members, of_others = (
            losses(learner.model, parameters, *part) for part in ((known, labels), (held_out, true))
        )
        told.append((membership_auc(of_members, of_others), membership_advantage(of_members, of_others)))
    with progress_bar(len(BOUNDS_RAD) * seeds, "pushing") as bar:
        for bound in BOUNDS_RAD:
            right = []
            for parameters in system.state.parameters:
                pushed = adversarial(learner.model, parameters, held_out, true, bound) if bound else held_out
                right.append(accuracy(learner.model, parameters, pushed, true))
                bar.update()
            auc, advantage = (float(number) for number in np.mean(told, axis=0))
            row = {"push_rad": bound, "accuracy": float(np.mean(right))}
            found.append(row | {"membership_auc": auc, "membership_advantage": advantage})
    return found
