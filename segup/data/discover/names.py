"""Which patterns files may be meant by, and by what the names of masks differ from those of images."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import PurePosixPath

from segup.data.layout.matching import unpadded
from segup.data.layout.patterns import split_of

_MOST_SINGLE = 12
_TRIED = 24


@dataclass(frozen=True)
class Rule:
    """What stands before and after the common part, in an image's name and in a mask's."""

    image: tuple[str, str] = ("", "")
    mask: tuple[str, str] = ("", "")


def templates(folders: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return patterns of folders that cover many of the given ones, the widest first; folders of splits are one.

    >>> templates([("train", "rgb"), ("val", "rgb")])
    [('*', 'rgb')]
    >>> templates([("t1", "a"), ("t2", "a"), ("t1", "b")])
    [('*', '*'), ('t*', '*'), ('*', 'a'), ('t1', 'b'), ('t1', '*'), ('t2', 'a'), ('t1', 'a'), ('t*', 'a')]
    >>> templates([("01_GT",), ("02_GT",), ("01_ST",), ("02_ST",)])[:4]
    [('*',), ('*T',), ('*_GT',), ('*_ST',)]
    """
    found: dict[tuple[str, ...], None] = {}
    narrower: dict[tuple[str, ...], None] = {}
    of_depth: dict[int, set[tuple[str, ...]]] = {}
    for folder in folders:
        of_depth.setdefault(len(folder), set()).add(tuple("*" if split_of(part) else part for part in folder))
    for same in sorted(of_depth.values(), key=len, reverse=True):
        found |= dict.fromkeys((_merged(same), _merged(same, ends=True)))
        varied = [place for place, parts in enumerate(zip(*same, strict=True)) if len(set(parts)) > 1]
        for place in reversed(varied):
            ends = Counter(re.sub(r"^.*[ _.-]|^.*", "", folder[place]) for folder in sorted(same))
            for end, count in ends.items():
                if end.isalpha() and 1 < count < len(same):
                    found.setdefault(_merged({folder for folder in same if folder[place].endswith(end)}, ends=True))
            for part, _ in Counter(sorted(folder[place] for folder in same)).most_common(6):
                if part != "*":
                    some = {folder for folder in same if folder[place] == part}
                    found.setdefault(_merged(some))
                    narrower.setdefault(_merged(some, ends=True))
        if len(same) <= _MOST_SINGLE:
            found |= dict.fromkeys(sorted(same))
    return list(found | narrower)


def rules(names: Iterable[tuple[Sequence[str], Sequence[str]]]) -> list[Rule]:
    """Return what masks may add to the names of images, the commonest first.

    Args:
        names: Of each place, the names of its images and of its masks, without extension.
    """
    votes: Counter[Rule] = Counter()
    affixes: Counter[Rule] = Counter()
    for images, masks in names:
        for rule, count in _of_affixes(images, masks):
            affixes[rule] += count
        chosen = set(images)
        for mask in masks[:_TRIED]:
            if mask in chosen:
                votes[Rule()] += 1
                continue
            best: list[Rule] = []
            longest = 0
            for image in images[: 10 * _TRIED]:
                start, other, size = SequenceMatcher(None, image, mask, autojunk=False).find_longest_match()
                if size > longest:
                    best, longest = [], size
                if size == longest and size:
                    best.append(Rule((image[:start], image[start + size :]), (mask[:other], mask[other + size :])))
            votes.update(set(best))
        if sum(votes.values()) > 4 * _TRIED:
            break
    most = [rule for rule, _ in affixes.most_common(1)]
    return list(dict.fromkeys([*most, *(rule for rule, _ in votes.most_common(4))]))


def _of_affixes(images: Sequence[str], masks: Sequence[str]) -> Iterator[tuple[Rule, int]]:
    """Yield what all names of images share at both ends, and all of masks, if what is between is mostly the same.

    >>> list(_of_affixes(["Foto 1 (Nord)", "Foto 12 (Nord)"], ["Maske-Nord-01", "Maske-Nord-12"]))
    [(Rule(image=('Foto ', ' (Nord)'), mask=('Maske-Nord-', '')), 2)]
    """
    ends = [_shared_ends(names) for names in (images, masks)]
    between = [
        {unpadded(name[len(before) : len(name) - len(after)]) for name in names}
        for names, (before, after) in zip((images, masks), ends, strict=True)
    ]
    same = between[0] & between[1] - {""}
    if 2 * len(same) > min(map(len, between)) and len(same) > 1:
        yield Rule(*ends), len(same)


def _shared_ends(names: Sequence[str]) -> tuple[str, str]:
    """Return what all names begin and end with, without digits of a number that varies, or a part of a split's name.

    >>> _shared_ends(["img12_left", "img13_left"]), _shared_ends(["set_train_x", "set_test_x"])
    (('img', '_left'), ('set_', '_x'))
    """
    before = re.sub(r"\d+$", "", shared_start(names))
    word = re.search(r"[A-Za-z]*$", before)
    if word is not None and any(split_of(re.split(r"[^A-Za-z]", name[word.start() :])[0]) for name in names):
        before = before[: word.start()]
    after = shared_start([name[len(before) :][::-1] for name in names])[::-1]
    return before, re.sub(r"^\d+", "", after)


def shared_start(names: Sequence[str]) -> str:
    """Return what all names begin with."""
    first, last = min(names), max(names)
    return first[: next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def pattern(folder: tuple[str, ...], affixes: tuple[str, str], extension: str) -> str:
    """Return a pattern as ``data.images`` takes it.

    >>> pattern(("*", "rgb"), ("", "_img"), ".png")
    '*/rgb/*_img.png'
    """
    before, after = (re.sub(r"([*?\[])", r"[\1]", affix) for affix in affixes)
    return str(PurePosixPath(*folder, f"{before}*{after}{extension}"))


def _merged(folders: set[tuple[str, ...]], ends: bool = False) -> tuple[str, ...]:
    """Return the pattern of several folders; with ``ends``, what names begin and end with stays."""
    return tuple(
        parts[0] if len(set(parts)) == 1 else "*".join(_shared_ends(parts)) if ends and "*" not in parts else "*"
        for parts in zip(*folders, strict=True)
    )
