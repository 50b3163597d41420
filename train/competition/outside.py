"""Competitors from outside: ``module:Name`` is a Python object, ``[algorithm:]path.zip`` a model of Stable-Baselines3.

Both bring code that runs here with all rights of the user: a model's file is a pickle in part.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import sys
import zipfile
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import gymnasium as gym

from qfl_envs.competitor import Competitor, Cost, Kind
from qfl_envs.errors import QflError
from qfl_envs.fields import reject_unknown
from train.competition.protocol import SPLIT
from train.evaluation import make_env
from train.runs import as_object
from train.training.algorithms import ACTIONS
from train.training.plans import MODEL_FILE, PLAN_FILE, read_plan

PROTOCOL_OF_COMPETITORS = ("name", "kind", "supports", "reset", "act", "cost")
"""What an object must have; qfl_envs/competitor.py says what it means."""
MARKS = {
    "exploration_fraction": "dqn",
    "target_entropy": "sac",
    "policy_delay": "td3",
    "clip_range": "ppo",
    "normalize_advantage": "a2c",
}
"""Settings in a model's file that only one algorithm has, the first that is there counts."""
MASKABLE_BUFFERS = "sb3_contrib.common.maskable"


class OutsideError(QflError):
    """A competitor from outside that cannot be had."""


def is_outside(name: str) -> bool:
    """Whether a name is that of a competitor from outside."""
    return ":" in name or is_model(name)


def is_model(name: str) -> bool:
    """Whether it is a file of Stable-Baselines3."""
    return name.endswith(".zip")


def make(name: str, file: Path | None = None) -> Competitor:
    """A new competitor.

    Args:
        name: ``module:Name`` or ``[algorithm:]path.zip``.
        file: Of a model that is not where its name says.

    Raises:
        OutsideError: If there is none, or it lacks what a competitor needs.
        ModelFileError: For a file that is no model.
    """
    return _model(name, file or file_of(name)) if is_model(name) else _object(name)


def file_of(name: str) -> Path:
    """The file of a model."""
    return Path(name.rpartition(":")[2])


def fits(name: str, env_id: str, environment: Mapping[str, Any]) -> bool:
    """Whether a model was trained on the spaces of an environment; one that ``qfl train`` made, in that very one.

    Raises:
        OutsideError: For a file that is no model.
        ModelFileError: For a folder of ``qfl train`` whose plan is damaged.
    """
    file = file_of(name)
    if _has_plan(file):
        return read_plan(file.parent).env_id == env_id
    env = make_env(env_id, SPLIT, environment)
    try:
        return _spaces(file) == (env.observation_space, env.action_space)
    finally:
        env.close()


def supports(name: str, env_id: str) -> bool:
    """Whether an object says that it has an answer for an environment.

    Raises:
        OutsideError: If it does not say.
    """
    made = _object(name)
    try:
        return bool(made.supports(env_id))
    except Exception as error:
        raise OutsideError(
            f"--competitor {name} does not say whether it supports {env_id} ({type(error).__name__}: {error})"
        ) from error


def digest(name: str) -> str:
    """What tells one version from another.

    A digest of the model's file, or of the source of the object's class and of the module that was named, where these
    are two.
    """
    if is_model(name):
        files = [file_of(name)]
    else:
        made = _found(name)
        sources = (getattr(sys.modules[name.partition(":")[0]], "__file__", None), _source_of(type(made)))
        files = [Path(source) for source in dict.fromkeys(sources) if source is not None]
    return hashlib.sha256(b"".join(map(_read, files))).hexdigest() if files else ""


def _source_of(made: type) -> str | None:
    """The file of a class; None for one that is built in."""
    try:
        return inspect.getsourcefile(made)
    except TypeError:
        return None


class _Foreign(Competitor):
    """One that has what a competitor needs without deriving from it."""

    def __init__(self, made: Any) -> None:
        """Let it play."""
        super().__init__()
        self._made, self.name, self.kind = made, made.name, made.kind

    def supports(self, env_id: str) -> bool:
        return bool(self._made.supports(env_id))

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        self._made.reset(env, seed)

    def act(self, observation: dict[str, Any]) -> Any:
        return self._made.act(observation)

    def cost(self) -> Cost:
        cost: Cost = self._made.cost()
        return cost


def _object(name: str) -> Competitor:
    made = _found(name)
    return made if isinstance(made, Competitor) else _Foreign(made)


def _found(name: str) -> Any:
    """What a name says, which has all that a competitor needs."""
    module, _, attribute = name.partition(":")
    folder = os.getcwd()
    if folder not in sys.path:  # as python -m has it; the script qfl has not
        sys.path.insert(0, folder)
    try:
        found = getattr(import_module(module), attribute)
        made = found() if callable(found) else found
    except (Exception, SystemExit) as error:
        raise OutsideError(
            f"--competitor {name} cannot be had ({type(error).__name__}: {error}); it must be module:Name, where the "
            f"module can be imported from {folder} and Name is a competitor or makes one without arguments"
        ) from error
    missing = [one for one in PROTOCOL_OF_COMPETITORS if not hasattr(made, one)]
    if missing:
        raise OutsideError(f"--competitor {name} lacks {', '.join(missing)}; see qfl_envs.competitor.Competitor")
    if made.kind not in get_args(Kind):
        raise OutsideError(f"--competitor {name} is of kind {made.kind!r}; allowed: {', '.join(get_args(Kind))}")
    return made


def _model(name: str, file: Path) -> Competitor:
    from train.training.loading import load
    from train.training.trained import SB3Model, load_model

    if _has_plan(file):
        return load(file.parent)

    class OutsideModel(SB3Model):
        """Of an unknown author, who plays its most likely actions wherever the spaces are those of its training."""

        def supports(self, env_id: str) -> bool:
            return True

    algorithm = name.rpartition(":")[0] or _algorithm(file)
    reject_unknown([algorithm], ACTIONS, "algorithm of a model")
    one = OutsideModel(load_model(file, algorithm), deterministic=True)
    one.name, one.kind = name, "classical" if one.cost().quantum_parameters == 0 else "quantum"
    return one


def _has_plan(file: Path) -> bool:
    """Whether it is what ``qfl train`` left, which says how it plays."""
    return file.name == MODEL_FILE and file.with_name(PLAN_FILE).exists()


def _algorithm(file: Path) -> str:
    """The algorithm that saved a model.

    Raises:
        OutsideError: If the file does not say.
    """
    settings = _settings(file)
    found = next((algorithm for mark, algorithm in MARKS.items() if mark in settings), None)
    if found is None:
        known = ", ".join(ACTIONS)
        raise OutsideError(f"{file} does not say which algorithm made it; write ALGORITHM:{file}, one of {known}")
    buffer = settings.get("rollout_buffer_class") or {}
    return "maskable-ppo" if str(buffer.get("__module__")).startswith(MASKABLE_BUFFERS) else found


@cache
def _spaces(file: Path) -> tuple[gym.Space[Any], gym.Space[Any]]:
    from stable_baselines3.common.save_util import load_from_zip_file

    _settings(file)
    try:
        data, _, _ = load_from_zip_file(file, device="cpu", custom_objects={"policy_class": None})
        assert data is not None
        return data["observation_space"], data["action_space"]
    except Exception as error:  # a pickle that is damaged, or of other versions, may raise anything
        raise _no_model(file, error) from error


def _settings(file: Path) -> dict[str, Any]:
    """What the algorithm saved beside the networks, without unpickling anything."""
    try:
        with zipfile.ZipFile(file) as content:
            return as_object(json.loads(content.read("data")))
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise _no_model(file, error) from error


def _no_model(file: Path, error: Exception) -> OutsideError:
    said = f"{type(error).__name__}: {error}"
    return OutsideError(f"{file} is no model of Stable-Baselines3 ({said}); give what model.save wrote")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise OutsideError(f"{file} cannot be read: {error.strerror}") from error
