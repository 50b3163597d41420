import json

import numpy as np
import pytest

from qfl_envs.errors import InvalidValueError
from train.cli import main
from train.security import rounds, screening

HOSTILE = np.array([[False, False, True, False, True, False]])


@pytest.fixture
def playing():
    return rounds.Rounds("tiny", {"num_devices": 6, "learning": {"partition": "iid"}}, [3, 4], 0.34)


def test_alike_updates_are_told_from_opposite_ones_by_everything_that_correlates():
    generator = np.random.default_rng(0)
    change = np.ones((1, 6, 40)) + 0.3 * generator.normal(size=(1, 6, 40))
    change[HOSTILE] *= -1.0
    found = screening.scores(change, generator.standard_normal((40, screening.LENGTH)), generator)
    assert found.keys() == set(screening.SCORES)
    areas = {name: float(screening.detection(score, HOSTILE)[0]) for name, score in found.items()}
    for name in ("entangled-1", "entangled-16", "shared-bits-1", "shared-bits-16", "projections", "cosine"):
        assert areas[name] == 1.0, name
    lengths = screening.scores(np.where(HOSTILE[..., None], 9.0, 1.0) * change, np.ones((40, 1)), generator)["length"]
    assert screening.detection(lengths, HOSTILE)[0] == 1.0


def test_rates_by_hand():
    score = np.array([[0.9, 0.8, 0.1, 0.2, 0.85, 0.8]])
    assert screening.detection(score, HOSTILE)[0] == pytest.approx(5 / 8)
    caught, accused = screening.flag_rates(score, HOSTILE)
    assert (caught[0], accused[0]) == (0.5, 0.25)
    with pytest.raises(InvalidValueError, match="hostile"):
        screening.detection(score, ~np.zeros_like(HOSTILE))


def test_hostile_devices_send_what_the_attack_says_and_honest_ones_what_they_learned(playing):
    learned = playing.train()
    honest = playing.sent(learned, "none")
    assert (playing.hostile.sum(1) == 2).all() and honest.shape[:2] == (2, 6)
    for attack in rounds.ATTACKS:
        sent = playing.sent(learned, attack)
        assert np.array_equal(sent[~playing.hostile], honest[~playing.hostile])
        assert not np.isclose(sent[playing.hostile], honest[playing.hostile]).all(-1).any(), attack
    assert playing.sent(learned, "sign-flip")[playing.hostile] == pytest.approx(-4 * honest[playing.hostile])


def test_rounds_learn_and_systems_do_not_depend_on_each_other(playing):
    alone = rounds.Rounds("tiny", {"num_devices": 6, "learning": {"partition": "iid"}}, [4], 0.34)
    before = playing.accuracy()
    for _ in range(6):
        for one in (playing, alone):
            one.merge(one.sent(one.train(), "none").mean(1))
    assert playing.accuracy().mean() > before.mean() + 0.05
    assert alone.hostile[0].tolist() == playing.hostile[1].tolist()
    assert alone.accuracy()[0] == pytest.approx(playing.accuracy()[1], abs=0.02)


def test_the_command_prints_and_draws_it(capsys, tmp_path):
    picture = tmp_path / "screening.png"
    words = ["security", "--part", "screening", "--rounds", "1", "--seeds", "1", "--json", "--out", str(picture)]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)["screening"]
    assert [row["attack"] for row in found] == [*rounds.ATTACKS, *rounds.ATTACKS]
    assert all(0.0 <= row[name] <= 1.0 for row in found for name in screening.SCORES)
    assert picture.stat().st_size > 1000
