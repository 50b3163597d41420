"""Classical competitors, by name."""

from qfl_envs.competitor import Registry

_registry = Registry(
    "baseline",
    {
        "random": "baselines.rules:Random",
        "round-robin": "baselines.rules:RoundRobin",
        "everyone": "baselines.rules:Everyone",
        "channel-greedy": "baselines.rules:ChannelGreedy",
        "deadline-greedy": "baselines.rules:DeadlineGreedy",
        "proportional-fair": "baselines.allocation.proportional_fair:ProportionalFair",
        "hungarian": "baselines.allocation.competitors:Hungarian",
        "greedy": "baselines.allocation.competitors:Greedy",
        "best-response": "baselines.allocation.competitors:BestResponse",
        "icm": "baselines.allocation.competitors:IteratedConditionalModes",
        "one-hot-annealing": "baselines.allocation.competitors:OneHotAnnealing",
        "sca": "baselines.allocation.competitors:SCA",
        "sca-alternating": "baselines.allocation.competitors:AlternatingSCA",
        "sca-matching": "baselines.allocation.competitors:MatchingSCA",
        "sca-relaxed": "baselines.allocation.competitors:RelaxedSCA",
        "wmmse": "baselines.allocation.competitors:WMMSE",
        "fp": "baselines.allocation.competitors:FractionalProgramming",
        "fp-matching": "baselines.allocation.competitors:MatchingFractionalProgramming",
        "full-power": "baselines.rules:FullPower",
        "convex": "baselines.convex:Convex",
        "keep": "baselines.adaptation:Keep",
        "fine-tune": "baselines.adaptation:FineTune",
        "loss-triggered": "baselines.adaptation:LossTriggered",
        "loss-triggered-head": "baselines.adaptation:LossTriggeredHead",
    },
)
names = _registry.names
make = _registry.make

ON_REQUEST = (
    "greedy",
    "best-response",
    "icm",
    "one-hot-annealing",
    "sca",
    "sca-alternating",
    "sca-matching",
    "sca-relaxed",
    "wmmse",
    "fp",
    "fp-matching",
)
"""Allocators of the same pure sum-rate as ``hungarian``; in one cell they decide nearly the same, or worse."""


def default_names() -> list[str]:
    """Those that play where nobody is named."""
    return [name for name in names() if name not in ON_REQUEST]
