"""How a model of SB3 acts: with masks where it takes them, and the same under the same seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from sb3_contrib import MaskablePPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import set_random_seed


def chosen_actions(
    model: BaseAlgorithm,
    observations: Mapping[str, np.ndarray],
    deterministic: bool,
    masks: Callable[[], np.ndarray],
) -> np.ndarray:
    """What the model does.

    Args:
        model: The model.
        observations: Of one environment, or of E rows.
        deterministic: Whether to take the most likely actions, or to sample.
        masks: Gives the open choices of what is observed, (sum(nvec)) or (E, sum(nvec)) bool; asked only for a model
            that was trained with masks.

    Returns:
        The action, or E of them.
    """
    observed = dict(observations)
    if isinstance(model, MaskablePPO):
        return model.predict(observed, deterministic=deterministic, action_masks=masks())[0]
    return model.predict(observed, deterministic=deterministic)[0]


def seed_choices(model: BaseAlgorithm, seed: int) -> None:
    """Seed all that a model samples from; DQN takes its random actions from the action space."""
    set_random_seed(seed)
    model.action_space.seed(seed)
