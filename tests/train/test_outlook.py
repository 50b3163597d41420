"""How long a competition still takes."""

import contextlib
from pathlib import Path
from types import SimpleNamespace

import inline
import pytest
from boards import ENV_IDS, episode, training

from train.competition import leaderboard
from train.competition.jobs import Done, PlayJob, TrainJob, failure
from train.competition.matrix import Matrix
from train.competition.outlook import Outlook, Running
from train.progress import TimeBar
from train.runs import RunFolder

HERE, ELSEWHERE = ENV_IDS
SEEDS = 5


def play(name, env_id=HERE, seed=0):
    return PlayJob((env_id, name), {}, None, seed)


def train(name, env_id=HERE, steps=256):
    return TrainJob(SimpleNamespace(env_id=env_id, agent=name, steps=steps), Path("nowhere"))


def outlook_after(*ended):
    """What is known after jobs that took some seconds."""
    outlook = Outlook(SEEDS)
    for job, seconds in ended:
        found = training(*job.entry[::-1]) if isinstance(job, TrainJob) else episode(job.entry[1], 0, 0.0)
        outlook.ended(Done(job, found, seconds))
    return outlook


def test_nobody_knows_before_something_has_ended():
    assert Outlook(SEEDS).left_s([play("slow")], [], 1) is None
    assert outlook_after((play("slow"), 1.0)).left_s([train("ppo")], [], 1) is None


def test_every_competitor_counts_with_its_own_time():
    outlook = outlook_after((play("slow"), 100.0), (play("fast"), 1.0), (play("fast"), 3.0))
    assert outlook.left_s([play("slow"), play("fast"), play("fast")], [], 1) == 104.0


def test_a_competitor_that_is_unknown_here_counts_as_it_did_elsewhere_or_else_as_the_others_here():
    outlook = outlook_after((play("slow", ELSEWHERE), 50.0), (play("fast"), 2.0), (play("faster"), 1.0))
    assert outlook.left_s([play("slow")], [], 1) == 50.0
    assert outlook.left_s([play("new")], [], 1) == 1.5


def test_jobs_side_by_side_take_less_time_but_no_less_than_the_longest():
    outlook = outlook_after((play("slow"), 100.0), (play("fast"), 10.0))
    assert outlook.left_s([play("fast")] * 8, [], 2) == 40.0
    assert outlook.left_s([play("slow"), play("fast")], [], 2) == 100.0


def test_what_runs_counts_with_what_is_left_of_it():
    outlook = outlook_after((play("slow"), 100.0))
    assert outlook.left_s([], [Running(play("slow"), 70.0)], 1) == 30.0
    assert outlook.left_s([], [Running(play("slow"), 170.0)], 1) == 0.0


def test_a_training_counts_with_its_steps_and_with_the_episodes_that_follow():
    outlook = outlook_after((train("ppo", steps=100), 50.0), (play("random"), 2.0))
    assert outlook.left_s([train("ppo", ELSEWHERE, steps=1000)], [], 1) == 500.0 + SEEDS * 2.0
    assert outlook.left_s([], [Running(train("dqn", steps=1000), 30.0, steps=100)], 1) == 270.0 + SEEDS * 2.0
    assert outlook.left_s([], [Running(train("dqn", steps=1000), 30.0)], 1) == 470.0 + SEEDS * 2.0


def test_a_training_of_an_earlier_call_is_known():
    outlook = outlook_after((play("random"), 2.0))
    outlook.trained(training("ppo"))
    assert outlook.left_s([train("ppo", steps=512)], [], 1) == pytest.approx(3.0 + SEEDS * 2.0)


def test_how_soon_a_job_failed_says_nothing_about_the_others():
    outlook = outlook_after((play("slow"), 100.0))
    outlook.ended(Done(play("slow", seed=1), failure(play("slow", seed=1), "no idea"), 0.01))
    assert outlook.left_s([play("slow")], [], 1) == 100.0


class Bar:
    """Keeps what it is told."""

    def __init__(self):
        self.n, self.total, self.said = 0.0, None, []

    def set_postfix_str(self, said, refresh):
        self.said.append(said)

    def update(self, count):
        self.n += count


def test_the_bar_is_full_when_no_time_is_left_and_says_what_it_does_not_know():
    bar = Bar()
    shown = TimeBar(bar)
    shown.show(None, "1 waits")
    assert bar.total is None and bar.said == ["time left not known yet, 1 waits"]
    shown.show(90.0, "1 waits")
    assert bar.total == pytest.approx(bar.n + 90.0) and bar.said[-1] == "01:30 left, 1 waits"
    shown.show(0.0, "0 wait")
    assert bar.total == bar.n > 0


def test_a_run_plays_everybodys_first_episode_first_and_forgets_who_failed(tmp_path, monkeypatch):
    shown, pool = [], inline.InlinePool()
    bar = SimpleNamespace(show=lambda left_s, said: shown.append((left_s, said)))
    monkeypatch.setattr(leaderboard, "time_bar", lambda: contextlib.nullcontext(bar))
    arguments = {"learning": {"model": "none"}, "max_rounds": 1}
    matrix = Matrix((HERE,), ("random", "misbehaving:Leaves"), preset="tiny", arguments=arguments, seeds=SEEDS)
    leaderboard.run(matrix, RunFolder(tmp_path, matrix.config()), inline.inline(pool), lambda line: None)
    assert [job.entry[1] for job in pool.started[:2]] == ["random", "misbehaving:Leaves"]
    assert [said for _, said in shown] == [
        "1 episodes played, 9 jobs wait",
        "2 episodes played, 4 jobs wait",  # four more of who failed never will
        *(f"{played} episodes played, {6 - played} jobs wait" for played in (3, 4, 5, 6)),
    ]
    assert all(left_s > 0 for left_s, _ in shown[:-1]) and shown[-1][0] == 0
