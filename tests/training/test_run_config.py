from typing import Literal

import pytest

from segup.conform import conform
from segup.errors import ConfigError
from segup.training.config import RunConfig

ENCODER = {"name": "efficientnet_lite0"}


def test_nested_values_become_one_value():
    config = RunConfig.of({"encoder": ENCODER, "seed": 3, "trainer": {"max_epochs": 5, "gradient_clip_val": 1}})
    assert (config.seed, config.trainer.max_epochs, config.encoder.full_name) == (3, 5, "efficientnet_lite0")
    assert config.trainer.gradient_clip_val == 1.0
    assert RunConfig.of({"encoder": {"library": "timm", "name": "resnet18"}}).encoder.full_name == "timm/resnet18"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sed": 1}, r"^unknown key 'sed': did you mean 'seed'\? known: channels_last, "),
        ({"trainer": {"max_epoch": 1}}, r"^unknown key 'trainer.max_epoch': did you mean 'max_epochs'"),
        ({"encoder": {}}, "^encoder.name is not set: give encoder.name=...$"),
        ({"encoder": {"name": "???"}}, "^encoder.name is not set"),
        ({"seed": "one"}, "^seed='one' must be an int$"),
        ({"seed": True}, "^seed=True must be an int$"),
        ({"seed": -1}, "^seed=-1 must be an int of 0 or more$"),
        ({"num_classes": 1.5}, "^num_classes=1.5 must be an int or null$"),
        ({"compile": "yes"}, "^compile='yes' must be true or false$"),
        ({"trainer": 3}, "^trainer=3 must be a group of keys$"),
        ({"data": []}, r"^data=\[\] must be a group of keys$"),
        ({"trust": "a"}, "^trust='a' must be a list$"),
        ({"trainer": {"max_epochs": 0}}, "^trainer.max_epochs=0 must be an int of 1 or more$"),
        ({"seed": 2**32}, "^seed=4294967296 must be an int of 0 or more and at most 4294967295$"),
        ({"trainer": {"max_steps": -5}}, "^trainer.max_steps=-5 must be an int of 1 or more$"),
        ({"trainer": {"threads": 0}}, "^trainer.threads=0 must be an int of 1 or more and at most 4096$"),
        ({"trainer": {"gradient_clip_val": -1}}, "^trainer.gradient_clip_val=-1.0 must be a number of 0 or more$"),
        (
            {"trainer": {"gradient_clip_val": float("nan")}},
            "^trainer.gradient_clip_val=nan must be a number of 0 or more$",
        ),
        ({"trainer": {"devices": 0}}, "^trainer.devices=0 must be an int of 1 or more and at most 4096$"),
    ],
)
def test_a_wrong_key_or_value_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        RunConfig.of({"encoder": ENCODER, **values})


def test_a_word_may_stand_beside_a_list():
    """As the range of a run's images does in an exported file."""
    kind = list[float] | tuple[float, ...] | Literal["dtype"] | None
    for value in ("dtype", [0.0, 1.0], (0, 3), None):
        assert conform(kind, value, "range") == value
    with pytest.raises(ConfigError, match=r"range='type' is unknown: did you mean 'dtype'\?"):
        conform(kind, "type", "range")
