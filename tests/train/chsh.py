"""The game of Clauser, Horne, Shimony and Holt as a PettingZoo environment, and many games of it side by side.

Two players who cannot talk are asked a bit each, x and y, and win if their answers differ exactly when x = y = 1.
Classical players win at most 3 of 4 games on average, players who share a Bell pair cos^2(pi / 8) = .854.
"""

import itertools

import numpy as np
import torch
from gymnasium import spaces
from pettingzoo import ParallelEnv

from agents.multi_agent.teams import TeamShape
from train.training.teams import Played, Seen

CLASSICAL_BOUND = 0.75


class CHSHEnv(ParallelEnv):
    """One round; the reward of both is 1 for a win, else 0."""

    metadata = {"name": "chsh_v0"}
    possible_agents = ["alice", "bob"]

    def __init__(self):
        self.action_spaces = {agent: spaces.Discrete(2) for agent in self.possible_agents}
        self.observation_spaces = {agent: spaces.Box(-1, 1, (1,), np.float32) for agent in self.possible_agents}
        self.rng = np.random.default_rng()

    def reset(self, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.agents = list(self.possible_agents)
        self.questions = self.rng.integers(2, size=2)
        return self._seen(), {agent: {} for agent in self.agents}

    def step(self, actions):
        won = (actions["alice"] ^ actions["bob"]) == (self.questions[0] & self.questions[1])
        played, self.agents = self.agents, []
        ended = dict.fromkeys(played, True)
        return self._seen(), dict.fromkeys(played, float(won)), ended, dict.fromkeys(played, False), {}

    def state(self):
        return (2 * self.questions - 1).astype(np.float32)

    def _seen(self):
        return {agent: self.state()[[number]] for number, agent in enumerate(self.possible_agents)}


class GameRows:
    """Many games for the trainer of teams."""

    shape = TeamShape(num_devices=2, num_features=1, num_options=2, num_state=2)

    def __init__(self, num_envs):
        self.num_envs, self.games = num_envs, [CHSHEnv() for _ in range(num_envs)]

    def reset(self, seed):
        return self._seen([game.reset(seed=seed + number)[0] for number, game in enumerate(self.games)])

    def step(self, options):
        answers = options.tolist()
        ends = [game.step({"alice": a, "bob": b}) for game, (a, b) in zip(self.games, answers, strict=True)]
        last = self._seen([end[0] for end in ends])
        rewards = np.array([end[1]["alice"] for end in ends])
        over = np.ones(self.num_envs, dtype=bool)
        return Played(self._seen([game.reset()[0] for game in self.games]), last, rewards, over, ~over)

    def _seen(self, observations):
        seen = torch.tensor(np.array([[one["alice"], one["bob"]] for one in observations]))
        return Seen(seen, torch.ones(self.num_envs, 2, 2, dtype=torch.bool), seen[..., 0])


@torch.no_grad()
def winning_probability(actor):
    """Exact, over the four pairs of questions."""
    questions = torch.tensor(list(itertools.product((0, 1), repeat=2)))
    observations, masks = (2.0 * questions - 1)[..., None], torch.ones(4, 2, 2, dtype=torch.bool)
    won = 0.0
    for answers in itertools.product((0, 1), repeat=2):
        chosen = torch.tensor(answers).expand(4, -1)
        likely = actor.log_probabilities(observations, masks, chosen)[0].sum(-1).exp()
        won += float((likely * ((chosen[:, 0] ^ chosen[:, 1]) == questions.prod(-1))).sum() / 4)
    return won
