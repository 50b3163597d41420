"""Playing the multi-agent environments."""

from functools import partial

import pettingzoo

from qfl_envs.registration import MULTI_AGENT_ENVIRONMENTS

IDS = sorted(MULTI_AGENT_ENVIRONMENTS)
FORMS = {env_id: partial(pettingzoo.make, "parallel", env_id) for env_id in IDS}
ALLOCATION, STRAGGLERS = FORMS["qfl/Allocation-v0"], FORMS["qfl/StragglerFairness-v0"]
ENDURING = {"fleet": {"battery_j": [1e4, 1e4]}}
"""Nobody leaves."""


def make(form, **arguments):
    """A small environment without learning."""
    return form(**{"scenario": "tiny", "learning": {"model": "none"}, **arguments})


def make_sibling(form, **arguments):
    """The single-agent environment of the same arguments."""
    return make(make(form).env_class, **arguments)


def masked_actions(env, observations):
    return {agent: env.action_space(agent).sample(observations[agent]["action_mask"]) for agent in env.agents}


def seed_actions(env, seed=0):
    for number, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(seed + number)


def play(env, count):
    """What so many rounds of random open choices returned; an episode that ends is followed by the next."""
    steps = []
    masks = env.devices.masks(env.task.action_masks(env.system))[0].astype("int8")
    observations = {agent: {"action_mask": mask} for agent, mask in zip(env.possible_agents, masks, strict=True)}
    for _ in range(count):
        steps.append(env.step(masked_actions(env, observations)))
        observations = steps[-1][0]
        if not env.agents:
            steps.append(env.reset())
            observations = steps[-1][0]
    return steps


def rollout(env, seed, count=30):
    seed_actions(env)
    return [env.reset(seed=seed), *play(env, count)]


def stay(env):
    """Every agent's first option, which is to idle."""
    return dict.fromkeys(env.agents, 0)


def drain(env, *devices):
    """Empty some batteries for good: nothing is harvested that matters."""
    state = env.system.state
    state.battery_j[0, list(devices)] = 0.0
    state.full_battery_j[0, list(devices)] = 1e9
