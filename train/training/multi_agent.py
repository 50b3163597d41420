"""Multi-agent actor-critic training: proximal policy optimisation of a team on its common reward.

As in MAPPO (Yu et al. 2022, NeurIPS, arXiv 2103.01955), devices share one policy that sees what each of them observes,
a critic that is needed for training only sees all of them, and values are learned in normalised form. What is clipped
is the ratio of joint probabilities of the devices that share entanglement, or of one device where nothing is shared.
"""

from __future__ import annotations

import json
import pickle
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from agents.multi_agent.teams import make_actor, make_critic
from qfl_envs.fields import reject_unknown
from train.runs import write_atomically
from train.training.plans import MODE_FILE, MODEL_FILE, PLAN_FILE, ModelFileError, TrainingPlan
from train.training.returns import RunningScale, advantages_of
from train.training.teams import Seen, TeamRows, make_teams
from train.training.trained_team import make_player, to_bytes
from train.training.validation import choose_mode_of

CHECKPOINT_FILE = "checkpoint.pt"
BATCH = (*Seen._fields, "options", "logarithms")
OUTCOME = ("rewards", "terminated", "truncated")
CHECKPOINT_S = 30.0
"""Time between checkpoints; a killed training repeats at most what came after the last one."""


def clipped_loss(ratios: Tensor, advantages: Tensor, clip_range: float) -> tuple[Tensor, Tensor]:
    """Loss of PPO (Schulman et al. 2017, equation 7) and the share of ratios that were clipped, of (..., N) each."""
    clipped = ratios.clamp(1 - clip_range, 1 + clip_range)
    return -torch.minimum(ratios * advantages, clipped * advantages).mean(), (ratios != clipped).float().mean()


@dataclass(frozen=True)
class Settings:
    """How a team learns.

    Attributes:
        n_steps: Rounds of each row between updates.
        batch_size: Rounds of a team in a minibatch.
        n_epochs: Times that each round is used.
        gamma: Discount.
        gae_lambda: Of generalised advantage estimation.
        clip_range: Of the ratio of probabilities.
        entropy: Weight of the devices' mean entropy.
        max_gradient: Norm to which gradients of the actor and of the critic are clipped.
        rates: Learning rate of ``angles``, ``classical`` layers and ``output`` layers.
    """

    n_steps: int
    batch_size: int
    n_epochs: int
    gamma: float
    gae_lambda: float
    clip_range: float
    entropy: float
    max_gradient: float
    rates: Mapping[str, float]


class TeamPPO:
    """One team in training."""

    def __init__(self, rows: TeamRows, settings: Mapping[str, Any], seed: int) -> None:
        """Make actor and critic, and begin the episodes.

        Args:
            rows: What is played.
            settings: Of :func:`agents.multi_agent.configurations.configuration`.
            seed: Of weights, exploration and instances.
        """
        torch.manual_seed(seed)
        reject_unknown(settings["algorithm"], Settings.__dataclass_fields__, "setting of the algorithm of a team")
        self.rows, self.settings = rows, Settings(**settings["algorithm"])
        self.actor, self.critic = make_actor(settings, rows.shape), make_critic(settings, rows.shape)
        groups = [group for network in (self.actor, self.critic) for group in network.groups().items()]
        self.rates = [self.settings.rates[name] for name, _ in groups]
        self.optimizer = torch.optim.Adam(
            [{"params": weights, "lr": rate} for (_, weights), rate in zip(groups, self.rates, strict=True)], eps=1e-5
        )
        self.generator = torch.Generator().manual_seed(seed)
        self.returns = RunningScale()
        self.seen = rows.reset(seed)
        self.steps = 0
        self.running_returns = np.zeros(rows.num_envs)
        self.last_returns: deque[float] = deque(maxlen=100)

    def update(self, rate_share: float = 1.0) -> dict[str, float]:
        """Play ``n_steps`` rounds of all rows, and learn from them.

        Args:
            rate_share: Factor of all learning rates.

        Returns:
            What TensorBoard shows of the update.
        """
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * rate_share
        batch = self._play()
        settings, losses = self.settings, []
        count = settings.n_steps * self.rows.num_envs
        for _ in range(settings.n_epochs):
            order = torch.randperm(count, generator=self.generator)
            for chosen in order.split(settings.batch_size):
                losses.append(self._learn({name: values[chosen] for name, values in batch.items()}))
        names = ("policy_loss", "value_loss", "entropy", "clip_fraction")
        shown = {f"train/{name}": float(np.mean(values)) for name, *values in zip(names, *losses, strict=True)}
        if self.last_returns:
            shown["rollout/ep_rew_mean"] = float(np.mean(self.last_returns))
        return shown

    @torch.no_grad()
    def _play(self) -> dict[str, Tensor]:
        """Rounds of all rows with advantages and returns, each (n_steps * E, ...)."""
        settings = self.settings
        kept: dict[str, list[Tensor]] = {name: [] for name in (*BATCH, "values", "next_values", *OUTCOME)}
        for _ in range(settings.n_steps):
            seen = self.seen
            options, logarithms = self.actor.act(seen.observations, seen.masks, self.generator)
            played = self.rows.step(options.numpy())
            outcome = (torch.as_tensor(getattr(played, name)) for name in OUTCOME)
            parts = (*seen, options, logarithms, self._value(seen), self._value(played.last), *outcome)
            for name, part in zip(kept, parts, strict=True):
                kept[name].append(part)
            self.seen = played.seen
            self._count(played.rewards, played.terminated | played.truncated)
        rounds = {name: torch.stack(parts) for name, parts in kept.items()}
        terminated, truncated, values = (rounds[name] for name in ("terminated", "truncated", "values"))
        ended, rewards = terminated | truncated, rounds["rewards"].to(values.dtype)
        advantages = advantages_of(
            rewards, values, rounds["next_values"], terminated, ended, settings.gamma, settings.gae_lambda
        )
        returns = advantages + values
        self.returns.add(returns)
        learned = {
            **{name: rounds[name] for name in BATCH},
            "advantages": advantages,
            "returns": self.returns.normalise(returns),
        }
        return {name: numbers.flatten(0, 1) for name, numbers in learned.items()}

    def _value(self, seen: Seen) -> Tensor:
        return self.returns.restore(self.critic(seen.observations, seen.states))

    def _count(self, rewards: np.ndarray, ended: np.ndarray) -> None:
        self.steps += self.rows.num_envs
        self.running_returns += rewards
        self.last_returns.extend(self.running_returns[ended].tolist())
        self.running_returns[ended] = 0.0

    def _learn(self, batch: Mapping[str, Tensor]) -> tuple[float, float, float, float]:
        """One step of the optimiser; the losses of policy and value, the entropy, and how much was clipped."""
        settings = self.settings
        logarithms, entropies = self.actor.log_probabilities(batch["observations"], batch["masks"], batch["options"])
        advantages = batch["advantages"]
        advantages = ((advantages - advantages.mean()) / (advantages.std() + 1e-8))[:, None]
        ratios = (logarithms - batch["logarithms"]).exp()
        policy_loss, clipped = clipped_loss(ratios, advantages, settings.clip_range)
        values = self.critic(batch["observations"], batch["states"])
        value_loss = (values - batch["returns"]).square().mean() / 2
        entropy = entropies.mean()
        self.optimizer.zero_grad()
        (policy_loss + value_loss - settings.entropy * entropy).backward()
        for network in (self.actor, self.critic):
            nn.utils.clip_grad_norm_(network.parameters(), settings.max_gradient)
        self.optimizer.step()
        return policy_loss.item(), value_loss.item(), entropy.item(), clipped.item()

    def state(self) -> dict[str, Any]:
        """All that the rest of the training depends on."""
        names = ("returns", "seen", "steps", "running_returns", "last_returns")
        return {
            **{name: getattr(self, name).state_dict() for name in ("actor", "critic", "optimizer")},
            "generator": self.generator.get_state(),
            "rest": pickle.dumps({name: getattr(self, name) for name in (*names, "rows")}),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""
        for name in ("actor", "critic", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.generator.set_state(state["generator"])
        for name, value in pickle.loads(state["rest"]).items():
            setattr(self, name, value)


def train(plan: TrainingPlan, folder: Path, progress: Callable[[int], None] | None = None) -> Path:
    """Train a team; goes on from the last checkpoint where the process was killed.

    Args:
        plan: What to do.
        folder: Where checkpoint, ``model.zip``, ``mode.json``, ``plan.json`` and TensorBoard events go.
        progress: Called with the number of environment steps so far.

    Returns:
        The model's file; it appears only when training is complete.

    Raises:
        ModelFileError: For a checkpoint of another plan.
    """
    torch.set_num_threads(1)
    ((arguments, steps),) = plan.stages()
    settings = plan.settings
    rows = make_teams(
        plan.env_id, settings["num_envs"], "train", **{"reward_weights": settings["reward_weights"], **arguments}
    )
    team = TeamPPO(rows, settings, plan.seed)
    spent_s = _go_on(team, plan, folder)
    writer = SummaryWriter(str(folder / "tensorboard_1"), purge_step=team.steps)
    saved = begun = time.monotonic()
    steps_before = team.steps
    while team.steps < steps:
        left = 1 - team.steps / steps
        shown = team.update(settings["final_rate_share"] + (1 - settings["final_rate_share"]) * left)
        shown["charts/SPS"] = (team.steps - steps_before) / (time.monotonic() - begun)
        for name, value in shown.items():
            writer.add_scalar(name, value, team.steps)
        if time.monotonic() - saved > CHECKPOINT_S:
            writer.flush()
            _save(team, plan, folder, spent_s + time.monotonic() - begun)
            saved = time.monotonic()
        if progress is not None:
            progress(team.steps)
    writer.close()
    mode = choose_mode_of(lambda greedy: make_player(team.actor, rows.devices, greedy), plan.env_id, plan.environment)
    write_atomically(folder / MODE_FILE, json.dumps(mode, indent=2) + "\n")
    parameters = team.actor.counts().total + team.critic.counts().total
    finished = replace(plan, parameters=parameters, training_s=spent_s + time.monotonic() - begun)
    write_atomically(folder / PLAN_FILE, json.dumps(asdict(finished), indent=2) + "\n")
    write_atomically(folder / MODEL_FILE, to_bytes({"actor": team.actor.state_dict(), "shape": tuple(rows.shape)}))
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
    return folder / MODEL_FILE


def _go_on(team: TeamPPO, plan: TrainingPlan, folder: Path) -> float:
    """Restore the last checkpoint, if there is one; the wall time in s that was spent before it."""
    file = folder / CHECKPOINT_FILE
    if not file.exists():
        return 0.0
    checkpoint = torch.load(file, weights_only=False)
    if checkpoint["plan"] != asdict(plan):
        raise ModelFileError(f"{file} is of another training; choose another --name, or delete it")
    team.restore(checkpoint["team"])
    return float(checkpoint["spent_s"])


def _save(team: TeamPPO, plan: TrainingPlan, folder: Path, spent_s: float) -> None:
    content = {"plan": asdict(plan), "team": team.state(), "spent_s": spent_s}
    write_atomically(folder / CHECKPOINT_FILE, to_bytes(content))
