"""The live page in a browser: what a person does with it, and what an address may ask."""

import os
import re
import time
from html import unescape
from importlib.resources import files
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from segup.explain.live.page import link_of, live_page

pytest.importorskip("selenium.webdriver", reason="selenium is not installed (extra dev)")
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("live") / "live.html"
    page = live_page(link_of("deconv k4 s2 p1"), "<h1>The layer in words</h1>")
    assert len(page.encode()) < 300_000
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(browser, address):
    """Opens the page with a question."""

    def open_with(link="#v1:l=deconv+k4+s2+p1&i=1x4x4"):
        browser.get("about:blank")
        browser.get(address + link)
        return browser

    return open_with


def cell(page, map_name, *place):
    return page.find_element(By.CSS_SELECTOR, f"#{map_name} td[data-at='{','.join(map(str, place))}']")


def marked(page, map_name, name):
    found = page.find_elements(By.CSS_SELECTOR, f"#{map_name} td.{name}")
    return {tuple(map(int, one.get_attribute("data-at").split(","))) for one in found}


def said(page):
    return page.find_element(By.ID, "sum").text


def put(page, label, value):
    field = page.find_element(By.CSS_SELECTOR, f"[aria-label='{label}']")
    told = "for (const kind of ['input', 'change']) arguments[0].dispatchEvent(new Event(kind))"
    page.execute_script(f"arguments[0].value = arguments[1]; {told}", field, value)


def test_pointing_at_an_output_lights_what_made_it_and_a_click_pins_it(opened):
    page = opened()
    ActionChains(page).move_to_element(cell(page, "y", 0, 0, 1)).perform()
    assert said(page) == "y[0,1] = x[0,0]·w[1,2] + x[0,1]·w[1,0] = 1·7 + 1·5 = 12"
    assert marked(page, "x0", "from") == {(0, 0, 0), (0, 0, 1)}
    assert marked(page, "w0", "from") == {(0, 0, 1, 2), (0, 0, 1, 0)}
    cell(page, "y", 0, 0, 1).click()
    ActionChains(page).move_to_element(page.find_element(By.ID, "formula")).perform()
    assert said(page).endswith("= 12")
    assert "at=0,1" in page.current_url
    ActionChains(page).move_to_element(cell(page, "x0", 0, 1, 1)).perform()
    assert len(marked(page, "y", "to")) == 16
    assert said(page).startswith("x[1,1] = 1 goes into 16 outputs: y[1,1] += 1·1")


def test_the_keyboard_does_what_the_mouse_does(opened):
    page = opened()
    first = cell(page, "y", 0, 0, 0)
    page.execute_script("arguments[0].focus()", first)
    first.send_keys(Keys.ARROW_RIGHT)
    assert said(page).endswith("= 12")
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert "at=0,1" in page.current_url
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert "at=" not in page.current_url
    status = page.find_element(By.ID, "sum")
    assert (status.get_attribute("role"), status.get_attribute("aria-live")) == ("status", "polite")


def test_values_are_changed_in_place_and_back_undoes(opened):
    page = opened()
    cell(page, "w0", 0, 0, 1, 2).click()
    page.switch_to.active_element.send_keys("100" + Keys.ENTER)
    assert cell(page, "y", 0, 0, 1).text == "105"
    twice = "arguments[0].dispatchEvent(new MouseEvent('dblclick', {bubbles: true}))"  # a driver's may be too slow
    page.execute_script(twice, cell(page, "x0", 0, 0, 0))
    page.switch_to.active_element.send_keys("2" + Keys.ENTER)
    assert cell(page, "y", 0, 0, 1).text == "205"
    shown = "return document.querySelector(\"#y td[data-at='0,0,1']\").textContent"
    for expected in ("105", "12"):
        for _ in range(20):
            if page.execute_script(shown) == expected:
                break
            page.back()
            time.sleep(0.2)
        assert page.execute_script(shown) == expected


def test_sliders_fields_and_words_follow_one_another(opened):
    page = opened()
    assert len(page.find_elements(By.CSS_SELECTOR, "#controls input[type=range], #controls input[type=number]")) >= 8
    put(page, "stride, slider", 3)
    assert page.find_element(By.ID, "words").get_property("value") == "deconv k4 s3 p1"
    assert "(4 − 1)·3 − 2·1 + 4 = 11" in page.find_element(By.ID, "formula").text
    words = page.find_element(By.ID, "words")
    words.clear()
    words.send_keys("conv k3x1 s2")
    assert page.find_element(By.CSS_SELECTOR, "[aria-label='kernel height']").get_property("value") == "3"
    assert page.find_element(By.CSS_SELECTOR, "[aria-label='kernel width']").get_property("value") == "1"
    put(page, "padding top", 2)
    assert words.get_property("value") == "conv k3x1 s2 p2:0x0"


def test_a_refusal_teaches_and_its_button_applies_what_works(opened):
    page = opened("#v1:l=deconv+k2+s2+p2&i=1x2x2")
    told = page.find_element(By.ID, "refusal").text
    assert "(2 − 1)·2 − 2·2 + 2 = 0 is what the formula gives" in told
    assert "the padding may not cut all that the stamps fill" in told
    page.find_element(By.CSS_SELECTOR, "#refusal button").click()
    assert page.find_element(By.ID, "words").get_property("value") == "deconv k2 s2 p1"
    assert not page.find_element(By.ID, "refusal").is_displayed()


@pytest.mark.parametrize("view", ["scatter", "zero_insertion", "gradient", "subpixel"])
def test_every_view_ends_at_the_same_numbers_and_goes_in_steps(opened, view):
    page = opened(f"#v1:l=deconv+k3+s2+p1&i=1x3x3&x=arange&v={view}")
    ends = [
        page.execute_script(
            "return window.segup.run({layer: 'deconv k3 s2 p1', input: [[1,2,3],[4,5,6],[7,8,9]]}).output[0]"
        )
    ]
    shown = [[float(cell(page, "y", 0, r, c).text) for c in range(5)] for r in range(5)]
    assert shown == ends[0]
    most = int(page.find_element(By.ID, "step").get_attribute("max"))
    assert most == {"scatter": 8, "zero_insertion": 24, "gradient": 8, "subpixel": 3}[view]
    put(page, "Step", 0)
    assert page.find_element(By.ID, "count").text == f"1 / {most + 1}"
    assert "t=0" in page.current_url


def test_one_step_each_for_windows_and_what_is_never_read_is_said(opened):
    page = opened("#v1:l=conv+k3+s2&i=1x8x8&v=unread")
    assert "No output reads row 7 and column 7: 15 of 64 pixels." in said(page)
    assert marked(page, "x0", "unread") == {(0, 7, n) for n in range(8)} | {(0, n, 7) for n in range(8)}
    opened("#v1:l=conv+k3+s2&i=1x8x8&v=window&t=4")
    assert marked(page, "y", "to") == {(0, 1, 1)}
    assert len(marked(page, "x0", "from")) == 9


def test_a_checkerboard_is_seen_and_removed_by_a_button(opened):
    page = opened("#v1:l=deconv+k3+s2&i=1x5x5&v=overlap")
    assert cell(page, "y", 0, 2, 2).text == "4"
    assert "1, 2, 4 contributions in turn" in said(page)
    page.find_element(By.XPATH, "//button[contains(., 'Try deconv k4 s2')]").click()
    assert "no checkerboard" in said(page)


def test_a_chain_shows_its_sizes_corrections_and_proof(opened):
    page = opened("#v1:l=conv+k3+s2+p1,+conv+k3+s2+p1,+deconv+k3+s2+p1,+deconv+k3+s2+p1&i=1x416x416")
    told = page.find_element(By.TAG_NAME, "main").text
    assert "416 → 208 → 104 → 207 (corrected to 208) → 415 (corrected to 416)" in told
    assert "repeats 1 to fit 208" in told
    assert "Every stage gets back its size exactly for n mod 4 in {1}, from 1 on." in told
    assert "Fails first at 2: down 2 → 1 → 1, and up stage 1 brings 1 to 1, not to 2." in told
    assert "✓ Each given the size to reach." in told


def test_a_chain_whose_axes_differ_has_a_verdict_for_each(opened):
    page = opened("#v1:l=conv+k3+s1x2+p1,+deconv+k3+s1x2+p1&i=1x9x9")
    told = page.find_element(By.TAG_NAME, "main").text
    assert "✓ As written (height). Every stage gets back its size for every size from 1 on" in told
    assert "~ As written (width). Every stage gets back its size exactly for n mod 2 in {1}" in told
    opened("#v1:l=conv+k3x1,+conv+k7x1&i=1x12x12")
    rows = page.find_elements(By.CSS_SELECTOR, "#chain tbody tr")
    assert [row.find_elements(By.TAG_NAME, "td")[5].text for row in rows] == ["3×1", "9×1"]


def test_a_resize_in_place_of_uneven_stamps_has_their_stride(opened):
    page = opened("#v1:l=deconv+k4+s3x2&i=1x5x5&v=overlap")
    assert "resize x3x2, conv k3 p1, which gives 15×10" in page.find_element(By.TAG_NAME, "main").text


def test_every_link_of_the_guide_opens_what_it_says(opened):
    guide = (Path(__file__).parents[2] / "docs" / "live.md").read_text(encoding="utf-8")
    links = sorted({unescape(link) for link in re.findall(r"live-page\.html(#v1:[^\"]*)", guide)})
    assert len(links) >= 25
    page = opened()
    body = """return arguments[0].map((link) => {
        window.segup.open(link);
        const view = document.querySelector('[role=tab][aria-selected=true]');
        return [window.segup.state(), document.getElementById('refusal').hidden, view && view.id,
            document.querySelectorAll('#maps td.pinned').length];
    })"""
    for link, (state, answered, tab, pinned) in zip(links, page.execute_script(body, links), strict=True):
        asked = parse_qs(link.removeprefix("#v1:"))
        assert state["words"] == asked["l"][0], link
        assert "x".join(map(str, state["input"])) == asked["i"][0], link
        assert answered, link
        assert "v" not in asked or tab == f"tab-{asked['v'][0]}", link
        assert ("at" in asked) == (pinned == 1), link


def test_answers_below_are_one_step_away_and_sizes_that_are_not_drawn_have_theirs(opened):
    page = opened("#v1:l=deconv+k4+s2+p1&i=1x316x316")
    assert "This layer does." in page.find_element(By.ID, "panels").text
    names = [button.text for button in page.find_elements(By.CSS_SELECTOR, "#answers button")]
    assert names == ["For all sizes", "I want the output to be"]
    page.find_element(By.XPATH, "//nav[@id='answers']/button[.='I want the output to be']").click()
    assert page.switch_to.active_element.text == "I want the output to be"


@pytest.mark.parametrize("width", [686, 356])
def test_in_the_guide_s_frame_the_answer_is_in_sight(browser, address, tmp_path, width):
    link = f"{address}#v1:l=deconv+k3+s2&i=1x5x5&v=overlap"
    source = f'<iframe src="{link}" style="width:{width}px;height:780px"></iframe>'
    (tmp_path / "guide.html").write_text(source, encoding="utf-8")
    browser.get((tmp_path / "guide.html").as_uri())
    browser.switch_to.frame(0)
    assert not browser.find_element(By.TAG_NAME, "header").is_displayed()
    assert browser.execute_script("return document.getElementById('y').getBoundingClientRect().bottom") <= 780
    assert "contributions in turn" in said(browser)


HOSTILE = (
    "#v1:l=<img src=x onerror=alert(1)>&i=1x4x4",
    "#v1:l=deconv+k4+s2+p1&i=99999999x99999999x99999999&x=<script>&w=1e999&b=NaN&c=-4&at=9,9&from=a,b,c&v=<b>&t=1e9",
    "#v1:l=conv+k3&i=64x64x64&o=64",
    "#v1:l=conv+k999999999&i=4x4",
    "#v1:l=pixel_shuffle+x64&i=4x4",
    "#v1:l=resize+x64&i=64x64",
    "#v1:l=conv+k1+g64&i=64x64x64&o=64",
    "#v1:" + "l=" + "conv k3, " * 400,
    "#v1:l=%FF%FE%00&i=%00",
    "#v1:",
    "#v2:l=conv",
    "#v1:l=deconv+k2+s4095&i=64x64",
)


def test_an_address_is_bounded_and_shown_as_text(opened):
    for link in HOSTILE:
        begun = time.monotonic()
        page = opened(link)
        assert page.execute_script("return window.segup.state().words.length") <= 300
        assert page.execute_script("return document.querySelectorAll('img, #maps script, main b i').length") == 0
        assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == [], link
        assert time.monotonic() - begun < 20, link
    opened(HOSTILE[0])
    assert "<img src=x onerror=alert(1)>" in page.find_element(By.ID, "words").get_property("value")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1600])
def test_nothing_overflows_and_nothing_is_asked_of_the_network(opened, browser, width, scheme):
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get_log("performance")
    for link in (
        "#v1:l=deconv+k4+s2+p1&i=1x16x16&v=scatter",
        "#v1:l=conv+k3+s2+p1,+deconv+k3+s2+p1&i=1x12x12",
        "#v1:l=deconv+k2+s2+p2&i=1x2x2",
    ):
        page = opened(link)
        sides = page.execute_script(
            "const page = document.documentElement; return [page.scrollWidth, page.clientWidth]"
        )
        assert sides[0] <= sides[1] <= width, link
    asked = [entry["message"] for entry in browser.get_log("performance") if "requestWillBeSent" in entry["message"]]
    assert asked
    assert not [message for message in asked if '"url":"http' in message or '"url":"ws' in message]
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("link", ["l=deconv+k3+s2+p1+op1&i=1x4x4", "l=conv+k3+s2+p1,deconv+k4+s2+p1&i=1x21x21"])
def test_on_a_phone_all_parameters_and_the_answer_s_size_are_in_sight_and_no_sentence_is_cut(opened, browser, link):
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page = opened(f"#v1:{link}")
    shown = page.find_elements(By.CSS_SELECTOR, "#controls input, #controls legend, #formula b, #chain b, #chain .note")
    assert len(shown) > 5
    for one in shown:
        place = page.execute_script(
            "const one = arguments[0].getBoundingClientRect(); return [one.right, one.bottom]", one
        )
        assert place[0] <= 390, one.text
        assert place[1] <= 844, one.text
    table = page.execute_script(
        "const all = document.querySelector('#chain .scroll'); return all && all.scrollWidth - all.clientWidth"
    )
    assert table in (None, 0)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_without_a_script_the_explanation_stands_there(opened, browser):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    page = opened()
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert page.find_element(By.ID, "static").is_displayed()
    assert "The layer in words" in page.find_element(By.ID, "static").text
    assert not page.find_element(By.ID, "live").is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(opened, browser, scheme):
    """By the axe-core of the dev extra; SEGUP_AXE may name the axe.min.js of a newer one."""
    script = os.environ.get("SEGUP_AXE") or files("axe_core_python") / "axe.min.js"
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.set_script_timeout(300)
    asked = "const done = arguments[0]; axe.run(document).then((found) => done(found.violations.map((one) => one.id)))"
    for link in (
        "#v1:l=deconv+k4+s2+p1&i=1x4x4&at=0,1",
        "#v1:l=deconv+k3+s2&i=1x5x5&v=scatter&t=2",
        "#v1:l=conv+k3+s2+p1,+deconv+k3+s2+p1&i=1x12x12",
        "#v1:l=deconv+k2+s2+p2&i=1x2x2",
        "#v1:l=conv+k3+s2&i=1x8x8&v=unread",
    ):
        page = opened(link)
        page.execute_script(Path(str(script)).read_text(encoding="utf-8"))
        assert page.execute_async_script(asked) == [], link
