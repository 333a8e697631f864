"""The size calculus: exact integer arithmetic of every layer that changes a size, and proofs about chains of them.

The standard library only. Sizes are ints, or (height, width) pairs; every layer accepts all sizes from its
``min_size`` on, and a size of 10**12 costs what a size of 10 costs.

>>> from segup.shapes import Conv, ConvTranspose, prove_inversion
>>> down, up = Conv(kernel_size=3, stride=2, padding=1), ConvTranspose(kernel_size=3, stride=2, padding=1)
>>> down.out(418), up.out(209), up.output_padding_for(209, 418)
(209, 417, 1)
>>> prove_inversion([down, down], [up, up]).residues, prove_inversion([down, down], [up, up], matched=True).always
({1}, True)
"""

from typing import TYPE_CHECKING

from segup.imports import lazily

if TYPE_CHECKING:
    from segup.errors import ShapeError
    from segup.shapes.chain import Chain
    from segup.shapes.channels import Cost, cost, costs, out_channels_of, out_shape
    from segup.shapes.inversion import inverse
    from segup.shapes.layer import Layer
    from segup.shapes.receptive import ReceptiveField, receptive_field
    from segup.shapes.resize import PixelShuffle, Resize
    from segup.shapes.rungs import Ladder, Rung
    from segup.shapes.search import find_convs, find_transposed, inputs_for, reaching, smallest_padding
    from segup.shapes.text.language import parse
    from segup.shapes.text.proof import Proof, prove_inversion
    from segup.shapes.text.proposals import ladder
    from segup.shapes.text.report import Report
    from segup.shapes.text.verdicts import chain_report
    from segup.shapes.transposed import ConvTranspose
    from segup.shapes.windows import Conv, Pool

__all__ = [
    "Chain",
    "Conv",
    "ConvTranspose",
    "Cost",
    "Ladder",
    "Layer",
    "PixelShuffle",
    "Pool",
    "Proof",
    "ReceptiveField",
    "Report",
    "Resize",
    "Rung",
    "ShapeError",
    "chain_report",
    "cost",
    "costs",
    "find_convs",
    "find_transposed",
    "inputs_for",
    "inverse",
    "ladder",
    "out_channels_of",
    "out_shape",
    "parse",
    "prove_inversion",
    "reaching",
    "receptive_field",
    "smallest_padding",
]

_HOMES = {
    "chain": ("Chain",),
    "channels": ("Cost", "cost", "costs", "out_channels_of", "out_shape"),
    "inversion": ("inverse",),
    "layer": ("Layer", "ShapeError"),
    "receptive": ("ReceptiveField", "receptive_field"),
    "resize": ("PixelShuffle", "Resize"),
    "rungs": ("Ladder", "Rung"),
    "search": ("find_convs", "find_transposed", "inputs_for", "reaching", "smallest_padding"),
    "text.language": ("parse",),
    "text.proof": ("Proof", "prove_inversion"),
    "text.proposals": ("ladder",),
    "text.report": ("Report",),
    "text.verdicts": ("chain_report",),
    "transposed": ("ConvTranspose",),
    "windows": ("Conv", "Pool"),
}

# Importing this costs nothing: a module is loaded when one of its names is first asked for.
__getattr__, __dir__ = lazily(__name__, _HOMES)
