"""The page of a whole model in a browser: its sizes and fields against those of the model itself."""

import os
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segup.explain.live.page import model_page, static_of
from segup.inspection import size_map
from segup.inspection.model_map import model_map
from segup.models import create_model

pytest.importorskip("selenium.webdriver", reason="selenium is not installed (extra dev)")
from selenium.webdriver.common.by import By


class Net(nn.Module):
    """Two levels that meet again, each in its own way."""

    def __init__(self, meet="join"):
        super().__init__()
        self.meet = meet
        self.first, self.pool = nn.Conv2d(1, 2, 3, padding=1), nn.AvgPool2d(2)
        self.second, self.up = nn.Conv2d(2, 2, 3, padding=1), nn.ConvTranspose2d(2, 2, 3, 2)
        self.last = nn.Conv2d(4, 1, 1)

    def forward(self, x):
        high = self.first(x)
        low = self.up(self.second(self.pool(high)))
        rows, columns = high.shape[2] - low.shape[2], high.shape[3] - low.shape[3]
        if self.meet == "crop":
            top, left = -rows // 2, -columns // 2
            low = low[:, :, max(top, 0) : max(top, 0) + high.shape[2], max(left, 0) : max(left, 0) + high.shape[3]]
        elif self.meet == "pad":
            low = F.pad(low, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2], mode="reflect")
        elif self.meet == "resize":
            low = F.interpolate(low, high.shape[-2:], mode="bicubic")
        return self.last(torch.cat([low, high], 1))


class Gated(nn.Module):
    """A map weighted by the mean of all of it, and one that is turned into tokens and back."""

    def __init__(self):
        super().__init__()
        self.down, self.gate, self.mix = nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 4, 1), nn.Linear(4, 4)

    def forward(self, x):
        y = self.down(x)
        tokens = self.mix(y.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(y.shape)
        return F.interpolate(tokens * self.gate(y.mean((2, 3), keepdim=True)), x.shape[-2:], mode="bilinear")


def windows():
    """A chain in which every way of reading occurs that the calculus has an object for."""
    return nn.Sequential(
        *(nn.Conv2d(1, 4, (5, 3), (2, 1), (2, 0), dilation=(1, 2)), nn.AvgPool2d(3, 2, 1, ceil_mode=True)),
        *(nn.PixelShuffle(2), nn.ConvTranspose2d(1, 1, 4, 2, 1, dilation=2), nn.ConvTranspose2d(1, 1, 2, 3)),
        *(nn.Upsample(scale_factor=1.5, mode="nearest"), nn.Upsample(scale_factor=2.0, mode="bilinear")),
        nn.Conv2d(1, 1, 3, padding=2, padding_mode="reflect"),
    )  # fmt: skip


def positive(model):
    """The model with weights that no sum cancels, and means for maxima: its gradient reaches all that is read."""
    for name, part in list(model.named_modules()):
        if isinstance(part, nn.MaxPool2d):
            model.set_submodule(name, nn.AvgPool2d(part.kernel_size, part.stride, part.padding))
    for parameter in model.parameters():
        nn.init.uniform_(parameter, 0.5, 1.0)
    return model.eval()


MODELS = {
    "unet": lambda: create_model("timm/test_resnet", "unet", "deconv", num_classes=2, pretrained=False, in_channels=1),
    "join": Net,
    "pad": lambda: Net("pad"),
    "resize": lambda: Net("resize"),
    "windows": windows,
    "gated": Gated,
}
SIZES = ((33, 40), (64, 31), (97, 97))


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    """Opens the page of a model of MODELS; gives the model."""
    folder = tmp_path_factory.mktemp("models")
    built = {}

    def open_with(name, link=""):
        if name not in built:
            torch.manual_seed(0)
            built[name] = positive(MODELS[name]())
            found = model_map(built[name], 1)
            page = model_page(name, found.data, static_of(str(found.report), title=name))
            assert len(page.encode()) < 300_000
            (folder / f"{name}.html").write_text(page, encoding="utf-8")
        browser.get("about:blank")
        browser.get((folder / f"{name}.html").as_uri() + link)
        return built[name]

    return open_with


def layers_of(model, size):
    """What every layer without parts gives at a size, by real runs: name to size; those before the refusal, if any."""
    found = {}

    def keep(name):
        return lambda _, __, out: found.update({name: tuple(out.shape[-2:])} if getattr(out, "ndim", 0) == 4 else {})

    hooks = [
        part.register_forward_hook(keep(name)) for name, part in model.named_modules() if not list(part.children())
    ]
    try:
        with torch.no_grad():
            found["output"] = tuple(model(torch.rand(1, 1, *size)).shape[-2:])
    except RuntimeError:
        found["output"] = None
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("name", MODELS)
def test_every_size_is_that_of_the_model(opened, browser, name):
    model = opened(name)
    compared = 0
    for size in SIZES:
        page = browser.execute_script("return window.segup.sizes(...arguments)", *size)
        real = layers_of(model, size)
        assert (page["refused"] is None) == (real["output"] is not None), size
        if real["output"] is not None:
            assert page["rows"][page["output"]]["size"] == list(real["output"])
        shown = {row["layer"]: row["size"] for row in page["rows"] if row}  # the last call of each layer
        for layer, expected in real.items():
            if layer in shown and len(expected) == 2 and None not in shown[layer]:
                assert shown[layer] == list(expected), (size, layer)
                compared += 1
    assert compared >= 2 * len(SIZES)


def test_a_layer_s_size_is_what_its_law_says(opened, browser):
    model = opened("windows")
    for size in range(9, 41):
        page = browser.execute_script("return window.segup.sizes(arguments[0], arguments[0] + 3)", size)
        shown = {row["layer"]: row["size"] for row in page["rows"]}
        before = (size, size + 3)
        for name, layer in list(model.named_children())[:-1]:
            before = size_map(layer).out(before)
            assert shown[name] == list(before), (size, name)


def gradient_span(model, size, place):
    """The first and last row and column of the image on which one output depends, by autograd."""
    image = torch.rand(1, 1, *size, dtype=torch.float64, requires_grad=True)
    model.double()(image)[0, 0, place[0], place[1]].backward()
    model.float()
    read = image.grad[0, 0] != 0
    return [
        [int(line.nonzero()[0]), int(line.nonzero()[-1])] if line.any() else None for line in (read.any(1), read.any(0))
    ]


@pytest.mark.parametrize("name", ["unet", "join", "pad", "resize", "windows"])
def test_an_output_sees_what_its_gradient_reaches(opened, browser, name):
    model = opened(name)
    for size in ((32, 48), (17, 23)) if name != "join" else ((33, 47), (17, 23)):
        page = browser.execute_script("return window.segup.sizes(...arguments)", *size)
        height, width = page["rows"][page["output"]]["size"]
        for place in ((0, 0), (height // 2, width // 3), (height - 1, width - 1), (3, width // 2)):
            asked = "return window.segup.field(...arguments)"
            found = browser.execute_script(asked, page["output"], place, size)
            assert not any(one["all"] for one in found)
            read = gradient_span(model, size, place)
            if name == "windows" and None in read:  # the bias alone
                assert None in [one["span"] for one in found]
            else:
                assert [one["span"] for one in found] == read, (size, place)


def test_what_reads_all_is_named(opened, browser):
    opened("gated")
    page = browser.execute_script("return window.segup.sizes(40, 40)")
    found = browser.execute_script("return window.segup.field(arguments[0], [0, 0], [40, 40])", page["output"])
    assert [one["span"] for one in found] == [[0, 1], [0, 1]]
    assert {page["rows"][row]["what"] for one in found for row in one["all"]} == {"mean"}
    assert "at most, by forward (mean)" in browser.find_element(By.ID, "field").text


def draw(browser, name, value):
    told = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
    browser.execute_script(told, browser.find_element(By.ID, name), value)


def test_sizes_follow_the_slider_and_say_what_is_cut_and_where_paths_meet(opened, browser):
    opened("unet", "#m1:h=96&w=96&show=changes")
    assert "96×96 → 96×96: the output has the image's size." in browser.find_element(By.ID, "answer").text
    assert not browser.find_elements(By.CSS_SELECTOR, "tr.fit")
    draw(browser, "h-slider", 97)
    assert "97×97 → 97×97" in browser.find_element(By.ID, "answer").text
    notes = [one.text for one in browser.find_elements(By.CSS_SELECTOR, "tr.fit td:last-child")]
    assert notes == ["cuts 1 row, 1 column"] * 5
    opened("join", "#m1:h=33&w=33")
    assert "33×33 → 33×33" in browser.find_element(By.ID, "answer").text
    draw(browser, "h", 40)
    assert "40×40 is refused" in browser.find_element(By.ID, "answer").text
    assert "Sizes of tensors must match" in browser.find_element(By.ID, "problem").text
    assert "41×41 of up meets 40×40 of first. At 2×" in browser.find_element(By.ID, "problem").text
    assert "41×41 of up meets 40×40 of first" in browser.find_element(By.CSS_SELECTOR, "tr.refused").text
    browser.find_element(By.ID, "both").click()
    draw(browser, "h", 41)
    assert "41×40 is refused" in browser.find_element(By.ID, "answer").text
    assert "h=41&w=40" in browser.current_url


class Rounded(nn.Module):
    """What no proof follows: sizes that go through floats."""

    def forward(self, x):
        return F.interpolate(F.avg_pool2d(x, 2), [round(side * 1.0) for side in x.shape[-2:]])


def test_a_size_that_was_not_run_is_not_told_as_one_that_was(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["segup.inspection.model_map"], "spread", lambda most: [8, 20])
    found = model_map(Rounded(), 1)
    assert found.data["axes"][0]["sizes"] == [8, 20, 64]
    page = tmp_path / "rounded.html"
    page.write_text(model_page("rounded", found.data, static_of(str(found.report), title="rounded")), encoding="utf-8")
    browser.get(page.as_uri() + "#m1:h=8&w=8")
    assert not browser.find_element(By.ID, "unrun").is_displayed()
    draw(browser, "h", 12)
    assert browser.find_element(By.ID, "answer").text == "8×8 → 8×8: the output has the image's size."
    told = [f"{side} 12 was not run: 8 is the nearest of 3 that were" for side in ("height", "width")]
    assert browser.find_element(By.ID, "unrun").text == f"The {told[0]}; {told[1]}."
    for ask in ("sizes(8, 12)", "field(0, [0, 0], [8, 12])"):
        said = browser.execute_script(f"try {{ window.segup.{ask}; }} catch (error) {{ return String(error); }}")
        assert said == f"RangeError: the {told[1]}"


def test_modules_fold_and_a_layer_is_chosen_by_keyboard(opened, browser):
    opened("unet")
    rows = len(browser.find_elements(By.CSS_SELECTOR, "#layers tr"))
    assert rows <= 32
    folded = browser.find_element(By.CSS_SELECTOR, "[aria-expanded=false]")
    folded.send_keys("\n")
    assert browser.switch_to.active_element.get_attribute("aria-expanded") == "true"
    assert len(browser.find_elements(By.CSS_SELECTOR, "#layers tr")) > rows
    browser.find_element(By.ID, "everything").click()
    layer = browser.find_element(By.XPATH, "//button[text()='encoder.body.conv1.0']")
    layer.send_keys("\n")
    assert "of encoder.body.conv1.0 sees rows" in browser.find_element(By.ID, "field").text
    link = browser.current_url.partition("#")[2]
    opened("unet", f"#{link}")
    assert "of encoder.body.conv1.0 sees rows" in browser.find_element(By.ID, "field").text


def test_the_page_fits_narrow_and_wide_screens_and_axe_finds_nothing(opened, browser):
    script = os.environ.get("SEGUP_AXE") or files("axe_core_python") / "axe.min.js"
    asked = "const done = arguments[0]; axe.run(document).then((found) => done(found.violations.map((one) => one.id)))"
    browser.set_script_timeout(120)
    for width, scheme, name, link in (
        (390, "light", "unet", "#m1:h=97&w=97&show=changes"),
        (1400, "dark", "unet", ""),
        (768, "light", "join", "#m1:h=40&w=40"),
        (1600, "light", "gated", "#m1:h=%00&w=99999999&l=9999&at=a,b&show=<b>"),
    ):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        opened(name, link)
        sides = browser.execute_script(
            "const one = document.documentElement; return [one.scrollWidth, one.clientWidth]"
        )
        assert sides[0] <= sides[1] <= width, (width, name)
        browser.execute_script(Path(str(script)).read_text(encoding="utf-8"))
        assert browser.execute_async_script(asked) == [], (width, name)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
