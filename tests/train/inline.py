"""A pool that does every job at once where it is started."""

import contextlib
import time

from train.jobs import Done, perform


class InlinePool:
    def __init__(self):
        self.done, self.steps, self.started = [], 0, []

    def free(self):
        return int(not self.done)

    def start(self, job, limit_s=None):
        begun, before = time.monotonic(), self.steps

        def progress(steps):
            self.steps = before + steps

        self.started.append(job)
        self.done.append(Done(job, perform(job, progress), time.monotonic() - begun))

    def collect(self, timeout_s):
        done, self.done = self.done, []
        return done

    def steps_done(self):
        return self.steps


def inline(pool=None):
    return contextlib.nullcontext(pool or InlinePool())
