"""An operator computes what its layers compute: each layer with weights is called, so that hooks on it run."""

import pytest
import torch

from segup.upsamplers import list_upsamplers

OPTIONS = {
    "bilinear": ({"conv_first": True}, {"kernel_size": 1}),
    "jbu": ({"fix": True},),
    "naf": ({"tile": 4},),
    "dysample": ({"dynamic": True},),
}
FORMS = [(name, options) for name in list_upsamplers() for options in ({}, *OPTIONS.get(name, ()))]


@pytest.mark.parametrize("size", [(16, 16), (15, 17)])
@pytest.mark.parametrize(("name", "options"), FORMS, ids=str)
def test_a_hook_on_any_layer_is_called_in_training_and_in_evaluation(name, options, size, build, guides):
    rounding = {"rounding": "mixed"} if name == "deconv_matched" else {}
    up = build(name, 8, 4, **options, **rounding)
    x = torch.randn(2, 8, 8, 8)
    called, layers = set(), [path for path, layer in up.named_modules() if path and layer._parameters]
    for path in layers:
        up.get_submodule(path).register_forward_hook(lambda *_, path=path: called.add(path))
    for mode in (True, False):
        called.clear()
        up.train(mode).with_skip(x, size, **{"skip": None, **guides(up, x, size)})
        assert called == set(layers)
