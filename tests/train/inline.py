"""A pool that does every job at once where it is started."""

import contextlib
import time

from train.competition.jobs import Done, perform


class InlinePool:
    def __init__(self):
        self.done, self.started = [], []

    def free(self):
        return int(not self.done)

    def start(self, job, limit_s=None):
        begun = time.monotonic()
        self.started.append(job)
        self.done.append(Done(job, perform(job, lambda steps: None), time.monotonic() - begun))

    def collect(self, timeout_s):
        done, self.done = self.done, []
        return done

    def steps_done(self):
        return {}


def inline(pool=None):
    return contextlib.nullcontext(pool or InlinePool())
