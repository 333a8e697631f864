"""Random layers of every kind that the live page computes: what the page is asked, and torch's answer."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

KINDS = ("conv", "deconv", "pool", "resize", "pixel_shuffle", "pixel_unshuffle", "carafe")
MODES = ("nearest", "nearest-exact", "bilinear", "bicubic", "area")


def both(pair, sign=""):
    return f"{sign}{pair[0]}" if pair[0] == pair[1] else f"{sign}{pair[0]}x{pair[1]}"


def question(rng, kind):
    """A random layer of a kind: what the page is asked, and a function of torch that answers, or raises."""

    def draw(low, high):
        return (rng.randint(low, high), rng.randint(low, high))

    size, kernel, stride, dilation = draw(1, 7), draw(1, 4), draw(1, 3), draw(1, 3)

    def values(*shape):
        return torch.tensor(np.array([rng.randint(-40, 40) / 8 for _ in range(int(np.prod(shape)))]).reshape(shape))

    groups, inputs, outputs = rng.choice([(1, 1, 1), (1, 2, 1), (2, 1, 1), (2, 2, 1), (1, 1, 3)])
    bias = values(groups * outputs) if rng.random() < 0.3 else None
    if kind == "conv":
        x, weight = values(groups * inputs, *size), values(groups * outputs, inputs, *kernel)
        mode = rng.choice(["zeros", "zeros", "reflect", "replicate", "circular"])
        text = f"conv k{kernel[0]}x{kernel[1]} d{both(dilation)} g{groups} {mode}"
        if rng.random() < 0.2:  # the stride that "same" refuses is drawn now and then
            stride = (1, 1) if rng.random() < 0.7 else stride

            def module():
                return nn.Conv2d(
                    groups * inputs, groups * outputs, kernel, stride, "same", dilation, groups, padding_mode=mode
                )

            def answer():
                made = module().double()
                made.weight.data, made.bias.data = (
                    weight,
                    torch.zeros(groups * outputs).double() if bias is None else bias,
                )
                return made(x[None])[0]

            return {"layer": f"{text} s{both(stride)} psame", "input": x, "weight": weight, "bias": bias}, answer
        (top, left), (bottom, right) = draw(0, 3), draw(0, 3)
        if rng.random() < 0.5:
            bottom, right = top, left

        def answer():
            around = (left, right, top, bottom)
            seen = F.pad(x[None], around, mode="constant" if mode == "zeros" else mode)
            return F.conv2d(seen, weight, bias, stride, 0, dilation, groups)[0]

        return {
            "layer": f"{text} s{both(stride)} p{top}:{bottom}x{left}:{right}",
            "input": x,
            "weight": weight,
            "bias": bias,
        }, answer
    if kind == "deconv":
        x, weight = values(groups * inputs, *size), values(groups * inputs, outputs, *kernel)
        padding, more = draw(0, 3), draw(0, 2)
        text = f"deconv k{both(kernel)} s{both(stride)} p{both(padding)} d{both(dilation)} g{groups}"
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(size, stride, padding, dilation, kernel, strict=True)
        ]
        how = rng.random()
        if how < 0.25:  # an output_size, within reach or just beyond
            wanted = [
                max(1, low + rng.randint(-1 if rng.random() < 0.2 else 0, s - 1))
                for low, s in zip(least, stride, strict=True)
            ]

            def answer():
                made = nn.ConvTranspose2d(
                    groups * inputs, groups * outputs, kernel, stride, padding, 0, groups, dilation=dilation
                ).double()
                made.weight.data, made.bias.data = (
                    weight,
                    torch.zeros(groups * outputs).double() if bias is None else bias,
                )
                return made(x[None], output_size=wanted)[0]

            return {"layer": f"{text} to {wanted[0]}x{wanted[1]}", "input": x, "weight": weight, "bias": bias}, answer
        if how < 0.4:  # padding that differs side by side is a cut of the whole
            sides = [(rng.randint(0, 3), rng.randint(0, 3)) for _ in range(2)]

            def answer():
                whole = F.conv_transpose2d(x[None], weight, bias, stride, 0, 0, groups, dilation)[0]
                (top, bottom), (left, right) = sides
                kept = whole[:, top : whole.shape[1] - bottom, left : whole.shape[2] - right]
                if top + bottom >= whole.shape[1] or left + right >= whole.shape[2]:
                    raise ValueError("nothing is left")
                return kept

            text = text.replace(f" p{both(padding)}", " p" + "x".join(f"{a}:{b}" for a, b in sides))
            return {"layer": text, "input": x, "weight": weight, "bias": bias}, answer

        def answer():
            if min(low + o for low, o in zip(least, more, strict=True)) < 1:
                raise ValueError("torch's kernels do not agree on an output of 0")
            return F.conv_transpose2d(x[None], weight, bias, stride, padding, more, groups, dilation)[0]

        return {"layer": f"{text} op{both(more)}", "input": x, "weight": weight, "bias": bias}, answer
    x = values(rng.randint(1, 2), *size)
    if kind == "pool":
        padding, ceil = draw(0, 2), rng.random() < 0.5
        if rng.random() < 0.7:
            padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
        text = f"pool k{both(kernel)} s{both(stride)} p{both(padding)}{' ceil' if ceil else ''}"
        if rng.random() < 0.5:

            def answer():
                return F.max_pool2d(x[None], kernel, stride, padding, dilation, ceil)[0]

            return {"layer": f"{text} d{both(dilation)}", "input": x}, answer
        counted, divisor = rng.random() < 0.5, rng.choice([None, None, 3])
        text += f" avg{'' if counted else ' nopad'}{f' div{divisor}' if divisor else ''}"
        return {"layer": text, "input": x}, lambda: F.avg_pool2d(
            x[None], kernel, stride, padding, ceil, counted, divisor
        )[0]
    if kind == "resize":
        mode = rng.choice(MODES)
        corners = rng.random() < 0.4 if mode in ("bilinear", "bicubic") else None
        text = f"{mode}{' align_corners' if corners else ''}"
        if rng.random() < 0.4:
            made = draw(1, 12)
            return {"layer": f"resize to {made[0]}x{made[1]} {text}", "input": x}, lambda: F.interpolate(
                x[None], made, mode=mode, align_corners=corners
            )[0]
        words = rng.choice(
            [("2", "2"), ("3", "1"), ("3/2", "3/2"), ("1.5", "2.5"), ("0.5", "0.75"), ("1/2", "2"), ("1.2", "4")]
        )
        factors = [eval(word) for word in words]
        return {"layer": f"resize x{'x'.join(words)} {text}", "input": x}, lambda: F.interpolate(
            x[None], scale_factor=tuple(map(float, factors)), mode=mode, align_corners=corners
        )[0]
    factor = rng.randint(1, 3)
    if kind == "carafe":
        k, scale, groups = rng.choice([1, 3, 5]), rng.randint(1, 3), rng.randint(1, 2)
        x = values(2, *size)
        logits = values(groups * k * k, size[0] * scale, size[1] * scale)

        def answer():
            near = F.unfold(x[None], k, padding=k // 2).unflatten(2, x.shape[1:])
            near = F.interpolate(near, scale_factor=scale, mode="nearest").unflatten(1, (groups, -1, k * k))
            kernels = logits.unflatten(0, (groups, k * k)).softmax(1)[None, :, None]
            return (near * kernels).sum(3).flatten(1, 2)[0]

        return {"layer": f"carafe x{scale} k{k} g{groups}", "input": x, "weight": logits}, answer
    if kind == "pixel_shuffle":
        x = values(factor**2 * rng.randint(1, 2) + (rng.random() < 0.1), *size)
        return {"layer": f"pixel_shuffle x{factor}", "input": x}, lambda: F.pixel_shuffle(x[None], factor)[0]
    if rng.random() < 0.7:
        x = values(1, size[0] * factor, size[1] * factor)
    return {"layer": f"pixel_unshuffle x{factor}", "input": x}, lambda: F.pixel_unshuffle(x[None], factor)[0]
