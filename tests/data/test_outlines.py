"""Files of outlines that are not what they should be: each fault is named in one line, with the file that has it."""

import json

import numpy as np
import pytest
from PIL import Image

from segup.data.drawn.coco import pair_coco
from segup.data.drawn.outlines import LabelMe, Yolo
from segup.data.labels import Labels
from segup.data.layout.patterns import Found
from segup.errors import SegupError

LABELS = Labels(("background", "leaf"))
SQUARE = [[1, 1], [5, 1], [5, 5], [1, 5]]


@pytest.fixture
def image(tmp_path):
    file = tmp_path / "plant.png"
    Image.new("RGB", (8, 6)).save(file)
    return file


def test_labelme_shapes_are_polygons_rectangles_and_circles(tmp_path):
    shapes = [
        {"label": "leaf", "points": SQUARE},
        {"label": "Leaf ", "shape_type": "rectangle", "points": [[1, 1], [5, 5]]},
        {"label": "leaf", "shape_type": "circle", "points": [[20, 20], [20, 25]]},
    ]
    file = tmp_path / "plant.json"
    file.write_text(json.dumps({"imageHeight": 40, "imageWidth": 40, "shapes": shapes}))
    mask = LabelMe(file, {"leaf": 1})
    polygon, rectangle, circle = [corners for _, corners in mask.outlines()]
    assert str(mask) == str(file)
    assert np.array_equal(polygon, rectangle)
    assert np.allclose(np.hypot(*(circle - 20).T), 5)
    assert mask.pixels().values[20, 24] == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1", "no JSON, or cut short"),
        ('{"shapes": 3}', "no LabelMe file: it has no list of shapes"),
        ('{"shapes": [], "imageHeight": 0, "imageWidth": 4}', "imageHeight and imageWidth must be ints of 1 or more"),
        ('{"label": "stem"}', "a shape is called 'stem', which is none of data.classes"),
        ('{"label": "leaf", "points": [["a", "b"]]}', "the points of a shape are no pairs of numbers"),
        ('{"label": "leaf", "points": [[NaN, 1]]}', "a shape has points that are no numbers"),
        ('{"label": "leaf", "shape_type": "line", "points": [[1, 1]]}', "a shape is a line of 1 points"),
    ],
)
def test_what_is_wrong_in_a_labelme_file_is_said(tmp_path, content, said):
    file = tmp_path / "plant.json"
    if '"label"' in content:
        content = f'{{"imageHeight": 6, "imageWidth": 8, "shapes": [{content}]}}'
    file.write_text(content)
    with pytest.raises(SegupError) as caught:
        LabelMe(file, {"leaf": 1}).pixels()
    assert str(caught.value).startswith(f"{file}: {said}")


def test_a_labelme_file_that_is_gone_is_named(tmp_path):
    with pytest.raises(SegupError, match=r"gone\.json: no such file"):
        LabelMe(tmp_path / "gone.json", {}).pixels()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x .1 .1 .5 .1 .5 .5", "a line is a class and three corners or more"),
        ("0 .1 .1 .5 .1 .5 five", "a line is a class and three corners or more"),
        ("0 .1 .1 .5 .1", "a line is a class and three corners or more"),
        ("3 .1 .1 .5 .1 .5 .5", "class 3 is class 4 here, after the background, and data.classes has 2."),
    ],
)
def test_what_is_wrong_in_a_yolo_file_is_said_with_its_line(tmp_path, image, line, said):
    file = tmp_path / "plant.txt"
    file.write_text(f"\n{line}\n")
    with pytest.raises(SegupError) as caught:
        Yolo(file, image, 2).pixels()
    assert str(caught.value).startswith(f"{file}, line 2: {said}")


def coco(**changed):
    entry = {"id": 1, "file_name": "plant.png", "height": 6, "width": 8}
    outline = {"image_id": 1, "category_id": 7, "segmentation": [[1, 1, 5, 1, 5, 5]]}
    return {"images": [entry], "annotations": [outline], "categories": [{"id": 7, "name": "leaf"}]} | changed


NO_OUTLINE = (
    "there is no outline in 1 of 2 annotations, the first of image_id 1: boxes are none, nor are polygons "
    "below 6 numbers.\n  try: an export with polygons or masks, or the file without these annotations"
)


def annotated(**changed):
    """A file whose first annotation is as it should be, and whose second is not."""
    outline = coco()["annotations"][0]
    return coco(annotations=[outline, {**outline, **changed}])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"images": []}, "no COCO file: it needs lists of images, annotations and categories"),
        (coco(annotations=[3]), "'annotations' holds what is no object"),
        (coco(images=[{"id": 1, "file_name": "plant.png"}]), "an image needs a file_name, a height and a width"),
        (coco(images=2 * coco()["images"]), None),
        (coco(images=[{**coco()["images"][0], "id": number} for number in (1, 2)]), "'plant.png' is listed twice"),
        (coco(categories=[{"id": 7, "name": "stem"}]), "category 'stem' is none of data.classes (background, leaf)."),
        (coco(annotations=[{**coco()["annotations"][0], "segmentation": 3}]), "a segmentation is neither polygons nor"),
        (
            coco(annotations=[{**coco()["annotations"][0], "segmentation": {"size": [3, 3], "counts": [9]}}]),
            "run lengths of size [3, 3] for an image of [6, 8] (height, width)",
        ),
        (
            annotated(image_id="1"),
            "the image_id of 1 of 2 annotations is none of the file's: '1' (these are: 1).\n",
        ),
        (
            annotated(image_id=[1]),
            "the image_id of 1 of 2 annotations is none of the file's: [1] (these are: 1).\n",
        ),
        (
            annotated(category_id=0),
            "the category_id of 1 of 2 annotations is none of the file's: 0 (these are: 7).",
        ),
        (annotated(category_id="7"), "the category_id of 1 of 2 annotations is none of the file's: '7' (these"),
        *((annotated(segmentation=nothing), NO_OUTLINE) for nothing in ([], None, {}, [[]], [[1, 1]], [[1, 1, 5, 5]])),
    ],
)
def test_what_is_wrong_in_a_coco_file_is_said(tmp_path, image, content, said):
    pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed (extra coco)")
    file = tmp_path / "coco.json"
    file.write_text(json.dumps(content))

    def drawn():
        pairs, _ = pair_coco([Found(image, ("plant",))], [Found(file, ("coco",))], LABELS, tmp_path)
        return [pair.mask.pixels().values for pair in pairs]

    if said is None:  # one image that is said twice alike
        assert len(drawn()) == 1
    else:
        with pytest.raises(SegupError) as caught:
            drawn()
        assert str(caught.value).startswith(f"{file}: {said}")


def test_a_coco_file_of_boxes_alone_is_refused_and_no_annotations_are_background(tmp_path, image):
    pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed (extra coco)")
    file = tmp_path / "coco.json"

    def drawn(annotations):
        file.write_text(json.dumps(coco(annotations=annotations)))
        pairs, _ = pair_coco([Found(image, ("plant",))], [Found(file, ("coco",))], LABELS, tmp_path)
        return [pair.mask.pixels().values for pair in pairs]

    with pytest.raises(
        SegupError, match="there is no outline in 1 of 1 annotation, the first of image_id 1: boxes are none"
    ):
        drawn([{"image_id": 1, "category_id": 7, "bbox": [1, 1, 4, 4]}])
    assert drawn([])[0].max() == 0
    crowd = {"image_id": 1, "category_id": 7, "iscrowd": 1, "segmentation": {"size": [6, 8], "counts": [6, 12, 30]}}
    assert drawn([crowd])[0].sum() == 12


@pytest.mark.parametrize("points", [[], [[1, 1]], SQUARE[:2]])
def test_a_labelme_polygon_of_fewer_than_three_corners_is_refused(tmp_path, points):
    file = tmp_path / "plant.json"
    shapes = [{"label": "leaf", "points": points}]
    file.write_text(json.dumps({"imageHeight": 6, "imageWidth": 8, "shapes": shapes}))
    with pytest.raises(SegupError) as caught:
        LabelMe(file, {"leaf": 1}).pixels()
    assert str(caught.value).startswith(
        f"{file}: a shape is a polygon of {len(points)} points; polygons of 3 or more, and rectangles "
        f"and circles of 2, can be drawn.\n  try: "
    )
