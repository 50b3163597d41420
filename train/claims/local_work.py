"""Ways to deal with stragglers, alike but for how much local work they ask for."""

from __future__ import annotations

import numpy as np

from baselines.estimates import compute_seconds
from qfl_envs.competitor import Competitor, Rule
from qfl_envs.system.decision import Decision
from qfl_envs.view import NetworkView


class AllWork(Rule):
    """Everybody who can takes part, and makes as many local steps as the action space allows."""

    name = "all-work"
    environments = ("qfl/StragglerFairness-v0",)

    def decide(self, view: NetworkView) -> Decision:
        """Ask those whom :meth:`takes_part` names for the steps that :meth:`steps` says."""
        choices = np.sort(self.env.task.local_steps[1:])
        # (J, N) seconds of each number of steps
        seconds = np.stack([compute_seconds(view, int(count)) for count in choices])
        return Decision(self.takes_part(view, seconds)[None], local_steps=self.steps(view, choices, seconds)[None])

    def takes_part(self, view: NetworkView, seconds: np.ndarray) -> np.ndarray:
        """(N) bool."""
        return view.available

    def steps(self, view: NetworkView, choices: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """(N) local steps: the most."""
        return np.full(seconds.shape[1], choices[-1])

    def patience_s(self, view: NetworkView, seconds: np.ndarray) -> float:
        """Time in which half of those who can would make all of the steps."""
        return float(np.median(seconds[-1][view.available])) if view.available.any() else 0.0


class ReducedWork(AllWork):
    """The same, but who is slow makes only as many steps as fit into the time that half of the others need for all."""

    name = "reduced-work"

    def steps(self, view: NetworkView, choices: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """(N) the most steps that end in time, at least the fewest."""
        fits = (seconds <= self.patience_s(view, seconds)).sum(0)
        return choices[np.maximum(fits, 1) - 1]


class WithoutStragglers(AllWork):
    """The usual alternative: who would be slower than half of the others with all the work is left out."""

    name = "without-stragglers"

    def takes_part(self, view: NetworkView, seconds: np.ndarray) -> np.ndarray:
        """(N) bool, those who can and are quick enough."""
        return view.available & (seconds[-1] <= self.patience_s(view, seconds))


RULES: dict[str, type[Competitor]] = {one.name: one for one in (AllWork, ReducedWork, WithoutStragglers)}
