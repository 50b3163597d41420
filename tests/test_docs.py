"""The documentation says what the code does."""

import doctest
import importlib
import importlib.util
import inspect
import re
from pathlib import Path

import gymnasium as gym
import numpy as np
import pettingzoo
import pytest
from gymnasium.envs.registration import load_env_creator

import baselines
import qfl_envs
from baselines import servers
from qfl_envs.parallel import FederatedParallelEnv
from qfl_envs.registration import MULTI_AGENT_ENVIRONMENTS
from qfl_envs.system.decision import Decision
from qfl_envs.system.federation import FederatedSystem
from qfl_envs.system.random import RowRandom

DOCS = Path(qfl_envs.__file__).parents[1] / "docs"
ENV_IDS = sorted(name for name in gym.registry if name.startswith("qfl/"))
SECTIONS = [
    "Description",
    "Action Space",
    "Observation Space",
    "Rewards",
    "Starting State",
    "Episode End",
    "Arguments",
    "Version History",
]
PETTINGZOO_ROWS = [
    "Import",
    "Actions",
    "Parallel API",
    "Manual Control",
    "Agents",
    "Agents",
    "Action Shape",
    "Action Values",
    "Observation Shape",
    "Observation Values",
    "State Shape",
    "State Values",
]
every_env = pytest.mark.parametrize("env_id", ENV_IDS)


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def class_of(env_id):
    return load_env_creator(gym.spec(env_id).entry_point)


def section(env_id, title):
    """The text of one section of an environment's class docstring."""
    text = inspect.cleandoc(class_of(env_id).__doc__)
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL).group(1)


def tables(text):
    """One dict per table of a text: the name in code that begins a row to the row's other cells."""
    found = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    rows = [re.findall(r"^\| `([^`]+)` *\|(.*)\|$", table, re.MULTILINE) for table in found]
    return [{name: [cell.strip() for cell in rest.split("|")] for name, rest in table} for table in rows]


def played(env_id):
    """An environment, and the infos of a reset and a step."""
    env = gym.make(env_id, scenario="tiny", learning={"model": "none"}).unwrapped
    _, reset_info = env.reset(seed=0)
    return env, reset_info, env.step(env.action_space.sample())[-1]


def links_in(page):
    return re.findall(r"\]\(([^)#:]+)\)", page.read_text())


def test_the_generated_pages_are_those_of_the_code(generator):
    assert generator.main(["--check"]) == 0


def test_a_page_that_differs_from_the_code_fails_the_check(generator, tmp_path, capsys):
    generator.main(["--folder", str(tmp_path)])
    assert generator.main(["--folder", str(tmp_path), "--check"]) == 0
    page = tmp_path / "scenario.md"
    page.write_text(page.read_text() + "more\n")
    assert generator.main(["--folder", str(tmp_path), "--check"]) == 1
    assert str(page) in capsys.readouterr().out


def test_a_page_of_an_environment_that_is_gone_fails_the_check_and_is_removed(generator, tmp_path):
    generator.main(["--folder", str(tmp_path)])
    gone = tmp_path / "environments" / "gone.md"
    gone.write_text("")
    assert generator.main(["--folder", str(tmp_path), "--check"]) == 1
    generator.main(["--folder", str(tmp_path)])
    assert not gone.exists()


def test_the_page_of_the_competitors_has_all_that_need_no_training(generator):
    page = generator.all_pages()["competitors.md"]
    assert all(f"| `{name}` | {baselines.make(name).kind} |" in page for name in baselines.names())
    assert all(f"| `{name}` |" in page for name in servers.names())


def test_the_scenario_page_has_every_field(generator):
    *sections, _ = tables((DOCS / "scenario.md").read_text())
    fields = [name for table in sections for name in table]
    assert sorted(fields) == sorted(generator.flattened(qfl_envs.Scenario()))


@every_env
def test_the_docstring_has_the_sections_in_order(env_id):
    assert re.findall(r"^## (.*)$", inspect.cleandoc(class_of(env_id).__doc__), re.MULTILINE) == SECTIONS


@every_env
def test_the_docstring_names_every_observation_in_its_bounds_and_scale(env_id):
    env, _, _ = played(env_id)
    rows, _ = tables(section(env_id, "Observation Space"))
    assert rows.keys() == env.task.features.keys()
    for name, feature in env.task.features.items():
        *_, bounds, scale = rows[name]
        assert scale.lower() == feature.scale, name
        if feature.scale == "db":
            assert bounds == f"{feature.low:g} dB, {feature.high:g} dB"
        elif re.fullmatch(r"[\d.]+, [\d.]+", bounds):
            assert [float(bound) for bound in bounds.split(", ")] == [feature.low, feature.high], name


@every_env
def test_the_docstring_has_the_shape_of_every_observation(env_id):
    env, _, _ = played(env_id)
    (rows, _), scenario = tables(section(env_id, "Observation Space")), env.scenario
    sizes = {"N": scenario.num_devices, "C": scenario.radio.num_cells, "K": scenario.radio.num_subchannels, "1": 1}
    sizes["S"] = env.task.num_shown
    for name, box in env.observation_space.items():
        product = 1
        for factor in re.fullmatch(r"`\((.+),\)`", rows[name][0]).group(1).split(" * "):
            product *= sizes[factor]
        assert (product,) == box.shape, name


@every_env
def test_the_docstring_names_every_entry_of_the_infos(env_id):
    _, reset_info, step_info = played(env_id)
    text = section(env_id, "Observation Space")
    _, rows = tables(text)
    assert rows.keys() == step_info.keys()
    assert [name for name in reset_info if f"`{name}`" not in text] == []


@every_env
def test_the_docstring_names_every_reward_term_with_its_default_weight(env_id):
    env, _, _ = played(env_id)
    (rows,) = tables(section(env_id, "Rewards"))
    assert {name: float(cells[0]) for name, cells in rows.items()} == env.task.weights


@every_env
def test_the_docstring_names_every_constructor_argument_with_its_default(env_id):
    (rows,) = tables(section(env_id, "Arguments"))
    parameters = list(inspect.signature(class_of(env_id).__init__).parameters.values())[1:-1]
    assert rows.keys() == {parameter.name for parameter in parameters}
    for parameter in parameters:
        default = rows[parameter.name][1].strip("`")
        assert default == (f'"{parameter.default}"' if isinstance(parameter.default, str) else str(parameter.default))


@every_env
def test_the_examples_of_the_docstring_run(env_id):
    cls = class_of(env_id)
    (test,) = (found for found in doctest.DocTestFinder(recurse=False).find(cls, cls.__name__) if found.examples)
    assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize("env_id", MULTI_AGENT_ENVIRONMENTS)
def test_the_page_of_the_agents_names_every_number_of_an_observation_in_its_order(env_id):
    rows, *_ = tables(inspect.cleandoc(FederatedParallelEnv.__doc__))
    devices = pettingzoo.make("parallel", env_id, scenario="tiny").devices
    common = [name for name in devices.columns if name in rows]
    assert list(rows) == common
    for name in common[1:]:
        columns = devices.columns[name]
        assert rows[name][0] == str(columns.stop - columns.start), name
    own = [cells[1].startswith("itself") for cells in rows.values()]
    task = pettingzoo.make("parallel", env_id, scenario="tiny").task
    assert own == [not task.features[name].shared for name in rows]


@pytest.mark.parametrize(("env_id", "module"), MULTI_AGENT_ENVIRONMENTS.items())
def test_the_module_of_a_multi_agent_environment_has_pettingzoos_table_with_the_numbers_of_small(env_id, module):
    text = importlib.import_module(module).__doc__
    rows = re.findall(r"^\| (\w[\w ]*?) +\|(.*)\|$", text, re.MULTILINE)
    assert [name for name, _ in rows] == PETTINGZOO_ROWS
    env = pettingzoo.make("parallel", env_id)
    numbers = {name: re.search(r"(\d+) in `small`", cell) for name, cell in rows}
    assert int(numbers["Agents"].group(1)) == len(env.possible_agents)
    assert int(numbers["Action Shape"].group(1)) == env.action_space("device_0").n
    assert int(numbers["Observation Shape"].group(1)) == env.observation_space("device_0")["observation"].shape[0]
    assert int(numbers["State Shape"].group(1)) == env.state_space.shape[0]


@pytest.mark.parametrize("page", ["index.md", "multi_agent.md", "security.md"])
def test_the_examples_of_a_page_run(page):
    results = doctest.testfile(str(DOCS / page), module_relative=False)
    assert results.attempted > 0 and results.failed == 0


def test_the_index_links_every_other_page():
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"index.md"}
    assert pages <= set(links_in(DOCS / "index.md"))


def test_every_link_leads_to_a_file():
    broken = [
        (page, link) for page in DOCS.rglob("*.md") for link in links_in(page) if not (page.parent / link).is_file()
    ]
    assert broken == []


def test_the_page_of_the_round_has_the_steps_in_the_order_in_which_they_are_played():
    called = re.findall(r"self\.(_\w+)\(", inspect.getsource(FederatedSystem.step))
    steps = [name for name in called if name not in ("_begin", "_report")]
    assert re.findall(r"^\| \d\. .*? \| `(\w+)` \|", (DOCS / "round.md").read_text(), re.MULTILINE) == steps


LEARNERS = {
    "real": {
        "learning": {"dropout": 0.1},
        "drift": {"kind": "abrupt"},
        "quantum": {"sampled": True, "gradient": "parameter_shift"},
    },
    "surrogate": {"learning": {"model": "surrogate"}},
    "none": {"learning": {"model": "none"}},
    "attacked": {
        "learning": {"model": "none"},
        "security": {"attack": "gaussian", "attacker_share": 0.2, "noise_multiplier": 1.0},
    },
}


def blocks_drawn(monkeypatch, changes):
    """Kind and names of the numbers of every block that a reset and a round draw: two lists."""
    scenario = qfl_envs.Scenario.preset("tiny").replace(changes)
    system, drawn = FederatedSystem(scenario), []
    draw = RowRandom._draw

    def recorded(random, method, shapes):
        drawn.append((method, list(shapes)))
        return draw(random, method, shapes)

    with monkeypatch.context() as patch:
        patch.setattr(RowRandom, "_draw", recorded)
        system.reset([np.random.default_rng(0)])
        at_reset = len(drawn)
        system.step(Decision(np.zeros((1, scenario.num_devices), dtype=bool)))
    return drawn[:at_reset], drawn[at_reset:]


def blocks_written(method):
    """The same as the page of the round has it, with all that any learner draws."""
    text = (DOCS / "round.md").read_text().split(f"`FederatedSystem.{method}`")[1].split("\n\n")[1]
    lines = re.split(r"^\d\. ", text, flags=re.MULTILINE)[1:]
    kinds = {"uniform": "random", "standard": "standard_normal"}
    return [(kinds[line.split()[0]], re.findall(r"`(\w+)`", line)) for line in lines if line.split()[0] in kinds]


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize(("part", "method"), [(0, "_initial_state"), (1, "_begin")])
def test_the_page_of_the_round_has_all_draws_in_their_order(monkeypatch, part, method, learner):
    drawn = blocks_drawn(monkeypatch, LEARNERS[learner])[part]
    of_learner = {name for _, names in drawn for name in names}
    written = [(kind, [name for name in names if name in of_learner]) for kind, names in blocks_written(method)]
    assert [block for block in written if block[1]] == drawn


@pytest.mark.parametrize(("part", "method"), [(0, "_initial_state"), (1, "_begin")])
def test_the_page_of_the_round_has_no_draw_that_no_learner_makes(monkeypatch, part, method):
    drawn = {
        name for changes in LEARNERS.values() for _, names in blocks_drawn(monkeypatch, changes)[part] for name in names
    }
    assert {name for _, names in blocks_written(method) for name in names} == drawn
