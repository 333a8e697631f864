"""The page in a browser: the slider moves by keyboard, and the values are those of the steps."""

import pytest
import torch

from segup.explain import explain


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    path = explain("deconv k4 s2 p1", torch.ones(4, 4)).save(tmp_path_factory.mktemp("page") / "up.html")
    browser.get(path.as_uri())
    return browser


def value(page, name):
    found = page.find_elements("css selector", f'[data-name="{name}"]')
    return found[0].text if found else None


def test_the_slider_moves_by_keyboard_and_the_values_follow(page):
    from selenium.webdriver.common.keys import Keys

    slider = page.find_element("id", "slider")
    assert page.switch_to.active_element == slider
    assert page.find_element("id", "count").text == "1 / 19"
    seen = []
    for _ in range(2):
        slider.send_keys(Keys.ARROW_RIGHT)
        seen.append((value(page, "y[0,0]"), value(page, "y[0,1]")))
    assert seen == [("6", "7"), ("6", "12")]
    assert "x[0,1] = 1 stamps" in page.find_element("id", "caption").get_attribute("textContent")
    slider.send_keys(Keys.END)
    assert [value(page, f"y[0,{column}]") for column in range(8)] == ["6", "12", "14", "12", "14", "12", "14", "7"]
    assert page.find_element("id", "count").text == "19 / 19"
    slider.send_keys(Keys.ARROW_RIGHT)
    assert slider.get_attribute("value") == "18"
    slider.send_keys(Keys.HOME)
    assert not value(page, "y[0,0]")


def test_views_are_chosen_by_key_and_by_mouse(page):
    body = page.find_element("tag name", "body")
    body.send_keys("2")
    body.send_keys("\ue010")  # End
    assert value(page, "y[0,1]") == "12"
    assert page.find_element("css selector", "[aria-selected=true]").text == "zero insertion"
    page.find_element("css selector", "[data-view=subpixel]").click()
    assert page.find_element("id", "count").text == "1 / 7"
    body.send_keys("\ue010")
    assert value(page, "y[7,7]") == "11"


def test_dragging_the_slider_shows_that_step(page):
    page.find_element("css selector", "[data-view=scatter]").click()
    page.execute_script("s = document.getElementById('slider'); s.value = 16; s.dispatchEvent(new Event('input'))")
    assert page.find_element("id", "count").text == "17 / 19"
    assert value(page, "y[7,7]") == "11"


def test_play_runs_and_stops_at_the_end(page):
    page.execute_script("show(17)")
    page.find_element("id", "play").click()
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(page, 10).until(lambda p: p.find_element("id", "play").text == "play")
    assert page.find_element("id", "count").text == "19 / 19"
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []
