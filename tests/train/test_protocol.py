"""Rules and code have versions, and the page of the rules has the same one."""

from pathlib import Path

import pytest

from train.competition import protocol

PAGE = Path(protocol.__file__).parents[2] / "docs" / "protocol.md"


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A package that stands in for those that decide results; its version is asked anew every time."""
    package = tmp_path / "deciding"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "settings.toml").write_text("steps = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(protocol, "DECIDING", ("deciding",))
    protocol.code_version.cache_clear()
    yield package
    protocol.code_version.cache_clear()


def version_now():
    protocol.code_version.cache_clear()
    return protocol.code_version()


def test_the_page_is_that_of_the_version():
    assert PAGE.read_text().startswith(f"# Protocol {protocol.PROTOCOL}\n")


@pytest.mark.parametrize("change", ["edited", "renamed"])
def test_other_sources_are_another_version_of_the_code(sources, change):
    before = version_now()
    assert version_now() == before
    if change == "edited":
        (sources / "settings.toml").write_text("steps = 2\n")
    else:
        (sources / "settings.toml").rename(sources / "options.toml")
    assert version_now() != before


def test_what_running_leaves_behind_is_no_source(sources):
    before = version_now()
    (sources / "__pycache__").mkdir()
    (sources / "__pycache__" / "module.pyc").write_bytes(b"compiled")
    assert version_now() == before
