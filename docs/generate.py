"""Write the pages of the documentation that follow from the code.

``python docs/generate.py`` writes scenario.md, multi_agent.md and environments/*.md, ``--check`` exits 1 if they differ
from what the code says.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator

import qfl_envs  # noqa: F401  (registers the environments)
from qfl_envs.fields import Constraint, Section
from qfl_envs.parallel import FederatedParallelEnv
from qfl_envs.presets import PRESETS
from qfl_envs.registration import MULTI_AGENT_ENVIRONMENTS
from qfl_envs.scenario import Scenario

FOLDER = Path(__file__).parent
NOTICE = "<!-- Written by docs/generate.py; edit the code, not this page. -->\n"
SCENARIO_INTRODUCTION = """\
# Scenario

A `qfl_envs.Scenario` says what a simulated system is. Environments take it as the name of a preset, as an object of
fields, or as either with some fields changed:

```python
gymnasium.make("qfl/Scheduling-v0", scenario="paper", num_devices=50, radio={"num_subchannels": 10})
```

Every value is checked: a field that does not exist or a value that is not allowed is refused with an error that names
the field, the value and what is allowed. `Scenario.to_json` and `Scenario.from_json` write and read all fields.
"""
PRESETS_INTRODUCTION = """\
## Presets

What the presets change. A field that is not listed has its default in all of them; an empty cell is the default.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the pages; the exit code."""
    parser = argparse.ArgumentParser(description="Write the pages of the documentation that follow from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page differs from the code")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pages are (default: beside this script)")
    options = parser.parse_args(arguments)
    pages = {options.folder / name: content for name, content in all_pages().items()}
    stale = set((options.folder / "environments").glob("*.md")) - set(pages)
    if options.check:
        wrong = [path for path, content in pages.items() if not path.is_file() or path.read_text() != content]
        for path in sorted([*wrong, *stale]):
            print(f"{path} differs from the code: run python docs/generate.py")
        return int(bool(wrong or stale))
    for path, content in pages.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    for path in stale:
        path.unlink()
    return 0


def all_pages() -> dict[str, str]:
    """Content of every generated page by its path in the folder."""
    pages = {"scenario.md": scenario_page(), "multi_agent.md": multi_agent_page()}
    for env_id in sorted(name for name in gym.registry if name.startswith("qfl/")):
        pages[page_of(env_id)] = environment_page(env_id)
    return pages


def page_of(env_id: str) -> str:
    """Path of an environment's page: ``qfl/Scheduling-v0`` -> ``environments/scheduling.md``."""
    return f"environments/{env_id.removeprefix('qfl/').rpartition('-v')[0].lower()}.md"


def environment_page(env_id: str) -> str:
    """The class docstring of an environment under its id."""
    environment = load_env_creator(str(gym.spec(env_id).entry_point))
    summary, _, rest = inspect.cleandoc(environment.__doc__ or "").partition("\n")
    make = f'```python\ngymnasium.make("{env_id}")\n```'
    return f"{NOTICE}\n# {env_id}\n\n{summary}\n\n{make}\n{rest}\n"


def multi_agent_page() -> str:
    """What all multi-agent environments have in common, then the docstring of each one's module."""
    common = inspect.cleandoc(FederatedParallelEnv.__doc__ or "")
    parts = [
        f"## {env_id}\n\n{inspect.cleandoc(importlib.import_module(module).__doc__ or '')}"
        for env_id, module in sorted(MULTI_AGENT_ENVIRONMENTS.items())
    ]
    return "\n\n".join([f"{NOTICE}\n# Devices as agents", common, *parts]) + "\n"


def scenario_page() -> str:
    """Tables of all fields, and of what the presets change."""
    scenario = Scenario()
    parts = [NOTICE, SCENARIO_INTRODUCTION, section_part("Fields of a scenario", scenario)]
    parts += [section_part(f"`{name}`", section) for name, section in sections(scenario)]
    return "\n".join([*parts, PRESETS_INTRODUCTION, presets_table(scenario)])


def section_part(title: str, section: Section) -> str:
    """A heading, what the section is about, and a table of its fields."""
    about = "" if isinstance(section, Scenario) else f"{inspect.cleandoc(section.__doc__ or '')}\n\n"
    head = ["Field", "Default", "Unit", "Allowed", "Meaning", "Source"]
    rows = [
        [
            f"`{section.prefix}{item.name}`",
            literal(section.to_dict()[item.name]),
            constraint.unit,
            constraint.allowed(),
            constraint.doc,
            constraint.source,
        ]
        for item, constraint in declared(section)
    ]
    return f"## {title}\n\n{about}{table(head, rows)}"


def presets_table(scenario: Scenario) -> str:
    """One row per field that any preset changes, one column per preset."""
    changed = {name: flattened(Scenario.preset(name)) for name in PRESETS}
    rows = [
        [
            f"`{field}`",
            literal(default),
            *("" if of[field] == default else literal(of[field]) for of in changed.values()),
        ]
        for field, default in flattened(scenario).items()
        if field != "name" and any(of[field] != default for of in changed.values())
    ]
    return table(["Field", "Default", *(f"`{name}`" for name in PRESETS)], rows)


def flattened(scenario: Scenario) -> dict[str, Any]:
    """Plain values of all fields by their full names."""
    values = {item.name: scenario.to_dict()[item.name] for item, _ in declared(scenario)}
    for _, section in sections(scenario):
        values |= {f"{section.prefix}{name}": value for name, value in section.to_dict().items()}
    return values


def declared(section: Section) -> Iterator[tuple[dataclasses.Field[Any], Constraint]]:
    """Fields of a section that hold a value."""
    for item in dataclasses.fields(section):
        if "constraint" in item.metadata:
            yield item, item.metadata["constraint"]


def sections(scenario: Scenario) -> Iterator[tuple[str, Section]]:
    """Fields of a scenario that hold a section."""
    for item in dataclasses.fields(scenario):
        value = getattr(scenario, item.name)
        if isinstance(value, Section):
            yield item.name, value


def literal(value: Any) -> str:
    """A value as JSON."""
    return f"`{json.dumps(value)}`"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    raise SystemExit(main())
