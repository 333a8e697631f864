"""What the groups of configs/ make of a choice, without training."""

import pytest
from hydra import compose, initialize_config_dir

from segup.cli.composed import configs_folder


def composed(*overrides):
    with initialize_config_dir(str(configs_folder()), version_base="1.3"):
        return compose("train", overrides=list(overrides))


@pytest.mark.parametrize(
    ("overrides", "encoder"),
    [
        ([], "efficientnet_lite0"),
        (["decoder=max_unpool"], "segnet"),
        (["encoder=torchvision", "encoder.name=vgg11_bn", "decoder=max_unpool"], "torchvision"),
    ],
)
def test_the_unpooling_decoder_brings_an_encoder_with_indices_unless_one_is_named(overrides, encoder):
    config = composed(*overrides).encoder
    assert encoder in (config.name, config.library)
