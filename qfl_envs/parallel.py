"""The multi-agent environments: every device is an agent, and what they decide together is the action of the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils.conversions import parallel_to_aec
from pettingzoo.utils.wrappers import AssertOutOfBoundsWrapper, OrderEnforcingWrapper

from qfl_envs.envs.base import RESET_OPTIONS, FederatedEnv
from qfl_envs.envs.device_agents import DeviceAgents
from qfl_envs.envs.task import Task
from qfl_envs.errors import InvalidValueError, UnknownNameError
from qfl_envs.scenario import Scenario
from qfl_envs.system.federation import FederatedSystem

Observation = dict[str, np.ndarray]
Info = dict[str, Any]


class FederatedParallelEnv(ParallelEnv[str, Any, Any]):
    """Every device is an agent of its own, and all of them earn the reward of the team.

    ```python
    >>> import pettingzoo
    >>> import qfl_envs
    >>> env = pettingzoo.make("parallel", "qfl/Allocation-v0", scenario="tiny", learning={"model": "none"})
    >>> observations, infos = env.reset(seed=0)
    >>> while env.agents:
    ...     masks = {agent: observations[agent]["action_mask"] for agent in env.agents}
    ...     actions = {agent: env.action_space(agent).sample(mask) for agent, mask in masks.items()}
    ...     observations, rewards, terminations, truncations, infos = env.step(actions)

    ```

    `pettingzoo.make("aec", ...)` makes the same with agents that act in turn.

    ## Agents

    `device_0` to `device_{N-1}`, always in this order. They live in the same system as the environment of the same id
    in Gymnasium's registry, its *sibling*: the same scenario, task, instances, rewards and ends. As long as no agent
    has left, the same seed and the same decisions give the same rewards, states and accuracies in both.

    A device whose charge is down to the reserve after a round leaves for good, since an agent that is gone cannot come
    back: its `terminations` is True in that step, and it is no longer in `agents`. In the sibling it would wait until
    its battery has filled again. Where a curriculum makes the fleet smaller, `agents` are those of the episode's fleet;
    `set_curriculum_stage` and `advance_curriculum` are those of the sibling.

    ## Actions

    One `Discrete` per agent. Option 0 is to idle, the others are all combinations of the other choices that the sibling
    has for a device; the tables below have their order. A device that should take part but cannot idles, which its
    `info["repaired"]` reports. `action_mask`, int8, is 1 for the options that are never repaired.

    `step` wants an action of every agent in `agents` and of no other, and raises `InvalidValueError` otherwise.

    ## Observations

    `Dict` of `observation`, a float32 vector within [-1, 1], and `action_mask`. The vector has what the device knows of
    itself, then what the server broadcasts. Quantities and scales are those of the sibling's page.

    | Feature         | Numbers | Known from                                     |
    |-----------------|---------|------------------------------------------------|
    | `gain`          | (1)     | itself: power gain to each cell                |
    | `step_s`        | 1       | itself: time of one local step this round      |
    | `cpu_hz`        | 1       | itself: clock left for training this round     |
    | `battery_j`     | 1       | itself: charge                                 |
    | `available`     | 1       | itself: 1 if it can take part this round       |
    | `num_samples`   | 1       | itself: training samples                       |
    | `loss`          | 1       | itself: last loss that it reported             |
    | `age`           | 1       | itself: rounds since it last delivered         |
    | `accuracy`      | 1       | the server: held-out accuracy of the model     |
    | `best_accuracy` | 1       | the server: best of the episode so far         |
    | `round_index`   | 1       | the server: rounds played                      |
    | `last_round_s`  | 1       | the server: duration of the last round         |

    1. C * K numbers, cell after cell with its sub-channels, where the sibling shows every sub-channel, else C.

    Features that a task adds stand behind the others of their kind. `env.devices.columns` says where each is.

    `state()` is a float32 vector of all that the sibling observes, feature after feature, for training with a central
    critic. It has what all devices know, and is not for playing.

    ## Rewards and infos

    Every agent that lives gets the reward of the sibling, one number for the whole team. `infos` have what the
    sibling's info has: of entries with one number per device (`delivered`, `late`, `lost`, `depleted`, `repaired`, ...)
    the agent's own, of all others, such as `reward_terms` and `accuracy`, that of the team. `action_mask` is there too.

    ## End

    Agents that are still there terminate and truncate together, when the sibling does; the episode terminates too when
    all have left. An agent that leaves in the last round has terminated and is not truncated.

    ## Seeds and states

    `reset(seed=s)` plays the instances that the sibling plays. `reset(options={"instance": i})` plays one instance
    again; options that do not exist are ignored. `get_state`, `set_state`, pickle and deepcopy work as in the sibling.

    ## Arguments

    Those of the sibling but `vector_reward`, and `max_cycles`, PettingZoo's name for the rounds after which an episode
    is truncated, if fewer than the scenario's. Such an end is not charged with the time left.

    ## One policy for all devices

    `train.sb3.parallel_to_sb3` makes a `VecEnv` of Stable-Baselines3 in which each row is one device of one episode.
    All episodes are played in one batch, and PPO or sb3-contrib's MaskablePPO train one policy that all devices share:

    ```python
    >>> from stable_baselines3 import PPO
    >>> from train.sb3 import parallel_to_sb3
    >>> rows = parallel_to_sb3(env, num_envs=4)
    >>> rows.num_envs  # 4 episodes of 6 devices
    24
    >>> model = PPO("MlpPolicy", rows, n_steps=8, batch_size=48, device="cpu").learn(200)

    ```

    The row of a device that has left stays until its episode ends: only idling is open to it, and its reward is 0.
    """

    metadata: dict[str, Any] = {**FederatedEnv.metadata, "is_parallelizable": True}
    env_class: ClassVar[type[FederatedEnv]]

    def __init__(
        self,
        scenario: str | Mapping[str, Any] | Scenario = "small",
        *,
        max_cycles: int | None = None,
        **arguments: Any,
    ) -> None:
        """Build the environment; the class docstring says what the arguments are.

        Raises:
            UnknownNameError: For an argument that does not exist.
            InvalidValueError: For a value that is not allowed.
        """
        if max_cycles is not None and (not isinstance(max_cycles, int) or max_cycles < 1):
            raise InvalidValueError("max_cycles", max_cycles, "null or a whole number of at least 1")
        self.max_cycles = max_cycles
        self.sibling = self.env_class(scenario, **arguments)
        if self.task.vector_reward:
            raise InvalidValueError("vector_reward", True, 'false for agents, whose info["reward_terms"] has the terms')
        self.sibling.system.devices_leave = True
        self.devices = DeviceAgents(self.sibling.task)
        self.possible_agents = list(self.devices.names)
        self.agents = []
        self.action_spaces = {agent: self.devices.option_space for agent in self.possible_agents}
        self.observation_spaces = {agent: self._new_observation_space() for agent in self.possible_agents}
        size = sum(feature.size for feature in self.task.features.values())
        self.state_space = spaces.Box(-1.0, 1.0, (size,), np.float32)
        self._numbers = {agent: number for number, agent in enumerate(self.possible_agents)}

    def _new_observation_space(self) -> spaces.Dict:
        mask = spaces.Box(0, 1, (len(self.devices.options),), np.int8)
        return spaces.Dict({"observation": self.devices.observation_box, "action_mask": mask})

    @property
    def scenario(self) -> Scenario:
        """What the system is."""
        return self.sibling.scenario

    @property
    def task(self) -> Task:
        """What is decided, seen and rewarded."""
        return self.sibling.task

    @property
    def system(self) -> FederatedSystem:
        """The simulated system, a batch of one."""
        return self.sibling.system

    @property
    def split(self) -> str:
        """Which instances :meth:`reset` draws from."""
        return self.sibling.split

    @property
    def instance(self) -> int | None:
        """The instance that is played."""
        return self.sibling.instance

    @property
    def render_mode(self) -> str | None:
        """``"human"``, ``"rgb_array"``, ``"ansi"`` or None."""
        return self.sibling.render_mode

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """Space of what an agent observes, always the same object.

        Raises:
            UnknownNameError: For an agent that does not exist.
        """
        return self._space(self.observation_spaces, agent)

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """Space of an agent's options, always the same object.

        Raises:
            UnknownNameError: For an agent that does not exist.
        """
        return self._space(self.action_spaces, agent)

    def _space(self, of_agents: Mapping[str, spaces.Space[Any]], agent: str) -> spaces.Space[Any]:
        if agent not in of_agents:
            raise UnknownNameError("agent", agent, [self.possible_agents[0], "...", self.possible_agents[-1]])
        return of_agents[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, Info]]:
        """Begin an episode.

        Args:
            seed: Seed of the sequence of instances; None continues it.
            options: ``{"instance": i}`` plays one instance of the split again; others are ignored.

        Raises:
            InvalidValueError: For an instance outside the split.
        """
        known = {name: value for name, value in (options or {}).items() if name in RESET_OPTIONS}
        observation, info = self.sibling.reset(seed=seed, options=known)
        members = self.system.state.active[0]
        self.agents = [agent for agent in self.possible_agents if members[self._numbers[agent]]]
        return self._shown(self.agents, observation, info)

    def step(
        self, actions: Mapping[str, int]
    ) -> tuple[dict[str, Observation], dict[str, float], dict[str, bool], dict[str, bool], dict[str, Info]]:
        """Play one federated round.

        Args:
            actions: An option of every agent in ``agents``.

        Returns:
            Observations, rewards, terminations, truncations and infos of those who were in ``agents``.

        Raises:
            InvalidValueError: For an agent without an action, an action of somebody else, or one outside its space.
            gymnasium.error.ResetNeeded: Before the first reset and after the end of an episode.
        """
        if not self.agents:
            raise gym.error.ResetNeeded("no agent is there: call reset() before step()")
        joint_action = self.devices.joint_actions(self._checked(actions)[None])[0]
        observation, reward, terminated, truncated, info = self.sibling.step(joint_action)
        if self.max_cycles is not None and self.system.state.round_index[0] >= self.max_cycles:
            truncated = True
        played, stay = self.agents, self.system.state.active[0]
        observations, infos = self._shown(played, observation, info)
        terminations = {agent: terminated or not bool(stay[self._numbers[agent]]) for agent in played}
        truncations = {agent: truncated and not terminations[agent] for agent in played}
        self.agents = [agent for agent in played if not (terminations[agent] or truncations[agent])]
        return observations, dict.fromkeys(played, reward), terminations, truncations, infos

    def state(self) -> np.ndarray:
        """(S) float32, all that the sibling observes, in the order of ``task.features``.

        Raises:
            gymnasium.error.ResetNeeded: Before the first reset.
        """
        if self.instance is None:
            raise gym.error.ResetNeeded("call reset() before state()")
        return np.concatenate([value[0] for value in self.task.observe(self.system).values()])

    def set_curriculum_stage(self, stage: int) -> None:
        """Make the episodes from the next reset on those of a stage, 0 being the easiest.

        Raises:
            InvalidValueError: If there is no such stage.
        """
        self.sibling.set_curriculum_stage(stage)

    def advance_curriculum(self) -> bool:
        """Make the episodes from the next reset on those of the next stage; whether there was one."""
        return self.sibling.advance_curriculum()

    def get_state(self) -> dict[str, Any]:
        """All that the future depends on; nothing in it is shared with the environment."""
        return {**self.sibling.get_state(), "agents": list(self.agents)}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`get_state` returned, any number of times."""
        self.sibling.set_state(state)
        self.agents = list(state["agents"])

    def render(self) -> Any:
        """The last round, in the form that ``render_mode`` asks for; None where it is on the screen."""
        return self.sibling.render()

    def close(self) -> None:
        """Close the window of ``render_mode="human"``."""
        self.sibling.close()

    def _shown(
        self, agents: list[str], observation: Mapping[str, np.ndarray], info: Info
    ) -> tuple[dict[str, Observation], dict[str, Info]]:
        """What some agents are told of the sibling's observation and info."""
        rows = self.devices.observe({name: value[None] for name, value in observation.items()})[0]
        masks = self.devices.masks(self.task.action_masks(self.system))[0].astype(np.int8)
        of_devices = self.devices.infos(info)
        observations, infos = {}, {}
        for agent in agents:
            number = self._numbers[agent]
            observations[agent] = {"observation": rows[number], "action_mask": masks[number]}
            infos[agent] = {**of_devices[number], "action_mask": masks[number].copy()}
        return observations, infos

    def _checked(self, actions: Mapping[str, int]) -> np.ndarray:
        """(N) options, 0 for those who have left: they idle, or the system leaves them out."""
        if not isinstance(actions, Mapping):
            raise InvalidValueError("actions", actions, "a dict with one action for each agent")
        if strangers := actions.keys() - set(self.agents):
            raise InvalidValueError("agent of an action", min(strangers, key=str), "those in env.agents, and no other")
        options = np.zeros(len(self.possible_agents), dtype=np.int64)
        for agent in self.agents:
            if agent not in actions:
                raise InvalidValueError(f"action of {agent}", "missing", "one for each agent in env.agents")
            space = self.action_spaces[agent]
            if not space.contains(actions[agent]):
                raise InvalidValueError(f"action of {agent}", actions[agent], str(space))
            options[self._numbers[agent]] = int(actions[agent])
        return options


def agent_by_agent(env: FederatedParallelEnv) -> AECEnv[str, Any, Any]:
    """The same with agents that act in turn, for PettingZoo's AEC API; a wrong action is refused when it is made."""
    return OrderEnforcingWrapper(AssertOutOfBoundsWrapper(parallel_to_aec(env)))
