/* The layer of the page as code for PyTorch, Keras 3 and Flax, with the numbers of the page: what runs gives its output. */
const Code = (() => {
  "use strict";
  const A = Arithmetic;
  const LANGUAGES = ["PyTorch", "Keras 3", "Flax"];
  const MOST = 4096;

  const pair = (value) => (value[0] === value[1] ? `${value[0]}` : `(${value.join(", ")})`);
  const bool = (value) => (value ? "True" : "False");
  const list = (values) => JSON.stringify(values).replaceAll(",", ", ");
  const padsOf = (op) => [0, 1].map((i) => { const axis = A.axisOf(op.layer, i); return [axis.before, axis.after]; });

  /** Numbers as numpy code. */
  function numbers(values, kind) {
    const shape = A.shapeOf(values);
    const total = shape.reduce((a, b) => a * b, 1);
    if (kind === "ones") return `numpy.ones((${shape.join(", ")}))`;
    if (kind === "arange") return `numpy.arange(1.0, ${total + 1}).reshape(${shape.join(", ")})`;
    if (total <= MOST) return `numpy.array(${list(values)}, dtype=float)`;
    return null;
  }

  function data(op, state, notes) {
    const x = numbers([op.x], state.x) || `numpy.random.rand(1, ${A.shapeOf(op.x).join(", ")})`;
    if (!numbers([op.x], state.x)) notes.push("Your numbers are too many to be written out: the code draws others.");
    const lines = [`x = ${x}  # N, C, height, width, as torch keeps it`];
    if (op.layer.kind === "conv" || op.layer.kind === "deconv") {
      lines.push(`weight = ${numbers(op.weight, state.w) || `numpy.random.rand(${A.shapeOf(op.weight).join(", ")})`}  # as torch keeps it`);
      if (op.bias) lines.push(`bias = numpy.array(${list(op.bias)}, dtype=float)`);
    }
    if (op.layer.kind === "carafe") lines.push(`kernels = numpy.array(${list(op.weight.map((map) => map.map((row) => row.map((v) => Number(v.toFixed(6))))))})  # predicted from the content, as a rule`);
    return lines;
  }

  // PyTorch ------------------------------------------------------------------------------------------------------------

  function pytorch(op, state) {
    const { layer } = op, notes = [], lines = ["import numpy", "import torch", "from torch import nn", "", ...data(op, state, notes)];
    const pads = padsOf(op), bias = `bias=${bool(op.bias)}`;
    const x = "torch.from_numpy(x)";
    const named = [];
    const learn = () => {
      lines.push("layer.weight.data = torch.from_numpy(weight)");
      if (op.bias) lines.push("layer.bias.data = torch.from_numpy(bias)");
    };
    if (layer.kind === "conv") {
      named.push(`${op.channels}, ${op.shape[0]}, kernel_size=${pair(layer.kernel)}`);
      if (pair(layer.stride) !== "1") named.push(`stride=${pair(layer.stride)}`);
      const even = pads.every(([a, b]) => a === b);
      if (layer.padding === "same") named.push('padding="same"');
      else if (even && pads.flat().some(Boolean)) named.push(`padding=${pair(pads.map(([a]) => a))}`);
      if (pair(layer.dilation) !== "1") named.push(`dilation=${pair(layer.dilation)}`);
      if (layer.groups > 1) named.push(`groups=${layer.groups}`);
      if (layer.padding_mode !== "zeros" && (even || layer.padding === "same")) named.push(`padding_mode="${layer.padding_mode}"`);
      lines.push(`layer = nn.Conv2d(${[...named, bias].join(", ")}).double()`);
      learn();
      if (!even && layer.padding !== "same") {
        notes.push("Conv2d has one padding for both sides: pad the sides by themselves.");
        const mode = layer.padding_mode === "zeros" ? "constant" : layer.padding_mode;
        lines.push(`seen = nn.functional.pad(${x}, (${[...pads[1], ...pads[0]].join(", ")}), mode="${mode}")  # left, right, top, bottom`, "y = layer(seen)");
      } else lines.push(`y = layer(${x})`);
    } else if (layer.kind === "deconv") {
      named.push(`${op.channels}, ${op.shape[0]}, kernel_size=${pair(layer.kernel)}`);
      if (pair(layer.stride) !== "1") named.push(`stride=${pair(layer.stride)}`);
      const even = pads.every(([a, b]) => a === b);
      if (even && pads.flat().some(Boolean)) named.push(`padding=${pair(pads.map(([a]) => a))}`);
      if (even && !layer.to && pair(layer.output_padding) !== "0") named.push(`output_padding=${pair(layer.output_padding)}`);
      if (layer.groups > 1) named.push(`groups=${layer.groups}`);
      if (pair(layer.dilation) !== "1") named.push(`dilation=${pair(layer.dilation)}`);
      lines.push(`layer = nn.ConvTranspose2d(${[...named, bias].join(", ")}).double()`);
      learn();
      if (even) lines.push(layer.to ? `y = layer(${x}, output_size=(${layer.to.join(", ")}))` : `y = layer(${x})`);
      else {
        notes.push("ConvTranspose2d cuts both sides alike: cut the sides by themselves.");
        const short = [0, 1].map((i) => Math.max(0, pads[i][0] + op.shape[i + 1] - ((op.size[i] - 1) * layer.stride[i] + A.axisOf(layer, i).e)));
        lines.push(`whole = nn.functional.pad(layer(${x}), (0, ${short[1]}, 0, ${short[0]}))`, `y = whole[:, :, ${pads[0][0]}:${pads[0][0] + op.shape[1]}, ${pads[1][0]}:${pads[1][0] + op.shape[2]}]`);
        if (op.bias && (short[0] || short[1])) notes.push("What output_padding adds beyond the stamps holds the bias in torch, and 0 here.");
      }
    } else if (layer.kind === "pool") {
      named.push(`kernel_size=${pair(layer.kernel)}`, `stride=${pair(layer.stride)}`);
      if (pads.flat().some(Boolean)) named.push(`padding=${pair(pads.map(([a]) => a))}`);
      if (layer.pool === "max" && pair(layer.dilation) !== "1") named.push(`dilation=${pair(layer.dilation)}`);
      if (layer.ceil) named.push("ceil_mode=True");
      if (layer.pool === "avg" && !layer.count_include_pad) named.push("count_include_pad=False");
      if (layer.divisor) named.push(`divisor_override=${layer.divisor}`);
      lines.push(`layer = nn.${layer.pool === "max" ? "Max" : "Avg"}Pool2d(${named.join(", ")})`, `y = layer(${x})`);
    } else if (layer.kind === "resize") {
      const corners = layer.align_corners ? ", align_corners=True" : "";
      const factor = layer.factor && [...new Set(layer.factor.map((f) => (f.den === 1 ? A.factorText(f) : `${f.num} / ${f.den}`)))];
      const parted = factor && [0, 1].some((i) => Math.floor(op.size[i] * A.valueOf(layer.factor[i])) !== op.shape[i + 1]);
      if (parted) notes.push(`torch's scale_factor is a float, and gives another size here: ${factor.join(", ")} is meant exactly.`);
      const how = layer.to || parted ? `size=(${op.shape.slice(1).join(", ")})` : `scale_factor=${factor.length === 1 ? factor[0] : `(${factor.join(", ")})`}`;
      if (layer.mode === "area") lines.push(`y = nn.functional.interpolate(${x}, ${how.replace("size=", "size=")}, mode="area")`);
      else lines.push(`layer = nn.Upsample(${how}, mode="${layer.mode}"${corners})`, `y = layer(${x})`);
    } else if (layer.kind === "carafe") {
      const k = layer.kernel[0], r = layer.factor[0].num;
      lines.push(`near = nn.functional.unfold(${x}, ${k}, padding=${(k - 1) / 2}).unflatten(2, (${op.size.join(", ")}))`,
        `near = nn.functional.interpolate(near, scale_factor=${r}).unflatten(1, (${layer.groups}, ${op.channels / layer.groups}, ${k * k}))`,
        `y = (near * torch.from_numpy(kernels).unflatten(0, (${layer.groups}, 1, ${k * k}))).sum(3).flatten(1, 2)`);
      notes.push("CARAFE predicts its kernels; these are the ones of the page.");
    } else {
      lines.push(`layer = nn.${layer.kind === "pixel_shuffle" ? "PixelShuffle" : "PixelUnshuffle"}(${layer.factor[0].num})`, `y = layer(${x})`);
    }
    return { code: lines.join("\n"), notes };
  }

  // What Keras and Flax share: channels last, padding by themselves ----------------------------------------------------

  /** A kernel for layers without groups or with a stride and a dilation: zeros in the places between. */
  function spread(op, notes, framework, { groups, dilation }) {
    const { layer } = op, lines = [];
    if (groups && layer.groups > 1) {
      notes.push(`${framework} has no groups here: a full kernel with zeros between the groups gives the same numbers, with more weights.`);
      const [inputs, outputs] = [op.channels / layer.groups, op.shape[0] / layer.groups];
      lines.push(`full = numpy.zeros((${op.channels}, ${op.shape[0]}, ${layer.kernel.join(", ")}))`,
        `for g in range(${layer.groups}):`,
        `    full[g * ${inputs} : (g + 1) * ${inputs}, g * ${outputs} : (g + 1) * ${outputs}] = weight[g * ${inputs} : (g + 1) * ${inputs}]`, "weight = full");
    }
    if (dilation && pair(layer.dilation) !== "1") {
      notes.push(`${framework} takes no stride and dilation together: the kernel with zeros between its taps gives the same numbers.`);
      const [e, f] = [0, 1].map((i) => A.axisOf(layer, i).e);
      lines.push(`spread = numpy.zeros((*weight.shape[:2], ${e}, ${f}))`, `spread[:, :, ::${layer.dilation[0]}, ::${layer.dilation[1]}] = weight`, "weight = spread");
    }
    return lines;
  }

  /** Rows and columns by index, for padding with what is there. */
  function padded(op, lines, take, pad) {
    const { layer } = op, pads = padsOf(op);
    if (!pads.flat().some(Boolean)) return;
    if ((layer.padding_mode || "zeros") !== "zeros")
      [0, 1].forEach((i) => {
        const n = op.size[i];
        const places = Array.from({ length: n + pads[i][0] + pads[i][1] }, (_, at) => A.sourceAt(at - pads[i][0], n, layer.padding_mode));
        lines.push(take(list(places), i + 1));
      });
    else lines.push(pad(`((0, 0), (${pads[0].join(", ")}), (${pads[1].join(", ")}), (0, 0))`, "0"));
  }

  /** The sums of a pool's windows turned into means by torch's divisors. */
  function divisors(op) {
    const [, H, W] = op.shape;
    return Array.from({ length: H }, (_, r) => Array.from({ length: W }, (_, c) => A.divisorAt(op, r, c)));
  }
  const poolPads = (op) => padsOf(op).map(([before, after], i) => {
    const axis = A.axisOf(op.layer, i);
    return [before, Math.max(after, (op.shape[i + 1] - 1) * axis.s + axis.e - op.size[i] - before)];
  });

  /** The weights of a resize on one axis, a row for each output. */
  function matrix(op, i) {
    return op.reads[i].map((pairs) => {
      const row = Array(op.size[i]).fill(0);
      for (const [at, weight] of pairs) row[at] = Number(weight.toFixed(12));
      return row;
    });
  }

  function keras(op, state) {
    const { layer } = op, notes = [], lines = ["import keras", "import numpy", "from keras import layers, ops", "", ...data(op, state, notes)];
    const [, H, W] = op.shape;
    lines.push("x = ops.convert_to_tensor(x.transpose(0, 2, 3, 1).astype(\"float32\"))  # channels last");
    const bias = `use_bias=${bool(op.bias)}`;
    const weights = (axes) => lines.push("layer.build(x.shape)", `layer.set_weights([weight.transpose(${axes})${op.bias ? ", bias" : ""}])`);
    if (layer.kind === "conv") {
      if (layer.padding !== "same") notes.push("Keras's \"valid\" with a padding of its own is torch's padding; Keras's \"same\" with a stride pads otherwise.");
      const both = pair(layer.stride) !== "1" && pair(layer.dilation) !== "1";
      lines.push(...spread(op, notes, "Keras", { groups: false, dilation: both }));
      padded(op, lines, (places, axis) => `x = ops.take(x, numpy.array(${places}), axis=${axis})  # padding_mode ${layer.padding_mode}`, (pads) => `x = ops.pad(x, ${pads})`);
      const kernel = both ? [0, 1].map((i) => A.axisOf(layer, i).e) : layer.kernel;
      const named = [`${op.shape[0]}, ${pair(kernel)}`];
      if (pair(layer.stride) !== "1") named.push(`strides=${pair(layer.stride)}`);
      if (pair(layer.dilation) !== "1" && !both) named.push(`dilation_rate=${pair(layer.dilation)}`);
      if (layer.groups > 1) named.push(`groups=${layer.groups}`);
      if (layer.stride[0] !== layer.stride[1]) notes.push("Keras on TensorFlow takes one stride for both axes; on torch and JAX it takes two.");
      lines.push(`layer = layers.Conv2D(${named.join(", ")}, padding="valid", ${bias})`);
      weights("2, 3, 1, 0");
      lines.push("y = layer(x)");
    } else if (layer.kind === "deconv") {
      notes.push("Keras's padding=\"same\" and output_padding are not torch's: take all with \"valid\" and cut the sides.");
      lines.push(...spread(op, notes, "Keras", { groups: true, dilation: true }));
      const extent = [0, 1].map((i) => A.axisOf(layer, i).e);
      // Keras gives n·stride at least; a kernel that is filled up to the stride says the same in every framework.
      const kernel = extent.map((e, i) => Math.max(e, layer.stride[i]));
      if (kernel.join() !== extent.join()) {
        notes.push("The kernel is smaller than the stride: zeros fill it up, so that every backend gives the same size.");
        lines.push(`weight = numpy.pad(weight, ((0, 0), (0, 0), (0, ${kernel[0] - extent[0]}), (0, ${kernel[1] - extent[1]})))`);
      }
      lines.push(`layer = layers.Conv2DTranspose(${op.shape[0]}, ${pair(kernel)}, strides=${pair(layer.stride)}, padding="valid", use_bias=False)`,
        "layer.build(x.shape)", "layer.set_weights([weight.transpose(2, 3, 1, 0)])", "y = layer(x)");
      cut(op, lines, kernel, (pads) => `y = ops.pad(y, ${pads})`);
      if (op.bias) lines.push("y = y + ops.convert_to_tensor(bias.astype(\"float32\"))");
    } else if (layer.kind === "pool") {
      const pads = poolPads(op), window = `${pair(layer.kernel)}, strides=${pair(layer.stride)}`;
      const text = `((0, 0), (${pads[0].join(", ")}), (${pads[1].join(", ")}), (0, 0))`;
      if (layer.pool === "max") {
        if (pads.flat().some(Boolean)) lines.push(`x = ops.pad(x, ${text}, constant_values=-numpy.inf)`);
        if (pair(layer.dilation) === "1") lines.push(`layer = layers.MaxPooling2D(${window}, padding="valid")`, "y = layer(x)");
        else {
          notes.push("Keras's pooling has no dilation: the largest of the shifted maps is taken.");
          lines.push(...shifted(op, "ops.max(ops.stack(taps), axis=0)"));
        }
      } else {
        const plain = !pads.flat().some(Boolean) && !layer.divisor;
        if (!plain) { lines.push(`x = ops.pad(x, ${text})`); notes.push("Keras's average counts otherwise at the border: the sums are divided by torch's divisors."); }
        lines.push(`layer = layers.AveragePooling2D(${window}, padding="valid")`, "y = layer(x)");
        if (!plain) lines.push(`y = y * ${layer.kernel[0] * layer.kernel[1]} / numpy.array(${list(divisors(op))}, dtype="float32")[None, :, :, None]`);
      }
    } else if (layer.kind === "resize") {
      const whole = layer.factor && layer.factor.every((f) => f.den === 1 && !f.float);
      if (whole && !layer.align_corners && ["nearest", "bilinear"].includes(layer.mode) && (layer.mode === "nearest" || layer.factor[0].num === layer.factor[1].num))
        lines.push(`layer = layers.UpSampling2D((${layer.factor.map((f) => f.num).join(", ")}), interpolation="${layer.mode}")`, "y = layer(x)");
      else {
        notes.push(`Keras has no layer for '${A.wordsFor(layer)}': these are its weights on each axis, a row for each output.`);
        lines.push(`rows = numpy.array(${list(matrix(op, 0))}, dtype="float32")`, `columns = numpy.array(${list(matrix(op, 1))}, dtype="float32")`, 'y = ops.einsum("rh,nhwc,kw->nrkc", rows, x, columns)');
      }
    } else lines.push(...moved(op, notes, "Keras", "ops"));
    lines.push('y = ops.transpose(y, (0, 3, 1, 2))  # N, C, height, width again');
    return { code: lines.join("\n"), notes };
  }

  /** Cut torch's padding off a whole transposed convolution, whose size is (n − 1)·stride + kernel. */
  function cut(op, lines, kernel, pad) {
    const pads = padsOf(op);
    const whole = [0, 1].map((i) => (op.size[i] - 1) * op.layer.stride[i] + kernel[i]);
    const more = [0, 1].map((i) => Math.max(0, pads[i][0] + op.shape[i + 1] - whole[i]));
    if (more.some(Boolean)) lines.push(pad(`((0, 0), (0, ${more[0]}), (0, ${more[1]}), (0, 0))`));
    if (pads[0][0] || pads[1][0] || whole[0] + more[0] !== op.shape[1] || whole[1] + more[1] !== op.shape[2])
      lines.push(`y = y[:, ${pads[0][0]}:${pads[0][0] + op.shape[1]}, ${pads[1][0]}:${pads[1][0] + op.shape[2]}]  # the padding is cut`);
  }

  function shifted(op, join) {
    const { layer } = op, [, H, W] = op.shape, [s, t] = layer.stride, [d, f] = layer.dilation;
    return ["taps = [", `    x[:, ${d} * i : ${d} * i + ${s * (H - 1) + 1} : ${s}, ${f} * j : ${f} * j + ${t * (W - 1) + 1} : ${t}]`,
      `    for i in range(${layer.kernel[0]})`, `    for j in range(${layer.kernel[1]})`, "]", `y = ${join}`];
  }

  /** Pixel shuffle, unshuffle and CARAFE's reassembly with reshapes alone. */
  function moved(op, notes, framework, m) {
    const { layer } = op, [C, H, W] = op.shape, [h, w] = op.size, r = layer.factor[0].num;
    if (layer.kind === "carafe") {
      const k = layer.kernel[0], edge = (k - 1) / 2, g = layer.groups;
      notes.push(`${framework} has no CARAFE; its kernels are predicted, and these are the ones of the page.`);
      return [`x = ${m}.pad(x, ((0, 0), (${edge}, ${edge}), (${edge}, ${edge}), (0, 0)))`,
        `near = ${m}.stack([x[:, i : i + ${h}, j : j + ${w}] for i in range(${k}) for j in range(${k})], axis=-1)`,
        `near = ${m}.repeat(${m}.repeat(near, ${r}, axis=1), ${r}, axis=2)`,
        `kernels = numpy.repeat(kernels.reshape(${g}, ${k * k}, ${H}, ${W}), ${C / g}, axis=0).transpose(2, 3, 0, 1).astype("float32")`,
        `y = ${m}.sum(near * kernels, axis=-1)`];
    }
    notes.push(`${framework} has no layer for a pixel ${layer.kind === "pixel_shuffle" ? "shuffle" : "unshuffle"}: values are moved by a reshape, in torch's order of channels.`);
    if (layer.kind === "pixel_shuffle")
      return [`y = ${m}.reshape(x, (-1, ${h}, ${w}, ${C}, ${r}, ${r}))`, `y = ${m}.reshape(${m}.transpose(y, (0, 1, 4, 2, 5, 3)), (-1, ${H}, ${W}, ${C}))`];
    return [`y = ${m}.reshape(x, (-1, ${H}, ${r}, ${W}, ${r}, ${op.channels}))`, `y = ${m}.reshape(${m}.transpose(y, (0, 1, 3, 5, 2, 4)), (-1, ${H}, ${W}, ${C}))`];
  }

  function flax(op, state) {
    const { layer } = op, notes = [], lines = ["import jax", "import jax.numpy as jnp", "import numpy", "from flax import nnx", "", ...data(op, state, notes)];
    lines.push("x = jnp.asarray(x.transpose(0, 2, 3, 1))  # channels last");
    const learn = (kernel) => { lines.push(`layer.kernel.value = jnp.asarray(${kernel})`); if (op.bias) lines.push("layer.bias.value = jnp.asarray(bias)"); lines.push("y = layer(x)"); };
    const two = (value) => `(${value.join(", ")})`;
    if (layer.kind === "conv") {
      const pads = padsOf(op), named = [`${op.channels}, ${op.shape[0]}, ${two(layer.kernel)}`];
      if (pair(layer.stride) !== "1") named.push(`strides=${two(layer.stride)}`);
      if (layer.padding_mode !== "zeros") {
        padded(op, lines, (places, axis) => `x = jnp.take(x, jnp.array(${places}), axis=${axis})  # padding_mode ${layer.padding_mode}`, () => "");
        named.push('padding="VALID"');
      } else named.push(`padding=((${pads[0].join(", ")}), (${pads[1].join(", ")}))`);
      if (pair(layer.dilation) !== "1") named.push(`kernel_dilation=${two(layer.dilation)}`);
      if (layer.groups > 1) named.push(`feature_group_count=${layer.groups}`);
      notes.push("Flax's \"SAME\" with a stride pads otherwise than torch: the padding is given side by side.");
      lines.push(`layer = nnx.Conv(${named.join(", ")}, use_bias=${bool(op.bias)}, rngs=nnx.Rngs(0))`);
      learn("weight.transpose(2, 3, 1, 0)");
    } else if (layer.kind === "deconv") {
      notes.push("Flax does not flip the kernel of a transposed convolution, and its padding is that of the plain convolution, dilation·(kernel − 1) − padding.");
      lines.push(...spread(op, notes, "Flax", { groups: true, dilation: false }));
      const pads = [0, 1].map((i) => { const axis = A.axisOf(layer, i); const before = axis.e - 1 - axis.before;
        return [before, op.shape[i + 1] + axis.e - 1 - before - ((op.size[i] - 1) * axis.s + 1)]; });
      lines.push(`layer = nnx.ConvTranspose(${op.channels}, ${op.shape[0]}, ${two(layer.kernel)}, strides=${two(layer.stride)}, padding=((${pads[0].join(", ")}), (${pads[1].join(", ")})),`,
        `    ${pair(layer.dilation) !== "1" ? `kernel_dilation=${two(layer.dilation)}, ` : ""}use_bias=${bool(op.bias)}, rngs=nnx.Rngs(0))`);
      learn("weight[:, :, ::-1, ::-1].transpose(2, 3, 0, 1)");
    } else if (layer.kind === "pool") {
      const pads = poolPads(op), around = `((${pads[0].join(", ")}), (${pads[1].join(", ")}))`;
      if (layer.pool === "max" && pair(layer.dilation) === "1") lines.push(`y = nnx.max_pool(x, ${two(layer.kernel)}, strides=${two(layer.stride)}, padding=${around})`);
      else if (layer.pool === "max") {
        notes.push("Flax's pooling has no dilation: JAX's own window has.");
        lines.push("y = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, " + layer.kernel.join(", ") + ", 1), (1, " + layer.stride.join(", ") + ", 1),",
          `    ((0, 0), ${around.slice(1, -1)}, (0, 0)), window_dilation=(1, ${layer.dilation.join(", ")}, 1))`);
      } else {
        lines.push(`y = nnx.avg_pool(x, ${two(layer.kernel)}, strides=${two(layer.stride)}, padding=${around})`);
        if (pads.flat().some(Boolean) || layer.divisor) {
          notes.push("Flax's average counts otherwise at the border: the sums are divided by torch's divisors.");
          lines.push(`y = y * ${layer.kernel[0] * layer.kernel[1]} / jnp.array(${list(divisors(op))})[None, :, :, None]`);
        }
      }
    } else if (layer.kind === "resize") {
      const exact = layer.factor && layer.factor.every((f) => f.den === 1 && !f.float) && !layer.align_corners;
      if (exact && layer.mode === "bilinear") lines.push(`y = jax.image.resize(x, (1, ${op.shape[1]}, ${op.shape[2]}, ${op.channels}), "bilinear")`);
      else {
        notes.push(`JAX's resize is not torch's for '${A.wordsFor(layer)}': these are its weights on each axis, a row for each output.`);
        lines.push(`rows = jnp.array(${list(matrix(op, 0))})`, `columns = jnp.array(${list(matrix(op, 1))})`, 'y = jnp.einsum("rh,nhwc,kw->nrkc", rows, x, columns)');
      }
    } else lines.push(...moved(op, notes, "Flax", "jnp"));
    lines.push("y = y.transpose(0, 3, 1, 2)  # N, C, height, width again");
    return { code: lines.join("\n"), notes };
  }

  const MAKERS = { PyTorch: pytorch, "Keras 3": keras, Flax: flax };
  return { LANGUAGES, of: (language, op, state) => MAKERS[language](op, state) };
})();
if (typeof module !== "undefined") module.exports = Code;
