"""PettingZoo's own checks of the multi-agent environments, in which a warning is an error."""

import warnings
from types import SimpleNamespace

import pettingzoo
import pytest
from multi_agent import ENDURING, FORMS, IDS, make
from pettingzoo.test import api_test, max_cycles_test, parallel_api_test, parallel_seed_test, seed_test
from pettingzoo.test.state_test import state_test

from qfl_envs.registration import ENVIRONMENTS

pytestmark = pytest.mark.any_gymnasium
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
every_id = pytest.mark.parametrize("env_id", IDS)
OF_DICT_OBSERVATIONS = ["Observation space for each agent probably should be", "Observation is not a NumPy array"]


def make_aec(env_id, **arguments):
    return pettingzoo.make("aec", env_id, **{"scenario": "tiny", "learning": {"model": "none"}, **arguments})


def test_every_multi_agent_id_is_registered_in_both_forms_and_has_a_single_agent_sibling():
    for registry in (pettingzoo.parallel_registry, pettingzoo.aec_registry):
        assert sorted(name for name in registry if name.startswith("qfl/")) == IDS
    assert [name for name in IDS if name not in ENVIRONMENTS] == []


@every_form
def test_passes_pettingzoos_parallel_check_without_a_warning(form):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(make(form), num_cycles=100)


@every_form
def test_passes_pettingzoos_check_of_seeds_without_a_warning(form):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_seed_test(lambda: make(form))


@every_id
def test_passes_pettingzoos_check_agent_by_agent_with_no_warning_but_that_observations_are_dicts(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for message in OF_DICT_OBSERVATIONS:
            warnings.filterwarnings("ignore", message)
        api_test(make_aec(env_id), num_cycles=100)
        seed_test(lambda: make_aec(env_id), num_cycles=20)


@every_id
def test_passes_pettingzoos_check_of_the_state_without_a_warning(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state_test(make_aec(env_id), make(FORMS[env_id]))


@every_id
def test_max_cycles_truncates_as_pettingzoos_check_wants_it(env_id):
    arguments = {**ENDURING, "max_rounds": 40}
    max_cycles_test(
        SimpleNamespace(
            parallel_env=lambda **limit: make(FORMS[env_id], **arguments, **limit),
            env=lambda **limit: make_aec(env_id, **arguments, **limit),
        )
    )


@every_id
def test_agents_in_turn_refuse_a_wrong_action_when_it_is_made(env_id):
    env = make_aec(env_id)
    env.reset(seed=0)
    with pytest.raises(AssertionError, match="action space"):
        env.step(99)
