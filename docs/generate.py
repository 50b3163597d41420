"""Write the pages of the documentation that follow from the code.

``python docs/generate.py`` writes competitors.md, line_ups.md, multi_agent.md, scenario.md, surrogate.md and
environments/*.md, ``--check`` exits 1 if they differ from what the code says.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator

import agents
import baselines
import qfl_envs  # noqa: F401  (registers the environments)
from baselines import servers
from qfl_envs.fields import Constraint, Section
from qfl_envs.parallel import FederatedParallelEnv
from qfl_envs.presets import PRESETS
from qfl_envs.registration import MULTI_AGENT_ENVIRONMENTS
from qfl_envs.scenario import Scenario
from train import competitors as known
from train import reference
from train.competition import line_ups
from train.surrogate import agreement, calibration

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
EXPECTATIONS = """\
## What to expect

Mean return with 95 % bootstrap interval, as `qfl reference` printed it: random play (score 0), the reference (score 1),
and the best other competitor that was measured. The reference is `{reference}`: {why}. It is no bound, and scores above
1 are possible. Federated rounds per second, of one environment and of 16 rows of the vector environment, are those of
the machine that measured, with two cores; compare them with each other.

"""
SURROGATE_INTRODUCTION = """\
# The surrogate tier

`learning={"model": "surrogate"}` replaces the quantum learner by a convergence model: softmax regression on the centres
of three clusters of each class, in the features that the learner sees. Who delivered, how many local steps, which
labels, how stale: all of it enters as in the real system, through the same server rules. Payloads, circuits, times and
energies are those of the quantum learner. It was calibrated under server Adam, the default; under a rule that adds
plain updates (FedAvg, FedAsync, q-FedAvg, FedNova, SCAFFOLD) it learns, but at another speed than the quantum learner.

Six numbers make it resemble the quantum learner. `qfl calibrate` fits them to rounds of the real one, which were
recorded with participants chosen in many ways (`--record` plays them anew) and are shipped in
`train/surrogate/records`. Two thirds of the systems are fitted, the rest are held out. Errors are root mean squares
over all rounds; the roughness is that of the accuracy from round to round, relative to the real one's; the correlation
is that of the final accuracies over systems.

"""
AGREEMENT_INTRODUCTION = """
## Do competitors rank alike?

Kendall's tau between the mean returns of all baselines on both tiers, as `qfl calibrate --agreement` printed it: 1 for
equal ranks, 0 for none. Results of the surrogate tier are never mixed with those of the real one.

"""
COMPETITORS_INTRODUCTION = """\
# Competitors

Who plays without training. `qfl evaluate --competitor NAME --env ID` plays one of them, `qfl leaderboard` all that
compete by default. A `classical` or `quantum` competitor sees the observation and remembers its own decisions; a
`privileged` one knows more, and is there to show how far the others are from what is possible. Agents that are trained
are in [training.md](training.md).
"""
SERVERS_INTRODUCTION = """\
## How the server merges

A competitor decides who takes part; how the server merges what they send belongs to the scenario. Methods of the
literature are named settings of `learning`, under which any competitor can play, be trained or compete:
`qfl evaluate --server q-fedavg --competitor round-robin`, and so with `qfl train`, `qfl leaderboard` and `qfl render`.
What `--set` says about `learning` goes before.

"""
LINE_UPS_INTRODUCTION = """\
# Line-ups

Who plays where with `qfl leaderboard --quick` and `--full`, from `train/competition/line_ups.toml`. `--env`,
`--competitor`, `--seeds` and `--steps` change it. Steps are the training budget, the same for all agents that learn in
an environment. Without either, all that `qfl competitors` lists as by default play {seeds} seeds, with the training
budgets that they are shipped with.
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
    pages = {
        "competitors.md": competitors_page(),
        "line_ups.md": line_ups_page(),
        "multi_agent.md": multi_agent_page(),
        "scenario.md": scenario_page(),
        "surrogate.md": surrogate_page(),
    }
    for env_id in sorted(name for name in gym.registry if name.startswith("qfl/")):
        pages[page_of(env_id)] = environment_page(env_id)
    return pages


def page_of(env_id: str) -> str:
    """Path of an environment's page: ``qfl/Scheduling-v0`` -> ``environments/scheduling.md``."""
    name = env_id.removeprefix("qfl/").rpartition("-v")[0]
    return f"environments/{re.sub('(?<=[a-z])(?=[A-Z])', '_', name).lower()}.md"


def environment_page(env_id: str) -> str:
    """The class docstring of an environment under its id."""
    environment = load_env_creator(str(gym.spec(env_id).entry_point))
    summary, _, rest = inspect.cleandoc(environment.__doc__ or "").partition("\n")
    make = f'```python\ngymnasium.make("{env_id}")\n```'
    return f"{NOTICE}\n# {env_id}\n\n{summary}\n\n{make}\n{rest}\n\n{expectations(env_id)}"


def expectations(env_id: str) -> str:
    """What `qfl reference` found."""
    measured = [row for row in reference.shipped() if row["env_id"] == env_id]
    if not measured:
        return ""
    shown = reference.table(measured)
    rows = [list(row.values()) for row in shown]
    return EXPECTATIONS.format(**reference.REFERENCES[env_id]) + table(list(shown[0]), rows)


def multi_agent_page() -> str:
    """What all multi-agent environments have in common, then the docstring of each one's module."""
    common = inspect.cleandoc(FederatedParallelEnv.__doc__ or "")
    parts = [
        f"## {env_id}\n\n{inspect.cleandoc(importlib.import_module(module).__doc__ or '')}"
        for env_id, module in sorted(MULTI_AGENT_ENVIRONMENTS.items())
    ]
    return "\n\n".join([f"{NOTICE}\n# Devices as agents", common, *parts]) + "\n"


def competitors_page() -> str:
    """Who competes where, each by the docstring of its class, and the methods of the server."""
    rows, about = [], []
    for name in [*baselines.names(), *agents.names()]:
        one = baselines.make(name) if name in baselines.names() else agents.make(name)
        summary, _, rest = inspect.cleandoc(one.__doc__ or "").partition("\n")
        where = ", ".join(env_id.removeprefix("qfl/").rpartition("-v")[0] for env_id in one.environments)
        rows.append([f"`{name}`", one.kind, "yes" if one.by_default else "no", where, summary])
        if rest.strip():
            about.append(f"### {name}\n\n{summary} {rest.strip()}")
    head = ["Name", "Kind", "By default", "Environments", "What it does"]
    merging = [[f"`{name}`", literal(servers.with_server(name, {})["learning"])] for name in servers.names()]
    parts = [f"{NOTICE}\n{COMPETITORS_INTRODUCTION}", table(head, rows), *(f"{text}\n" for text in about)]
    return "\n".join([*parts, SERVERS_INTRODUCTION + table(["Method", "`learning`"], merging)])


def line_ups_page() -> str:
    """A table for each of the line-ups."""
    parts = [NOTICE, LINE_UPS_INTRODUCTION.format(seeds=line_ups.line_up(None).seeds)]
    for name in line_ups.SHIPPED:
        found = line_ups.line_up(name)
        rows = [
            [f"`{env_id}`", str(found.seeds), f"{found.steps[env_id]:,}", *_by_kind(names)]
            for env_id, names in found.competitors.items()
        ]
        parts += [f"## --{name}\n", table(["Environment", "Seeds", "Steps", "Classical", "Quantum"], rows)]
    return "\n".join(parts)


def _by_kind(names: Sequence[str]) -> list[str]:
    """Classical and quantum ones, in words."""
    kinds = {name: known.kind(name) for name in names}
    return [", ".join(f"`{name}`" for name in names if kinds[name] == kind) for kind in ("classical", "quantum")]


def surrogate_page() -> str:
    """Calibrations, their errors, and how competitors rank."""
    entries = json.loads(calibration.SHIPPED.read_text())
    head = ["Data and features", "Preset", "Rounds of", "Accuracy error", "Loss error", "Roughness", "Correlation"]
    rows = [
        [
            f"`{key}`",
            f"`{preset}`",
            words,
            *(f"{fit[name]:.3f}" for name in ("accuracy_error", "loss_error", "roughness_ratio", "correlation")),
        ]
        for key, entry in entries.items()
        for part, words in (("fit", "the fit"), ("held_out", "held-out systems"))
        for preset, fit in entry[part].items()
    ]
    ranks = [
        [
            f"`{env_id}`",
            f"`{found['preset']}`",
            str(found["seeds"]),
            str(len(found["returns"])),
            f"{found['kendall_tau']:.2f}",
        ]
        for env_id, found in sorted(json.loads(agreement.SHIPPED.read_text()).items())
    ]
    rank_head = ["Environment", "Preset", "Seeds", "Baselines", "Kendall's tau"]
    return f"{NOTICE}\n{SURROGATE_INTRODUCTION}{table(head, rows)}{AGREEMENT_INTRODUCTION}{table(rank_head, ranks)}"


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
