"""The tables of a leaderboard inside a page that people write."""

import copy
import json

import pages
import pytest

from train.cli import main
from train.report.content import BOARD_FILE
from train.report.excerpt import BEGIN, END, tables

BOARD = pages.leaderboard()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / BOARD_FILE).write_text(json.dumps(BOARD))
    return tmp_path


def test_tables_have_everybody_and_say_who_failed():
    text = tables(BOARD)
    for place in BOARD["environments"]:
        assert f"### {place['env_id']}" in text
        for row in place["rows"]:
            assert f"| {row['competitor']} " in text and f"{row['reached']}/{row['episodes']}" in text
    assert "`oort` failed: " in text and BOARD["title"] in text


def test_a_row_says_how_many_episodes_reached_the_target():
    board = copy.deepcopy(BOARD)
    board["environments"][0]["rows"][0] |= {"reached": 2, "episodes": 6}
    assert "| 2/6 " in tables(board)


def test_a_name_with_a_bar_stays_in_its_cell():
    board = copy.deepcopy(BOARD)
    board["environments"][0]["rows"][0]["competitor"] = "a|b.zip"
    assert "| a\\|b.zip " in tables(board)


def test_the_tables_take_the_place_of_what_was_between_the_marks(folder):
    page = folder / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert main(["report", str(folder), "--into", str(page)]) == 0
    first = page.read_text()
    assert first.startswith(f"before\n{BEGIN}\n") and first.endswith(f"{END}\nafter\n")
    assert tables(BOARD) in first and "old" not in first
    assert main(["report", str(folder), "--into", str(page)]) == 0
    assert page.read_text() == first


@pytest.mark.parametrize("text", ["no marks", BEGIN, END, f"{END} before {BEGIN}"])
def test_a_page_without_a_place_for_them_is_left_alone(folder, capsys, text):
    page = folder / "page.md"
    page.write_text(text)
    assert main(["report", str(folder), "--into", str(page)]) == 2
    assert "has no place for results; write the lines" in capsys.readouterr().err
    assert page.read_text() == text
