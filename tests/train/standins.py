"""Two environments for algorithms that no choice per device suits: a number per device, and one choice for all."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from qfl_envs.envs.base import FederatedEnv
from qfl_envs.envs.task import Task
from qfl_envs.system.decision import Decision
from qfl_envs.vector import FederatedVectorEnv

CONTINUOUS, CHOICES = "test/Continuous-v0", "test/Choices-v0"


class ContinuousTask(Task):
    """Devices with a number above 0 take part."""

    def __init__(self, scenario, reward_weights=None):
        super().__init__(scenario, reward_weights)
        self.action_space = spaces.Box(-1.0, 1.0, (scenario.num_devices,), np.float32)

    def decide(self, system, actions):
        return Decision(participate=actions > 0)


class ChoicesTask(Task):
    """So many of the devices with the best links take part."""

    def __init__(self, scenario, reward_weights=None):
        super().__init__(scenario, reward_weights)
        self.action_space = spaces.Discrete(scenario.num_devices + 1)

    def decide(self, system, actions):
        rank = (-system.state.gain.mean((-2, -1))).argsort(-1).argsort(-1)
        return Decision(participate=rank < actions[:, None])


def _register(env_id, task):
    def init(self, scenario="small", *, split="train", reward_weights=None, render_mode=None, **overrides):
        arguments = {"task_arguments": {"reward_weights": reward_weights}, "overrides": overrides}
        FederatedEnv.__init__(self, scenario, split=split, render_mode=render_mode, **arguments)

    env = type(task.__name__ + "Env", (FederatedEnv,), {"task_class": task, "__init__": init})
    vector = type(task.__name__ + "VectorEnv", (FederatedVectorEnv,), {"env_class": env})
    if env_id not in gym.registry:
        gym.register(env_id, env, vector_entry_point=vector)


_register(CONTINUOUS, ContinuousTask)
_register(CHOICES, ChoicesTask)
