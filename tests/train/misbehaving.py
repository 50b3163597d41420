"""Competitors from outside: one that plays by the rules, and one for every way not to."""

import os
import time

import numpy as np

from qfl_envs.competitor import Competitor, Cost
from qfl_envs.registration import ENVIRONMENTS


class Honest(Competitor):
    """Random play, by the means of the space."""

    name = "honest"
    environments = tuple(ENVIRONMENTS)

    def reset(self, env, seed):
        super().reset(env, seed)
        self.seed = seed
        env.action_space.seed(seed)

    def choose(self, observation):
        return self.env.action_space.sample()


class Raises(Honest):
    """Fails on the seeds 2 and 3."""

    def choose(self, observation):
        if self.seed in (2, 3):
            raise RuntimeError("no idea what to do")
        return super().choose(observation)


class NotANumber(Honest):
    def choose(self, observation):
        return np.full(self.env.action_space.shape, np.nan)


class OutOfSpace(Honest):
    def choose(self, observation):
        return np.full(self.env.action_space.shape, 99)


class Hangs(Honest):
    def choose(self, observation):
        time.sleep(600.0)


class TakesItsTime(Honest):
    def choose(self, observation):
        time.sleep(0.2)
        return super().choose(observation)


class Dies(Honest):
    def choose(self, observation):
        os._exit(7)


class Generates(Honest):
    def act(self, observation):
        yield self.env.action_space.sample()


class Unprintable(Honest):
    def choose(self, observation):
        raise ValueError("a byte \udce4, a colour \x1b[31m")


class CountsInArrays(Honest):
    def cost(self):
        return Cost(parameters=np.int64(3), quantum_parameters=np.array(2), decision_s=np.float32(0.5))


class CountsNothing(Honest):
    def cost(self):
        return Cost(parameters=float("nan"))


class TakesNoNumber(Honest):
    def cost(self):
        return Cost(decision_s=float("nan"))


class GoesElsewhere(Honest):
    def choose(self, observation):
        os.chdir("/")
        return super().choose(observation)


class Leaves(Honest):
    def choose(self, observation):
        raise SystemExit(0)


class WithoutCost:
    """Has no account of what it takes."""

    name, kind = "without-cost", "classical"

    def supports(self, env_id):
        return True

    def reset(self, env, seed):
        pass

    def act(self, observation):
        return None


class ByTheRulesAlone:
    """Has what is asked for, and derives from nothing."""

    name, kind = "by-the-rules-alone", "classical"

    def __init__(self):
        self.honest = Honest()
        self.reset, self.act, self.cost = self.honest.reset, self.honest.act, self.honest.cost

    def supports(self, env_id):
        return True


class DoesNotSay(Honest):
    def supports(self, env_id):
        raise RuntimeError("who asks?")


class Unmakeable(Honest):
    def __init__(self):
        raise ValueError("no weights here")


class OfAnotherKind(Honest):
    kind = "magic"
