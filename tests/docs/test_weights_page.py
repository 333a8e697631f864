"""The licences that docs/weights.md names are those that timm records."""

import re
from pathlib import Path

import timm

PAGE = Path(__file__).parents[2] / "docs" / "weights.md"


def test_licences_are_those_of_timms_metadata():
    rows = re.findall(r"^\| [^|]+ \| `([^|]+)` \| ([\w.-]+)", PAGE.read_text(), re.MULTILINE)
    assert len(rows) > 10
    for pattern, licence in rows:
        names = timm.list_pretrained(pattern)
        assert names, pattern
        assert {timm.get_pretrained_cfg(name).license for name in names} == {licence}, pattern
