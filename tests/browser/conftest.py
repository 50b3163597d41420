"""A page in a real browser: Chromium, found by its name or where CHROMIUM says."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "train"))
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def executable():
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.exit(
            f"no Chromium: none of {', '.join(NAMES)} is installed; apt-get install chromium, or set CHROMIUM", 1
        )
    return found


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        # a container's root has no sandbox
        browser = playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """Of a page; REPORT_PAGE names another one, e.g. that of a real run."""
    named = os.environ.get("REPORT_PAGE")
    if named:
        return Path(named).resolve().as_uri()
    from pages import page

    file = tmp_path_factory.mktemp("page") / "leaderboard.html"
    file.write_text(page(), encoding="utf-8")
    return file.as_uri()


@pytest.fixture
def visit(chromium, address):
    """A function that opens the page and returns it; the test fails if it complains or loads anything else."""
    complaints, contexts = [], []

    def open_page(width=1280, height=900, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if request.url != address else None)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [one for one in complaints if one != "data:,"] == []
