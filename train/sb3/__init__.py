"""Stable-Baselines3 on the environments, single and multi-agent, and a checker of its vector environments."""

from train.sb3.checker import check_vec_env
from train.sb3.parallel import parallel_to_sb3
from train.sb3.vector_env import SB3VecEnv

__all__ = ["SB3VecEnv", "check_vec_env", "parallel_to_sb3"]
