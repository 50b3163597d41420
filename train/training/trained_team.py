"""Trained teams of devices as competitors: every device decides on what it observes itself."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from agents.multi_agent.actors import Actor, EntangledActor
from agents.multi_agent.teams import TeamShape, make_actor
from qfl_envs.competitor import Competitor, Cost
from qfl_envs.envs.device_agents import DeviceAgents
from qfl_envs.errors import InvalidValueError
from qfl_envs.system.devices import server_seconds
from train.training.plans import MODE_FILE, MODEL_FILE, ModelFileError, read_plan
from train.training.validation import Player


class TrainedTeam(Competitor):
    """A team in the environment that it was trained in, as one competitor of the single-agent form.

    Attributes:
        greedy: Whether it plays the likeliest options, which was better on the split val.
        val_return: What it reached there.
    """

    def __init__(self, folder: Path) -> None:
        """Load the policy.

        Args:
            folder: Where ``qfl train`` left it.

        Raises:
            ModelFileError: If there is no such model.
        """
        super().__init__()
        self.plan = read_plan(folder)
        self.name = self.plan.agent
        self.environments = (self.plan.env_id,)  # type: ignore[misc]  # a class variable of all others
        try:
            saved = torch.load(folder / MODEL_FILE, weights_only=True)
            self.shape = TeamShape(*saved["shape"])
            self.actor = make_actor(self.plan.settings, self.shape)
            self.actor.load_state_dict(saved["actor"])
            mode = json.loads((folder / MODE_FILE).read_text())
            self.greedy = bool(mode["deterministic"])
            self.val_return = max(mode["val_return_deterministic"], mode["val_return_sampled"])
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
            raise ModelFileError(f"{folder / MODEL_FILE} is no model of {self.name!r} ({error})") from error
        if isinstance(self.actor, EntangledActor):
            self.kind = "quantum"

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Check that the team was trained with as many devices, options and numbers to observe; seed its choices.

        Raises:
            InvalidValueError: If they differ.
        """
        super().reset(env, seed)
        devices = DeviceAgents(self.env.task)
        given = (devices.num_devices, devices.observation_size, len(devices.options))
        if given != self.shape[:3]:
            allowed = f"{self.shape[:3]}, with which the team was trained"
            raise InvalidValueError("devices, numbers that each observes, and options of each", given, allowed)
        self._play = make_player(self.actor, devices, self.greedy, seed)

    def choose(self, observation: dict[str, np.ndarray]) -> Any:
        """What all devices do."""
        batch = {name: value[None] for name, value in observation.items()}
        return self._play(batch, lambda: self.env.action_masks()[None])[0]

    def cost(self) -> Cost:
        """With the parameters of the policy, which is all that devices need to play.

        A device runs its circuit once, with one shot; all devices do so at the same time, on average processors.
        """
        counts, circuits, quantum_s = self.actor.counts(), 0, 0.0
        if self.kind == "quantum" and self._decisions:
            circuits = self.shape.num_devices
            quantum_s = server_seconds(self.env.scenario.fleet, shots=1)
        return Cost(
            parameters=counts.total,
            circuit_evaluations=circuits,
            shots=circuits,
            decision_s=super().cost().decision_s,
            quantum_parameters=counts.quantum,
            quantum_s=quantum_s,
            classical_pre_parameters=counts.classical_pre,
            classical_post_parameters=counts.classical_post,
        )


def make_player(actor: Actor, devices: DeviceAgents, greedy: bool, seed: int = 0) -> Player:
    """Actions of the single-agent form, made of what each device decides.

    Args:
        actor: The devices' policy.
        devices: How observations, masks and actions of both forms belong together.
        greedy: See :meth:`agents.multi_agent.actors.Actor.act`.
        seed: Of measurements and draws.
    """
    generator = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def play(observations: Any, masks: Any) -> np.ndarray:
        seen, opened = devices.observe(observations), devices.masks(masks())
        options, _ = actor.act(torch.as_tensor(seen), torch.as_tensor(opened), generator, greedy)
        return devices.joint_actions(options.numpy())

    return play


def to_bytes(content: Any) -> bytes:
    """As ``torch.save`` writes it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()
