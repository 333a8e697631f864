"""Published tables of upsampling operators, and which of their differences are larger than what seeds alone do."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """One published table; its figures are of one run each as far as its paper says.

    Args:
        what: Set-up and data.
        source: Where it stands.
        score: As the paper calls it.
        baseline: The row that the others are held against.
        columns: By data set, the score in percent of each row.
        part: The part of the noise floor that is nearest to it.
        metric: The column of that part.
    """

    what: str
    source: str
    score: str
    baseline: str
    columns: Mapping[str, Mapping[str, float]]
    part: str
    metric: str = "miou"

    @property
    def pairs(self) -> list[float]:
        """The sizes of all differences between two rows of one column, in percent."""
        return [
            round(abs(one - two), 2)
            for column in self.columns.values()
            for one, two in itertools.combinations(column.values(), 2)
        ]


_PROBED = ("bilinear", "FeatUp-JBU", "LoftUp", "JAFAR", "AnyUp", "UPLiFT")
_SEGNET = (
    "bilinear",
    "SegNet-Basic",
    "SegNet-EncoderAddition",
    "SegNet-SingleChannel",
    "FCN-Basic",
    "FCN-NoDimReduction",
)


def _rows(names: tuple[str, ...], *values: float) -> dict[str, float]:
    return dict(zip(names, values, strict=True))


TABLES = (
    Table(
        "SegFormer-B1, trained end to end", "the tables of FADE (arXiv 2207.10392) and SAPA (arXiv 2209.12866)", "mIoU",
        "bilinear",
        {"ADE20K": {"bilinear": 42.11, "deconv": 40.71, "pixel shuffle": 41.50, "CARAFE": 42.82, "IndexNet": 41.50,
                    "A2U": 41.45, "FADE": 43.06, "SAPA-B": 43.20}},
        "decoders_cells",
    ),
    Table(
        "SegFormer-B1, trained end to end", "as above", "boundary IoU", "bilinear",
        {"ADE20K": {"bilinear": 28.16, "deconv": 25.94, "pixel shuffle": 26.58, "CARAFE": 29.84, "IndexNet": 28.27,
                    "A2U": 27.31, "FADE": 31.68, "SAPA-B": 30.96}},
        "decoders_cells", "boundary_iou",
    ),
    Table(
        "SegFormer-B1, trained end to end", "FreqFusion (TPAMI 2024)", "mIoU", "DySample-S+",
        {"ADE20K": {"DySample-S+": 43.3, "FreqFusion": 44.5}}, "decoders_cells",
    ),
    Table(
        "linear head on frozen DINOv2-S/14 at 448²", "UPLiFT (arXiv 2601.17950)", "mIoU", "bilinear",
        {"COCO-Stuff": _rows(_PROBED, 59.41, 61.77, 62.19, 61.71, 62.08, 62.55),
         "VOC": _rows(_PROBED, 81.62, 83.52, 84.63, 84.38, 84.33, 85.21),
         "ADE20K": _rows(_PROBED, 40.43, 42.07, 42.16, 41.96, 42.25, 42.97),
         "Cityscapes": _rows(_PROBED, 59.71, 60.50, 62.09, 61.89, 61.33, 65.38)},
        "probe_camvid",
    ),
    Table(
        "keys of NAF, linear head on frozen features", "NAF (arXiv 2511.18452)", "mIoU", "average pool",
        {"Cityscapes": {"average pool": 60.41, "max pool": 59.93, "bilinear keys": 59.66}}, "probe_camvid",
    ),
    Table(
        "positions of NAF, linear head on frozen features", "NAF (arXiv 2511.18452)", "mIoU", "rotary",
        {"Cityscapes": {"rotary": 60.41, "Gaussian": 58.19, "none": 57.07}}, "probe_camvid",
    ),
    Table(
        "AnyUp's ablation, linear head on frozen features", "AnyUp (arXiv 2510.12764)", "mIoU", "global",
        {"COCO-Stuff": {"global": 61.82, "feature-agnostic": 61.95, "windowed": 62.01, "crops and consistency": 62.16}},
        "probe_camvid",
    ),
    Table(
        "decoders on CamVid", "SegNet (arXiv 1511.00561), Table 1", "mIoU", "bilinear",
        {"CamVid test": _rows(_SEGNET, 43.3, 47.7, 48.5, 46.1, 47.3, 50.1)}, "segnet", "test_miou",
    ),
    Table(
        "decoders on CamVid", "SegNet (arXiv 1511.00561), Table 1", "BF", "bilinear",
        {"CamVid test": _rows(_SEGNET, 20.83, 35.78, 35.92, 31.62, 38.11, 37.37)}, "segnet", "test_bf_score",
    ),
)  # fmt: skip

BETWEEN_PAPERS = (
    ("AnyUp, Cityscapes", 61.33, 60.62),
    ("JAFAR, ADE20K", 41.96, 40.49),
    ("FeatUp, ADE20K", 42.33, 38.82),
)
"""One method under nominally the same protocol in two papers."""
