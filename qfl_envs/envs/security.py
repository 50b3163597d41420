"""``qfl/Security-v0``: how to protect a round against whoever may be attacking it now."""

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
from qfl_envs.security import AGGREGATIONS, PRIVATE_AGGREGATIONS
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.report import RoundReport
from qfl_envs.system.security.choices import OPTIONS, Choices
from qfl_envs.system.security.robust import tolerated
from qfl_envs.system.security.signs import SIGNS
from qfl_envs.system.security.threats import classical_broken
from qfl_envs.view import NetworkView, SecurityView

USUAL: Mapping[str, tuple[str, ...]] = {
    "signature": ("none", "ecdsa-p256", "ml-dsa-44", "ml-dsa-65"),
    "key_exchange": ("none", "x25519", "ml-kem-768", "qkd"),
    "aggregation": ("mean", "trimmed-mean", "multi-krum", "secure"),
    "screening": ("none", "norm", "direction"),
}
"""What can be chosen if nothing else is asked for; the first of each is always open."""
LEAST_MASKED = 3
"""Fewest devices that mask their updates together: of the sum of two, each knows the other's."""


class SecurityTask(Task):
    """Choice of signature, key exchange, aggregation and screening for a round."""

    default_weights: ClassVar[Mapping[str, float]] = {**Task.default_weights, "leakage": 2.0, "compromise": 1.0}
    protects: ClassVar[bool] = True
    scenario_changes: ClassVar[Mapping[str, Any]] = {
        "learning": {"partition": "dirichlet", "dirichlet_alpha": 1.0},
        "security": {
            "protection_bits": 0,
            "protection_cycles": 0.0,
            "assumed_attackers": 0.2,
            "key_pool_bits": 1024,
            "attack": "ipm",
            "attack_strength": 4.0,
            "attacker_share": 0.2,
            "tampered_share": 0.3,
            "eavesdropped_share": 0.5,
            "intercepted_share": 0.6,
            "jammed_share": 0.8,
            "intrusion": True,
            "threat_begins": 0.1,
            "threat_ends": 0.2,
            "quantum_computer": True,
        },
    }

    def __init__(
        self,
        scenario: Scenario,
        reward_weights: Mapping[str, float] | None = None,
        vector_reward: bool = False,
        participation: float = 0.5,
        options: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Prepare the task; see :class:`SecurityEnv`."""
        number = isinstance(participation, int | float) and not isinstance(participation, bool)
        if not number or not 0.0 < participation <= 1.0:
            raise InvalidValueError("participation", participation, "a number above 0, up to 1")
        self.options = _checked_options(options)
        _check_choices(scenario, self.options)
        self.participants = int(np.ceil(participation * scenario.num_devices))
        super().__init__(scenario, reward_weights, vector_reward)
        self.time_share = True
        # what each action stands for, as places in the tuples of all names
        self._places = {
            part: np.array([OPTIONS[part].index(name) for name in names]) for part, names in self.options.items()
        }
        self.action_space = spaces.MultiDiscrete([len(names) for names in self.options.values()])

    def more_features(self) -> dict[str, Feature]:
        """What the server noticed, key in store, and whether classical schemes have fallen."""
        bounds = {"refused": 1.0, "screened": 1.0, "failed": 1.0, "spread": 10.0, "agreement": 1.0, "qber": 0.5}
        shown = [Feature(name, 1, 0.0, high, shared=True) for name, high in bounds.items()]
        shown.append(Feature("classical_broken", 1, 0.0, 1.0, shared=True))
        shown.append(Feature("key_bits", self.num_shown, 0.0, self.scenario.security.key_pool_bits))
        return {feature.name: feature for feature in shown}

    def more_values(self, system: FederatedSystem) -> dict[str, np.ndarray]:
        """Their values."""
        state = system.state
        signs: dict[str, np.ndarray] = dict(zip(SIGNS, state.signs.T, strict=True))
        broken = classical_broken(state.round_index, state.q_day_round)
        return signs | {"classical_broken": broken.astype(float), "key_bits": state.key_bits}

    def decide(self, system: FederatedSystem, actions: np.ndarray) -> Decision:
        """The devices that were not heard for longest take part, of equals the fastest."""
        available, offer = system.available(), system.offer()
        order = np.lexsort((offer.step_s, -system.state.age, ~available), axis=-1)
        rank = np.argsort(order, axis=-1, kind="stable")
        return Decision(
            participate=available & (rank < self.participants),
            time_share=np.full(len(actions), self.time_share),
            protection=Choices(*(places[actions[:, i]] for i, places in enumerate(self._places.values()))),
        )

    def encode(self, decision: Decision) -> np.ndarray:
        """The actions that choose what the decision chooses.

        Raises:
            InvalidValueError: For a choice that is not among the environment's.
        """
        wanted = decision.protection or Choices.usual(self.scenario.security, len(decision.participate))
        actions = np.zeros((len(decision.participate), len(self._places)), dtype=np.int64)
        for i, (part, places) in enumerate(self._places.items()):
            chosen = getattr(wanted, part)
            same = chosen[:, None] == places
            if not same.any(-1).all():
                missing = OPTIONS[part][int(chosen[~same.any(-1)][0])]
                raise InvalidValueError(part, missing, f"one of {', '.join(self.options[part])}")
            actions[:, i] = same.argmax(-1)
        return actions

    def action_masks(self, system: FederatedSystem) -> np.ndarray:
        """Rules of aggregation are open where so many devices can take part that they stand the assumed attackers."""
        count = np.minimum(system.available().sum(-1), self.participants)
        groups = np.maximum(-(-count // (self.scenario.security.group_size or self.participants)), 1)
        assumed = np.ceil(self.scenario.security.assumed_attackers * count - 1e-9)
        columns = []
        for part, names in self.options.items():
            for name in names:
                stands = np.ones(len(count), dtype=bool)
                if part == "aggregation" and name == "secure":
                    stands = count // groups >= LEAST_MASKED
                elif part == "aggregation" and name != "mean":
                    stands = (tolerated(name, count) >= assumed) & (count > 0)
                columns.append(stands)
        return np.stack(columns, axis=-1)

    def view(self, observation: Mapping[str, np.ndarray]) -> NetworkView:
        """One system's observation in physical units, with what the server noticed of attacks."""
        value = {
            name: self.features[name].decode(observation[name]) for name in (*SIGNS, "classical_broken", "key_bits")
        }
        noticed = {name: float(value[name][0]) for name in SIGNS if name != "failed"}
        security = SecurityView(
            **noticed,
            failed=bool(value["failed"][0] > 0.5),
            classical_broken=bool(value["classical_broken"][0] > 0.5),
            key_bits=value["key_bits"],
        )
        return self._viewed(observation, security=security)

    def reward_terms(self, system: FederatedSystem, report: RoundReport, failed: np.ndarray) -> dict[str, np.ndarray]:
        """Those of every task, and minus what leaked and how far the model was steered."""
        guarded, scenario, state = report.guarded, self.scenario, system.state
        assert guarded is not None
        most = self.participants * scenario.max_rounds
        reached = report.accuracy >= scenario.target_accuracy
        over = failed | reached
        # what is recorded is read some day, also if that day comes after the episode
        later = np.where(over & np.isfinite(state.q_day_round[:, 0]), state.exposed[:, 1], 0.0)
        return {
            **super().reward_terms(system, report, failed),
            "leakage": -(guarded.read.sum(-1) + guarded.opened + later) / most,
            "compromise": -guarded.steered / scenario.max_rounds,
        }


def _checked_options(options: Mapping[str, Sequence[str]] | None) -> dict[str, tuple[str, ...]]:
    """The usual names with some of them changed.

    Raises:
        InvalidValueError: For a choice or a name that does not exist, or a first name that is not always open.
    """
    if options is not None and not isinstance(options, Mapping):
        raise InvalidValueError("options", options, f"an object of lists of names for {', '.join(OPTIONS)}")
    checked = dict(USUAL)
    for part, names in (options or {}).items():
        if part not in OPTIONS:
            raise InvalidValueError("options", part, f"some of {', '.join(OPTIONS)}")
        listed = different_names(f"options[{part!r}]", names, OPTIONS[part])
        if part == "aggregation" and listed[0] != AGGREGATIONS[0]:
            raise InvalidValueError(
                "options['aggregation']", names, "a list that begins with 'mean', which is always open"
            )
        checked[part] = listed
    return checked


def _check_choices(scenario: Scenario, options: Mapping[str, Sequence[str]]) -> None:
    """Refuse choices that a scenario could not have by itself.

    Raises:
        InvalidValueError: For signatures that cannot be executed where they are, and for rules and screening whose
            sensitivity nobody knows where there is noise of privacy.
    """
    security = scenario.security
    falcon = [name for name in options["signature"] if name.startswith("falcon")]
    if security.protection == "executed" and falcon:
        raise InvalidValueError("options['signature']", falcon[0], "ML-DSA or ECDSA where it is executed")
    if security.noise_multiplier > 0.0:
        for part, private in (("aggregation", PRIVATE_AGGREGATIONS), ("screening", ("none",))):
            others = [name for name in options[part] if name not in private]
            if others:
                allowed = f"some of {', '.join(private)} with noise of privacy"
                raise InvalidValueError(f"options['{part}']", others[0], allowed)


@page
class SecurityEnv(ChoiceEnv):
    """Choose, round by round, how the updates of a federation are signed, encrypted, merged and screened.

    ## Description

    A server trains one model together with N devices of a wireless network: quantum federated learning. Each step of
    the environment is one federated round, and somebody may be attacking it. The agent chooses how updates are
    protected in this round: who is not protected leaks and is led astray, and who is protected against everything all
    the time sends ten times as many bits as the compact quantum model has, and waits for them.

    Threats come and go, each by a Markov chain of its own (`security.threat_begins`, `security.threat_ends`), and
    nobody tells the server which are on:

    * hostile devices, a share of the fleet, send updates that lead the model astray (`security.attack`);
    * somebody on the air replaces a share of the updates. A signature that stands tells, and the update is refused;
    * somebody listens to the links, reads what is not encrypted, and keeps what is encrypted by a classical exchange.
      Quantum channels are tapped too, which raises their error rate and ends their key;
    * quantum channels are jammed;
    * somebody reads along on the server, who sees every update but those that are masked.

    On Q-day, in a round that is drawn per episode, classical signatures and exchanges fall: what was kept until then is
    read, ECDSA can be forged, and X25519 hides nothing any more. The server learns of Q-day when it has come.

    Robust rules and screening look at single updates, secure aggregation hides them: it is one or the other. A rule
    declares the round failed where more hostile updates are to be feared than it stands, and secure aggregation where
    too few of those who masked their updates are heard; the model then is the old one. An update that is no number, or
    absurdly long, is thrown away always.

    Who takes part follows a rule: of the devices that can, those that were not heard for longest, of equals the
    fastest. They transmit as in `qfl/Scheduling-v0`. Costs are those of [security](../security.md): bytes of FIPS 203
    and 204, cycles of a Cortex-M4, random signing times, four exchanges of secure aggregation, keys that quantum
    channels through the air yield. With `security={"protection": "executed"}` updates are also signed, sealed, tampered
    with and verified in earnest; the model that is learned is the same.

    The presets are changed for this environment: the threats above are possible, hostile devices send the honest mean
    backwards (IPM), nothing is protected but as chosen, and devices hold several labels
    (`learning.partition="dirichlet"`), since robust rules take a device with one label of its own for a hostile one.

    ## Action Space

    `MultiDiscrete([4, 4, 4, 3])`, one choice of each kind:

    | Entry | Kind         | Choices                                                                              |
    |-------|--------------|--------------------------------------------------------------------------------------|
    | `0`   | signature    | `none`, `ecdsa-p256`, `ml-dsa-44`, `ml-dsa-65`                                       |
    | `1`   | key exchange | `none`, `x25519`, `ml-kem-768`, `qkd`                                                |
    | `2`   | aggregation  | `mean`, `trimmed-mean`, `multi-krum`, `secure` (masked, only the sum is seen)        |
    | `3`   | screening    | `none`, `norm` (against the median length), `direction` (against the median update)  |

    The argument `options` names other choices. An action outside the space raises `InvalidValueError`. The flat bool
    mask `env.unwrapped.action_masks()`, of length `sum(nvec)`, closes rules of aggregation that do not stand
    `security.assumed_attackers` among the devices that can take part, and masks among fewer than three; the first
    choice of every kind is always open. A closed choice is played all the same, and the round fails.

    ## Observation Space

    [observations of cells]
    | `refused`       | `(1,)`         | share of updates that failed (10)     |       | 0, 1                 | linear |
    | `screened`      | `(1,)`         | share of updates thrown away (10)     |       | 0, 1                 | linear |
    | `failed`        | `(1,)`         | 1 if nothing could be merged (10)     |       | 0, 1                 | linear |
    | `spread`        | `(1,)`         | longest over median update (10, 11)   |       | 0, 10                | linear |
    | `agreement`     | `(1,)`         | mean cosine with their sum (10, 11)   |       | 0, 1                 | linear |
    | `qber`          | `(1,)`         | error rate of quantum channels (10)   |       | 0, 0.5               | linear |
    | `classical_broken` | `(1,)`      | 1 from Q-day on                       |       | 0, 1                 | linear |
    | `key_bits`      | `(N,)`         | unused key of quantum channels        | bits  | 0, `key_pool_bits`   | linear |

    [notes of cells]

    10. Of the last round; 0 before the first.
    11. 0 where updates were masked, of which the server sees none.

    [info]
    | `protect_s`         |        | longest time that protection took a participant, s           |
    | `security`          | dict   | what threats and protection did (12)                         |

    12. Numbers of updates that were `refused`, `screened`, `forged` and taken for real, `poisoned` and accepted, `read`
        by others, `recorded` until Q-day, and `opened` then; of devices that were `keyless`; whether the round
        `failed`; how far what was merged was `steered` away from the honest mean (0 to 1); `qber`; and with a backdoor
        `attack_success`, the share of triggered samples that are taken for its target.

    ## Rewards

    The reward is the weighted sum of `info["reward_terms"]`:

    | Term         | Weight | Value in a round                                                                 |
    |--------------|--------|----------------------------------------------------------------------------------|
    | `progress`   | 1      | rise of the best accuracy, up to the target, as a share of all that is needed    |
    | `time`       | 2      | -`round_s` as a share of the longest possible episode, `deadline_s * max_rounds` |
    | `energy`     | 1      | -`energy_j` as a share of the energy that all devices stored at the start        |
    | `leakage`    | 2      | -updates that were read, as a share of all that an episode can have              |
    | `compromise` | 1      | -`steered`, as a share of `max_rounds`                                           |

    [common rewards]

    What is recorded when the episode ends counts as read, where a quantum computer comes at all.

    [vector reward]

    ## Starting State

    [start]

    Pools of key are full; each threat is on with the share of the time that it is on in the long run.

    ## Episode End

    [end at target]

    ## Arguments

    [arguments]
    | `participation`      | float                 | 0.5         | share of the devices that takes part, at most       |
    | `options`            | dict or None          | None        | lists of names for `signature`, `key_exchange`, ... |
    [more arguments]

    ```python
    >>> import gymnasium as gym
    >>> import qfl_envs
    >>> env = gym.make("qfl/Security-v0", scenario="tiny")
    >>> env.action_space
    MultiDiscrete([4 4 4 3])
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step([2, 2, 0, 1])
    >>> sorted(info["reward_terms"])
    ['compromise', 'energy', 'leakage', 'progress', 'time']

    ```

    [tiers]

    ## Version History

    * v0: first version.
    """

    task_class = SecurityTask

    def __init__(
        self,
        scenario: str | Mapping[str, Any] | Scenario = "small",
        *,
        split: str = "train",
        reward_weights: Mapping[str, float] | None = None,
        participation: float = 0.5,
        options: Mapping[str, Sequence[str]] | None = None,
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
                "participation": participation,
                "options": options,
            },
            overrides=overrides,
        )
