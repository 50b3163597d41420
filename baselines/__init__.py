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
        "random-k": "baselines.selection.ranking:RandomK",
        "fastest-k": "baselines.selection.ranking:FastestK",
        "age-of-update": "baselines.selection.ranking:AgeOfUpdate",
        "proportional-fair": "baselines.selection.ranking:ProportionalFair",
        "fedcs": "baselines.selection.fedcs:FedCS",
        "oort": "baselines.selection.oort:Oort",
        "cs-ucb-q": "baselines.selection.bandit:CsUcbQ",
        "age-and-speed": "baselines.selection.age_and_speed:AgeAndSpeed",
        "proportional-fair-matching": "baselines.allocation.proportional_fair:ProportionalFairMatching",
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
        "half-power": "baselines.rules:HalfPower",
        "proportional": "baselines.rules:Proportional",
        "convex": "baselines.convex:Convex",
        "keep": "baselines.adaptation:Keep",
        "fine-tune": "baselines.adaptation:FineTune",
        "loss-triggered": "baselines.adaptation:LossTriggered",
        "loss-triggered-head": "baselines.adaptation:LossTriggeredHead",
        "recalibrate": "baselines.adaptation:Recalibrate",
        "periodic": "baselines.adaptation:Periodic",
        "adwin": "baselines.adaptation:AdwinTriggered",
        "oracle": "baselines.oracle:Oracle",
    },
)
names = _registry.names
make = _registry.make
