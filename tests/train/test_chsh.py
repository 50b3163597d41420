"""What shared entanglement is provably worth, learned from rewards alone."""

import numpy as np
import pytest
from chsh import CLASSICAL_BOUND, CHSHEnv, GameRows, winning_probability
from pettingzoo.test import parallel_api_test

from train.training.multi_agent import TeamPPO

CIRCUIT = {
    "kind": "entangled",
    "shared": 1,
    "cluster_size": 2,
    "qubits": 1,
    "layers": 1,
    "entangler": "none",
    "own_weights": True,
}
LEARNING = {
    "n_steps": 1,
    "batch_size": 256,
    "n_epochs": 4,
    "gamma": 0.0,
    "gae_lambda": 0.0,
    "clip_range": 0.2,
    "entropy": 0.0,
    "max_gradient": 1.0,
    "rates": {"angles": 2e-1, "classical": 1e-1, "output": 1e-1},
}


def trained(actor, critic, seed=0, updates=15):
    settings = {"actor": actor, "critic": critic, "num_names": 0, "algorithm": LEARNING}
    team = TeamPPO(GameRows(256), settings, seed)
    for _ in range(updates):
        team.update()
    return team


def test_the_game_is_an_environment_of_pettingzoo():
    parallel_api_test(CHSHEnv(), num_cycles=10)


def test_players_with_a_bell_pair_learn_to_beat_all_classical_players():
    team = trained(CIRCUIT | {"chain": "phi+"}, CIRCUIT | {"chain": "phi+"})
    assert 0.80 < winning_probability(team.actor) < np.cos(np.pi / 8) ** 2 + 1e-5


@pytest.mark.parametrize(
    ("actor", "critic"),
    [
        (CIRCUIT | {"chain": "product"}, {"kind": "central", "hidden": [8]}),
        ({"kind": "classical", "hidden": [8], "own_weights": True}, {"kind": "central", "hidden": [8]}),
    ],
    ids=["unentangled", "classical"],
)
def test_players_without_one_learn_what_classical_players_can(actor, critic):
    team = trained(actor, critic)
    assert 0.70 < winning_probability(team.actor) < CLASSICAL_BOUND + 1e-5
