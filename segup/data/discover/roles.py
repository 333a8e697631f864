"""Which pictures are masks: by what they hold first, and by what they are called where that does not tell."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segup.data.discover.look import Looked

_MASK_WORDS = frozenset(
    re.findall(
        r"\w+",
        """mask masks label labels labelids annot annots annotation annotations gt groundtruth truth ground seg segs
        segmentation segmentations segmentationclass segmentationobject manual target targets trimap trimaps matte
        mattes class classes lab lbl lbls msk msks""",
    )
)
_IMAGE_WORDS = frozenset(
    re.findall(
        r"\w+",
        """image images img imgs im rgb photo photos jpegimages picture pictures pic pics input inputs frame frames raw
        scan scans sat original originals""",
    )
)


@dataclass(frozen=True)
class Cluster:
    """Files of one folder, of one extension, whose names begin and end alike: ``mask_`` or ``_mask``."""

    folder: str
    extension: str
    beginning: str
    ending: str


def clusters(paths: Iterable[Path], root: Path) -> dict[Cluster, list[Path]]:
    """Return pictures by their cluster; an ending counts where several names of the folder have it."""
    folders: dict[tuple[str, str], list[Path]] = {}
    for path in paths:
        folders.setdefault((path.parent.relative_to(root).as_posix(), path.suffix.lower()), []).append(path)
    found: dict[Cluster, list[Path]] = {}
    for (folder, extension), files in folders.items():
        common = []
        for part in (_beginning, _ending):
            parts = Counter(part(path.stem) for path in files)
            common.append({text for text, count in parts.items() if count > 1 or len(files) == len(parts) <= 3})
        for path in files:
            ends = [part(path.stem) for part in (_beginning, _ending)]
            kept = [text if text in known else "" for text, known in zip(ends, common, strict=True)]
            found.setdefault(Cluster(folder, extension, *kept), []).append(path)
    return found


def likeness(cluster: Cluster, looked: Sequence[Looked]) -> float | None:
    """Return how much a cluster looks like masks, above 0 if it does; None where none of its pictures can be read."""
    seen = [one for one in looked if one.fault is None]
    if not seen:
        return None
    return float(np.median([_content(one) for one in seen])) + _name(cluster)


def _content(one: Looked) -> float:
    """Return how much a picture looks like a mask: few values, equal neighbours."""
    area = one.size[0] * one.size[1]
    if one.lossy:
        main = sum(one.values.values()) / max(1, area)
        return 0.3 if len(one.values) <= 12 and main > 0.97 and one.smooth > 0.6 else -1.0
    if one.channels not in (1, 3, 4) or (one.dtype.startswith("float") and one.different > 64):
        return -3.0
    if one.different <= 2:
        return 1.0 if one.colors else 2.0
    if one.different <= 40 and one.different * 4 < area:
        return 1.2 if one.smooth > 0.4 else 0.6
    return 0.5 if one.smooth > 0.85 and not one.colors else -3.0


def _name(cluster: Cluster) -> float:
    """Return how much names speak for a mask: the ending most, then the innermost folder that says something."""
    for text in (cluster.ending, cluster.beginning, *reversed(cluster.folder.split("/"))):
        words = set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower())) | {text.lower()}
        if words & _MASK_WORDS:
            return 1.5
        if words & _IMAGE_WORDS:
            return -1.5
    return 0.0


def _beginning(stem: str) -> str:
    match = re.match(r"[A-Za-z]+[_\-. ]", stem)
    return match[0] if match else ""


def _ending(stem: str) -> str:
    match = re.search(r"([_\-. ]|^)([A-Za-z][A-Za-z0-9]*)$", stem)
    return match[0] if match else ""


def divided(
    scores: Mapping[Cluster, float | None], files: Mapping[Cluster, list[Path]]
) -> tuple[list[Path], list[Path]]:
    """Return the images and the masks.

    If all clusters look alike, those that look more like masks than halfway between the extremes are the masks.
    """
    known = {cluster: score for cluster, score in scores.items() if score is not None}
    low, high = min(known.values(), default=0.0), max(known.values(), default=0.0)
    least = 0.0 if low <= 0 < high or high - low < 0.5 else (low + high) / 2
    images = [path for cluster, score in known.items() if score <= least for path in files[cluster]]
    masks = [path for cluster, score in known.items() if score > least for path in files[cluster]]
    return sorted(images), sorted(masks)
