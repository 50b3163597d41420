"""Links that come and go."""

import numpy as np
import pytest

from qfl_envs.scenario import Radio
from qfl_envs.system.network import links

MANY = 100_000
RADIO = Radio(link_drop=0.1, link_recover=0.3)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_links_start_in_their_stationary_share(rng):
    assert links.start_up(RADIO, rng.random(MANY)).mean() == pytest.approx(0.75, abs=0.01)


def test_the_stationary_share_lasts(rng):
    up = links.start_up(RADIO, rng.random(MANY))
    for _ in range(5):
        up = links.next_up(RADIO, up, rng.random(MANY))
    assert up.mean() == pytest.approx(0.75, abs=0.01)


def test_a_link_drops_with_its_probability(rng):
    up = links.next_up(RADIO, np.ones(MANY, dtype=bool), rng.random(MANY))
    assert up.mean() == pytest.approx(0.9, abs=0.01)


def test_a_lost_link_recovers_with_its_probability(rng):
    up = links.next_up(RADIO, np.zeros(MANY, dtype=bool), rng.random(MANY))
    assert up.mean() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("link_recover", [0.0, 0.5, 1.0])
def test_links_start_up_where_they_never_drop(link_recover, rng):
    assert links.start_up(Radio(link_drop=0.0, link_recover=link_recover), rng.random(MANY)).all()


def test_links_stay_up_where_they_never_drop(rng):
    uniform = np.append(rng.random(MANY), 0.0)
    assert links.next_up(Radio(link_drop=0.0), np.ones(MANY + 1, dtype=bool), uniform).all()
