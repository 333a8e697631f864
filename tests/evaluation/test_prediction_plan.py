import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segup.errors import ConfigError, DataError
from segup.evaluation.plan import Task, left_out, plan


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(*names: str) -> None:
        for name in names:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()

    return make


def test_an_image_becomes_two_files(files):
    files("a.b.JPG")
    assert plan(["a.b.JPG"], "out") == [Task(Path("a.b.JPG"), Path("out/a.b.png"), Path("out/a.b_overlay.png"))]
    assert not Path("out").exists()


def test_a_folders_subfolders_come_back(files):
    files("in/b.png", "in/x/b.tif", "in/x/y/c.npy", "in/notes.txt", "in/.hidden.png", "in/.cache/d.png")
    tasks = plan(["in"], "out")
    assert [str(task.image) for task in tasks] == ["in/b.png", "in/x/b.tif", "in/x/y/c.npy"]
    assert [str(task.ids) for task in tasks] == ["out/b.png", "out/x/b.png", "out/x/y/c.png"]


def test_an_earlier_output_inside_the_folder_is_no_input(files):
    files("in/a.jpg", "in/out/a.png", "in/out/a_overlay.png")
    assert [task.image for task in plan(["in"], "in/out", overwrite=True)] == [Path("in/a.jpg")]


def test_one_image_named_twice_is_done_once(files):
    files("in/a.jpg")
    assert len(plan(["in/a.jpg", "./in/a.jpg", "in"], "out")) == 1


def test_links_are_images_and_folders_as_others_but_one_that_has_no_end(files):
    files("disk/1.png", "disk/sub/2.png", "in/c.png")
    for link, target in (("a.png", "c.png"), ("b.png", "c.png"), ("far", "../disk"), ("far2", "../disk"), ("up", "..")):
        Path("in", link).symlink_to(target)
    Path("disk/sub/again").symlink_to("..")
    found = [str(task.ids) for task in plan(["in"], "out")]
    below = ["disk/1", "disk/sub/2", "in/a", "in/b", "in/c"]
    inside = ["a", "b", "c", "far/1", "far/sub/2", "far2/1", "far2/sub/2", *(f"up/{one}" for one in below[:2])]
    assert found == [f"out/{name}.png" for name in inside]
    assert left_out(["in"], "out") == []


@pytest.mark.parametrize(
    ("names", "inputs", "becomes"),
    [
        (["x/a.png", "y/a.png"], ["x", "y"], ["x/a", "y/a"]),
        (["x/1/a.png", "y/1/a.png", "y/b.png"], ["x", "y"], ["x/1/a", "y/1/a", "y/b"]),
        (["x/a.jpg", "x/a.png"], ["x"], ["a.jpg", "a.png"]),
        (["x/a.png", "x/a_overlay.jpg"], ["x"], ["a.png", "a_overlay.jpg"]),
        (["x/a.png", "a.jpg"], ["x", "a.jpg"], ["x/a", "a"]),
        (["x/a.png", "x/a.jpg", "y/a.png"], ["x", "y"], ["x/a.jpg", "x/a.png", "y/a.png"]),
        (["x/a.png", "y/a.png"], ["x/a.png", "y/a.png", "x"], ["x/a", "y/a"]),
        (["x/a.png", "y/b.png"], ["x", "y"], ["a", "b"]),
    ],
)
def test_images_of_one_name_keep_what_tells_them_apart(files, names, inputs, becomes):
    files(*names)
    tasks = plan(inputs, "out")
    assert [str(task.ids) for task in tasks] == [f"out/{name}.png" for name in becomes]
    targets = [str(target) for task in tasks for target in (task.ids, task.overlay)]
    assert len(set(targets)) == 2 * len(names)


NAMES = st.from_regex(r"(x|y|x/y)/(a|b|a_overlay|a\.b)\.(png|jpg|tif)", fullmatch=True)


@given(st.lists(NAMES, min_size=1, unique=True))
def test_no_two_images_become_one_file(names):
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).touch()
        tasks = plan([Path(folder) / name for name in names], Path(folder) / "out")
        assert {task.image.relative_to(folder).as_posix() for task in tasks} == set(names)
        assert len({target for task in tasks for target in (task.ids, task.overlay)}) == 2 * len(names)


def test_existing_files_are_refused_unless_they_may_be_replaced(files):
    files("in/a.jpg", "in/b.jpg", "out/b_overlay.png")
    with pytest.raises(
        ConfigError, match=r"1 of 4 files exist already: out/b_overlay.png; nothing was written"
    ) as caught:
        plan(["in"], "out")
    assert "--overwrite" in str(caught.value)
    assert len(plan(["in"], "out", overwrite=True)) == 2


@pytest.mark.parametrize(
    ("names", "inputs", "out", "said"),
    [
        (["in/a.png"], ["in"], "in", "puts a.png among the images of in"),
        (["in/a.jpg"], ["in"], "in", "puts a.png among the images of in"),
        (["in/a.jpg"], ["in/a.jpg"], "in", "puts a.png among the images of in"),
        (["in/a.jpg"], ["in/a.jpg"], "link", "puts a.png among the images of link"),
        (["in/x/a.jpg"], ["in"], "in", "puts a.png among the images of in/x"),
        (["in/x/a.jpg", "in/y/a.jpg"], ["in/x", "in/y"], "in", "puts a.png among the images of in/x"),
        (["in/a.jpg", "in/x/b.jpg"], ["in"], "in/x", "lies in in and holds images, such as b.jpg"),
        (["in/a.jpg", "in/x/y/b.png", "in/x/y/c_overlay.png"], ["in"], "in/x", "holds images, such as b.png"),
    ],
)
def test_results_and_images_have_folders_of_their_own(files, names, inputs, out, said):
    files(*names)
    Path("link").symlink_to("in")
    with pytest.raises(ConfigError, match=said) as caught:
        plan(inputs, out, overwrite=True)
    way_out = str(caught.value).rpartition("--out ")[2]
    assert {task.ids.parent.parts[0] for task in plan(inputs, way_out)} == {Path(way_out).parts[0]}


def test_missing_and_empty_inputs_are_named(files):
    files("in/notes.txt", "file")
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        plan(["nowhere"], "out")
    with pytest.raises(DataError, match=r"in: no image files \(.png, "):
        plan(["in"], "out")
    with pytest.raises(ConfigError, match="--out file: file is a file; results need a folder.\n  try: --out file_pre"):
        plan(["in"], "file")
    with pytest.raises(ConfigError, match="--out .*: .*file is a file; results need a folder"):
        plan(["in"], "file/below/it")
