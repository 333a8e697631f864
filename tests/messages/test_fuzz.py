"""A small part of scripts/fuzz.py: its judge finds what it looks for, and what it types comes to no traceback."""

import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module", autouse=True)
def scripts():
    sys.path.insert(0, str(SCRIPTS))
    yield
    sys.path.remove(str(SCRIPTS))


@pytest.mark.parametrize(
    ("end", "said", "nonsense", "fault"),
    [
        ("1", "ConfigError: no", True, ""),
        ("0", "done", False, ""),
        ("0", "done", True, "exit code 0 on nonsense"),
        ("1", "", False, "says nothing"),
        ("1", "Traceback (most recent call last):\n", False, "traceback"),
        ("1", "WROTE open /etc/passwd\nConfigError: no", False, "writes elsewhere"),
        ("hang", "epoch 1", False, "hang"),
        ("killed", "", False, "killed"),
        ("70", "no", False, "exit code 70"),
    ],
)
def test_each_fault_is_called_by_its_name(end, said, nonsense, fault):
    from fuzz_commands import _fault

    assert _fault(end, said, nonsense) == fault


def _hangs():
    while True:
        pass


def _writes(path):
    Path(path).write_text("x")
    return 0


def _raises():
    raise RuntimeError("bare")


def test_a_process_is_stopped_in_time_and_watched(tmp_path):
    from fuzz_process import forked

    (tmp_path / "case").mkdir()
    (tmp_path / "work" / "case").mkdir(parents=True)
    case, said = tmp_path / "work" / "case", tmp_path / "said"
    assert forked(_hangs, case, said, 0.3)[0] == "hang"
    assert "Traceback" in forked(_raises, case, said, 30)[1]
    assert "WROTE" not in forked(lambda: _writes("inside"), case, said, 30)[1]
    assert f"WROTE open {tmp_path}/outside" in forked(lambda: _writes(tmp_path / "outside"), case, said, 30)[1]


def test_a_case_of_a_seed_is_always_the_same():
    import random

    from fuzz_commands import _mutated

    lines = [_mutated(random.Random(f"commands/0/{number}")) for number in range(50)]
    assert lines == [_mutated(random.Random(f"commands/0/{number}")) for number in range(50)]
    assert len({str(line) for line in lines}) > 45


@pytest.mark.slow
def test_forty_command_lines_come_to_no_fault(capsys):
    from fuzz import main

    assert main(["commands", "--count", "40", "--seed", "14"]) == 0, capsys.readouterr().out
