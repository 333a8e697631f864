"""What decides the samples of a split, as a sum: two splits of one sum have the same samples."""

from hashlib import blake2b
from pathlib import Path

from segup.data.mask_files import mask_pixels
from segup.data.samples import Samples


def identity_of(samples: Samples) -> str:
    """Return a sum of the files' contents, and of how they are read; the transform is not in it.

    >>> from segup.data import Labels, create_dataset
    >>> labels = Labels(("background", "cytoplasm", "nucleus"))
    >>> pairs = create_dataset("cells", labels).pairs("val")
    >>> one, other = Samples(pairs, labels, in_channels=3), Samples(pairs, labels, in_channels=1)
    >>> identity_of(one) == identity_of(Samples(pairs, labels, 3)), identity_of(one) == identity_of(other)
    (True, False)
    """
    total = blake2b(repr((samples.in_channels, samples.image_range, samples.code, samples.labels)).encode())
    for number, pair in enumerate(samples.pairs):
        turn = None if samples.headers is None else samples.headers[number].turn
        total.update(repr((pair.name, pair.image.suffix, turn)).encode())
        total.update(_of_file(pair.image))
        if isinstance(pair.mask, Path):
            total.update(repr(pair.mask.suffix).encode() + _of_file(pair.mask))
        elif pair.mask is not None:
            drawn = mask_pixels(pair.mask).values
            total.update(repr((drawn.shape, drawn.dtype)).encode() + drawn.tobytes())
    return total.hexdigest()


def _of_file(path: Path) -> bytes:
    return blake2b(path.read_bytes()).digest()
