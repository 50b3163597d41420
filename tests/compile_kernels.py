"""Compiles what most tests call, once, for processes that will test side by side: ``make test`` runs it before them.

It plays a little of everything. What it forgets is compiled by whoever calls it first.
"""

import gymnasium as gym
import numpy as np
import torch

import agents
import qfl_envs  # noqa: F401  (registers the environments)
from qfl_envs.quantum.batched import expectations
from qfl_envs.quantum.circuits import Circuit

SCENARIOS = (
    {},
    {"learning": {"model": "surrogate"}},
    {"learning": {"model": "none"}, "radio": {"num_cells": 2, "access": "time_share"}},
    {"learning": {"model": "none"}, "radio": {"num_cells": 2}},
)
COMPETITORS = {
    "qfl/Allocation-v0": ("qaoa-recursive", {}),
    "qfl/Drift-v0": ("annealed-head", {"learning": {"model": "surrogate"}, "adaptations": ["annealed_head"]}),
}


def play(env_id, act, **arguments):
    env = gym.make(env_id, scenario="tiny", disable_env_checker=True, **arguments)
    player = act(env)
    observation, _ = env.reset(seed=0)
    for _ in range(3):
        observation, *_ = env.step(player(observation))


def random_player(env):
    return lambda observation: env.action_space.sample()


def player_of(name):
    def make(env):
        competitor = agents.make(name)
        env.reset(seed=0)
        competitor.reset(env, 0)
        return competitor.act

    return make


def run_circuit_in_double_precision():
    circuit = Circuit(3, 1)
    shapes = [(1, 2, 3), (1, 1, 3), (1, circuit.num_uploads, 3), (1, 2, 3)]
    tensors = [torch.ones(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    expectations(circuit, *tensors).sum().backward()


def main():
    torch.set_num_threads(1)
    for env_id in sorted(name for name in gym.registry if name.startswith("qfl/")):
        for arguments in SCENARIOS:
            play(env_id, random_player, **arguments)
        for arguments in SCENARIOS[:2]:
            rows = gym.make_vec(env_id, num_envs=2, scenario="tiny", **arguments)
            rows.reset(seed=0)
            rows.step(np.stack([rows.single_action_space.sample()] * 2))
    for env_id, (name, arguments) in COMPETITORS.items():
        play(env_id, player_of(name), **arguments)
    run_circuit_in_double_precision()


if __name__ == "__main__":
    main()
