"""An episode as pictures in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from PIL import Image

from qfl_envs.competitor import Competitor
from train.runs import RunFolderError


def draw_episode(env: gym.Env[Any, Any], competitor: Competitor, seed: int, rounds: int | None = None) -> Iterator[Any]:
    """What ``env.render()`` gives before the first round and after each.

    Args:
        env: An environment with a render mode.
        competitor: Who plays.
        seed: Chooses the instance, and the competitor's own randomness.
        rounds: Stop after so many; None plays the whole episode.
    """
    observation, _ = env.reset(seed=seed)
    competitor.reset(env, seed)
    yield env.render()
    played, ended = 0, False
    while not ended and played != rounds:
        observation, _, terminated, truncated, _ = env.step(competitor.act(observation))
        yield env.render()
        played, ended = played + 1, terminated or truncated
    env.close()


def write_gif(path: Path, frames: Iterable[np.ndarray], frames_per_second: int = 4) -> None:
    """All frames as an animation; the last one stays for two seconds."""
    images = [Image.fromarray(frame).quantize(64) for frame in frames]
    durations = [1000 // frames_per_second] * (len(images) - 1) + [2000]
    _save(images[0], path, save_all=True, append_images=images[1:], duration=durations, loop=0)


def write_png(path: Path, frames: Iterable[np.ndarray]) -> None:
    """The last frame as a picture."""
    *_, last = frames
    _save(Image.fromarray(last), path)


def _save(image: Image.Image, path: Path, **keywords: Any) -> None:
    try:
        image.save(path, **keywords)
    except OSError as error:
        raise RunFolderError(f"cannot write {path}: {error.strerror or error}; choose another --out") from error


WRITERS: dict[str, Callable[[Path, Iterable[np.ndarray]], None]] = {".gif": write_gif, ".png": write_png}
"""Ways to write frames, by the file's ending."""
