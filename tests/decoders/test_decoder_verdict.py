"""The verdict on a decoder's sizes, against the ladders of many sizes, one by one."""

import sys
import types

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segup.decoders import Decoder, create_decoder
from segup.decoders.verdict import check_decoder, prove_decoder
from segup.errors import ShapeError
from segup.inspection import AcceptedSizes
from segup.upsamplers import Bilinear, Upsampler
from segup.upsamplers.contract import upsamplers

ROUNDINGS = {"up": lambda n, s: -(-n // s), "down": lambda n, s: n // s}


def pyramid(rules):
    """Return the maps' sizes and growths of an encoder whose stages halve, each rounding its way."""

    def map_sizes(size):
        maps = []
        for rule in rules:
            size = ROUNDINGS[rule](size, 2)
            maps.append(size)
        return maps

    count = len(rules)
    return map_sizes, 2**count, [2 ** (count - 1 - level) for level in range(count)]


def decoder_for(upsampler, rules, **options):
    strides = [2 ** (level + 1) for level in range(len(rules))]
    return create_decoder(
        "unet", [4] * len(rules), strides, upsampler=upsampler, widths=[4] * len(rules), roundings=rules, **options
    )


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["deconv", "deconv_matched", "bilinear", "pixel_shuffle"]),
    st.lists(st.sampled_from(["up", "down"]), min_size=1, max_size=3),
    st.integers(0, 20),
)
def test_one_period_decides_what_many_sizes_show(upsampler, rules, more):
    decoder = decoder_for(upsampler, rules)
    map_sizes, period, growth = pyramid(rules)
    least = 2 ** len(rules) + more
    verdict = prove_decoder(decoder, map_sizes, period, growth, AcceptedSizes.all_from(least))
    assert (verdict.proved, verdict.failure) == (True, None)
    residues = {size % period for size in verdict.exact}
    largest = smallest = 0
    for size in range(least, least + 4 * period):
        corrections = [rung.correction for rung in decoder.ladder(map_sizes(size), size)]
        assert (size % period in residues) == (not any(corrections))
        largest, smallest = max([largest, *corrections]), min([smallest, *corrections])
    assert (verdict.repeated, verdict.cut) == (largest, -smallest)


def test_a_matched_decoder_corrects_nothing_but_in_its_last_step():
    map_sizes, period, growth = pyramid(["up", "up"])
    with_final = prove_decoder(decoder_for("deconv_matched", ["up", "up"]), map_sizes, period, growth)
    assert str(with_final).endswith(
        "a step (bilinear ×2) cuts at most 1 row or column, and none does at the multiples of 2."
    )
    stem = create_decoder("unet", [4] * 3, [1, 2, 4], upsampler="deconv_matched", widths=[4, 4])
    full = prove_decoder(stem, lambda n: [n, *map_sizes(n)], period, [4, *growth])
    assert str(full) == (
        "Proved for every height and width: the output has the image's size; no step corrects anything."
    )


def test_stages_that_round_differently_cut_and_repeat():
    rules = ["up", "down", "up"]
    verdict = prove_decoder(decoder_for("bilinear", rules), *pyramid(rules), AcceptedSizes.all_from(8))
    assert (verdict.cut, verdict.repeated, verdict.proved) == (1, 1, True)
    assert "a step (bilinear ×2) cuts at most 1 row or column or repeats at most 1 row or column" in str(verdict)


def test_a_size_out_of_reach_is_named():
    decoder = decoder_for("deconv_matched", ["up", "up"])
    verdict = prove_decoder(decoder, *pyramid(["down", "down"]), AcceptedSizes.all_from(4))
    assert not verdict.proved
    assert str(verdict).startswith("Does not fit at image size 6: 'deconv_matched' (kernel 3, stride 2, padding 1)")
    assert "\n" not in str(verdict)


def test_what_does_not_repeat_is_checked_and_not_proved():
    decoder = decoder_for("bilinear", ["up", "up"])
    verdict = prove_decoder(decoder, lambda n: [(n + 1) // 2, (n + 3) // 4], 4, [2, 2])
    assert (verdict.proved, len(verdict.sizes)) == (False, 8)
    assert str(verdict).startswith("Checked for 8 sizes from 1 to 8, and proved for none beyond: the output has the")


def test_an_operator_from_outside_with_a_reach_of_its_own_is_checked_and_not_proved(monkeypatch):
    class Moody(Bilinear):
        def reach(self, low, wanted, axis="size"):
            return wanted if low == 100 else super().reach(low, wanted, axis)

    monkeypatch.setitem(upsamplers._parts, "moody", Moody)
    Moody.name = "moody"
    verdict = prove_decoder(decoder_for("moody", ["up", "up"]), *pyramid(["up", "up"]))
    assert (verdict.proved, verdict.cut) == (False, 1)


def test_sizes_that_were_looked_at_are_counted():
    verdict = check_decoder(decoder_for("deconv", ["up"]), lambda n: [(n + 1) // 2], [9, 5, 4, 88])
    assert (verdict.sizes, verdict.exact, verdict.proved) == ((4, 5, 9, 88), (4, 88), False)
    assert str(verdict) == (
        "Checked for 4 sizes from 4 to 88, and proved for none beyond: the output has the image's size; "
        "a step (bilinear ×2) cuts at most 1 row or column, and none does at 4, 88."
    )
    always = check_decoder(decoder_for("deconv", ["up"]), lambda n: [(n + 1) // 2], [5, 9])
    assert str(always).endswith("a step (bilinear ×2) cuts at most 1 row or column, and at every size some step does.")


@pytest.mark.parametrize("sizes", [[4, 8, 12]])
def test_no_correction_at_all(sizes):
    assert str(check_decoder(decoder_for("deconv", ["up"]), lambda n: [n // 2], sizes)).endswith(
        "; no step corrects anything."
    )


class TwoMore(Upsampler):
    """Gives two rows more than twice its input, and does not say so."""

    def upsample(self, x):
        return torch.nn.functional.interpolate(x, (2 * x.shape[-2] + 2, 2 * x.shape[-1] + 2))


def test_nothing_is_proved_of_an_operator_that_gives_another_size_than_it_says(monkeypatch):
    module = types.ModuleType("odd_operators")
    module.TwoMore = TwoMore
    monkeypatch.setitem(sys.modules, "odd_operators", module)
    decoder = create_decoder("plain", [8, 8], [1, 2], upsampler="odd_operators:TwoMore", widths=[8])
    with pytest.raises(ShapeError, match="upsample made height 12 of 5, and its arithmetic says 10"):
        prove_decoder(decoder, lambda n: [n, (n + 1) // 2], 2, [2, 1])


class Forgotten(Decoder):
    """A topology that declares a step to the image, and runs only its convolution."""

    own_widths = ()

    def build(self, plan):
        self.add_final(plan, self.channels[0])

    def decode(self, encoded, size):
        return self.final_act(self.final.conv(encoded.maps[0]))

    def steps(self):
        return self.final_steps()


class Finished(Forgotten):
    """The same with its step."""

    def decode(self, encoded, size):
        return self.finish(encoded.maps[0], size, encoded)


class Naive(Forgotten):
    """Doubles, and joins: it runs where sizes divide."""

    def decode(self, encoded, size):
        low = torch.nn.functional.interpolate(encoded.maps[1], scale_factor=2)
        return self.finish(low + encoded.maps[0], size, encoded)


class Broken(Forgotten):
    """Runs nowhere."""

    def decode(self, encoded, size):
        return encoded.nothing


def test_a_topology_from_outside_is_run_where_its_strides_divide():
    options = {"channels": [8, 8], "strides": [2, 4], "upsampler": "bilinear"}
    shape = (lambda n: [(n + 1) // 2, (n + 3) // 4], 4, [2, 1])
    assert not prove_decoder(Naive(**options), *shape).proved
    said = r"topology 'Forgotten' fails at image size 8, where the maps have 4, 2: 'Encoded' object has no attribute"
    with pytest.raises(ShapeError, match=said):
        prove_decoder(Broken(**options), *shape)


def test_a_topology_from_outside_is_run_and_not_proved():
    options = {"channels": [8], "strides": [2], "upsampler": "bilinear"}
    shape = (lambda n: [(n + 1) // 2], 2, [1])
    verdict = prove_decoder(Finished(**options), *shape)
    assert (verdict.proved, str(verdict).partition(":")[0]) == (
        False,
        "Checked for 4 sizes from 1 to 4, and proved for none beyond",
    )
    with pytest.raises(ShapeError, match="topology 'Forgotten': decode gave "):
        prove_decoder(Forgotten(**options), *shape)
    with pytest.raises(ShapeError) as raised:
        Forgotten(**options)([torch.zeros(1, 8, 16, 32)], (32, 64))
    assert str(raised.value) == (
        "topology 'Forgotten': decode gave (16, 32) for an image of (32, 64)\n"
        "  try: return self.finish(y, size, encoded), which brings y to the image's size"
    )
