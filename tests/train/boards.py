"""Results of a run that nobody had to play: any returns, in the smallest form that all tables accept."""

import dataclasses

from train.competition.results import Results, Training
from train.evaluation import Episode

ENV_IDS = ("qfl/Scheduling-v0", "qfl/Power-v0")
ZERO = {field.name: 0.0 for field in dataclasses.fields(Episode)}


def episode(competitor, seed, value, env_id=ENV_IDS[0], **changes):
    whole = {"seed": seed, "instance": seed, "rounds": 2, "parameters": 0, "quantum_parameters": 0}
    texts = {"env_id": env_id, "competitor": competitor, "kind": "classical", "tier": "real"}
    other = {"target_reached": True, "simulated_s": 2.0, "energy_j": 5.0, "reward_terms": {"time": -value}}
    curve = [(0.0, 0.1), (1.0, 0.3), (2.0, 0.6)]
    return Episode(**{**ZERO, **whole, **texts, **other, "episode_return": value, "curve": curve, **changes})


def training(competitor, env_id=ENV_IDS[0]):
    return Training(env_id, competitor, 0, 256, 99, 1.5, [(128, -2.0), (256, -1.0)])


def config(names, env_ids=ENV_IDS[:1], seeds=6, **changes):
    """Settings of a run of the preset tiny, for which scores exist."""
    scenario = {
        "num_devices": 6,
        "radio": {"num_cells": 1, "num_subchannels": 3},
        "learning": {"model": "qnn", "dataset": "digits", "partition": "one_label"},
        "target_accuracy": 0.6,
        "max_rounds": 30,
        "deadline_s": 4.0,
    }
    plans = [
        {"agent": name, "env_id": env_id, "steps": 256, "seed": 0, "settings": {"rate": 0.1}}
        for env_id in env_ids
        for name in names
        if name in ("ppo", "vqc-ppo")
    ]
    return {
        "protocol": 1,
        "code": "0.1.0+abc",
        "versions": {"numpy": "2"},
        "tier": "real",
        "environments": list(env_ids),
        "competitors": list(names),
        "preset": "tiny",
        "arguments": {},
        "seeds": seeds,
        "only": {},
        "steps": {},
        "training_seed": 0,
        "entries": [[env_id, name] for env_id in env_ids for name in names],
        "scenarios": dict.fromkeys(env_ids, scenario),
        "training": plans,
        **changes,
    }


def results(*records):
    found = Results()
    for record in records:
        found.add(record)
    return found


def played(returns, env_id=ENV_IDS[0], **changes):
    """Episodes of everybody, by name and in the order of the seeds."""
    return [
        episode(name, seed, value, env_id, **changes) for name, of in returns.items() for seed, value in enumerate(of)
    ]
