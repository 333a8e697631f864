"""What the folders of a split are called."""

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""Of each split; the case of letters does not matter."""

_SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}


def split_of(folder: str) -> str | None:
    """Return the split that a folder's name stands for, or None.

    >>> split_of("Training"), split_of("valid"), split_of("train_images")
    ('train', 'val', None)
    """
    return _SPLIT_OF.get(folder.lower())
