"""A PettingZoo environment of the shape that the multi-agent environments have, with nothing behind it."""

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv


class StandIn(ParallelEnv):
    """Three devices; in every round one choice of each is closed, and taking it is counted; the last leaves early."""

    metadata = {"name": "stand_in"}

    def __init__(self, rounds=6, num_choices=3):
        self.possible_agents = [f"device_{number}" for number in range(3)]
        self.agents = []
        self.closed_choices = 0
        self.rounds, self.num_choices = rounds, num_choices
        seen = {
            "observation": spaces.Box(-1, 1, (4,), np.float32),
            "action_mask": spaces.Box(0, 1, (num_choices,), np.int8),
        }
        self.observation_spaces = {agent: spaces.Dict(seen) for agent in self.possible_agents}
        self.action_spaces = {agent: spaces.Discrete(num_choices) for agent in self.possible_agents}

    def observation_space(self, agent):
        return self.observation_spaces[agent]

    def action_space(self, agent):
        return self.action_spaces[agent]

    def reset(self, seed=None, options=None):
        self.agents = self.possible_agents[:]
        self.round, self.rng = 0, np.random.default_rng(seed)
        return self._observe(), {agent: {} for agent in self.agents}

    def step(self, actions):
        assert actions.keys() == set(self.agents)
        self.closed_choices += sum(action == self.closed[agent] for agent, action in actions.items())
        self.round += 1
        played = self.agents
        ends = {agent: False for agent in played}
        leaves = {agent: agent == "device_2" and self.round == 2 for agent in played}
        truncations = {agent: self.round == self.rounds for agent in played}
        observations = self._observe()
        rewards = {agent: float(actions[agent] == 0) for agent in played}
        infos = {agent: {} for agent in played}
        self.agents = [agent for agent in played if not (leaves[agent] or truncations[agent])]
        return observations, rewards, {**ends, **leaves}, truncations, infos

    def _observe(self):
        self.closed = {agent: int(self.rng.integers(self.num_choices)) for agent in self.agents}
        return {
            agent: {
                "observation": self.rng.uniform(-1, 1, 4).astype(np.float32),
                "action_mask": (np.arange(self.num_choices) != self.closed[agent]).astype(np.int8),
            }
            for agent in self.agents
        }
