"""What a terminal cannot show is said in ASCII, and every sign that segup prints has a reading there."""

import signal
from pathlib import Path

import pytest

from segup.terminal import endings_answered, in_ascii

ROOT = Path(__file__).resolve().parents[1]


def test_every_sign_in_the_sources_has_a_reading():
    files = [file for folder in ("segup", "configs") for file in (ROOT / folder).rglob("*.*")]
    files = [file for file in files if file.suffix in (".py", ".yaml")]
    signs = {sign for file in files for sign in file.read_text("utf-8") if not sign.isascii() and not sign.isalnum()}
    assert len(signs) > 20
    assert [sign for sign in signs if "\\" in in_ascii(sign)] == []


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("3×3 → 5×5, −1 … ±2", "3x3 -> 5x5, -1 ... +/-2"),
        ("⌊(h + 2)/2⌋ ≥ ½·k²", "floor((h + 2)/2) >= 1/2*k^2"),
        ("┏━┳━┓┃a│b┃┡━╇━┩└─┴─┘", "+-+-+|a|b|+-+-++-+-+"),
        ("größe", "gr\\xf6\\xdfe"),
        ("細胞", "\\u7d30\\u80de"),
        ("a\udcffb", "a\\xffb"),
        ("\U0001f600", "\\U0001f600"),
    ],
)
def test_readings(text, reading):
    assert in_ascii(text) == reading


def test_a_signal_is_answered_and_given_back_and_one_that_is_ignored_stays_so():
    met = []
    before = signal.getsignal(signal.SIGTERM)
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with endings_answered(met.append, (signal.SIGTERM, signal.SIGHUP)):
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.raise_signal(number)
    finally:
        signal.signal(signal.SIGHUP, ignored)
    assert met == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) == before
