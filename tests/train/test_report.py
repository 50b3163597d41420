import json
import re
from html.parser import HTMLParser

import pytest
from boards import ENV_IDS
from pages import SCORES, SEEDS, leaderboard, page

from qfl_envs.rendering import Recording
from train.cli import main
from train.evaluation import make_env
from train.report import replay
from train.report.content import Entry, content_of, read_content
from train.report.page import code, render, write_page
from train.report.svg import Axis, linear_axis, log_axis
from train.runs import RunFolderError

VOID = {"meta", "link", "input", "br"}
LOADS = {"src", "srcset", "poster", "action", "formaction", "data", "background", "xlink:href"}


class Tree(HTMLParser):
    """Every element with its attributes and its ancestors, and what is not closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(text)
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), tuple(self.open)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((data, self.open[-1] if self.open else ""))

    def of(self, tag, **wanted):
        return [one for name, one, _ in self.elements if name == tag and wanted.items() <= one.items()]


@pytest.fixture(scope="module")
def text():
    return page()


@pytest.fixture(scope="module")
def tree(text):
    return Tree(text)


def test_nothing_is_loaded_from_elsewhere(tree, text):
    for tag, attributes, _ in tree.elements:
        assert not LOADS & attributes.keys()
        address = attributes.get("href", "#")
        assert address[0] == "#" or (tag == "link" and address == "data:,"), (tag, address)
    assert not re.search(r"@import|url\(|https?://(?!www\.w3\.org/2000/svg\b)", text)
    policy = tree.of("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert "default-src 'none'" in policy


def test_who_failed_where_nobody_finished_is_told(text):
    assert text.lstrip().startswith("<!doctype html>")
    about = leaderboard()
    barren = about["environments"][0]
    barren["rows"], barren["unfinished"] = [], [{"competitor": "random", "episodes": 0}]
    shown = Tree(render(content_of(about), {}))
    assert (barren["env_id"], "h2") in shown.texts
    assert len(shown.of("section", **{"class": "environment"})) == len(shown.of("table", **{"class": "results"}))
    assert any("<b>nothing</b> & raised ValueError" in data for data, _ in shown.texts)
    assert ("random", "strong") in shown.texts and (" played 0", "li") in shown.texts


@pytest.mark.parametrize("content", ["{", "[]", '{"article": "x"}'])
def test_claims_that_are_none_are_named(tmp_path, capsys, content):
    run = tmp_path / "run"
    run.mkdir()
    (run / "leaderboard.json").write_text(json.dumps(leaderboard()))
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "claims.json").write_text(content)
    assert main(["report", str(run), "--no-replays"]) == 2
    assert "claims.json cannot be read" in capsys.readouterr().err


def test_a_leaderboard_without_its_parts_is_named(tmp_path, capsys):
    (tmp_path / "leaderboard.json").write_text('{"schema": 1}')
    assert main(["report", str(tmp_path)]) == 2
    assert "leaderboard.json is none of version 1" in capsys.readouterr().err


def test_ids_are_unique_and_whatever_is_referred_to_exists(tree):
    ids = [one["id"] for _, one, _ in tree.elements if "id" in one]
    assert len(ids) == len(set(ids))
    for _, one, _ in tree.elements:
        for name in ("for", "aria-labelledby", "data-for"):
            assert set(one.get(name, "").split()) <= set(ids), one
        if one.get("href", "").startswith("#"):
            assert one["href"][1:] in ids


def test_every_control_has_a_name(tree):
    labelled = {one["for"] for one in tree.of("label") if "for" in one}
    for tag in ("input", "select"):
        for _, one, ancestors in (element for element in tree.elements if element[0] == tag):
            assert one["id"] in labelled or "label" in ancestors
    assert all("aria-labelledby" in one or "aria-label" in one for one in tree.of("svg", role="img"))


def test_every_row_of_every_environment_has_the_command_that_repeats_it(tree, text):
    rows = [one for one in tree.of("tr") if "data-name" in one]
    assert [one["data-name"] for one in rows] == [*sorted(SCORES, key=lambda name: -SCORES[name])] * len(ENV_IDS)
    commands = [data for data, parent in tree.texts if parent == "code" and data.startswith("qfl leaderboard --env")]
    wanted = [row["command"] for one in leaderboard()["environments"] for row in one["rows"]]
    assert commands == wanted
    assert len(tree.of("button", **{"class": "copy"})) == 2 * len(wanted)


def test_the_head_names_protocol_and_code(tree, text):
    assert tree.of("meta", name="generator")[0]["content"] == "qfl-envs 0.1.0+abc, protocol 1"
    assert "Protocol 1 · code 0.1.0+abc" in text


def test_columns_sort_by_buttons_and_say_how_they_are_sorted(tree):
    heads = [element for element in tree.elements if element[0] == "th" and "data-key" in element[1]]
    buttons = [element for element in tree.elements if element[0] == "button" and element[2][-1] == "th"]
    assert len(heads) == len(buttons) > 0
    assert [one["data-key"] for _, one, _ in heads if "aria-sort" in one] == ["score", "score"]


def test_every_plot_has_everybody_and_words(tree):
    plots = tree.of("svg", **{"class": "plot"})
    assert len(plots) == 6 * len(ENV_IDS)
    series = [one["data-c"] for one in tree.of("g") if "data-c" in one]
    assert all(series.count(name) >= 5 * len(ENV_IDS) for name in SCORES)
    descriptions = [data for data, parent in tree.texts if parent == "desc"]
    assert all("round-robin" in one for one in descriptions if "training" not in one)


def test_environments_without_scores_show_returns(monkeypatch):
    content = content_of(leaderboard(arguments={"num_devices": 5}))
    assert {place.quantity for place in content.places} == {"return"}
    shown = page(arguments={"num_devices": 5})
    assert "score [95 %]" not in shown.split('id="reading"')[0]


def test_what_failed_is_told_and_text_cannot_become_markup(text):
    assert "on seed 3: &lt;b&gt;nothing&lt;/b&gt; &amp; raised ValueError" in text
    assert "<b>nothing" not in text


def test_data_of_a_replay_cannot_end_their_script():
    content = content_of(leaderboard(env_ids=ENV_IDS[:1]))
    from pages import replay as some

    from train.report.page import render

    shown = render(content, {ENV_IDS[0]: {**some(), "competitor": "</script><b>"}})
    assert "</script><b>" not in shown


def test_a_run_without_anybody_who_finished_says_so(tmp_path):
    about = leaderboard(names=())
    (tmp_path / "leaderboard.json").write_text(json.dumps(about))
    with pytest.raises(RunFolderError, match="no entry"):
        read_content(tmp_path)


@pytest.mark.parametrize(
    "content, said", [("{", "cannot be read"), ('{"schema": 99}', "none of version 1"), ("[]", "none")]
)
def test_a_damaged_or_foreign_file_is_refused(tmp_path, capsys, content, said):
    (tmp_path / "leaderboard.json").write_text(content)
    assert main(["report", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err


def test_the_replay_is_of_the_best_who_knows_no_more_than_others_and_is_played_once(tmp_path):
    about = leaderboard(
        names=("random", "round-robin"), env_ids=ENV_IDS[:1], arguments={"learning": {"model": "none"}, "max_rounds": 3}
    )
    about["environments"][0]["rows"][0]["kind"] = "privileged"
    (tmp_path / "leaderboard.json").write_text(json.dumps(about))
    said = []
    file = write_page(tmp_path, said.append)
    kept = json.loads((tmp_path / "replays" / "scheduling-random-0.json").read_text())
    assert kept["competitor"] == "random" and kept["rounds"] == 3 and len(kept["frames"]) == 4
    assert "random, test seed 0: 3 rounds" in file.read_text()
    write_page(tmp_path, said.append)
    assert len(said) == 1


def test_a_frame_says_what_became_of_every_device():
    env = make_env("qfl/Scheduling-v0", "test", {"scenario": "tiny", "learning": {"model": "none"}}, render_mode="ansi")
    env.reset(seed=0)
    recording: Recording = env.unwrapped.recording
    before = replay.frame_of(recording)
    assert before["round"] == 0 and set(before["subchannel"]) == {-1}
    action = env.action_space.nvec - 1
    _, _, _, _, info = env.step(action)
    after = replay.frame_of(recording)
    for name, letter in replay.MARKS.items():
        if name != "depleted":
            assert [one == letter for one in after["state"]] == info[name].tolist()
    assert [channel >= 0 for channel in after["subchannel"]] == info["participation"].tolist()
    assert after["place_m"][::2] == recording.position_m[:, 0].round().astype(int).tolist()


def test_a_frame_says_whose_update_was_refused():
    tampered = {"tampered_share": 1.0, "signature": "ml-dsa-44"}
    arguments = {"scenario": "tiny", "learning": {"model": "none"}, "security": tampered}
    env = make_env("qfl/Scheduling-v0", "test", arguments, render_mode="ansi")
    env.reset(seed=0)
    info = env.step(env.action_space.nvec - 1)[4]
    state = replay.frame_of(env.unwrapped.recording)["state"]
    assert state.count("r") == info["security"]["refused"] > 0 and "d" not in state


def test_long_episodes_of_many_devices_are_thinned_out_but_keep_their_ends():
    kept = replay._kept(1000, 1000)
    assert len(kept) * 1000 <= replay.MOST_DEVICE_FRAMES and (kept[0], kept[-1]) == (0, 999)
    assert replay._kept(5, 20) == [0, 1, 2, 3, 4]


def test_competitors_keep_their_colour_in_all_environments_and_the_first_ones_differ():
    content = content_of(leaderboard())
    styles = [{entry.name: entry.style for entry in place.entries} for place in content.places]
    assert styles[0] == styles[1]
    assert sorted(styles[0].values()) == list(range(len(SCORES)))


def test_intervals_with_open_ends_have_a_dash(text):
    about = leaderboard(env_ids=ENV_IDS[:1])
    row = about["environments"][0]["rows"][0]
    row["to_target_s"] = {"value": None, "low": 3.0, "high": None}
    entry = Entry(row, 0, True)
    from train.report.columns import interval_text

    assert interval_text(entry.interval("to_target_s"), 1) == "– [3.0, –]"


def test_axes_reach_over_their_values():
    axis = linear_axis("s", [2.0, 4.0])
    assert axis.share(2.0) > 0 and axis.share(4.0) < 1
    assert linear_axis("s", [3.0, 3.0]).high > 3.0
    assert all(0 <= axis.share(tick) <= 1 for tick in axis.ticks())
    log = log_axis("parameters", [0.0, 30.0, 4000.0])
    assert log.share(0.0) == 0.0 < log.share(30.0) < log.share(4000.0) <= 1
    assert Axis("x", 0.0, 1.0).share(0.25) == 0.25


def test_backquotes_are_code_and_nothing_else_is_markup():
    assert code("a `b<` c") == "a <code>b&lt;</code> c"


def test_the_page_is_small_enough_to_be_sent(text):
    assert len(text) < 200_000
    assert SEEDS == 6
