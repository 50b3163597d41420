import pytest
from playwright.sync_api import expect

PHONE = {"width": 375, "height": 812, "has_touch": True, "is_mobile": True}


def names(page, environment=0):
    rows = page.locator(".environment").nth(environment).locator(".results tbody tr:visible")
    return [row.get_attribute("data-name") for row in rows.all()]


def column(page, key):
    section = page.locator(".environment").first
    index = section.locator(f"th[data-key='{key}']").evaluate("head => head.cellIndex")
    return [
        float(row.evaluate(f"row => row.cells[{index}].dataset.v"))
        for row in section.locator("tbody tr[data-name]").all()
    ]


def test_the_head_of_a_column_sorts_and_says_so(visit):
    page = visit()
    head = page.locator(".environment").first.locator("th[data-key='accuracy']")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, "accuracy") == sorted(column(page, "accuracy"), reverse=True)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert page.locator(".environment").first.locator("th[aria-sort]").count() == 1
    assert "sorted by accuracy" in page.locator("#status").inner_text()


def test_names_sort_too_and_the_other_environments_stay(visit):
    page = visit()
    others = names(page, 1)
    page.locator(".environment").first.locator("th[data-key='name'] button").click()
    assert names(page) == sorted(names(page))
    assert names(page, 1) == others


def test_search_and_kind_filter_the_rows_and_count_them(visit):
    page = visit()
    everybody = names(page)
    form = page.locator(".environment").first.locator(".filters")
    form.locator(".search").fill("Ran")
    assert names(page) == [name for name in everybody if "ran" in name]
    assert form.locator(".count").inner_text() == f"{len(names(page))} of {len(everybody)}"
    form.locator(".search").fill("")
    kinds = form.locator(".kind option").all_inner_texts()[1:]
    form.locator(".kind").select_option(kinds[-1])
    rows = page.locator(".environment").first.locator(".results tbody tr:visible")
    assert {row.get_attribute("data-kind") for row in rows.all()} == {kinds[-1]}
    form.locator(".search").press("Enter")  # nothing is sent, nothing is loaded
    assert names(page, 1) != []


def test_all_columns_are_shown_when_asked_for(visit):
    page = visit()
    section = page.locator(".environment").first
    hidden = section.locator("th.more-column").first
    assert not hidden.is_visible()
    section.locator(".more").check()
    assert hidden.is_visible()


def test_everything_works_without_a_mouse(visit):
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    head = page.locator(".environment").first.locator("th[data-key='accuracy'] button")
    head.focus()
    page.keyboard.press("Enter")
    assert page.locator(".environment").first.locator("th[data-key='accuracy']").get_attribute("aria-sort")
    assert head.evaluate("button => getComputedStyle(button).outlineStyle") != "none"
    chip = page.locator(".chip").first
    chip.focus()
    page.keyboard.press("Space")
    assert chip.get_attribute("aria-pressed") == "false"
    slider = page.locator(".slider").first
    slider.focus()
    before = int(slider.input_value())
    page.keyboard.press("ArrowRight")
    assert int(slider.input_value()) == before + 1
    # every control that can be seen is reached in turn
    controls = page.locator("button:visible, input:visible, select:visible, summary:visible, a:visible").count()
    reached = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, summary, a")]
           .filter((one) => one.offsetParent !== null && one.tabIndex >= 0).length"""
    )
    assert reached >= controls - 1  # the skip link is outside of the picture until it has the focus


def test_chips_bring_a_competitor_into_colour_in_every_plot(visit):
    page = visit()
    section = page.locator(".environment").first
    section.locator(".chip-all[data-all='false']").click()
    assert section.locator(".series.on").count() == 0
    chip = section.locator(".chip").nth(1)
    chip.click()
    coloured = section.locator(".series.on")
    assert {one.get_attribute("data-c") for one in coloured.all()} == {chip.get_attribute("data-c")}
    assert coloured.count() >= 5
    # who is in colour stands in front
    assert coloured.first.evaluate("one => one === [...one.parentNode.querySelectorAll('.series')].at(-1)")


def test_a_command_is_copied(visit):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    button = page.locator(".results .copy").first
    button.click()
    expect(button).to_contain_text("Copied")
    command = page.locator(f"#{button.get_attribute('data-for')}").text_content()
    assert page.evaluate("navigator.clipboard.readText()") == command
    assert command.startswith("qfl leaderboard --env ")


def test_where_nothing_can_be_copied_the_command_is_selected(visit):
    page = visit()
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.locator(".results .copy").first.click()
    expect(page.locator(".commands").first).to_have_attribute("open", "")
    assert page.evaluate("getSelection().toString()").startswith("qfl leaderboard")


def test_a_replay_plays_pauses_and_ends(visit):
    page = visit()
    box = page.locator(".replay").first
    box.scroll_into_view_if_needed()
    assert box.locator(".cell path, .cell circle").count() > 3
    play, slider = box.locator(".play"), box.locator(".slider")
    last = int(slider.get_attribute("max"))
    slider.fill(str(max(last - 2, 0)))
    play.click()
    assert play.inner_text() == "Pause"
    expect(slider).to_have_value(str(last))
    expect(play).to_have_text("Play")
    assert slider.get_attribute("aria-valuetext").startswith("round ")
    first = box.locator(".f-accuracy").inner_text()
    box.locator(".step[data-by='-1']").click()
    assert int(slider.input_value()) == last - 1
    assert box.locator(".f-accuracy").inner_text() != first or last > 20


def test_nothing_moves_by_itself(visit):
    page = visit(reduced_motion="reduce")
    before = page.locator(".slider").first.input_value()
    page.wait_for_timeout(900)
    assert page.locator(".slider").first.input_value() == before
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


@pytest.mark.parametrize("width", [320, 375, 768, 1280])
def test_no_page_is_wider_than_its_window(visit, width):
    page = visit(width=width, height=812)
    page.locator(".more").first.check()
    for summary in page.locator(".commands > summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_text_and_targets_are_large_enough_on_a_phone(visit):
    page = visit(**PHONE)
    small = page.evaluate(
        """() => [...document.querySelectorAll(".plot text")].filter((one) =>
           one.getBoundingClientRect().height > 0 &&
           parseFloat(getComputedStyle(one).fontSize) * one.ownerSVGElement.getScreenCTM().a < 9).length"""
    )
    assert small == 0
    low = page.evaluate(
        """() => [...document.querySelectorAll(".chip, .controls button, .filters select, .filters input[type=search]")]
           .filter((one) => one.getBoundingClientRect().height < 31.5).length"""
    )
    assert low == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_the_light_and_in_the_dark(visit, scheme):
    page = visit(color_scheme=scheme)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, background[4:-1].split(","))) / 3 > 128
    assert light == (scheme == "light")
    contrasts = page.evaluate(
        """() => {
          const context = Object.assign(document.createElement("canvas"), {width: 1, height: 1})
            .getContext("2d", {willReadFrequently: true});
          const luminance = (colour) => {
            context.fillStyle = colour;
            context.fillRect(0, 0, 1, 1);
            const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3)
              .map((x) => (x /= 255, x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const of = (name) => luminance(getComputedStyle(document.documentElement).getPropertyValue(name).trim());
          const ratio = (a, b) => (Math.max(of(a), of(b)) + 0.05) / (Math.min(of(a), of(b)) + 0.05);
          const lines = [0, 1, 2, 3, 4, 5].map((index) => ratio(`--s${index}`, "--raised"));
          return {ink: ratio("--ink", "--raised"), soft: ratio("--soft", "--page"), line: Math.min(...lines),
                  accent: ratio("--accent", "--page")};
        }"""
    )
    assert contrasts["ink"] >= 7
    assert contrasts["soft"] >= 4.5 and contrasts["accent"] >= 4.5
    assert contrasts["line"] >= 3


def test_on_paper_commands_are_open_and_controls_are_gone(visit):
    page = visit()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert not page.locator(".controls").first.is_visible()
    assert page.locator(".commands code").first.is_visible()
    assert page.pdf(format="A4")[:4] == b"%PDF"
