"""Plays mobile-env, in an interpreter that need not have anything of this project.

Run as a program. First it prints how many devices it has, as a JSON object; then, for every line with a number that it
reads, it plays so many steps of random actions and prints the seconds that they took.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import gymnasium as gym
import mobile_env  # noqa: F401  registers its environments

ENV_ID = "mobile-medium-central-v0"
"""Fifteen users choose among seven base stations; one agent decides for all."""


def main() -> None:
    """Answer until the input ends."""
    env = gym.make(ENV_ID, disable_env_checker=True)
    env.action_space.seed(0)
    env.reset(seed=0)
    users: Any = env.get_wrapper_attr("users")
    print(json.dumps({"users": len(users)}), flush=True)
    for line in sys.stdin:
        print(sum(_step_s(env) for _ in range(int(line))), flush=True)


def _step_s(env: gym.Env[Any, Any]) -> float:
    """Seconds of a step and, where it ends the episode, of the reset after it; choosing the action is not timed."""
    action = env.action_space.sample()
    begin = time.perf_counter()
    _, _, terminated, truncated, _ = env.step(action)
    if terminated or truncated:
        env.reset()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
