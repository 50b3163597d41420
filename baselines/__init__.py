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
        "hungarian": "baselines.hungarian:Hungarian",
        "full-power": "baselines.rules:FullPower",
        "half-power": "baselines.rules:HalfPower",
        "proportional": "baselines.rules:Proportional",
        "convex": "baselines.convex:Convex",
        "keep": "baselines.adaptation:Keep",
        "fine-tune": "baselines.adaptation:FineTune",
        "loss-triggered": "baselines.adaptation:LossTriggered",
        "loss-triggered-head": "baselines.adaptation:LossTriggeredHead",
    },
)
names = _registry.names
make = _registry.make
