"""``qfl/Drift-v0``: when the data drift, whether and how to adapt the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from qfl_envs.envs.base import ChoiceEnv
from qfl_envs.envs.features import Feature
from qfl_envs.envs.pages import page
from qfl_envs.envs.task import Task
from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import different_names
from qfl_envs.scenario import Scenario
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.learning.adaptation import CANDIDATES, Adaptation
from qfl_envs.system.report import RoundReport
from qfl_envs.view import NetworkView

UNCHANGED = -1
"""Of a setting: that of the round before."""
KINDS: Mapping[str, tuple[tuple[Adaptation, int], ...]] = {
    "head": ((Adaptation.HEAD, UNCHANGED),),
    "fine_tune": ((Adaptation.FINE_TUNE, UNCHANGED),),
    "retrain": ((Adaptation.RETRAIN, UNCHANGED),),
    "reoptimise": ((Adaptation.REOPTIMISE, UNCHANGED),),
    "annealed_head": ((Adaptation.ANNEAL_HEAD, UNCHANGED),),
    "solved_head": ((Adaptation.SOLVE_HEAD, UNCHANGED),),
    "settings": tuple((Adaptation.FINE_TUNE, setting) for setting in range(len(CANDIDATES))),
}
"""Ways to adapt by name: each the kind of a round and the setting that local steps take on, ``settings`` twelve."""
USUAL = ("head", "fine_tune", "retrain", "reoptimise")


class DriftTask(Task):
    """Choice of what to do about a model whose data may have moved on."""

    default_weights: ClassVar[Mapping[str, float]] = {"accuracy": 1.0, "time": 0.1, "energy": 0.1}
    hidden: ClassVar[frozenset[str]] = frozenset({"accuracy", "best_accuracy"})
    ends_at_target: ClassVar[bool] = False
    adapts: ClassVar[bool] = True
    scenario_changes: ClassVar[Mapping[str, Any]] = {
        "drift": {"kind": "abrupt", "moves": "concept", "swapped_labels": 6},
        "learning": {"partition": "dirichlet", "server_rate": 0.1, "warm_start_steps": 300, "monitored": True},
    }

    def __init__(
        self,
        scenario: Scenario,
        reward_weights: Mapping[str, float] | None = None,
        vector_reward: bool = False,
        participation_choices: Sequence[float] = (0.25, 1.0),
        adaptations: Sequence[str] = USUAL,
    ) -> None:
        """Prepare the task; see :class:`DriftEnv`."""
        choices = list(participation_choices) if isinstance(participation_choices, Sequence) else []
        numbers = all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in choices)
        if not choices or not numbers or not all(0.0 < choice <= 1.0 for choice in choices):
            raise InvalidValueError("participation_choices", participation_choices, "numbers above 0, up to 1")
        named = different_names("adaptations", adaptations, KINDS)
        statistics = [name for name in named if name in ("annealed_head", "solved_head")]
        if statistics and scenario.security.guards:
            raise InvalidValueError(
                "adaptations", statistics[0], "ways that send updates where these are attacked or protected"
            )
        super().__init__(scenario, reward_weights, vector_reward)
        self.time_share = True
        self.adaptations = named
        # action 0 keeps the model; the others are all ways at the first share, then all at the second, ...
        ways = [way for name in named for way in KINDS[name]]
        kinds, settings = zip(*ways, strict=True)
        self.adaptation = np.array([Adaptation.FINE_TUNE, *kinds * len(choices)])
        self.setting = np.array([UNCHANGED, *settings * len(choices)])
        self.participation = np.array([0.0, *np.repeat(choices, len(ways))])
        self.action_space = spaces.Discrete(len(self.participation))

    def more_features(self) -> dict[str, Feature]:
        """Settings of the local steps."""
        rate = self.scenario.learning.local_rate
        factors = [candidate.rate_factor for candidate in CANDIDATES]
        return {
            "local_rate": Feature("local_rate", 1, min(factors) * rate, max(factors) * rate, "log"),
            "dropout": Feature("dropout", 1, 0.0, 0.9),
            "activation_bits": Feature("activation_bits", 1, 0.0, 16.0),
        }

    def more_values(self, system: FederatedSystem) -> dict[str, np.ndarray]:
        """Settings of the local steps."""
        return {name: getattr(system.state, name)[:, None] for name in ("local_rate", "dropout", "activation_bits")}

    def decide(self, system: FederatedSystem, actions: np.ndarray) -> Decision:
        """The available devices that reported the largest loss take part, as many as the action says."""
        n, available = self.scenario.num_devices, system.available()
        count = np.ceil(self.participation[actions] * n)
        loss = np.where(available, system.state.reported_loss, -np.inf)
        rank = np.argsort(np.argsort(-loss, axis=-1, kind="stable"), axis=-1)
        return Decision(
            participate=available & (rank < count[:, None]),
            time_share=np.full(len(actions), self.time_share),
            adaptation=self.adaptation[actions],
            setting=self.setting[actions],
        )

    def encode(self, decision: Decision) -> np.ndarray:
        """Of the actions that adapt as the decision does, that with the closest number of participants.

        Raises:
            InvalidValueError: For a way to adapt that is not among the environment's.
        """
        share = decision.participate.mean(-1)
        kind = np.zeros(len(share), dtype=int) if decision.adaptation is None else decision.adaptation
        setting = np.full(len(share), UNCHANGED) if decision.setting is None else decision.setting
        differs = (self.adaptation[1:] != kind[:, None]) | (self.setting[1:] != setting[:, None])
        missing = np.flatnonzero(differs.all(-1) & (share > 0))
        if len(missing):
            way = Adaptation(kind[missing[0]]), int(setting[missing[0]])
            wanted = next((name for name, ways in KINDS.items() if way in ways), way[0].name)
            raise InvalidValueError(
                "way to adapt", wanted, f"one of {', '.join(self.adaptations)}; the argument adaptations names them"
            )
        distance = np.abs(self.participation[1:] - share[:, None]) + 2.0 * differs
        return np.where(share > 0, 1 + distance.argmin(-1), 0)

    def action_masks(self, system: FederatedSystem) -> np.ndarray:
        """Keeping the model is always open, all else where somebody can take part."""
        some = np.asarray(system.available().any(-1))
        masks = np.repeat(some[:, None], len(self.participation), axis=1)
        masks[:, 0] = True
        return masks

    def view(self, observation: Mapping[str, np.ndarray]) -> NetworkView:
        """One system's observation in physical units, with the settings of the local steps."""
        rate, dropout, bits = (
            float(self.features[name].decode(observation[name])[0])
            for name in ("local_rate", "dropout", "activation_bits")
        )
        return self._viewed(observation, local_rate=rate, dropout=dropout, activation_bits=round(bits))

    def reward_terms(self, system: FederatedSystem, report: RoundReport, failed: np.ndarray) -> dict[str, np.ndarray]:
        """Accuracy on the present data, minus the time that was spent on adapting, minus its energy."""
        rounds = self.scenario.max_rounds
        asked = report.participation.any(-1)
        stored_j = np.maximum(system.state.full_battery_j.sum(-1), 1e-9)
        # the model of a federation that has run down serves on as it is
        unplayed = np.where(failed, rounds - system.state.round_index, 0)
        return {
            "accuracy": report.accuracy * (1 + unplayed) / rounds,
            "time": -np.where(asked, report.round_s, 0.0) / (self.scenario.longest_round_s * rounds),
            "energy": -report.energy_j / stored_j,
        }


@page
class DriftEnv(ChoiceEnv):
    """Choose when and how to adapt a model whose data drift.

    ## Description

    A server has trained a model together with N devices of a wireless network, and the devices use it: quantum
    federated learning after the training. Each step of the environment is one round. The data of the devices move on,
    not on all at once, and nobody tells the server. What it sees are the losses that the devices report of the model
    on their own data, a few samples each, those that have a link. It can keep the model, or spend a round, time and
    energy on adapting it:

    * head recalibration trains the last layer alone: one circuit per sample, a short upload;
    * local fine-tuning is an ordinary federated round of all parameters;
    * full retraining makes four times as many local steps, and the server forgets the direction it was moving in;
    * re-optimising tries twelve settings of the local steps (learning rate, dropout, quantisation of the readouts)
      on every participant, keeps the one with the least loss and trains with it, from then on.

    `drift` says what happens. `kind`: `"abrupt"` (at once), `"gradual"` (sample by sample) or `"recurring"` (to and
    fro). `moves`: `"data"`, p(x), images are rotated, brightened or noisy; `"label"`, p(y), devices hold other labels
    and half of the labels vanish; `"concept"`, p(y|x), labels change places. Devices follow one after the other
    (`stagger_rounds`). With `learning.dataset="sea"`, the SEA concepts, p(y|x) moves as there: one of two labels where
    x0 + x1 is above a threshold, which goes from 8 to 9, 7 or 9.5.

    The presets are changed for this environment: drift is abrupt and moves the concept, six labels change places; the
    model has had 300 steps of central training at the start (`learning.warm_start_steps`); linked devices report their
    loss in every round (`learning.monitored`); devices hold several labels (`learning.partition="dirichlet"`), and the
    server's rate is 0.1.

    Who takes part follows a rule: the devices that can and that reported the largest losses. They transmit as in
    `qfl/Scheduling-v0`.

    ## Action Space

    `Discrete`, keeping the model or one of the `adaptations`, usually four, at one of the `participation_choices`:

    | Action      | Meaning                                                        |
    |-------------|----------------------------------------------------------------|
    | `0`         | keep the model                                                 |
    | `4 * i + 1` | head recalibration, a share `participation_choices[i]` takes part |
    | `4 * i + 2` | local fine-tuning                                              |
    | `4 * i + 3` | full retraining                                                |
    | `4 * i + 4` | re-optimising                                                  |

    Other ways come in by their names in `adaptations`, in the order in which they are named:

    * `"annealed_head"`: nothing is trained. Devices send a gradient and a Gram matrix of what the last layer sees, on
      four times as many samples as an ordinary round trains on, and the server changes the layer's weights by whole
      numbers of steps, 3 bits each, that minimise a quadratic loss: a QUBO, solved by simulated quantum annealing;
    * `"solved_head"`: the same, but solved as a system of linear equations and rounded, for comparison;
    * `"settings"`: twelve ways, each local fine-tuning with one of the settings that re-optimising tries, from then on.

    So `adaptations=["annealed_head", "settings"]` with the usual `participation_choices` has 1 + 2 * 13 actions.

    An action outside the space raises `InvalidValueError`. `env.unwrapped.action_masks()` is the bool mask of the open
    actions: keeping always is, the others where at least one device can take part. Where none can, they keep the model
    too.

    ## Observation Space

    [observations without accuracy]
    | `local_rate`      | `(1,)`       | learning rate of the local steps      |       | half, double (10)    | log    |
    | `dropout`         | `(1,)`       | share of readouts that they leave out |       | 0, 0.9               | linear |
    | `activation_bits` | `(1,)`       | bits of each readout, 0 for all       |       | 0, 16                | linear |

    [notes of cells]

    The last bound, (10): half and double `learning.local_rate`.

    [info]

    ## Rewards

    The reward is the weighted sum of `info["reward_terms"]`:

    | Term       | Weight | Value in a round                                                                  |
    |------------|--------|-----------------------------------------------------------------------------------|
    | `accuracy` | 1      | held-out accuracy on the present data, as a share of `max_rounds`                 |
    | `time`     | 0.1    | -`round_s` as a share of the longest possible episode, where somebody takes part  |
    | `energy`   | 0.1    | -`energy_j` as a share of the energy that all devices stored at the start         |

    Over an episode `accuracy` adds up to the mean accuracy of the model that the devices used, on the data that they
    had at the time, all devices counting alike. If all batteries are empty the episode ends, and the remaining rounds
    count with the last accuracy.

    [vector reward]

    ## Starting State

    [start]

    The untrained model is trained centrally first, on the data before they drift.

    ## Episode End

    1. Termination: the charge of every device of the fleet is down to its reserve.
    2. Truncation: `max_rounds` rounds are played.

    A target accuracy ends nothing here: the model is to stay good.

    ## Arguments

    [arguments]
    | `participation_choices` | list of float | `(0.25, 1.0)` | shares of the devices that take part, at most |
    | `adaptations` | list of str | `('head', 'fine_tune', 'retrain', 'reoptimise')` | ways to adapt; see the actions |
    [more arguments]

    ```python
    >>> import gymnasium as gym
    >>> import qfl_envs
    >>> env = gym.make("qfl/Drift-v0", scenario="tiny", drift={"kind": "abrupt", "moves": "data"})
    >>> env.action_space
    Discrete(9)
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step(0)
    >>> sorted(info["reward_terms"])
    ['accuracy', 'energy', 'time']

    ```

    [tiers]

    ## Version History

    * v0: first version. The ways to adapt that are not there by default came later, and change nothing else.
    """

    task_class = DriftTask

    def __init__(
        self,
        scenario: str | Mapping[str, Any] | Scenario = "small",
        *,
        split: str = "train",
        reward_weights: Mapping[str, float] | None = None,
        participation_choices: Sequence[float] = (0.25, 1.0),
        adaptations: Sequence[str] = USUAL,
        vector_reward: bool = False,
        curriculum: Sequence[Mapping[str, Any]] | None = None,
        curriculum_stage: int | None = None,
        render_mode: str | None = None,
        device: str = "cpu",
        **overrides: Any,
    ) -> None:
        """Build the environment; the class docstring lists the arguments."""
        super().__init__(
            scenario,
            split=split,
            curriculum=curriculum,
            curriculum_stage=curriculum_stage,
            render_mode=render_mode,
            device=device,
            task_arguments={
                "reward_weights": reward_weights,
                "vector_reward": vector_reward,
                "participation_choices": participation_choices,
                "adaptations": adaptations,
            },
            overrides=overrides,
        )
