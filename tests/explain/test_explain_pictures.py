"""Pictures: every number in its place, nothing overlapping, colours that stay apart in grey."""

import re
import xml.etree.ElementTree as ET
from itertools import combinations, product

import pytest
import torch
from PIL import Image
from torch import nn

from segup.errors import ConfigError, ShapeError
from segup.explain import explain
from segup.explain.drawing.compose import TALLEST, WIDEST, compose, plan
from segup.explain.drawing.fonts import width
from segup.explain.drawing.palette import own_colors, phase_colors
from segup.explain.drawing.scene import Text
from segup.explain.live.widget import link_to, widget_of


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


LAYERS = {
    "ones": ("deconv k4 s2 p1", torch.ones(4, 4)),
    "uneven": ("deconv k3 s2 p1 op1", torch.arange(9).reshape(3, 3)),
    "rectangle": ("deconv k3x2 s2x3 p1x0 d2x1", torch.arange(6).reshape(2, 3)),
    "gaps": ("deconv k2 s3", drawn(3, 2)),
    "negative pad": ("deconv k3 s2 p3", torch.ones(5, 5)),
    "channels": ("deconv k3 s2 p1", (9 * drawn(5, 3, 3)).round()),
    "conv": ("conv k3 s2", torch.arange(64).reshape(8, 8)),
    "dilated": ("conv k2 d3 p1", drawn(6, 5)),
    "conv channels": ("conv k3 p1", drawn(3, 4, 4)),
    "pool": ("pool k3 s2 p1 ceil", drawn(5, 6)),
    "mean": ("pool k2 avg", drawn(4, 5)),
    "bilinear": ("resize x2", drawn(3, 3)),
    "shrunk": ("resize x1/2 nearest", torch.arange(24).reshape(4, 6)),
    "shuffle": ("pixel_shuffle x2", torch.arange(36).reshape(4, 3, 3)),
    "carafe": ("carafe x2 k3", drawn(3, 3)),
}


@pytest.fixture(params=LAYERS, scope="module")
def explained(request):
    words, x = LAYERS[request.param]
    return explain(words, x)


def texts(scene):
    """Every text with the rectangle it fills."""
    for piece in scene.pieces:
        for shape in piece:
            if isinstance(shape, Text):
                wide = width(shape.text, shape.size, shape.bold)
                left = shape.x - {"start": 0, "middle": wide / 2, "end": wide}[shape.anchor]
                yield shape, (left, shape.y - 0.74 * shape.size, left + wide, shape.y + 0.2 * shape.size)


def overlapping(scene):
    boxes = sorted(texts(scene), key=lambda found: found[1][1])
    return [
        (one.text, other.text)
        for (one, a), (other, b) in combinations(boxes, 2)
        if b[1] < a[3] and a[0] < b[2] and b[0] < a[2]
    ]


def test_every_view_is_readable_and_nothing_overlaps(explained):
    for view in explained.views:
        story = explained.story(view, animated=True)
        for shared, steps in ((plan(story, [story.still]), [story.still]), (plan(story, story.steps), story.steps)):
            assert shared.width <= WIDEST
            assert shared.height <= TALLEST
            for step in [*steps[:3], steps[len(steps) // 2], steps[-1]]:
                scene = compose(story, step, shared)
                assert overlapping(scene) == [], view
                for text, (left, top, right, bottom) in texts(scene):
                    assert text.size * 800 / WIDEST >= 8, text.text
                    assert left >= 0
                    assert top >= 0
                    assert right <= scene.width, text.text
                    assert bottom <= scene.height, text.text


@pytest.mark.parametrize("scale", [1, 1e4, 1e9, 1e15])
@pytest.mark.parametrize("layer", LAYERS)
def test_no_small_layer_is_refused_for_its_digits(layer, scale):
    words, x = LAYERS[layer]
    shape = x.shape
    for seed in range(6):
        values = scale * drawn(*shape, seed=seed).double()
        e = explain(words, values.round() if seed % 2 and scale > 1 else values)
        for view in e.views:
            story = e.story(view)
            outline = plan(story, [story.still])
            assert outline.width <= WIDEST
            assert outline.height <= TALLEST
            assert overlapping(compose(story, story.still, outline)) == []


def test_numbers_too_long_for_a_cell_are_rounded_and_the_picture_says_so():
    x = (1e12 * drawn(3, 4, seed=1).double()).round()
    e = explain("deconv k2 s3", x)
    story = e.story("subpixel")
    assert story.digits is not None
    said = f"Numbers in the cells are rounded, long ones to {story.digits} figures."
    assert said in _svg(story)
    whole = _svg(explain("deconv k2 s3", x.sign()).story("subpixel"))
    assert "rounded" not in whole
    assert "Numbers in the cells are rounded.<" in _svg(explain("deconv k2 s3", x / 7e12).story("scatter"))


def test_a_step_whose_numbers_are_longer_than_the_stills_is_readable_too():
    x = torch.full((2, 12), 1 / 3, dtype=torch.float64)  # sums of stamps on the way, whole numbers at the end
    x[:, 1::2] = -x[:, ::2]
    story = explain("deconv k2x5 s1", x, weight=torch.ones(2, 5)).story("scatter", animated=True)
    outline = plan(story, story.steps)
    assert outline.width <= WIDEST


def test_the_still_names_every_output_with_its_value(explained):
    output = explained.operations[0].compute(explained.operations[0].ways[0])[0]
    for view in explained.operations[0].ways:
        story = explained.story(view)
        root = ET.fromstring(_svg(story))
        named = {text.get("data-name"): text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
        for row, column in product(*map(range, output.shape)):
            assert float(named[f"y[{row},{column}]"]) == pytest.approx(float(output[row, column]), rel=0.06, abs=0.006)


def _svg(story):
    from segup.explain.drawing.files import svg_text

    return svg_text(story)


def test_the_entry_is_pointed_out_and_explained(tmp_path):
    e = explain("deconv k4 s2 p1", torch.ones(4, 4))
    text = e.save(tmp_path / "up.svg", at=(0, 1)).read_text()
    assert "y[0,1] = x[0,0]·w[1,2] + x[0,1]·w[1,0] = 1·7 + 1·5 = 12" in text
    still = e.story(at=(0, 1)).still
    rows = [row for grid in still.rows[0] for row in getattr(grid, "cells", ())]
    framed = [cell.text for row in rows for cell in row if cell.framed]
    assert framed == [1, 1, 5, 7, 12]
    with pytest.raises(ShapeError, match="has rows 0 … 7, not 8"):
        e.save(tmp_path / "up.svg", at=(8, 0))


def test_unread_pixels_are_marked():
    still = explain("conv k3 s2", torch.ones(8, 8)).story().still
    x = still.rows[0][0].cells
    assert {(r, c) for r, row in enumerate(x) for c, cell in enumerate(row) if cell.hatched} == {
        (r, c) for r, c in product(range(8), range(8)) if 7 in (r, c)
    }


def test_where_ceil_mode_overhangs_there_is_neither_padding_nor_a_number():
    for words, padded in (("pool k3 s2 ceil avg", False), ("pool k3 s2 p1 ceil avg", True)):
        story = explain(words, torch.ones(6, 6)).story()
        x = story.still.rows[0][0]
        assert x.title == ("x, padded" if padded else "x")
        assert {cell.text for cell in x.cells[-1]} == {""}
        assert ("padding" in [text for _, text in story.legend]) == padded
        assert story.legend[-2][1] == "nothing: a window reaches beyond"


def test_only_of_a_maximum_the_padding_is_called_never_the_largest():
    said = [str(explain(f"pool k3 s2 p1{mode}", torch.ones(5, 5)).story().legend) for mode in ("", " avg")]
    assert ["never the largest" in legend for legend in said] == [True, False]


@pytest.mark.parametrize("ending", ["svg", "png", "gif", "html"])
def test_every_kind_of_file(tmp_path, ending):
    path = explain("deconv k2 s2", torch.arange(4).reshape(2, 2)).save(tmp_path / "new" / f"up.{ending}")
    assert path.exists()
    if ending == "svg":
        ET.parse(path)
    elif ending == "html":
        text = path.read_text()
        assert not re.search(r"""(src|href)=["']?(http|//)""", text), "the page brings all that it needs"
    else:
        image = Image.open(path)
        assert image.width >= 600
        assert getattr(image, "n_frames", 1) == (7 if ending == "gif" else 1)


def test_another_ending_or_view_is_refused(tmp_path):
    e = explain("deconv k2 s2", torch.ones(2, 2))
    with pytest.raises(ConfigError, match=r"ends in .svg, .png, .gif, .html, and .* in '.bmp'"):
        e.save(tmp_path / "up.bmp")
    with pytest.raises(ConfigError, match="did you mean 'scatter'"):
        e.save(tmp_path / "up.svg", "scater")


def test_what_is_too_large_names_the_largest_that_is_not(tmp_path):
    e = explain("deconv k4 s2 p1", torch.ones(512, 512))
    assert e.output.shape == (1024, 1024)
    with pytest.raises(ShapeError, match="512×512 is too large to read as a picture") as caught:
        e.save(tmp_path / "up.svg")
    size = int(re.search(r"x\[..., :(\d+), :\1\]", str(caught.value))[1])
    explain("deconv k4 s2 p1", torch.ones(size, size)).save(tmp_path / "up.svg")
    with pytest.raises(ShapeError):
        explain("deconv k4 s2 p1", torch.ones(size + 1, size + 1)).save(tmp_path / "up.svg")
    with pytest.raises(ShapeError, match=r"try: its first \d+ rows and \d+ columns, x\[\.\.\., :"):
        explain("conv k3 g2", torch.ones(4, 99, 99)).save(tmp_path / "up.svg")


def grey(color):
    return Image.new("RGB", (1, 1), color).convert("L").getpixel((0, 0))


def test_overlapping_stamps_and_phases_stay_apart_in_grey():
    colors = own_colors(6, 6, (2, 2))
    for r, c in product(range(5), range(5)):
        cell = [colors[r][c], colors[r][c + 1], colors[r + 1][c], colors[r + 1][c + 1]]
        assert min(abs(grey(a) - grey(b)) for a, b in combinations(cell, 2)) >= 10
    assert min(abs(grey(a) - grey(b)) for a, b in combinations(phase_colors(4), 2)) >= 15


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        *(("deconv k3 s2 p1 op1", (1, 3, 3)), ("deconv k3 s2 p1 g2", (2, 2, 2)), ("conv k3 s2 p1", (1, 6, 6))),
        *(
            ("pool k2", (1, 4, 4)),
            ("resize x2", (1, 3, 3)),
            ("pixel_shuffle x2", (4, 2, 2)),
            ("carafe x2 k3", (1, 3, 3)),
        ),
    ],
)
def test_the_legend_names_every_frame_and_hatching(words, shape):
    explanation = explain(words, torch.ones(shape))
    for view in explanation.views:
        story = explanation.story(view, at=(1, 1), animated=True)
        blocks = [block for step in (*story.steps, story.still) for row in step.rows for block in row]
        grids = [block for block in blocks if hasattr(block, "cells")]
        cells = [cell for grid in grids for row in grid.cells for cell in row]
        named = [cell for cell, _ in story.legend]
        assert {frame.style for grid in grids for frame in grid.frames} <= {cell.name for cell in named}, view
        assert any(cell.framed for cell in cells) <= any(cell.framed for cell in named), view
        assert any(cell.hatched for cell in cells) <= any(cell.hatched for cell in named), view


# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision deficiency", 2009.
DICHROMATS = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
}
XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))


def seen(color, sight):
    """A colour in CIELAB as a dichromat sees it."""
    values = torch.tensor([int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)], dtype=torch.float64)
    linear = torch.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(DICHROMATS[sight], dtype=torch.float64)
    xyz = torch.tensor(XYZ, dtype=torch.float64) @ (matrix @ linear).clamp(0, 1)
    x, y, z = torch.where(
        xyz > 0.008856, (xyz / torch.tensor([0.95047, 1, 1.08883])) ** (1 / 3), 7.787 * xyz + 16 / 116
    )
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", DICHROMATS)
@pytest.mark.parametrize(("overlap", "least"), [((1, 1), 20), ((2, 2), 20), ((1, 2), 20), ((3, 2), 12), ((3, 3), 6)])
def test_inputs_whose_stamps_meet_differ_for_dichromats_and_none_is_nearly_white(overlap, least, sight):
    colors = own_colors(5, 5, overlap)
    found = {place: seen(colors[place[0]][place[1]], sight) for place in product(range(5), range(5))}
    white = seen("#ffffff", sight)
    assert min(float((one - white).norm()) for one in found.values()) >= 20
    for (r, c), (i, j) in combinations(found, 2):
        if abs(i - r) < max(2, overlap[0]) and abs(j - c) < max(2, overlap[1]):
            assert float((found[r, c] - found[i, j]).norm()) >= least, ((r, c), (i, j))
    phases = [seen(color, sight) for color in phase_colors(4)]
    assert min(float((one - other).norm()) for one, other in combinations(phases, 2)) >= 20


def test_it_shows_itself_in_a_notebook(monkeypatch):
    monkeypatch.setattr("segup.explain.live.widget.find_spec", lambda name: None)  # without anywidget
    e = explain(nn.ConvTranspose2d(1, 1, 4, 2, 1), torch.ones(1, 1, 4, 4))
    shown = e._repr_mimebundle_()
    ET.fromstring(shown["text/html"])
    assert len(shown["text/html"].encode()) <= 200_000
    large = explain("conv k3", torch.ones(200, 200))
    assert "too large to read" in large._repr_mimebundle_()["text/html"]
    assert "⌊(200 + 2·0 − 3)/1⌋ + 1 = 198" in str(large)


def test_with_anywidget_a_notebook_shows_the_live_page_with_the_layer_s_numbers():
    pytest.importorskip("anywidget", reason="anywidget is not installed (extra notebook)")
    shown = widget_of(explain("deconv k2 s2 p1", torch.tensor([[2, 4], [0, 1]])).operations[0])
    assert shown.link == "#v1:l=deconv+k2+s2+p1&i=1x2x2&o=1&x=2,4;0,1&w=1,2;3,4"
    assert shown.link in shown.page


def test_an_address_holds_a_module_with_its_numbers_or_none():
    conv = nn.Conv2d(1, 2, (1, 2), padding=1, padding_mode="reflect")
    conv.weight.data, conv.bias.data = torch.tensor([[[[1.0, 2]]], [[[3, 4]]]]), torch.tensor([0.5, -1])
    link = link_to(explain(conv, torch.ones(1, 1, 2, 2)).operations[0])
    assert link == "#v1:l=conv+k1x2+p1+reflect&i=1x2x2&o=2&x=1,1;1,1&w=1,2~3,4&b=0.5,-1"
    with pytest.raises(ShapeError, match="an address holds 4096 numbers, not 9216"):
        link_to(explain(nn.Conv2d(32, 32, 3), torch.ones(1, 32, 4, 4)).operations[0])


def test_a_fault_of_a_view_is_named(tmp_path, monkeypatch):
    from segup.explain.check import DisagreementError
    from segup.explain.deconv import DeconvOperation

    e = explain("deconv k3 s2", torch.ones(3, 3))
    monkeypatch.setattr(DeconvOperation, "in_phases", lambda self: self.scattered() + 1)
    with pytest.raises(DisagreementError, match="'subpixel' of 'deconv k3 s2' .* by up to 1 "):
        e.save(tmp_path / "up.svg")


def test_an_animation_is_at_most_as_large_as_is_allowed_and_ends_as_it_did(tmp_path, monkeypatch):
    e = explain("deconv k3 s2 p1", torch.ones(3, 3))
    whole = e.save(tmp_path / "whole.gif").stat().st_size
    monkeypatch.setattr("segup.explain.drawing.files.LARGEST_GIF", whole // 2)
    small = e.save(tmp_path / "small.gif")
    assert small.stat().st_size <= whole // 2
    with Image.open(small) as animation:
        assert animation.n_frames > 1


def test_a_page_with_a_place_opens_on_its_answer(tmp_path):
    e = explain("deconv k2 s2", torch.ones(2, 2))
    starts = [
        set(re.findall(r'"start":(\d+)', e.save(tmp_path / f"{at}.html", at=at).read_text(encoding="utf-8")))
        for at in (None, (0, 1))
    ]
    assert starts[0] == {"0"}
    assert max(map(int, starts[1])) > 0
