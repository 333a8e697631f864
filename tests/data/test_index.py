"""Headers that are kept: the same as those that are read, for as long as their files stay what they are."""

import gc
import logging
import os

import numpy as np
import pytest
from PIL import Image

from segup.data import index
from segup.data.headers import read_header
from segup.data.index import read_headers, uncollected
from segup.errors import DataError


@pytest.fixture(autouse=True)
def own_caches(monkeypatch, tmp_path):
    """A folder of caches of the test's own, and few files count as many."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr(index, "FEW", 3)
    monkeypatch.setattr(index, "_CHUNK", 2)


@pytest.fixture
def files(tmp_path):
    """Files of many kinds and sizes, in two folders and with a name that is no UTF-8."""
    random = np.random.default_rng(0)
    made = []
    for number, ending in enumerate(["png", "jpg", "tif", "npy", "bmp", "png", "jpg"]):
        folder = tmp_path / "data" / ("a" if number % 2 else "b/c")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (f"größe {number}.{ending}" if number != 5 else os.fsdecode(b"\xff\n5.png"))
        pixels = random.integers(0, 256, (4 + number, 9, 3), np.uint8)
        np.save(path, pixels) if ending == "npy" else Image.fromarray(pixels).save(path)
        made.append(path)
    wide = tmp_path / "data/a/wide.png"
    Image.fromarray(random.integers(0, 4096, (5, 6), np.uint16)).save(wide)
    return [*made, wide]


def kept(tmp_path):
    return list((tmp_path / "caches").rglob("*.npz"))


def read_files(monkeypatch):
    """The names of the files that are read from now on, noted by one process."""
    seen = []

    def noted(path):
        seen.append(path.name)
        return read_header(path)

    monkeypatch.setattr(index, "read_header", noted)
    monkeypatch.setattr(index, "_by_several", lambda read, paths: iter(read(paths)))
    return seen


def test_kept_headers_are_those_that_are_read(files, monkeypatch, tmp_path):
    plain = [read_header(path) for path in files]
    assert read_headers(files) == plain
    assert len(kept(tmp_path)) == 1
    seen = read_files(monkeypatch)
    assert read_headers(files) == plain
    assert read_headers(files[::-1]) == plain[::-1]
    assert not seen


def test_a_relative_path_is_the_same_file(files, monkeypatch, tmp_path):
    read_headers(files)
    seen = read_files(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert read_headers([path.relative_to(tmp_path) for path in files]) == [read_header(path) for path in files]
    assert not seen


def test_only_what_changed_or_came_is_read_again(files, monkeypatch):
    read_headers(files[:-1])
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(files[0])
    os.utime(files[1], ns=(0, 0))
    seen = read_files(monkeypatch)
    assert read_headers(files)[0].size == (3, 3)
    assert seen == [files[0].name, files[1].name, files[-1].name]
    seen.clear()
    read_headers(files)
    assert not seen


def test_splits_of_one_folder_share_what_is_kept(files, monkeypatch, tmp_path):
    splits = files[:4], files[4:]
    for _ in range(2):
        for split in splits:
            read_headers(split)
    assert len(kept(tmp_path)) == 1
    seen = read_files(monkeypatch)
    assert [read_headers(split) for split in splits] == [[read_header(path) for path in split] for split in splits]
    assert not seen


def test_few_files_leave_nothing(files, monkeypatch, tmp_path):
    monkeypatch.setattr(index, "FEW", len(files) + 1)
    read_headers(files)
    assert not kept(tmp_path)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("fault", ["missing", "cut short", "no image", "too large"])
def test_a_bad_file_is_named_however_many_there_are(files, known, fault):
    if known:
        read_headers(files)
    bad, most = files[4], 10**8
    if fault == "missing":
        bad.unlink()
    elif fault == "too large":
        most = read_header(bad).pixels - 1  # those before it are smaller
    else:
        bad.write_bytes(b"text" if fault == "no image" else bad.read_bytes()[:40])
    with pytest.raises(DataError, match=str(bad.name)):
        read_headers(files, most)


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-100], lambda content: content[::-1]])
def test_a_damaged_index_is_made_again(files, monkeypatch, tmp_path, damage):
    plain = read_headers(files)
    [path] = kept(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert read_headers(files) == plain
    seen = read_files(monkeypatch)
    assert read_headers(files) == plain
    assert not seen


def test_caches_that_cannot_be_written_are_named_and_stop_nothing(files, tmp_path, caplog):
    (tmp_path / "caches").write_text("")
    with caplog.at_level(logging.WARNING):
        assert read_headers(files) == [read_header(path) for path in files]
    assert "the headers of 8 files are read again at the next start: " in caplog.text


def test_the_collector_goes_on_as_before():
    for was in (True, False):
        (gc.enable if was else gc.disable)()
        with uncollected():
            inside = gc.isenabled()
        after = gc.isenabled()
        with pytest.raises(KeyError), uncollected():
            {}["no such key"]
        after_fault = gc.isenabled()
        gc.enable()
        assert (inside, after, after_fault) == (False, was, was)
