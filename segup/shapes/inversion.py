"""The transposed convolution that undoes a convolution or a pooling."""

from segup.errors import ShapeError
from segup.shapes.chain import Chain, flat
from segup.shapes.transposed import ConvTranspose
from segup.shapes.windows import Conv, Pool, WindowAxis


def inverse(layer: Conv | Pool) -> ConvTranspose:
    """Return the transposed convolution whose reachable sizes contain what ``layer`` was given, at every size.

    ``inverse(down).reachable(down.out(n))`` contains n for every n that ``down`` accepts, and
    ``inverse(down).output_padding_for(down.out(n), n)`` is ``down.residue(n)``, unless ``ceil_mode`` overhangs.
    A convolution, and a pooling that rounds down, keep kernel, stride, padding and dilation (arXiv 1603.07285,
    relationship 14). For ``ceil_mode`` the kernel is the one whose reachable sizes are those that round up to one
    output.

    Raises:
        ShapeError: The layer is neither convolution nor pooling, or its padding="same" is uneven (an even kernel at
            an odd dilation), which no transposed convolution of torch's has.

    >>> inverse(Conv(7, stride=2, padding=3))
    ConvTranspose(kernel_size=7, stride=2, padding=3, output_padding=0, dilation=1, groups=1)
    >>> print(inverse(Pool(2, ceil_mode=True)))
    deconv k1 s2
    """
    if isinstance(layer, Chain | list | tuple):
        raise ShapeError(
            f"inverse takes one Conv or Pool, not {len(flat(layer, 'layers'))} layers.\n"
            f"  try: [inverse(one) for one in reversed(layers)]."
        )
    if not isinstance(layer, Conv | Pool):
        raise ShapeError(
            f"inverse takes a Conv or a Pool, not {layer!r}.\n"
            f"  try: prove_inversion with a way back of your own; a ConvTranspose is itself the inverse of the Conv "
            f"with its kernel_size, stride, padding and dilation."
        )
    parts = [_inverse_axis(axis, str(layer)) for axis in layer.axes]
    kernel_size, stride, padding, dilation = zip(*parts, strict=True)
    groups = layer.groups if isinstance(layer, Conv) else 1
    return ConvTranspose(kernel_size, stride, padding, dilation=dilation, groups=groups)


def _inverse_axis(axis: WindowAxis, name: str) -> tuple[int, int, int, int]:
    """Return kernel_size, stride, padding and dilation of one axis of the inverse."""
    if axis.before != axis.after:
        raise ShapeError(
            f"'{name}' has no inverse among torch's layers: padding=\"same\" with kernel_size {axis.kernel_size} pads "
            f"{axis.before} before and {axis.after} after, and a transposed convolution cuts both ends alike.\n"
            f"  try: an odd kernel_size, or an even dilation."
        )
    if not axis.ceil_mode:
        return axis.kernel_size, axis.stride, axis.before, axis.dilation
    # stride·(o − 1) − 2·padding + kernel = smallest size with output o, solved from the pooling's padding on
    short = axis.stride + axis.law.first(0)
    padding = max(axis.before, -((short - 1) // 2))
    return short + 2 * padding, axis.stride, padding, 1
