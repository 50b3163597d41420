"""How many take part, and then who: the distribution of a decision about a whole fleet.

Where every device decides by itself, how many take part is a sum of many coins, though it matters more than anything
else: five devices on five sub-channels upload in half the time of six. Here the number is drawn first, from a
distribution of its own; who takes part then follows the devices' own choices *given* that number (the conditional
Bernoulli distribution: Chen, Dempster & Liu 1994, "Weighted finite population sampling to maximize entropy").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from sb3_contrib.common.maskable.distributions import MaskableDistribution, MaybeMasks
from torch import Tensor, nn

NEVER = -1e8
"""Logit of what cannot be; finite, so that gradients are."""


class CountedChoices(MaskableDistribution):
    """Distribution of a MultiDiscrete action that lists, choice after choice, one entry per device.

    Option 0 of the first choice is to idle. With ``w_n`` the odds that device n takes part, a set S of k devices has
    the probability ``prod_{n in S} w_n / e_k(w)`` given k, ``e_k`` the elementary symmetric polynomial of degree k. The
    number k is one of a few, or all that can, where those are fewer. What idle devices choose else does not count.
    """

    def __init__(self, num_devices: int, sizes: Sequence[int], counts: Sequence[int]) -> None:
        """Prepare.

        Args:
            num_devices: Devices N.
            sizes: How many options each choice of a device has.
            counts: M numbers of participants to choose from, each from 1 to N.
        """
        super().__init__()
        self.num_devices, self.sizes = num_devices, list(sizes)
        self.counts = torch.tensor(list(counts))

    def proba_distribution_net(self, *args: Any, **kwargs: Any) -> nn.Module:
        """Refused: the policy has its own network."""
        raise NotImplementedError("the network of counted choices is made by the policy")

    def proba_distribution(self, action_logits: Tensor) -> Self:
        """Take logits (batch, sum(nvec) + M), those of the counts last."""
        self.counts = self.counts.to(action_logits.device)
        *choices, self._count_logits = action_logits.split(
            [*(self.num_devices * size for size in self.sizes), len(self.counts)], dim=1
        )
        self._original = [part.unflatten(1, (self.num_devices, -1)) for part in choices]
        self.apply_masking(None)
        return self

    def apply_masking(self, masks: MaybeMasks) -> None:
        """Close choices: masks (batch, sum(nvec)) bool, None for none closed."""
        self._logits = self._original
        able = self.counts.new_full((len(self._count_logits),), self.num_devices)
        if masks is not None:
            flat = torch.as_tensor(masks, dtype=torch.bool, device=able.device).reshape(len(self._count_logits), -1)
            parts = flat.split([self.num_devices * size for size in self.sizes], dim=1)
            opened = [part.unflatten(1, (self.num_devices, -1)) for part in parts]
            self._logits = [logits.masked_fill(~one, NEVER) for logits, one in zip(self._original, opened, strict=True)]
            able = opened[0][..., 1:].any(-1).sum(-1)
        self._possible = torch.minimum(self.counts, able[:, None])
        first = self._logits[0]
        self._log_odds = first[..., 1:].logsumexp(-1) - first[..., 0]
        self._polynomials: list[Tensor] = []

    def log_prob(self, actions: Tensor) -> Tensor:
        """(batch) of actions (batch, choices * N)."""
        first, *others = self._split(actions)
        takes_part = first > 0
        count = takes_part.sum(1, keepdim=True)
        of_count = self._count_logits.log_softmax(-1).masked_fill(self._possible != count, NEVER).logsumexp(-1)
        known = count.clamp(max=int(self.counts.max()))
        of_set = (self._log_odds * takes_part).sum(1) - self._log_polynomials()[-1].gather(1, known).squeeze(1)
        of_choices = _log_prob(self._logits[0][..., 1:], (first - 1).clamp(min=0))
        for logits, chosen in zip(self._logits[1:], others, strict=True):
            of_choices = of_choices + _log_prob(logits, chosen)
        return of_count + of_set + (of_choices * takes_part).sum(1)

    def entropy(self) -> None:
        """None: SB3 then takes the mean of -log_prob."""
        return None

    def sample(self) -> Tensor:
        """(batch, choices * N)."""
        option = torch.distributions.Categorical(logits=self._count_logits).sample()
        takes_part = self._draw(self._possible.gather(1, option[:, None]).squeeze(1))
        return self._joined(takes_part, lambda logits: torch.distributions.Categorical(logits=logits).sample())

    def mode(self) -> Tensor:
        """The most likely count, the most likely set of that size, the most likely choices: (batch, choices * N)."""
        count = self._possible.gather(1, self._count_logits.argmax(-1, keepdim=True))
        rank = self._log_odds.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        return self._joined(rank < count, lambda logits: logits.argmax(-1))

    def actions_from_params(self, action_logits: Tensor, deterministic: bool = False) -> Tensor:
        """Actions of new logits."""
        return self.proba_distribution(action_logits).get_actions(deterministic)

    def log_prob_from_params(self, action_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Sampled actions of new logits, and their logarithmic probabilities."""
        actions = self.actions_from_params(action_logits)
        return actions, self.log_prob(actions)

    def _split(self, actions: Tensor) -> list[Tensor]:
        return list(actions.long().reshape(len(actions), len(self.sizes), self.num_devices).unbind(1))

    def _joined(self, takes_part: Tensor, pick: Any) -> Tensor:
        first = (pick(self._logits[0][..., 1:]) + 1) * takes_part
        return torch.cat([first, *(pick(logits) for logits in self._logits[1:])], dim=1)

    def _log_polynomials(self) -> list[Tensor]:
        """Logarithms of e_0 ... e_max (batch, max + 1) of the odds of the first 0, 1, ..., N devices."""
        if not self._polynomials:
            start = self._log_odds.new_full((len(self._log_odds), int(self.counts.max()) + 1), 10 * NEVER)
            start[:, 0] = 0.0
            self._polynomials = [start]
            for log_odds in self._log_odds.unbind(1):
                before = self._polynomials[-1]
                with_it = before[:, :-1] + log_odds[:, None]
                self._polynomials.append(torch.cat([before[:, :1], torch.logaddexp(before[:, 1:], with_it)], dim=1))
        return self._polynomials

    def _draw(self, count: Tensor) -> Tensor:
        """Sets of ``count`` (batch) devices: (batch, N) bool, decided from the last device to the first."""
        polynomials = self._log_polynomials()
        uniform = torch.rand_like(self._log_odds)
        takes_part = torch.zeros_like(self._log_odds, dtype=torch.bool)
        left = count[:, None]
        for device in reversed(range(self.num_devices)):
            with_it = polynomials[device].gather(1, (left - 1).clamp(min=0)) + self._log_odds[:, device : device + 1]
            log_probability = with_it - polynomials[device + 1].gather(1, left)
            chosen = (uniform[:, device : device + 1] < log_probability.exp()) & (left > 0)
            takes_part[:, device] = chosen[:, 0]
            left = left - chosen.long()
        return takes_part


def _log_prob(logits: Tensor, chosen: Tensor) -> Tensor:
    """Logarithmic probability (batch, N) of one chosen option (batch, N) per device."""
    return logits.log_softmax(-1).gather(-1, chosen[..., None]).squeeze(-1)
