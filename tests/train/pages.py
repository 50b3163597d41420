"""A page without a competition: any results, an episode that nobody played."""

from boards import ENV_IDS, config, episode, results, training

from train.competition.board import board
from train.competition.results import Failure
from train.competition.standings import standings
from train.report.content import content_of
from train.report.page import render

SCORES = {"random": -1.0, "round-robin": 0.4, "ppo": 0.2, "vqc-ppo": 0.3}
KINDS = {"vqc-ppo": "quantum"}
PARAMETERS = {"ppo": 4865, "vqc-ppo": 120}
SEEDS = 6


def leaderboard(names=tuple(SCORES), env_ids=ENV_IDS, **changes):
    """The content of a leaderboard.json."""
    records = [
        episode(
            name,
            seed,
            SCORES[name] + 0.05 * seed,
            env_id,
            kind=KINDS.get(name, "classical"),
            parameters=PARAMETERS.get(name, 0),
            simulated_s=2.0 + 0.1 * seed,
            energy_j=5.0,
            jain=0.8,
            accuracy=0.6,
        )
        for env_id in env_ids
        for name in names
        for seed in range(SEEDS)
    ]
    records += [training(name, env_id) for env_id in env_ids for name in names if name in PARAMETERS]
    records.append(Failure(env_ids[0], "oort", 3, "<b>nothing</b> & raised ValueError"))
    asked = config([*names, "oort"], env_ids, SEEDS, **changes)
    return board(standings(asked, results(*records)))


def replay(rounds=3, devices=4):
    frames = [
        {
            "round": number,
            "elapsed_s": 1.5 * number,
            "accuracy": 0.1 + 0.2 * number,
            "round_s": 1.5,
            "energy_j": 0.5,
            "place_m": [10 * (device + number) - 20 for device in range(devices) for _ in range(2)],
            "state": "dlxi"[:devices] if number else "i" * devices,
            "subchannel": [0, 1, 1, -1][:devices] if number else [-1] * devices,
            "power": [100, 50, 0, 0][:devices],
            "battery": [100] * devices,
        }
        for number in range(rounds + 1)
    ]
    about = {"competitor": "round-robin", "seed": 0, "radius_m": 100, "sites_m": [[0, 0]], "subchannels": 2}
    return {**about, "target": 0.6, "rounds": rounds, "frames": frames}


def page(**changes):
    content = content_of(leaderboard(**changes))
    return render(content, {place.env_id: replay() for place in content.places})
