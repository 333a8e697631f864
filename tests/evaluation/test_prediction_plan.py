from pathlib import Path

import pytest

from segup.errors import ConfigError, DataError
from segup.evaluation.plan import Task, plan


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


@pytest.mark.parametrize(
    ("names", "given"),
    [
        (["x/a.png", "y/a.png"], ["x", "y"]),
        (["x/a.png", "x/a.jpg"], ["x"]),
        (["x/a.png", "x/a_overlay.jpg"], ["x"]),
        (["x/a.png", "a.jpg"], ["x", "a.jpg"]),
    ],
)
def test_two_images_that_would_become_one_file_are_refused(files, names, given):
    files(*names)
    with pytest.raises(ConfigError, match=r"would both become out/a.*; nothing was written") as caught:
        plan(given, "out")
    assert all(name in str(caught.value) for name in names)


def test_existing_files_are_refused_unless_they_may_be_replaced(files):
    files("in/a.jpg", "in/b.jpg", "out/b_overlay.png")
    with pytest.raises(
        ConfigError, match=r"1 of 4 files exist already: out/b_overlay.png; nothing was written"
    ) as caught:
        plan(["in"], "out")
    assert "--overwrite" in str(caught.value)
    assert len(plan(["in"], "out", overwrite=True)) == 2


def test_an_image_is_never_written_over(files):
    files("in/a.png")
    with pytest.raises(ConfigError, match=r"in/a\.png is an image that is read: it is not written over"):
        plan(["in"], "in", overwrite=True)
    Path("link").symlink_to("in")
    with pytest.raises(ConfigError, match=r"link/a\.png is an image that is read"):
        plan(["in/a.png"], "link", overwrite=True)


def test_results_may_lie_beside_images_of_other_names(files):
    files("in/a.jpg")
    assert plan(["in"], "in")[0].ids == Path("in/a.png")


def test_missing_and_empty_inputs_are_named(files):
    files("in/notes.txt", "file")
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        plan(["nowhere"], "out")
    with pytest.raises(DataError, match=r"in: no image files \(.png, "):
        plan(["in"], "out")
    with pytest.raises(ConfigError, match="--out file is a file: give a folder"):
        plan(["in"], "file")


@pytest.mark.parametrize(
    "images",
    [("in/a.png", "in/a.jpg"), ("in/a.png", "in/a_overlay.png"), ("x/a.png", "y/a.png"), ("x/y/a.png", "a.png")],
)
def test_what_is_proposed_for_two_images_of_one_name_works(files, images):
    files(*images)
    with pytest.raises(ConfigError, match=r"would both become out/a\S*; nothing was written") as caught:
        plan(images, "out")
    proposed = str(caught.value).partition("try: ")[2].removesuffix(".")
    for number, image in enumerate(images):
        assert len(plan([image], f"out-{number}")) == 1
    assert proposed.startswith("a command for each of the two, with an --out of its own")
    _, both, folder = proposed.partition("; or ")
    assert bool(both) == (Path(images[0]).parent != Path(images[1]).parent)
    if both:
        assert len(plan([folder.removesuffix(", the folder that holds both")], "out")) == 2
