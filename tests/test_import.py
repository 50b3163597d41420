"""Which module imports which: light to import, one way, and no circles."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import qfl_envs

ROOT = Path(qfl_envs.__file__).parents[1]
MAY_IMPORT = {
    "qfl_envs": {"qfl_envs"},
    "agents": {"agents", "baselines", "qfl_envs"},
    "baselines": {"baselines", "qfl_envs"},
    "train": {"train", "agents", "baselines", "qfl_envs"},
}
HEAVY = ("torch", "pennylane", "stable_baselines3", "matplotlib", "sklearn", "numba", "cryptography")
STEP = """
import gymnasium, pettingzoo, qfl_envs
for env_id in [name for name in gymnasium.registry if name.startswith("qfl/")]:
    env = gymnasium.make(env_id, scenario="tiny", learning={"model": "none"})
    env.reset(seed=0)
    env.step(env.action_space.sample())
for env_id in [name for name in pettingzoo.parallel_registry if name.startswith("qfl/")]:
    env = pettingzoo.make("parallel", env_id, scenario="tiny", learning={"model": "none"})
    env.reset(seed=0)
    env.step({agent: env.action_space(agent).sample() for agent in env.agents})
"""


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))}


def imported_by(name):
    """Modules that a module imports anywhere in it, in functions and for type checking too."""
    found = set()
    for node in ast.walk(ast.parse(SOURCES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {name}"
            of_package = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {module if module in SOURCES else node.module for module in of_package}
    return found


def loaded_by(code):
    """Top-level modules that a fresh interpreter has loaded after some code."""
    script = f"{code}\nimport sys; print(' '.join(name for name in sys.modules if '.' not in name))"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_importing_the_environments_loads_nothing_heavy():
    assert loaded_by("import qfl_envs").isdisjoint(HEAVY)


def test_a_step_without_learning_loads_neither_torch_nor_matplotlib():
    loaded = loaded_by(STEP)
    assert "gymnasium" in loaded
    assert loaded.isdisjoint({"torch", "matplotlib", "sklearn", "pennylane"})


def test_all_four_packages_are_looked_at():
    assert {name.split(".")[0] for name in SOURCES} == MAY_IMPORT.keys()


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_between_the_packages_point_one_way(package):
    wrong = {
        (name, other)
        for name in SOURCES
        if name.split(".")[0] == package
        for other in imported_by(name)
        if other.split(".")[0] in MAY_IMPORT.keys() - MAY_IMPORT[package]
    }
    assert wrong == set()


@pytest.mark.parametrize("part", ["qfl_envs.system", "qfl_envs.quantum"])
def test_the_simulated_system_knows_neither_gymnasium_nor_the_environments(part):
    above = ("gymnasium", "qfl_envs.envs", "qfl_envs.vector", "qfl_envs.registration", "qfl_envs.rendering")
    wrong = {
        (name, other)
        for name in SOURCES
        if name.startswith(part)
        for other in imported_by(name)
        if other.startswith(above)
    }
    assert wrong == set()


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: imported_by(name) & SOURCES.keys() for name in SOURCES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
