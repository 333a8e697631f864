"""Encoder, neck, decoder and head as one model, created from names."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import isclose, lcm
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from segup.calls import annotated
from segup.conform import Count
from segup.decoders import Decoder, LadderStep, create_decoder
from segup.decoders.contract import topology_class
from segup.decoders.steps import Encoded
from segup.decoders.verdict import Verdict, check_decoder, prove_decoder
from segup.encoders import Encoder, create_encoder, encoders
from segup.encoders.features import OVERLAP
from segup.errors import ConfigError, ShapeError, unknown
from segup.names import topology_options
from segup.necks import Neck, create_neck, necks
from segup.optimized import Optimized
from segup.symbols import is_exporting
from segup.upsamplers.contract import Size, refuse_guides
from segup.upsamplers.fitting import fit_to
from segup.upsamplers.guide import GUIDES
from segup.windows import predict_windows

_LEAST = 1e-7
"""Of a probability, so that its logarithm is a number."""


class SegmentationModel(nn.Module):
    """A model from an image to logits of exactly the image's size.

    Args:
        encoder: Image to maps.
        decoder: Pyramid to map.
        num_classes: Channels of the logits; 1 is binary, one sigmoid channel.
        spec: The arguments of :func:`create_model` that build it again.
        neck: The encoder's maps to the decoder's pyramid; None hands them on.

    Shape: ``(N, in_channels, H, W)``, values in 0 … 1 → ``(N, num_classes, H, W)``, for any H and W ≥ 1.

    :func:`segup.export.export_model` writes it as one file for any H and W. torch.export takes it with dynamic H and W,
    too. The smallest size must then give every map two rows (64 is enough at reduction 32), because torch.export turns
    a size of 1 into a constant. The program refuses other sizes. The code of some encoders fixes the size, for example
    timm's edgenext and tiny_vit.
    """

    @annotated
    def __init__(
        self, encoder: Encoder, decoder: Decoder, num_classes: int, spec: Mapping[str, Any], neck: Neck | None = None
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.neck = neck or create_neck("none", encoder.channels, encoder.strides)
        self._requires = decoder.requires | self.neck.requires
        scored = decoder.gives_scores
        self.head = nn.Identity() if scored else decoder.classifier(decoder.out_channels, num_classes)
        self.num_classes, self.spec = num_classes, dict(spec)
        self._built = _parts(self)

    @property
    def in_channels(self) -> int:
        """Channels of the image."""
        return self.encoder.in_channels

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the images that it takes, and of its weights."""
        return self.encoder.mean.dtype

    def optimize(self, *, compile: bool = False) -> Optimized:  # noqa: A002
        """Return a copy for inference: BatchNorm folded into convolutions, channels last, no gradients.

        The logits are the same to 1e-5 of the largest. The copy refuses training; the model itself is not changed.

        Args:
            compile: Compile the copy with torch.compile at its first call, for images of any size.

        >>> model = create_model(encoder="resnet18", num_classes=4, pretrained=False, widths=[8, 8, 8, 8, 8]).eval()
        >>> fast, image = model.optimize(), torch.rand(1, 3, 65, 97)
        >>> torch.allclose(fast(image), model(image), atol=1e-4)
        True
        """
        height, width = self.encoder.accepted_size((1, 1))
        image = torch.full((1, self.in_channels, height, width), 0.5, device=self.device)
        return Optimized(self, image.to(next(self.parameters()).dtype), compile=compile)

    def forward(self, image: Tensor, features: Sequence[Tensor] | None = None) -> Tensor:
        """Return the logits.

        In evaluation, an image that the encoder does not take whole goes through in overlapping windows, see
        :meth:`segup.encoders.Encoder.window`; the logits are then those of the averaged probabilities.

        Args:
            image: The images.
            features: What :func:`segup.encoders.features.features_of` returned for them; the encoder then does not run.

        Raises:
            ShapeError: In training, such an image; and see :meth:`segup.encoders.Encoder.check_image`.
        """
        self.encoder.check_image(image)
        height, width = image.shape[-2:]
        window = None if is_exporting() else self.encoder.window((height, width))
        if window is None:
            return self._whole(image, None if features is None else [one[:, 0] for one in features])
        if self.training:
            self.encoder.check_crop((height, width))
        each = itertools.repeat(None) if features is None else zip(*features, strict=True)
        pairs = zip(image, each, strict=False)
        averaged = [predict_windows(self._of_windows(known), one, window, OVERLAP) for one, known in pairs]
        return logits_of(torch.stack(averaged))

    def _of_windows(self, features: Sequence[Tensor] | None) -> Callable[[Tensor], Tensor]:
        """Return a function from one window after the other, ``(1, C, h, w)``, to its probabilities."""
        known = itertools.repeat(None) if features is None else zip(*(one.split(1) for one in features), strict=True)
        return lambda crop: probabilities_of(self._whole(crop, next(known)))

    def _whole(self, image: Tensor, features: Sequence[Tensor] | None = None) -> Tensor:
        extended = self.encoder.extend(image)
        height, width = image.shape[-2:]
        logits = self.decode(self.encode(extended, features), (extended.shape[-2], extended.shape[-1]))
        return fit_to(logits, (height, width), most=0)

    def decode(self, encoded: Encoded, size: Size) -> Tensor:
        """Return the logits of an image of ``size`` from what :meth:`encode` returned."""
        return self.head(self.decoder(self.neck(encoded), size))

    def encode(self, image: Tensor, features: Sequence[Tensor] | None = None) -> Encoded:
        """Return the maps of an image of an accepted size, and the guides that neck and decoder require.

        Args:
            image: The images.
            features: Their maps and indices, where these are known.
        """
        beside: dict[str, Any] = {"image": self.encoder.normalise(image)} if "image" in self._requires else {}
        if features is not None:
            count, kind = len(self.encoder.channels), self.encoder.mean.dtype
            maps, indices = [one.to(kind) for one in features[:count]], [one.long() for one in features[count:]]
        elif "indices" not in self._requires:
            return Encoded(self.encoder(image), beside)
        else:
            maps, indices = self.encoder.with_indices(image)
        return Encoded(maps, {**beside, "indices": indices} if "indices" in self._requires else beside)

    def ladder(self, size: int) -> list[LadderStep]:
        """Return the sizes of neck and decoder step by step, on one axis, for an image of ``size``, extended."""
        accepted = self.encoder.accepted_size((size, size))[0]
        maps = self.encoder.map_sizes(accepted)
        return [*self.neck.ladder(maps), *self.decoder.ladder(self.neck.map_sizes(maps), accepted)]

    def check_as_built(self) -> None:
        """Raise a ConfigError if the names in :attr:`spec` build a model with other layers than this one has."""
        built, now = self._built, _parts(self)
        changed = [name for name in {**built, **now} if not _alike(built.get(name), now.get(name))]
        if changed:
            raise ConfigError(
                f"this model was changed after it was built ({len(changed)} weights and layers, '{changed[0]}' among "
                f"them). "
                f"A checkpoint holds only the names that build a model, and these build the original.\n"
                f"  try: save the original, and repeat the change (rewrite, swap_upsamplers, ...) after load_model; or "
                f"torch.save(model.state_dict(), path)."
            )

    def verdict(self) -> Verdict:
        """Return for which image sizes the logits have the image's size, and what the steps correct."""
        pyramid, neck = self.encoder.pyramid, self.neck
        accepted, of_encoder = pyramid.accepted, self.encoder.map_sizes

        def maps(size: int) -> Sequence[int]:
            return neck.map_sizes(of_encoder(size))

        def before(size: int) -> list[LadderStep]:
            return neck.ladder(of_encoder(size))

        own = type(neck).__module__.startswith("segup.")
        if pyramid.functions is None or not pyramid.proved or accepted.most is not None or not own:
            return check_decoder(self.decoder, maps, filter(accepted.__contains__, pyramid.sizes), accepted, before)
        pairs = zip(neck.sources, neck.laws, strict=True)
        functions = [pyramid.functions[place].through(law) for place, law in pairs]
        period = lcm(*(one.period for one in functions))
        growth = [one.growth * (period // one.period) for one in functions]
        return prove_decoder(self.decoder, maps, period, growth, accepted, before)


def _parts(model: SegmentationModel) -> dict[str, object]:
    """Return by name the shapes of a model's weights, the kind and the options of its layers, and its mean and std."""
    weights = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    # The class of a graph is made anew for each copy.
    layers = {name: layer for name, layer in model.named_modules() if not isinstance(layer, GraphModule)}
    # Training on several GPUs exchanges the kind of the norms; what they compute stays.
    kinds = {name: type(layer).__name__.replace("SyncBatchNorm", "BatchNorm2d") for name, layer in layers.items()}
    scales = {"encoder.mean": model.encoder.mean, "encoder.std": model.encoder.std}  # no weights
    numbers = {name: one.flatten().tolist() for name, one in scales.items() if not one.is_meta}
    return {**weights, **{name: (kinds[name], layer.extra_repr()) for name, layer in layers.items()}, **numbers}


def _alike(one: object, other: object) -> bool:
    """Return whether two parts are the same; numbers are, rounded to half precision."""
    if isinstance(one, list) and isinstance(other, list):
        return all(isclose(a, b, rel_tol=0.01) for a, b in zip(one, other, strict=True))
    return one == other


@annotated
def create_model(
    encoder: str = "efficientnet_lite0",
    topology: str = "unet",
    upsampler: str | None = None,
    *,
    num_classes: Count,
    in_channels: Count = 3,
    pretrained: bool = True,
    encoder_options: Mapping[str, Any] | None = None,
    neck: str = "auto",
    neck_options: Mapping[str, Any] | None = None,
    **decoder_options: Any,
) -> SegmentationModel:
    """Build a model from names.

    Args:
        encoder: See :func:`segup.encoders.create_encoder`.
        topology: See :func:`segup.decoders.create_decoder`.
        upsampler: See :func:`segup.upsamplers.create_upsampler`. None is ``"deconv"``; with a preset, the published
            operator.
        num_classes: Channels of the logits; 1 is binary, one sigmoid channel.
        in_channels: Channels of the image.
        pretrained: Start the encoder from its library's weights.
        neck: See :func:`segup.necks.create_neck`; ``"auto"`` is ``"none"`` where the encoder gives a pyramid, or the
            topology takes the last map alone, and ``"simple_fpn"`` where maps are of one stride.
        encoder_options, neck_options, **decoder_options: Options of encoder, neck and topology. ``widths``, ``final``,
            ``fit``, ``convs``, ``head`` and ``upsampler_options`` mean the same in every topology.
            ``preset="published"`` is the topology as published, see :class:`segup.decoders.Decoder`.

    Raises:
        ConfigError: A name or an option is unknown, or parts do not fit: the topology has no skips and the operator
            requires one, or the operator undoes poolings and the encoder gives no indices.
        ShapeError: Encoder and decoder do not fit at some size.

    >>> model = create_model(encoder="resnet18", upsampler="pixel_shuffle", num_classes=19, pretrained=False)
    >>> model(torch.zeros(2, 3, 65, 97)).shape
    torch.Size([2, 19, 65, 97])
    """
    spec = {
        "encoder": encoder,
        "topology": topology,
        "upsampler": upsampler or (None if decoder_options.get("preset") else "deconv"),
        "num_classes": num_classes,
        "in_channels": in_channels,
        "encoder_options": dict(encoder_options or {}),
        "neck": neck,
        **({"neck_options": dict(neck_options)} if neck_options else {}),
        **decoder_options,
    }
    encoders.check_given(encoder_options or {}, "encoder.options")
    body = create_encoder(encoder, in_channels, pretrained=pretrained, **(encoder_options or {}))
    return join_parts(body, spec)


def join_parts(body: Encoder, spec: Mapping[str, Any]) -> SegmentationModel:
    """Return the model that ``spec`` names, around its encoder."""
    options = topology_options(spec)
    encoder, topology = spec["encoder"], spec["topology"]
    last_alone = "skip" in topology_class(topology).lacks
    if last_alone and body.pyramid.one_stride and spec.get("neck") == "auto" and not spec.get("neck_options"):
        spec = {**spec, "neck": "none"}
    neck = _neck_for(body, spec)
    spec = {**spec, "neck": neck.name} if spec.get("neck") in (None, "auto") else spec
    if neck.name == "none" and body.pyramid.one_stride:
        if not last_alone and options.get("depths") != 1:
            raise ConfigError(
                f"encoder '{encoder}' gives {len(body.channels)} maps of stride {body.strides[0]}, no pyramid, and "
                f"topology '{topology}' takes a skip at each step.\n"
                f"  try: neck=simple_fpn; or decoder.topology=duc or plain, or decoder.topology=fcn decoder.depths=1, "
                f"which take the last map alone."
            )
        body.keep([-1])
        neck = _neck_for(body, spec)
    body.take_whole_cells(neck.cell)
    decoder = _decoder_for(neck, spec, options)
    provided = body.provides if neck.cell == 1 else body.provides - {"indices"}
    missing = (decoder.requires | neck.requires) - provided
    if missing - GUIDES.keys():
        raise ConfigError(unknown("guide of a model", min(missing - GUIDES.keys()), GUIDES))
    behind = "" if missing - body.provides else f" behind neck '{neck.name}'"
    why = f"and encoder '{encoder}' gives none{behind}"
    way_out = "encoder=segnet, or an operator that requires nothing: "
    refuse_guides(missing, f"upsampler '{decoder.upsampler}'", why, way_out)
    unfit, changes = _unfit(decoder, neck, body), _changes(body)
    while unfit is not None and (change := next(changes, None)) is not None:
        change()
        neck = _neck_for(body, spec)
        decoder = _decoder_for(neck, spec, options)
        unfit = _unfit(decoder, neck, body)
    if unfit is not None:
        size, maps, cause = unfit
        hint = "Its maps have more rows than any operator cuts: choose another encoder."
        if options.get("fit") == "strict":
            hint = "The step to the image has to be exact, too: decoder.final=deconv_matched."
            if set(neck.roundings) == {"up"}:
                hint += (
                    "\n  Resizes on the encoder's own grid are exact here, too: decoder=bilinear "
                    "decoder.upsampler_options.align_corners=true +decoder.final_options.align_corners=true."
                )
        raise ShapeError(
            f"encoder '{encoder}' and topology '{topology}' do not fit at image size {size}, where the maps have "
            f"{', '.join(map(str, maps))}: {cause}\n  {hint}"
        ) from cause
    return SegmentationModel(body, decoder, spec["num_classes"], spec, neck)


def _neck_for(body: Encoder, spec: Mapping[str, Any]) -> Neck:
    """Return the neck that ``spec`` names; a checkpoint of before names none."""
    options, roundings = spec.get("neck_options") or {}, list(body.pyramid.roundings)
    necks.check_given(options, "neck")
    return create_neck(spec.get("neck", "none"), body.channels, body.strides, roundings, spec["in_channels"], **options)


def _decoder_for(neck: Neck, spec: Mapping[str, Any], options: Mapping[str, Any]) -> Decoder:
    derived: dict[str, Any] = {"roundings": list(neck.roundings), "image_channels": spec["in_channels"]}
    kind = topology_class(spec["topology"])
    if kind.scored(kind.filled(options)):
        derived["num_classes"] = spec["num_classes"]
    chosen = {"upsampler": spec["upsampler"], **derived, **options}
    return create_decoder(spec["topology"], neck.channels, neck.strides, **chosen)


def _changes(body: Encoder) -> Iterator[Callable[[], None]]:
    """Yield what may bring an encoder's maps within reach of a decoder's steps: the next where the one before did not.

    Rows that are lost are put back. Rows that are too many come from a body that fills up its cells (MobileViT v2 pads
    each map to whole patches): with whole cells, of one last map's row or of two, there are none.
    """
    if body.pyramid.with_rows_put_back().sizes != body.pyramid.sizes:
        yield body.put_rows_back
    for cell in (int(body.strides[-1]), 2 * int(body.strides[-1])) if body.pyramid.fills_up else ():
        if body.pyramid.accepted.whole_cells(cell):
            yield partial(body.take_whole_cells, cell)


def _unfit(decoder: Decoder, neck: Neck, body: Encoder) -> tuple[int, tuple[int, ...], ShapeError] | None:
    """Return the first image size at which a step cannot reach its map, with the maps and the reason."""
    for size, maps in body.pyramid.sizes.items():
        if size not in body.pyramid.accepted:
            continue
        try:
            neck.ladder(maps)
            decoder.ladder(neck.map_sizes(maps), size)
        except ShapeError as cause:
            return size, maps, cause
    return None


def probabilities_of(logits: Tensor) -> Tensor:
    """Return softmax's probabilities, or the sigmoid's for one channel."""
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)


def logits_of(probabilities: Tensor) -> Tensor:
    """Return logits of which :func:`probabilities_of` makes these probabilities again.

    >>> probabilities = torch.tensor([0.25, 0.75]).reshape(1, 2, 1, 1)
    >>> torch.allclose(probabilities_of(logits_of(probabilities)), probabilities)
    True
    """
    if probabilities.shape[1] == 1:
        return probabilities.logit(eps=_LEAST)
    return probabilities.clamp(min=_LEAST).log()


def predicted_labels(logits: Tensor) -> Tensor:
    """Return class ids ``(N, H, W)`` from logits ``(N, num_classes, H, W)``; one channel is a sigmoid's.

    >>> predicted_labels(torch.tensor([[[[-1.0, 2.0]]]])).tolist()
    [[[0, 1]]]
    """
    # torch's argmax takes up to 40 times as long on a CPU, where channels are first.
    return (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.max(dim=1).indices
