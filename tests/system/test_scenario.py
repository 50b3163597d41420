"""What describes a system: presets, overrides, JSON, and what is refused."""

import dataclasses
import json
import math

import numpy as np
import pytest

from qfl_envs.errors import InvalidValueError, UnknownNameError
from qfl_envs.fields import Section
from qfl_envs.presets import PRESETS
from qfl_envs.scenario import Radio, Scenario
from qfl_envs.system.learning.shapes import num_parameters

presets = pytest.mark.parametrize("preset", PRESETS)


def sections(section, prefix=""):
    """All sections of a scenario, itself first, with the prefix of their fields."""
    yield prefix, section
    for item in dataclasses.fields(section):
        if isinstance(getattr(section, item.name), Section):
            yield from sections(getattr(section, item.name), f"{prefix}{item.name}.")


FIELDS = {
    f"{prefix}{item.name}": item.metadata["constraint"]
    for prefix, section in sections(Scenario())
    for item in dataclasses.fields(section)
    if "constraint" in item.metadata
}


def changed(name, value):
    """Changes that give a field, named as in errors, a value."""
    *outer, field = name.split(".")
    changes = {field: value}
    for section in reversed(outer):
        changes = {section: changes}
    return changes


# presets


@presets
def test_presets_are_known_by_their_name(preset):
    assert Scenario.preset(preset).name == preset


@presets
def test_presets_come_back_from_json(preset):
    scenario = Scenario.preset(preset)
    assert Scenario.from_json(scenario.to_json()) == scenario


@presets
def test_presets_are_written_as_standard_json(preset):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    json.loads(Scenario.preset(preset).to_json(), parse_constant=refuse)


def test_the_paper_preset_has_the_numbers_of_the_article():
    paper = Scenario.preset("paper")
    radio = paper.radio
    assert {
        "devices": paper.num_devices,
        "cells": radio.num_cells,
        "subchannels": radio.num_subchannels,
        "subchannel_hz": radio.subchannel_hz,
        "distance_m": (radio.min_distance_m, radio.cell_radius_m),
        "power_dbm": (radio.min_power_dbm, radio.max_power_dbm),
        "access": radio.access,
        "partition": paper.learning.partition,
    } == {
        "devices": 200,
        "cells": 1,
        "subchannels": 20,
        "subchannel_hz": 180e3,
        "distance_m": (1.0, 1800.0),
        "power_dbm": (0.0, 24.0),
        "access": "interference",
        "partition": "one_label",
    }


def test_the_city_preset_has_several_cells_and_a_thousand_devices():
    city = Scenario.preset("city")
    assert city.radio.num_cells > 1 and city.num_devices >= 1000


def test_an_unknown_preset_names_the_closest_and_all_known():
    with pytest.raises(UnknownNameError, match=r"unknown preset 'smal' \(did you mean 'small'\?\); known: tiny, small"):
        Scenario.preset("smal")


# overrides


def test_an_override_changes_its_field():
    assert Scenario.preset("tiny").replace({"num_devices": 50}).num_devices == 50


def test_a_nested_override_changes_its_field():
    assert Scenario.preset("tiny").replace({"radio": {"num_subchannels": 10}}).radio.num_subchannels == 10


def test_a_nested_override_keeps_the_other_fields_of_its_section():
    tiny = Scenario.preset("tiny")
    replaced = tiny.replace({"radio": {"num_subchannels": 10}})
    assert dataclasses.replace(replaced.radio, num_subchannels=tiny.radio.num_subchannels) == tiny.radio


def test_an_override_leaves_the_original_as_it_is():
    tiny = Scenario.preset("tiny")
    tiny.replace({"num_devices": 50})
    assert tiny == Scenario.preset("tiny")


def test_a_section_can_be_replaced_as_a_whole():
    assert Scenario.preset("tiny").replace({"radio": Radio()}).radio == Radio()


def test_plain_values_make_a_scenario():
    assert Scenario.from_dict({"num_devices": 7, "radio": {"num_cells": 3}}).radio.num_cells == 3


def test_an_unknown_field_names_the_closest_and_all_known():
    with pytest.raises(
        UnknownNameError, match=r"field of scenario 'num_device' \(did you mean 'num_devices'\?\); known: .*radio"
    ):
        Scenario().replace({"num_device": 5})


def test_an_unknown_nested_field_names_its_section_the_closest_and_all_known():
    with pytest.raises(
        UnknownNameError, match=r"field of radio 'num_cell' \(did you mean 'num_cells'\?\); known: .*noise"
    ):
        Scenario().replace({"radio": {"num_cell": 5}})


def test_a_name_like_no_other_gets_no_hint():
    with pytest.raises(UnknownNameError, match="unknown field of scenario 'xyzzy'; known: "):
        Scenario().replace({"xyzzy": 5})


@pytest.mark.parametrize("value", [5, "urban", None, [1]])
def test_a_section_takes_nothing_but_its_fields(value):
    with pytest.raises(InvalidValueError, match="radio is .*; allowed: an object with some of its fields"):
        Scenario().replace({"radio": value})


@pytest.mark.parametrize("document", ["", "no json", "[1]", "5", "null"])
def test_a_document_that_is_no_json_object_is_refused(document):
    with pytest.raises(InvalidValueError, match="scenario is .*; allowed: a JSON object"):
        Scenario.from_json(document)


# values


WRONG_TYPES = {
    "integer": [True, 2.5, "3", [4], math.nan, math.inf],
    "real": [True, "3", [4.0], math.nan, math.inf, -math.inf],
    "interval": [1.5, [1.0], [1.0, 2.0, 3.0], [2e9, 1e9], [True, 2.0], [math.nan, 2.0], ["a", "b"], "ab"],
    "choice": ["no such choice", 1, True, ["interference"]],
    "flag": [0, 1, "true"],
    "text": ["", 1, True],
}
BOUNDED = [name for name, constraint in FIELDS.items() if (constraint.low, constraint.high) != (None, None)]


def assert_refused(name, value):
    with pytest.raises(InvalidValueError) as caught:
        Scenario().replace(changed(name, value))
    assert str(caught.value) == f"{name} is {value!r}; allowed: {FIELDS[name].allowed()}"


@pytest.mark.parametrize("name", BOUNDED)
def test_a_value_out_of_bounds_is_refused_with_its_field_and_what_is_allowed(name):
    constraint = FIELDS[name]
    for bound, step in ((constraint.low, -1), (constraint.high, 1)):
        if bound is not None:
            assert_refused(name, [bound + step] * 2 if constraint.kind == "interval" else bound + step)


@pytest.mark.parametrize("name", FIELDS)
def test_a_value_of_the_wrong_type_is_refused_with_its_field_and_what_is_allowed(name):
    for value in WRONG_TYPES[FIELDS[name].kind] + ([] if FIELDS[name].optional else [None]):
        assert_refused(name, value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("radio.num_cells", "a whole number from 1 to 61"),
        ("max_rounds", "a whole number of at least 1"),
        ("target_accuracy", "a number from 0 to 1"),
        ("radio.sinr_cap_db", "a number from -20 to 100 or null"),
        ("fleet.battery_j", "two numbers, low <= high, of at least 0"),
        ("radio.access", "one of 'interference', 'time_share'"),
        ("quantum.sampled", "true or false"),
        ("name", "a non-empty string"),
    ],
)
def test_what_is_allowed_is_said_in_words(name, words):
    assert FIELDS[name].allowed() == words


@pytest.mark.parametrize("value", [10**400, np.array([1, 2])], ids=["huge", "array"])
def test_a_value_that_becomes_no_number_is_refused(value):
    with pytest.raises(InvalidValueError, match="max_rounds is "):
        Scenario().replace({"max_rounds": value})


@pytest.mark.parametrize("value", [50, 50.0, np.int64(50), np.float32(50)])
def test_whole_numbers_of_every_kind_become_integers(value):
    assert json.loads(Scenario().replace({"num_devices": value}).to_json())["num_devices"] == 50


@pytest.mark.parametrize("name", [name for name, constraint in FIELDS.items() if constraint.optional])
def test_null_is_allowed_where_a_field_is_optional(name):
    scenario = Scenario().replace(changed(name, None))
    for part in name.split("."):
        scenario = getattr(scenario, part)
    assert scenario is None


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_documented(name):
    assert FIELDS[name].doc


# fields together


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"radio": {"min_power_dbm": 30.0}}, r"radio.min_power_dbm is 30.0; allowed: at most 24.0 \(max_power_dbm\)"),
        (
            {"radio": {"min_distance_m": 2000.0}},
            r"radio.min_distance_m is 2000.0; allowed: below 1800.0 \(cell_radius_m\)",
        ),
        ({"fleet": {"battery_j": [0.0, 5.0]}}, r"fleet.battery_j is \(0.0, 5.0\); allowed: a low end above 0"),
        ({"fleet": {"shot_s": [0.0, 5.0]}}, r"fleet.shot_s is \(0.0, 5.0\); allowed: a low end above 0"),
        ({"quantum": {"sampled": True}}, "quantum.gradient is 'adjoint'; allowed: 'parameter_shift' where"),
        ({"learning": {"num_features": 4}}, r"learning.num_features is 4; allowed: null or 6 \(quantum.num_qubits\)"),
        (
            {"learning": {"num_features": 1, "model": "tensor_network"}},
            "learning.num_features is 1; allowed: at least 2, the edges of the chain",
        ),
        (
            {"learning": {"num_features": 65, "model": "logistic"}},
            "learning.num_features is 65; allowed: from 1 to 64, the features of digits",
        ),
        (
            {"learning": {"server_rule": "fedasync"}},
            "learning.server_rule is 'fedasync'; allowed: 'fedasync' with aggregation 'asynchronous', and only there",
        ),
        (
            {"learning": {"aggregation": "asynchronous"}},
            "learning.server_rule is 'fedadam'; allowed: 'fedasync' with aggregation 'asynchronous', and only there",
        ),
        *(
            (
                {"learning": {"aggregation": "buffered", "server_rule": rule}},
                f"learning.server_rule is '{rule}'; allowed: 'fedadam' or 'fedavg' for 'buffered'",
            )
            for rule in ("scaffold", "fednova", "q-fedavg")
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(InvalidValueError, match=message):
        Scenario().replace(changes)


def test_classical_learners_take_other_numbers_of_features_than_qubits():
    assert Scenario().replace({"learning": {"num_features": 64, "model": "logistic"}}).num_features == 64


def test_a_learner_sees_one_feature_per_qubit_by_default():
    assert Scenario().replace({"quantum": {"num_qubits": 5}}).num_features == 5


@pytest.mark.parametrize(
    ("model", "size"),
    [("logistic", 70), ("mlp", 282), ("tensor_network", 314), ("qnn", 130), ("surrogate", 130), ("none", 130)],
)
def test_an_upload_has_the_parameters_of_its_model(model, size):
    # 6 features, 10 classes, 16 hidden units; bonds of 4: 2 edges of 8 and 4 cores of 32; 6 qubits and 3 layers
    assert num_parameters(Scenario().replace({"learning": {"model": model}})) == size


@pytest.mark.parametrize(
    ("learning", "longest_s"),
    [
        ({}, 10.0),
        ({"aggregation": "synchronous"}, 30.0),
        ({"aggregation": "buffered"}, 10.0),
        ({"aggregation": "asynchronous", "server_rule": "fedasync"}, 10.0),
    ],
)
def test_only_a_synchronous_round_lasts_longer_than_the_deadline(learning, longest_s):
    assert Scenario().replace({"learning": {"patience": 3.0, **learning}}).longest_round_s == longest_s


def test_a_scenario_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Scenario().num_devices = 5


def test_a_section_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Scenario().radio.num_cells = 5


def test_equal_scenarios_are_interchangeable_as_keys():
    assert len({Scenario.preset("tiny"), Scenario.preset("tiny"), Scenario.preset("small")}) == 2
