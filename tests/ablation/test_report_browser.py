"""The page in a real browser: nothing is asked of the network, pictures are there, nothing overflows, columns sort."""

import base64
import re

import pytest

from segup.ablation.report import write_report
from segup.ablation.report.content import WORST, Figure, read_report
from segup.ablation.report.gallery import draw
from segup.ablation.report.page import as_html

pytest.importorskip("selenium.webdriver", reason="selenium is not installed (extra dev)")
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys


@pytest.fixture(scope="module")
def page(tmp_path_factory, make_study):
    members = {
        ("deconv", 0): 0.75, ("deconv", 1): 0.76, ("bilinear", 0): 0.70, ("bilinear", 1): 0.712,
        ("pixel_shuffle,decoder.topology=fpn", 0): 0.731, ("pixel_shuffle,decoder.topology=fpn", 1): 0.7,
        ("carafe", 0): ("failed", "DataError: /a/path/that/is/long/and/has/no/place/to/break/frame_3.png is no image"),
    }  # fmt: skip
    path = make_study(tmp_path_factory.mktemp("study"), members)
    return write_report(path).as_uri()


@pytest.fixture
def opened(browser, page):
    """The page, freshly loaded at 1280 pixels."""
    resized(browser, 1280)
    browser.get(page)
    return browser


def resized(browser, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def column(browser, place):
    return [row.find_elements(By.XPATH, "./*")[place].text.split()[0] for row in rows(browser)]


def rows(browser):
    return browser.find_elements(By.CSS_SELECTOR, "table[data-sortable] tbody tr")


def heading(browser, text):
    heads = browser.find_elements(By.CSS_SELECTOR, "table[data-sortable] thead button")
    return next(head for head in heads if head.get_property("textContent").replace("\xad", "") == text)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_it_renders_without_errors_and_without_a_horizontal_scroll_bar(browser, page, scheme, width):
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    resized(browser, width)
    browser.get(page)
    assert browser.get_log("browser") == []
    sides = "const page = document.documentElement; return [page.scrollWidth - page.clientWidth, window.innerWidth]"
    assert browser.execute_script(sides) == [0, width]
    assert browser.title.startswith("Ablation mine: deconv, bilinear, pixel_shuffle")
    drawn = "return [...document.querySelectorAll('figure svg')].map(one => [one.clientWidth, one.ariaLabel])"
    found = browser.execute_script(drawn)
    assert len(found) == 6
    assert all(side > 100 and " of deconv, bilinear" in told for side, told in found)
    ink, paper = (
        browser.execute_script(f"return getComputedStyle(document.body).{what}")
        for what in ("color", "backgroundColor")
    )
    light_ink = sum(map(int, ink[4:-1].split(","))) > sum(map(int, paper[4:-1].split(",")))
    assert light_ink == (scheme == "dark")


def test_nothing_is_asked_of_the_network(opened):
    asked = [entry["message"] for entry in opened.get_log("performance") if "requestWillBeSent" in entry["message"]]
    assert asked
    assert not [message for message in asked if '"url":"http' in message or '"url":"ws' in message]


def test_a_click_sorts_and_a_second_one_turns_the_order(opened):
    assert column(opened, 0) == ["deconv", "bilinear", "pixel_shuffle,decoder.topology=fpn"]
    heading(opened, "mIoU").click()
    assert column(opened, 1) == ["0.755", "0.716", "0.706"]
    heading(opened, "mIoU").click()
    assert column(opened, 1) == ["0.706", "0.716", "0.755"]
    sorted_by = opened.find_elements(By.CSS_SELECTOR, "th[aria-sort]")
    assert [head.get_attribute("aria-sort") for head in sorted_by] == ["ascending"]


def test_a_cost_sorts_the_smallest_first_and_the_keyboard_does_it_too(opened):
    head = heading(opened, "decoder")
    opened.execute_script("arguments[0].focus()", head)
    head.send_keys(Keys.ENTER)
    assert column(opened, 0) == ["bilinear", "deconv", "pixel_shuffle,decoder.topology=fpn"]
    head = heading(opened, "parameters")
    opened.execute_script("arguments[0].focus()", head)
    head.send_keys(Keys.SPACE)
    assert column(opened, 0) == ["deconv", "bilinear", "pixel_shuffle,decoder.topology=fpn"]


def test_the_heading_of_the_table_stays_while_it_scrolls(opened):
    style = (
        "const s = getComputedStyle(document.querySelector('table[data-sortable] thead')); return [s.position, s.top]"
    )
    assert opened.execute_script(style) == ["sticky", "0px"]


def test_without_a_script_everything_is_there(opened):
    opened.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    opened.refresh()
    opened.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert len(rows(opened)) == 3
    assert "frame_3.png is no image" in opened.find_element(By.ID, "unfinished").text


def test_on_paper_every_picture_fits_a_page_and_folded_tables_are_open(opened):
    """A4 across, 186 mm between the margins; a heading stays with what follows it."""
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        pictures = "return [...document.querySelectorAll('figure svg')].map(one => one.getBoundingClientRect().height)"
        heights = opened.execute_script(pictures)
        assert len(heights) == 6
        assert all(50 < height <= 145 / 25.4 * 96 + 1 for height in heights)
        breaks = "return [...document.querySelectorAll(arguments[0])].map(part => getComputedStyle(part)[arguments[1]])"
        assert set(opened.execute_script(breaks, "h2", "breakAfter")) == {"avoid"}
        assert set(opened.execute_script(breaks, "figure", "breakInside")) == {"avoid"}
        assert set(opened.execute_script(breaks, ".scroll, .paper", "overflowX")) == {"visible"}
        folded = opened.find_element(By.CSS_SELECTOR, "details table")
        assert folded.size["height"] > 50
    finally:
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_on_paper_every_picture_has_its_title(browser, tmp_path, make_study):
    report = read_report(make_study(tmp_path, {("deconv", 0): 0.75, ("bilinear", 0): 0.70}))
    drawn = draw(report)
    worst = [
        Figure(f"{WORST}{place}", f"Worst images of {name}", "Those.", drawn[0].png, None, 400, 200, of_row=name)
        for place, name in enumerate(("deconv", "bilinear"))
    ]
    (tmp_path / "page.html").write_text(as_html(report, [*drawn, *worst], []), encoding="utf-8")
    browser.get((tmp_path / "page.html").as_uri())
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        titles = "return [...document.querySelectorAll('figure')].map(one => one.querySelector('h2').innerText)"
        assert browser.execute_script(titles) == [figure.title for figure in (*drawn, *worst)]
        height = (
            "return [...document.querySelectorAll('figure h2')].every(one => one.getBoundingClientRect().height > 8)"
        )
        assert browser.execute_script(height)
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_it_prints_on_fewer_than_eight_pages(opened):
    paper = {"landscape": True, "preferCSSPageSize": True, "printBackground": False}
    printed = base64.b64decode(opened.execute_cdp_cmd("Page.printToPDF", paper)["data"])
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) < 8


def test_rows_switch_off_and_stand_out_in_all_figures_by_the_keyboard_too(opened):
    switches = opened.find_elements(By.CSS_SELECTOR, "fieldset.rows input")
    assert [switch.find_element(By.XPATH, "..").text for switch in switches] == [
        "deconv", "bilinear", "pixel_shuffle,decoder.topology=fpn",
    ]  # fmt: skip
    marks = """
        return [...document.querySelectorAll("figure svg")].map((figure) =>
          [...figure.querySelectorAll('[id^="row-1-"]')].map((group) =>
            [getComputedStyle(group).display !== "none", group.querySelector("title").textContent]))"""
    groups = [group for group in opened.execute_script(marks) if group]
    assert len(groups) == 5  # all but the differences, whose rows are named beside them
    assert all(shown and told == "bilinear, mIoU 0.706 ± 0.008" for group in groups for shown, told in group)
    opened.execute_script("arguments[0].focus()", switches[1])
    faint = "return [0, 1].map(n => getComputedStyle(document.querySelector(`figure svg [id^='row-${n}-']`)).opacity)"
    assert [float(opacity) < 1 for opacity in opened.execute_script(faint)] == [True, False]
    switches[1].send_keys(Keys.SPACE)
    assert not any(shown for group in opened.execute_script(marks) for shown, _ in group)
    switches[1].send_keys(Keys.SPACE)
    assert all(shown for group in opened.execute_script(marks) for shown, _ in group)
