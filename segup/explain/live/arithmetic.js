// @ts-check
/**
 * The arithmetic of layers that change sizes: the layer language, sizes and refusals, values and what goes into them,
 * chains and what holds of them for all sizes. Without dependencies: `Arithmetic` in a page, a module in node.
 *
 * @typedef {[number, number]} Pair  height and width
 * @typedef {{num: number, den: number, float?: boolean}} Factor
 * @typedef {object} Layer
 * @property {"conv"|"deconv"|"pool"|"resize"|"pixel_shuffle"|"pixel_unshuffle"|"carafe"} kind
 * @property {Pair} [kernel]
 * @property {Pair} [stride]
 * @property {"same"|[Pair, Pair]} [padding]  before and after, of the height and of the width
 * @property {Pair} [dilation]
 * @property {Pair} [output_padding]
 * @property {Pair|null} [to]  the size to reach: output_size of a deconv, size of a resize
 * @property {number} [groups]
 * @property {string} [padding_mode]
 * @property {boolean} [ceil]
 * @property {"max"|"avg"} [pool]
 * @property {boolean} [count_include_pad]
 * @property {number|null} [divisor]
 * @property {[Factor, Factor]} [factor]
 * @property {string} [mode]
 * @property {boolean} [align_corners]
 *
 * @typedef {{say: string, layer?: string, input?: Pair}} Way  what works: in words, and what to set
 * @typedef {{source: [number, number, number], value: number, tap: number[]|null, weight: number}} Term
 * @typedef {number[][][]} Image  channels, rows, columns
 */
const Arithmetic = (() => {
  "use strict";

  const MOST_PRODUCTS = 3e7;
  const MOST_SIZE = 10 ** 12;
  const KINDS = ["conv", "pool", "deconv", "resize", "pixel_shuffle", "pixel_unshuffle", "carafe"];
  const MODES = ["nearest", "nearest-exact", "bilinear", "bicubic", "area"];
  const PADDING_MODES = ["zeros", "reflect", "replicate", "circular"];
  const AXES = ["height", "width"];
  const EXTENT = "e = dilation·(kernel_size − 1) + 1";
  const WINDOWS = "⌊(n + 2·padding − e)/stride⌋ + 1";

  /** What a layer or a size refuses: the value, the rule with the numbers in, and ways that work. */
  class Refusal extends Error {
    /** @param {string} message @param {Way[]} [ways] */
    constructor(message, ways = []) {
      super(message);
      this.name = "Refusal";
      this.ways = ways;
    }
    /** The whole text, as segup prints it. */
    get text() {
      const ways = this.ways.map((way) => way.say).join("; or ");
      return ways ? `${this.message}\n  try: ${ways}.` : this.message;
    }
  }

  // The layer language -------------------------------------------------------------------------------------------------

  const LETTERS = { k: "kernel", s: "stride", p: "padding", d: "dilation", op: "output_padding", g: "groups", x: "factor" };
  const NAMES = {
    ...LETTERS, kernel_size: "kernel", kernel: "kernel", stride: "stride", padding: "padding", pad: "padding",
    dilation: "dilation", output_padding: "output_padding", out_padding: "output_padding", groups: "groups",
    scale: "factor", factor: "factor", scale_factor: "factor", upscale_factor: "factor", downscale_factor: "factor",
    mode: "mode", ceil: "ceil", ceil_mode: "ceil", padding_mode: "padding_mode", align_corners: "align_corners",
    count_include_pad: "count_include_pad", divisor_override: "divisor", to: "to", output_size: "to", size: "to",
  };
  const TAKES = {
    conv: ["kernel", "stride", "padding", "dilation", "groups", "padding_mode"],
    deconv: ["kernel", "stride", "padding", "dilation", "output_padding", "groups", "to"],
    pool: ["kernel", "stride", "padding", "dilation", "ceil", "pool", "count_include_pad", "divisor"],
    resize: ["factor", "mode", "align_corners", "to"],
    pixel_shuffle: ["factor"],
    pixel_unshuffle: ["factor"],
    carafe: ["factor", "kernel", "groups"],
  };
  const LETTERS_OF = {
    conv: "k, s, p, d, g", deconv: "k, s, p, d, op, g", pool: "k, s, p, d, ceil", resize: "x", pixel_shuffle: "x",
    pixel_unshuffle: "x", carafe: "x, k, g",
  };
  const CONV = ["kernel", "stride", "padding", "dilation", "groups"];
  const DECONV = ["kernel", "stride", "padding", "output_padding", "dilation", "groups"];
  const POOL = ["kernel", "stride", "padding", "dilation", "ceil"];
  const UPSAMPLE = ["to", "factor", "mode", "align_corners", "recompute_scale_factor"];
  /** @type {Record<string, [string, string[], object]>} by a name without capitals and underscores */
  const CALLS = {
    conv: ["conv", CONV, {}], convolution: ["conv", CONV, {}],
    conv2d: ["conv", ["in_channels", "out_channels", ...CONV, "bias", "padding_mode"], {}],
    convtranspose2d: [
      "deconv", ["in_channels", "out_channels", ...DECONV.slice(0, 4), "groups", "bias", "dilation", "padding_mode"], {},
    ],
    pool: ["pool", POOL, {}], pooling: ["pool", POOL, {}],
    resize: ["resize", ["factor", "mode"], {}],
    upsamplingnearest2d: ["resize", ["to", "factor"], { mode: "nearest" }],
    upsamplingbilinear2d: ["resize", ["to", "factor"], { mode: "bilinear", align_corners: true }],
    nearest: ["resize", ["factor"], { mode: "nearest" }], bilinear: ["resize", ["factor"], { mode: "bilinear" }],
    bicubic: ["resize", ["factor"], { mode: "bicubic" }],
    pixelshuffle: ["pixel_shuffle", ["factor"], {}], depthtospace: ["pixel_shuffle", ["factor"], {}],
    pixelunshuffle: ["pixel_unshuffle", ["factor"], {}], spacetodepth: ["pixel_unshuffle", ["factor"], {}],
    carafe: ["carafe", ["factor", "kernel", "groups"], {}],
  };
  for (const name of ["deconv", "deconvolution", "deconv2d", "convtranspose", "transposedconv",
    "transposedconvolution", "upconv", "tconv"]) CALLS[name] = ["deconv", DECONV, {}];
  for (const name of ["maxpool", "maxpooling", "maxpool2d"])
    CALLS[name] = ["pool", [...POOL.slice(0, 4), "return_indices", "ceil"], { pool: "max" }];
  for (const name of ["avgpool", "averagepool", "avgpooling", "averagepooling", "avgpool2d"])
    CALLS[name] = ["pool", [...POOL.slice(0, 3), "ceil", "count_include_pad", "divisor"], { pool: "avg" }];
  for (const name of ["upsample", "upsampling", "interpolate"]) CALLS[name] = ["resize", UPSAMPLE, { mode: "nearest" }];
  const NO_MATTER = ["in_channels", "out_channels", "bias", "return_indices", "inplace", "device", "dtype"];

  /** One-word parameters. @type {Record<string, [string, any]>} */
  const OPTIONS = {
    max: ["pool", "max"], avg: ["pool", "avg"], same: ["padding", "same"], valid: ["padding", "valid"],
    psame: ["padding", "same"], pvalid: ["padding", "valid"], ceil: ["ceil", true], ceil_mode: ["ceil", true],
    "ceil_mode=true": ["ceil", true], "ceil_mode=false": ["ceil", false], align_corners: ["align_corners", true],
    "align_corners=true": ["align_corners", true], "align_corners=false": ["align_corners", false],
    nopad: ["count_include_pad", false], "count_include_pad=false": ["count_include_pad", false],
    "count_include_pad=true": ["count_include_pad", true],
  };
  for (const mode of MODES) OPTIONS[mode] = ["mode", mode];
  for (const mode of PADDING_MODES) OPTIONS[mode] = ["padding_mode", mode];

  /** @param {string} name */
  const kindOf = (name) => CALLS[(name.toLowerCase().split(".").pop() || "").replaceAll("_", "")] || null;

  /** The text of each layer of a chain: commas, semicolons, | and arrows part them, outside of brackets.
   * @param {string} text @returns {string[]} */
  function layersOf(text) {
    const plain = text.replaceAll("×", "x").replace(/->|→|[;|]/g, ",");
    const parts = [""];
    let depth = 0;
    for (const sign of plain) {
      if (sign === "," && depth <= 0) parts.push("");
      else parts[parts.length - 1] += sign;
      depth += "([".includes(sign) ? 1 : ")]".includes(sign) ? -1 : 0;
    }
    /** @type {string[]} */
    const layers = [];
    for (const part of parts.map((one) => one.trim())) {
      const last = layers.length - 1;
      if (last >= 0 && layers[last] && isParameter(part)) layers[last] += ` ${part}`;
      else layers.push(part);
    }
    return layers;
  }

  /** @param {string} part */
  function isParameter(part) {
    const word = (wordsOf(part)[0] || "").toLowerCase();
    if (!word || kindOf(word.split("(")[0])) return false;
    const name = word.split(/[^a-z_]/)[0];
    return word in OPTIONS || word in NAMES || ((name === "" || name in NAMES) && name !== word);
  }

  /** One layer's words, each parameter with its value in one word. @param {string} part @returns {string[]} */
  function wordsOf(part) {
    const pair = /[([]\s*([^()[\],]*?)\s*,\s*([^()[\],]*?)\s*,?\s*[)\]]/g;
    const plain = part.replace(/["'`]/g, "").replace(pair, "$1x$2").replace(/\s*=\s*/g, "=");
    /** @type {string[]} */
    const words = [];
    for (const word of plain.replaceAll(",", " ").split(/\s+/).filter(Boolean)) {
      const last = words[words.length - 1];
      if (last && last.toLowerCase() in NAMES && last.toLowerCase() !== "ceil" && /^[-0-9]/.test(word))
        words[words.length - 1] = `${last}=${word}`;
      else words.push(word);
    }
    return words;
  }

  const whole = (/** @type {string} */ text) => (/^-?[0-9]+$/.test(text) ? Number(text) : null);

  /** @param {string} text @returns {Factor|null} */
  function factorOf(text) {
    const fraction = /^([0-9]+)\/0*([1-9][0-9]*)$/.exec(text);
    if (fraction) return reduced(Number(fraction[1]), Number(fraction[2]));
    if (/^([0-9]*\.[0-9]+(e-?[0-9]+)?|[0-9]+\.?e-?[0-9]+|[0-9]+\.)$/.test(text))
      return { num: Number(text), den: 1, float: true };
    const int = whole(text);
    return int === null ? null : { num: int, den: 1 };
  }

  const gcd = (/** @type {number} */ a, /** @type {number} */ b) => { while (b) [a, b] = [b, a % b]; return Math.abs(a); };
  const lcm = (/** @type {number} */ a, /** @type {number} */ b) => (a / gcd(a, b)) * b;
  const reduced = (/** @type {number} */ num, /** @type {number} */ den) => {
    const common = gcd(num, den) || 1;
    return { num: num / common, den: den / common };
  };

  /** @param {string} figures @param {string} word @param {(text: string) => any} read */
  function valued(figures, word, read) {
    const parts = figures.split("x").map(read);
    if (parts.includes(null) || parts.length > 2)
      throw new Refusal(`'${word}' needs a number after its letter, or height x width, such as k3 or k3x1.`);
    return parts.length === 1 ? [parts[0], parts[0]] : parts;
  }

  /** Before and after of one axis' padding: 1, or 1:2. @param {string} text */
  function sides(text) {
    const parts = text.split(":").map(whole);
    if (parts.includes(null) || parts.length > 2) return null;
    return parts.length === 1 ? [parts[0], parts[0]] : parts;
  }

  /** @param {string} kind @param {any} given @param {string} word */
  function add(given, kind, word) {
    const plain = word.toLowerCase();
    let name, value;
    if (plain in OPTIONS) [name, value] = OPTIONS[plain];
    else {
      let sign = plain.indexOf("="), letter, figures;
      if (sign >= 0) [letter, figures] = [plain.slice(0, sign), plain.slice(sign + 1)];
      else {
        const match = /^(op|to|div|[a-z])(.*)$/.exec(plain);
        [letter, figures] = match ? [match[1] === "div" ? "divisor_override" : match[1], match[2]] : ["", plain];
      }
      if (letter === "" && /^[0-9./x]+$/.test(figures)) letter = needed(kind) === "kernel" ? "k" : "x";
      name = Object.hasOwn(NAMES, letter) ? NAMES[letter] : null;
      if (name === null || !TAKES[kind].includes(name))
        throw new Refusal(`unknown parameter '${word}'; ${kind} takes ${LETTERS_OF[kind]}, each with its number.`);
      if (name === "mode" || name === "padding_mode") value = figures;
      else if (name === "padding" && (figures === "same" || figures === "valid")) value = figures;
      else if (name === "padding") value = valued(figures, word, sides);
      else if (name === "factor" && kind === "resize") value = valued(figures, word, factorOf);
      else if (name === "ceil" || name === "align_corners" || name === "count_include_pad")
        throw new Refusal(`unknown parameter '${word}'; ${kind} takes ${LETTERS_OF[kind]}, each with its number.`);
      else if (name === "groups" || name === "divisor" || name === "factor") {
        value = whole(figures);
        if (value === null) throw new Refusal(`'${word}' needs a number after its letter.`);
        if (name === "factor") value = [{ num: value, den: 1 }, { num: value, den: 1 }];
      } else value = valued(figures, word, whole);
    }
    if (!TAKES[kind].includes(name))
      throw new Refusal(`unknown parameter '${word}'; ${kind} takes ${LETTERS_OF[kind]}, each with its number.`);
    if (name === "padding" && typeof value === "string" && kind !== "conv")
      throw new Refusal(`'${word}' needs a number after its letter: the padding of a ${kind} is never "${value}".`);
    if (name in given && !["mode", "pool", "padding_mode"].includes(name))
      throw new Refusal(`${name} is given twice, the second time by '${word}'.`);
    given[name] = value;
  }

  const needed = (/** @type {string} */ kind) => (["conv", "deconv", "pool"].includes(kind) ? "kernel" : "factor");

  /** The layer that a text names; whether its parameters work on a size is asked elsewhere.
   * @param {string} text @returns {Layer} */
  function layerOf(text) {
    let words = wordsOf(text);
    if (!words.length)
      throw new Refusal("there are no words here; layers are named like 'conv k7 s2 p3, pool k3 s2 p1, deconv k2 s2'.",
        [{ say: "conv k3 s2 p1", layer: "conv k3 s2 p1" }]);
    const call = /^\s*([A-Za-z_][\w.]*)\s*\(([\s\S]*)\)\s*$/.exec(text);
    const close = /^([a-z]+)([0-9]+x[0-9]+)$/.exec(words[0].toLowerCase());
    let name = call ? call[1] : words[0].split("(")[0];
    if (!call && close && kindOf(close[1])) { name = close[1]; words = [close[1], close[2], ...words.slice(1)]; }
    const found = kindOf(name);
    if (!found) {
      const parameters = isParameter(text);
      const near = nearest(name.toLowerCase(), KINDS);
      const way = parameters ? `conv ${text}` : [near, ...words.slice(1)].join(" ");
      let ways = [{ say: `${near} ${needed(near) === "kernel" ? "k2" : "x2"}` }];
      try { ways = [{ say: wordsFor(checked(layerOf(way))) }]; } catch { /* the plainest one stays */ }
      throw new Refusal(parameters ? "it has parameters and no kind of layer." :
        `unknown kind of layer '${name.slice(0, 40)}'; known: ${KINDS.join(", ")}.`,
        ways.map((one) => ({ ...one, layer: one.say })));
    }
    const [kind, order, defaults] = found;
    /** @type {any} */
    const given = { ...defaults };
    try {
      if (call) readCall(given, kind, order, call[2], text);
      else {
        const rest = [...words.slice(1)];
        for (let at = 0; at < rest.length; at++) {
          const word = rest[at].toLowerCase() === "to" && rest[at + 1] ? `to${rest[++at]}` : rest[at];
          add(given, kind, word);
        }
      }
      if (!(needed(kind) in given) && !(kind === "resize" && given.to)) {
        const names = { kernel: "kernel_size", factor: kind === "pixel_shuffle" ? "upscale_factor" : "scale_factor" };
        throw new Refusal(`${names[needed(kind)]} is missing.`);
      }
    } catch (error) {
      if (!(error instanceof Refusal) || error.ways.length) throw error;
      const known = Object.fromEntries(Object.entries(given).filter(([key]) => TAKES[kind].includes(key)));
      const fallback = filled(kind, { [needed(kind)]: needed(kind) === "kernel" ? [2, 2] : twice(), ...known });
      let say = `${kind} ${needed(kind) === "kernel" ? "k2" : "x2"}`;
      try { say = wordsFor(checked(fallback)); } catch { /* the plainest one stays */ }
      throw new Refusal(error.message, [{ say, layer: say }]);
    }
    return filled(kind, given);
  }

  const twice = () => [{ num: 2, den: 1 }, { num: 2, den: 1 }];

  /** @param {string} word @param {string[]} known */
  function nearest(word, known) {
    const distance = (/** @type {string} */ a, /** @type {string} */ b) => {
      let row = [...Array(b.length + 1).keys()];
      for (let i = 1; i <= a.length; i++) {
        const next = [i];
        for (let j = 1; j <= b.length; j++)
          next.push(Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
        row = next;
      }
      return row[b.length];
    };
    return [...known].sort((a, b) => distance(word.slice(0, 40), a) - distance(word.slice(0, 40), b))[0];
  }

  /** @param {any} given @param {string} kind @param {string[]} order @param {string} inside @param {string} text */
  function readCall(given, kind, order, inside, text) {
    const parts = [""];
    let depth = 0;
    for (const sign of inside) {
      if (sign === "," && depth === 0) parts.push("");
      else parts[parts.length - 1] += sign;
      depth += "([".includes(sign) ? 1 : ")]".includes(sign) ? -1 : 0;
    }
    const values = parts.map((part) => part.trim()).filter(Boolean);
    if (values.length > order.length) throw new Refusal(`'${text}' has too many values.`);
    values.forEach((value, place) => {
      const named = /^([A-Za-z_]\w*)\s*=([\s\S]*)$/.exec(value);
      const name = named ? named[1] : order[place];
      const figures = (named ? named[2] : value).trim().toLowerCase().replace(/["'\s]/g, "");
      if (NO_MATTER.includes(name) || name === "recompute_scale_factor" || figures === "none") return;
      if (!Object.hasOwn(NAMES, name) && !Object.values(NAMES).includes(name))
        throw new Refusal(`unknown parameter '${name}' in '${text}'.`);
      const known = NAMES[name] || name;
      if (figures === "true" || figures === "false") {
        if (!["ceil", "align_corners", "count_include_pad"].includes(known))
          throw new Refusal(`'${text}' is no call with numbers.`);
        given[known] = figures === "true";
        return;
      }
      const flat = figures.replace(/^[([]|[)\]]$/g, "").replace(/,$/, "").replace(",", "x");
      delete given[known];
      add(given, kind, `${Object.keys(LETTERS).find((key) => LETTERS[key] === known) || name}=${
        known === "factor" || known === "to" ? flat.replace(/\.0\b/g, "") : flat}`);
    });
  }

  /** @param {string} kind @param {any} given @returns {any} */
  function filled(kind, given) {
    const layer = { kind, ...given };
    if (kind === "carafe") return { kernel: [5, 5], groups: 1, ...layer };
    if (["pixel_shuffle", "pixel_unshuffle"].includes(kind)) return layer;
    if (kind === "resize")
      return { mode: "bilinear", align_corners: false, to: null, ...layer, ...(given.factor ? {} : { factor: null }) };
    const windows = { padding: [[0, 0], [0, 0]], dilation: [1, 1], ...layer };
    if (windows.padding === "valid") windows.padding = [[0, 0], [0, 0]];
    if (kind === "pool")
      return { stride: given.kernel, ceil: false, pool: "max", count_include_pad: true, divisor: null, ...windows };
    if (kind === "conv") return { stride: [1, 1], groups: 1, padding_mode: "zeros", ...windows };
    return { stride: [1, 1], groups: 1, output_padding: [0, 0], to: null, ...windows };
  }

  const figure = (/** @type {Pair} */ pair) => (pair[0] === pair[1] ? `${pair[0]}` : `${pair[0]}x${pair[1]}`);
  const factorText = (/** @type {Factor} */ f) =>
    f.float ? (Number.isInteger(f.num) ? `${f.num}.0` : `${f.num}`) : f.den === 1 ? `${f.num}` : `${f.num}/${f.den}`;
  const valueOf = (/** @type {Factor} */ f) => f.num / f.den;

  /** The layer in the layer language, without what is torch's default. @param {any} layer @returns {string} */
  function wordsFor(layer) {
    const parts = [layer.kind];
    if (layer.factor) parts.push(`x${[...new Set(layer.factor.map(factorText))].join("x")}`);
    if (layer.kind === "resize") {
      if (layer.to) parts.push(`to ${layer.to[0]}x${layer.to[1]}`);
      if (layer.mode !== "bilinear" || layer.to) parts.push(layer.mode);
      if (layer.align_corners) parts.push("align_corners");
    }
    if (layer.kind === "carafe") {
      parts.push(`k${layer.kernel[0]}`);
      if (layer.groups > 1) parts.push(`g${layer.groups}`);
    }
    if (["conv", "deconv", "pool"].includes(layer.kind)) {
      parts.push(`k${figure(layer.kernel)}`);
      if (layer.kind === "pool" || figure(layer.stride) !== "1") parts.push(`s${figure(layer.stride)}`);
      if (layer.padding === "same") parts.push("psame");
      else {
        const [high, wide] = layer.padding.map((/** @type {Pair} */ [a, b]) => (a === b ? `${a}` : `${a}:${b}`));
        const said = high === wide ? high : `${high}x${wide}`;
        if (said !== "0") parts.push(`p${said}`);
      }
      if (figure(layer.dilation) !== "1") parts.push(`d${figure(layer.dilation)}`);
      if (layer.kind === "deconv" && figure(layer.output_padding) !== "0") parts.push(`op${figure(layer.output_padding)}`);
      if (layer.groups > 1) parts.push(`g${layer.groups}`);
      if (layer.to) parts.push(`to ${layer.to[0]}x${layer.to[1]}`);
      if (layer.padding_mode && layer.padding_mode !== "zeros") parts.push(layer.padding_mode);
      if (layer.ceil) parts.push("ceil");
      if (layer.pool === "avg") parts.push("avg");
      if (layer.count_include_pad === false) parts.push("nopad");
      if (layer.divisor) parts.push(`div${layer.divisor}`);
    }
    return parts.join(" ");
  }

  // Sizes, one axis at a time ------------------------------------------------------------------------------------------

  /** What one axis of a layer is, with its law n ↦ ⌊(rise·n + offset)/run⌋ where it has one for all sizes.
   * @param {any} layer @param {0|1} i */
  function axisOf(layer, i) {
    if (layer.kind === "conv" || layer.kind === "pool") {
      const [k, s, d] = [layer.kernel[i], layer.stride[i], layer.dilation[i]];
      const e = d * (k - 1) + 1;
      const total = e - 1;
      const [before, after] = layer.padding === "same" ? [Math.floor(total / 2), total - Math.floor(total / 2)] : layer.padding[i];
      let room = before + after - e + s;
      if (layer.ceil) room = Math.min(room + s - 1, before + s - 1);
      return { type: "window", k, s, d, e, before, after, ceil: !!layer.ceil, law: { rise: 1, offset: room, run: s } };
    }
    if (layer.kind === "deconv") {
      const [k, s, d, more] = [layer.kernel[i], layer.stride[i], layer.dilation[i], layer.output_padding[i]];
      const e = d * (k - 1) + 1;
      const [before, after] = layer.padding[i];
      return { type: "stamp", k, s, d, e, before, after, more, law: { rise: s, offset: e - before - after - s + more, run: 1 } };
    }
    if (layer.kind === "pixel_unshuffle")
      return { type: "cells", law: { rise: 1, offset: 0, run: layer.factor[i].num } };
    const factor = layer.factor ? layer.factor[i] : null;
    return { type: "scale", factor, law: factor && !factor.float ? { rise: factor.num, offset: 0, run: factor.den } : null };
  }

  /** @param {{rise: number, offset: number, run: number}} law @param {number} n */
  const lawAt = (law, n) => Math.floor((law.rise * n + law.offset) / law.run);

  /** @param {any} axis @param {number} n */
  function axisOut(axis, n) {
    if (axis.law) return lawAt(axis.law, n);
    return Math.floor(n * axis.factor.num);
  }

  /** The smallest size that an axis accepts. @param {any} axis */
  function axisLeast(axis) {
    if (axis.law) return Math.max(1, Math.ceil((axis.law.run - axis.law.offset) / axis.law.rise));
    return Math.max(1, Math.ceil(1 / axis.factor.num - 1e-9));
  }

  /** The size rule in symbols. @param {any} layer @param {0|1} i @returns {string} */
  function symbols(layer, i) {
    const axis = axisOf(layer, i);
    if (layer.to) return layer.kind === "resize" ? "the size asked for" : `${symbolsOf(axis)} with ${EXTENT}`;
    const text = symbolsOf(axis);
    return text.includes(" e") || text.includes("− e") ? `${text} with ${EXTENT}` : text;
  }

  /** @param {any} axis @returns {string} */
  function symbolsOf(axis) {
    if (axis.type === "window") {
      const inner = `(n + ${axis.before === axis.after ? "2·padding" : "before + after"} − e)/stride`;
      return axis.ceil ? `⌈${inner}⌉ + 1 (less a last window beyond the input)` : `⌊${inner}⌋ + 1`;
    }
    if (axis.type === "stamp")
      return `(n − 1)·stride − ${axis.before === axis.after ? "2·padding" : "before − after"} + e + output_padding`;
    if (axis.type === "cells") return "n/factor";
    return axis.factor && !axis.factor.float && axis.factor.den === 1 ? "n·factor" : "⌊n·factor⌋";
  }

  /** The size rule with the numbers in. @param {any} axis @param {number} n @param {boolean} [plain] @returns {string} */
  function rule(axis, n, plain = false) {
    if (axis.type === "window") {
      const pads = axis.before === axis.after ? `2·${axis.before}` : `${axis.before} + ${axis.after}`;
      const inner = `(${n} + ${pads} − ${axis.e})`;
      const made = lawAt(axis.law, n);
      if (!axis.ceil) return `⌊${inner}/${axis.s}⌋ + 1 = ${made}`;
      const rounded = Math.ceil((n + axis.before + axis.after - axis.e) / axis.s) + 1;
      return `⌈${inner}/${axis.s}⌉ + 1${rounded > made ? " − 1 (the last window would start beyond the input)" : ""} = ${made}`;
    }
    if (axis.type === "stamp") {
      const pads = axis.before === axis.after ? `2·${axis.before}` : `${axis.before} − ${axis.after}`;
      const more = plain ? 0 : axis.more;
      const made = lawAt(axis.law, n) - axis.more + more;
      return `(${n} − 1)·${axis.s} − ${pads} + ${axis.e}${more ? ` + ${more}` : ""} = ${made}`;
    }
    if (axis.type === "cells") return `${n}/${axis.law.run} = ${lawAt(axis.law, n)}`;
    const text = `${n}·${factorText(axis.factor)}`;
    return `${axis.factor.float || axis.factor.den > 1 ? `⌊${text}⌋` : text} = ${axisOut(axis, n)}`;
  }

  // Refusals that teach ------------------------------------------------------------------------------------------------

  /** Refuse parameters that no size could mend. @template {any} T @param {T} given @returns {T} */
  function checked(given) {
    /** @type {any} */
    const layer = given;
    const words = wordsFor(layer);
    const least = { kernel: 1, stride: 1, dilation: 1, output_padding: 0 };
    const names = { kernel: "kernel_size", stride: "stride", dilation: "dilation", output_padding: "output_padding" };
    for (const [name, low] of Object.entries(least))
      for (const value of layer[name] || [])
        if (!Number.isInteger(value) || value < low || value > 2 ** 31) {
          const better = { ...layer, [name]: layer[name].map((/** @type {number} */ v) => (v < low || v > 2 ** 31 ? low : v)) };
          throw new Refusal(`${names[name]} must be an int of at least ${low}, not ${value}.`, ways([better]));
        }
    if (layer.groups !== undefined && (!Number.isInteger(layer.groups) || layer.groups < 1))
      throw new Refusal(`groups must be an int of at least 1, not ${layer.groups}.`, ways([{ ...layer, groups: 1 }]));
    for (const f of layer.factor || []) {
      const value = valueOf(f);
      if (!(value > 0 && Number.isFinite(value)) || (f.float && !(value >= 2 ** -32 && value <= 2 ** 32)))
        throw new Refusal(`scale_factor must be an int, a Fraction or a float above 0 and finite, not ${factorText(f)}.`,
          ways([{ ...layer, factor: twice() }]));
    }
    if (layer.mode !== undefined && !MODES.includes(layer.mode))
      throw new Refusal(`mode of a resize must be one of ${MODES.join(", ")}, not '${String(layer.mode).slice(0, 40)}'.`,
        ways([{ ...layer, mode: "bilinear" }]));
    if (layer.padding_mode !== undefined && !PADDING_MODES.includes(layer.padding_mode))
      throw new Refusal(`padding_mode must be one of ${PADDING_MODES.join(", ")}, not '${String(layer.padding_mode).slice(0, 40)}'.`,
        ways([{ ...layer, padding_mode: "zeros" }]));
    if (layer.align_corners && !["bilinear", "bicubic"].includes(layer.mode))
      throw new Refusal(`align_corners is an option of bilinear and bicubic, not of ${layer.mode}.`,
        ways([{ ...layer, align_corners: false }, { ...layer, mode: "bilinear" }]));
    for (const value of layer.to || [])
      if (!Number.isInteger(value) || value < 1)
        throw new Refusal(`the size to reach must be an int of at least 1, not ${value}.`, ways([{ ...layer, to: null }]));
    if (layer.kind === "resize" && layer.to && layer.factor)
      throw new Refusal("a resize has a factor or a size to reach, not both.", ways([{ ...layer, to: null }]));
    if (Array.isArray(layer.padding))
      for (const value of layer.padding.flat())
        if (!Number.isInteger(value) || value < 0 || value > 2 ** 31)
          throw new Refusal(`padding must be an int of at least 0, not ${value}.`,
            ways([{ ...layer, padding: layer.padding.map((/** @type {Pair} */ side) => side.map((v) => Math.max(0, v))) }]));
    if (layer.kind === "carafe" && layer.kernel[0] % 2 === 0)
      throw new Refusal(`kernel_size of carafe must be odd, so that a neighbourhood has a middle, not ${layer.kernel[0]}.`,
        ways([{ ...layer, kernel: layer.kernel.map((/** @type {number} */ k) => k + 1) }]));
    if (layer.kind === "conv" && layer.padding === "same" && layer.stride.some((/** @type {number} */ s) => s !== 1)) {
      const half = layer.kernel.map((/** @type {number} */ k, /** @type {number} */ i) => Math.floor((layer.dilation[i] * (k - 1)) / 2));
      throw new Refusal(
        `'${words}' asks for padding="same" with stride ${figure(layer.stride)}.\n  rule: "same" means an output of the ` +
        `input's size, and needs stride 1: with a stride above 1 windows are fewer than pixels.`,
        ways([{ ...layer, padding: half.map((/** @type {number} */ p) => [p, p]) }, { ...layer, stride: [1, 1] }]));
    }
    if (layer.kind === "pool") {
      for (const [i, k] of layer.kernel.entries()) {
        const [before, after] = layer.padding[i];
        if (before !== after)
          throw new Refusal("a pool has one padding for both sides of an axis.",
            ways([{ ...layer, padding: layer.padding.map((/** @type {Pair} */ [a]) => [a, a]) }]));
        if (before > Math.floor(k / 2))
          throw new Refusal(
            `'${words}' has padding ${before} on the ${AXES[i]}.\n  rule: padding of a pool must be at most half its ` +
            `kernel_size, ${k} // 2 = ${Math.floor(k / 2)}: a window further out would see nothing but padding.`,
            ways([
              { ...layer, padding: layer.padding.map((/** @type {Pair} */ [a], /** @type {number} */ j) => {
                const p = Math.min(a, Math.floor(layer.kernel[j] / 2)); return [p, p]; }) },
              { ...layer, kernel: layer.kernel.map((/** @type {number} */ own, /** @type {number} */ j) => Math.max(own, 2 * layer.padding[j][0])) },
            ]));
      }
      if (layer.pool === "avg" && layer.dilation.some((/** @type {number} */ d) => d !== 1))
        throw new Refusal(`'${words}' has dilation ${figure(layer.dilation)}, and torch's average pooling has none.`,
          ways([{ ...layer, dilation: [1, 1] }, { ...layer, pool: "max" }]));
      if (layer.pool === "max" && (layer.count_include_pad === false || layer.divisor))
        throw new Refusal("nopad and div are options of an average, not of a maximum.",
          ways([{ ...layer, count_include_pad: true, divisor: null }, { ...layer, pool: "avg", dilation: [1, 1] }]));
      if (layer.divisor !== null && !(Number.isInteger(layer.divisor) && layer.divisor > 0))
        throw new Refusal(`divisor_override must be an int of at least 1, not ${layer.divisor}.`, ways([{ ...layer, divisor: null }]));
    }
    return given;
  }

  /** Turn layers that may work into ways: those that do. @param {any[]} layers @param {Pair} [size] @returns {Way[]} */
  function ways(layers, size) {
    /** @type {Way[]} */
    const found = [];
    for (const layer of layers) {
      try {
        checked(layer);
        const say = wordsFor(layer);
        const made = size ? outSize(layer, size, true) : null;
        if (!found.some((way) => way.layer === say))
          found.push({ say: made ? `${say}, which gives ${made[0]}×${made[1]}` : say, layer: say });
      } catch (error) { if (!(error instanceof Refusal)) throw error; }
    }
    return found;
  }

  /** The output's (height, width), or a refusal that says what works.
   * @param {any} layer @param {Pair} size @param {boolean} [bare] no ways @returns {Pair} */
  function outSize(layer, size, bare = false) {
    for (const n of size)
      if (!Number.isInteger(n) || n < 1 || n > MOST_SIZE)
        throw new Refusal(`a size is a whole number from 1 to ${MOST_SIZE}, not ${n}.`, [{ say: "4×4", input: [4, 4] }]);
    checked(layer);
    if (layer.kind === "resize" && layer.to) return layer.to;
    if (layer.kind === "deconv") checkStamps(layer, size, bare);
    if (layer.kind === "pixel_unshuffle")
      for (const [i, n] of size.entries()) {
        const r = layer.factor[i].num;
        if (n % r)
          throw new Refusal(`'${wordsFor(layer)}' needs a ${AXES[i]} that ${r} divides, not ${n}.`,
            bare ? [] : [{ say: `an input of ${size.map((m) => Math.ceil(m / r) * r).join("×")}`,
              input: /** @type {Pair} */ (size.map((m) => Math.ceil(m / r) * r)) }]);
      }
    if (layer.padding_mode && layer.padding_mode !== "zeros")
      for (const i of /** @type {[0, 1]} */ ([0, 1])) {
        const axis = axisOf(layer, i);
        const most = layer.padding_mode === "reflect" ? size[i] - 1 : layer.padding_mode === "circular" ? size[i] : Infinity;
        if (Math.max(axis.before, axis.after) > most)
          throw new Refusal(
            `padding ${Math.max(axis.before, axis.after)} with padding_mode="${layer.padding_mode}" needs more rows or ` +
            `columns than the ${size[i]} there are.`,
            bare || layer.padding === "same" ? [] : ways([{ ...layer, padding: layer.padding.map((/** @type {Pair} */ [a, b], /** @type {number} */ j) => {
              const top = layer.padding_mode === "reflect" ? size[j] - 1 : size[j];
              return [Math.min(a, top), Math.min(b, top)]; }) }, { ...layer, padding_mode: "replicate" }], size));
      }
    return /** @type {Pair} */ (size.map((n, i) => {
      const axis = axisOf(layer, /** @type {0|1} */ (i));
      if (axis.type === "stamp" && layer.to) return layer.to[i];
      const made = axisOut(axis, n);
      if (made < 1) throw tooSmall(layer, size, i, axis, bare);
      return made;
    }));
  }

  /** @param {any} layer @param {Pair} size @param {boolean} bare */
  function checkStamps(layer, size, bare) {
    for (const i of /** @type {[0, 1]} */ ([0, 1])) {
      const axis = axisOf(layer, i);
      const most = Math.max(axis.s, axis.d);
      if (axis.type !== "stamp") continue;
      if (!layer.to && axis.more >= most)
        throw new Refusal(
          `'${wordsFor(layer)}' has output_padding ${axis.more} on the ${AXES[i]}.\n  ${symbolsOf(axis)} = ` +
          `${rule(axis, size[i])} is what the formula gives with ${EXTENT} = ${axis.e}.\n  rule: output_padding must be ` +
          `less than max(stride, dilation) = max(${axis.s}, ${axis.d}) = ${most}.`,
          bare ? [] : [...others(layer, size, /** @type {Pair} */ ([0, 1].map((j) => axisOut(axisOf(layer, /** @type {0|1} */ (j)), size[j]))), true),
            ...ways([{ ...layer, output_padding: layer.output_padding.map((/** @type {number} */ o, /** @type {number} */ j) =>
              Math.min(o, Math.max(layer.stride[j], layer.dilation[j]) - 1)) }], size)]);
      if (layer.to) {
        const smallest = lawAt(axis.law, size[i]) - axis.more;
        const low = Math.max(1, smallest), high = smallest + axis.s - 1;
        if (layer.to[i] < low || layer.to[i] > high)
          throw new Refusal(
            `'${wordsFor({ ...layer, to: null, output_padding: [0, 0] })}' cannot bring ${AXES[i]} ${size[i]} to ${layer.to[i]}.\n` +
            `  ${symbolsOf(axis)} = ${rule(axis, size[i], true)} is what the formula gives without output_padding with ` +
            `${EXTENT} = ${axis.e}.\n  rule: output_size may ask for ${high < low ? "no size of at least 1" : low === high ? low : `${low} … ${high}`}: ` +
            `output_padding adds 0 … stride − 1 = ${axis.s - 1}.`,
            bare ? [] : [...ways([{ ...layer, to: [0, 1].map((j) => {
              const own = axisOf(layer, /** @type {0|1} */ (j));
              const from = lawAt(own.law, size[j]) - own.more;
              return Math.min(Math.max(layer.to[j], from), from + own.s - 1); }) }], size), ...others(layer, size, layer.to, false)]);
      }
    }
  }

  /** Kernels and paddings near a deconv's own that bring a size to another. @param {any} layer @param {Pair} size
   * @param {Pair} wanted @param {boolean} loose @returns {Way[]} */
  function others(layer, size, wanted, loose) {
    const found = [];
    for (let dk = -8; dk <= 8; dk++)
      for (let dp = -8; dp <= 8; dp++) {
        const kernel = layer.kernel.map((/** @type {number} */ k) => k + dk);
        const padding = layer.padding.map((/** @type {Pair} */ [a, b]) => [a + dp, b + dp]);
        if (Math.min(...kernel) < 1 || Math.min(...padding.flat()) < 0) continue;
        const base = { ...layer, kernel, padding, to: null, output_padding: [0, 0] };
        const more = [0, 1].map((j) => wanted[j] - axisOut(axisOf(base, /** @type {0|1} */ (j)), size[j]));
        const most = [0, 1].map((j) => (loose ? Math.max(layer.stride[j], layer.dilation[j]) : layer.stride[j]));
        if (more.some((m, j) => m < 0 || m >= most[j])) continue;
        found.push({ cost: Math.abs(dk) + Math.abs(dp) + (more[0] + more[1]) / 100, layer: { ...base, output_padding: more } });
      }
    found.sort((a, b) => a.cost - b.cost);
    return ways(found.slice(0, 2).map((one) => one.layer), size);
  }

  /** @param {any} layer @param {Pair} size @param {number} i @param {any} axis @param {boolean} bare */
  function tooSmall(layer, size, i, axis, bare) {
    const windows = axis.type === "window";
    const rest = windows ? `; the kernel, ${axis.e} wide with its dilation, has to fit in the padded input` :
      axis.type === "stamp" ? "; the padding may not cut all that the stamps fill" : "";
    const extent = axis.e ? ` with ${EXTENT} = ${axis.e}` : "";
    const message = `'${wordsFor(layer)}' ${windows ? "does not fit in" : "leaves nothing of"} ${size[0]}×${size[1]}.\n` +
      `  ${symbolsOf(axis)} = ${rule(axis, size[i])} is what the formula gives for the ${AXES[i]}${extent}.\n` +
      `  rule: an output has at least 1 row and 1 column${rest}.`;
    if (bare) return new Refusal(message);
    /** @type {any[]} */
    const tries = [];
    const first = (/** @type {(step: number) => any} */ make) => {
      for (let step = 1; step < 64; step++) {
        const one = make(step);
        if (one && ways([one], size).length) { tries.push(one); return; }
      }
    };
    const sign = axis.type === "stamp" ? -1 : 1;
    if (layer.padding !== "same" && layer.padding)
      first((step) => ({ ...layer, padding: layer.padding.map((/** @type {Pair} */ [a, b]) => [a + sign * step, b + sign * step]) }));
    if (layer.kernel && layer.kind !== "carafe")
      first((step) => ({ ...layer, kernel: layer.kernel.map((/** @type {number} */ k) => Math.max(1, k - sign * step)) }));
    if (layer.dilation && windows)
      first((step) => ({ ...layer, dilation: layer.dilation.map((/** @type {number} */ d) => Math.max(1, d - step)) }));
    const larger = /** @type {Pair} */ (size.map((n, j) => Math.max(n, axisLeast(axisOf(layer, /** @type {0|1} */ (j))))));
    const found = ways(tries, size);
    if (larger.every((n) => n <= MOST_SIZE)) {
      const made = outSize(layer, larger, true);
      found.push({ say: `an input of ${larger[0]}×${larger[1]}, which gives ${made[0]}×${made[1]}`, input: larger });
    }
    return new Refusal(message, found);
  }

  // Values -------------------------------------------------------------------------------------------------------------

  /** A layer with numbers.
   * @typedef {object} Operation
   * @property {any} layer
   * @property {Image} x
   * @property {any} weight  as torch keeps it; of carafe the kernels (groups·k², H, W)
   * @property {number[]|null} bias
   * @property {[number, number, number]} shape of the output
   * @property {Pair} size of the input
   * @property {number} channels of the input
   * @property {[number, any][][][]} reads for each axis and each output: inputs with tap or weight
   * @property {[number, number][]} before  for each axis */

  /** The shape of the weight that a layer needs, or null. @param {any} layer @param {number} channels
   * @param {number} outputs @param {Pair} size @returns {number[]|null} */
  function weightShape(layer, channels, outputs, size) {
    if (layer.kind === "conv" || layer.kind === "deconv") {
      const g = layer.groups;
      if (channels % g || outputs % g) {
        const near = Array.from({ length: Math.min(channels, outputs) }, (_, n) => n + 1)
          .filter((n) => channels % n === 0 && outputs % n === 0).sort((a, b) => Math.abs(a - g) - Math.abs(b - g))[0] || 1;
        throw new Refusal(`groups=${g} of '${wordsFor(layer)}' must divide in_channels=${channels} and out_channels=${outputs}.`,
          ways([{ ...layer, groups: near }]));
      }
      return layer.kind === "conv" ? [outputs, channels / g, ...layer.kernel] : [channels, outputs / g, ...layer.kernel];
    }
    if (layer.kind === "carafe") {
      if (channels % layer.groups)
        throw new Refusal(`groups=${layer.groups} of carafe must divide in_channels=${channels}.`, ways([{ ...layer, groups: 1 }]));
      const r = layer.factor[0].num;
      return [layer.groups * layer.kernel[0] ** 2, size[0] * r, size[1] * r];
    }
    return null;
  }

  /** Output channels of a layer that leaves no choice. @param {any} layer @param {number} channels */
  function channelsOut(layer, channels) {
    if (layer.kind === "pixel_shuffle") {
      const square = layer.factor[0].num ** 2;
      if (channels % square)
        throw new Refusal(`'${wordsFor(layer)}' makes one channel of ${square}, and ${square} does not divide ${channels}.`);
      return channels / square;
    }
    return layer.kind === "pixel_unshuffle" ? channels * layer.factor[0].num ** 2 : channels;
  }

  /** The input index that stands at a position, or null for zeros around. @param {number} at @param {number} n
   * @param {string} mode */
  function sourceAt(at, n, mode) {
    if (at >= 0 && at < n) return at;
    if (mode === "zeros") return null;
    if (mode === "replicate") return at < 0 ? 0 : n - 1;
    if (mode === "circular") return ((at % n) + n) % n;
    return at < 0 ? -at : 2 * (n - 1) - at;
  }

  /** What every output of one axis reads: inputs with their tap, or of a resize with their weight.
   * @param {any} layer @param {0|1} i @param {number} n @param {number} made @returns {[number, any][][]} */
  function readsOf(layer, i, n, made) {
    const axis = axisOf(layer, i);
    const outs = [...Array(made).keys()];
    if (axis.type === "window") {
      const mode = layer.padding_mode || "zeros";
      return outs.map((out) => {
        /** @type {[number, any][]} */
        const found = [];
        for (let tap = 0; tap < axis.k; tap++) {
          const at = sourceAt(out * axis.s - axis.before + axis.d * tap, n, mode);
          if (at !== null) found.push([at, tap]);
        }
        return found.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      });
    }
    if (axis.type === "stamp") {
      /** @type {[number, any][][]} */
      const found = outs.map(() => []);
      for (let at = 0; at < n; at++)
        for (let tap = 0; tap < axis.k; tap++) {
          const out = axis.s * at + axis.d * tap - axis.before;
          if (out >= 0 && out < made) found[out].push([at, tap]);
        }
      return found;
    }
    if (layer.kind === "pixel_shuffle") return outs.map((out) => [[Math.floor(out / layer.factor[i].num), out % layer.factor[i].num]]);
    if (layer.kind === "pixel_unshuffle") {
      const r = layer.factor[i].num;
      return outs.map((out) => [...Array(r).keys()].map((tap) => [out * r + tap, tap]));
    }
    if (layer.kind === "carafe") {
      const k = layer.kernel[i];
      return outs.map((out) => {
        const first = Math.floor(out / layer.factor[i].num) - Math.floor(k / 2);
        return [...Array(k).keys()].filter((tap) => first + tap >= 0 && first + tap < n).map((tap) => [first + tap, tap]);
      });
    }
    return outs.map((out) => weightsAt(layer, i, n, made, out));
  }

  /** What an output of a resize reads, with weights that sum to 1. @param {any} layer @param {0|1} i @param {number} n
   * @param {number} made @param {number} out @returns {[number, number][]} */
  function weightsAt(layer, i, n, made, out) {
    const { mode } = layer;
    const factor = layer.to ? made / n : valueOf(layer.factor[i]);
    if (mode === "area") {
      const low = Math.floor((out * n) / made), high = Math.ceil(((out + 1) * n) / made);
      return Array.from({ length: high - low }, (_, at) => [low + at, 1 / (high - low)]);
    }
    if (mode.startsWith("nearest")) {
      const f = Math.fround;
      const step = layer.to ? f(f(n) / f(made)) : f(1 / factor);
      if (mode === "nearest" && (made === n || made === 2 * n)) return [[Math.floor(out / (made / n)), 1]];
      const place = mode === "nearest" ? f(step * f(out)) : f(Math.max(f(f(step * f(out + 0.5)) - 0.5), 0) + 0.5);
      return [[Math.min(Math.floor(place), n - 1), 1]];
    }
    if (mode === "bilinear" && made === n) return [[out, 1]];
    const centre = layer.align_corners ? (out * (n - 1)) / Math.max(1, made - 1) :
      layer.to ? ((2 * out + 1) * n) / (2 * made) - 0.5 :
      ((2 * out + 1) * layer.factor[i].den) / (2 * layer.factor[i].num) - 0.5;
    return merged(kernelWeights(mode, centre), n);
  }

  /** @param {string} mode @param {number} centre @returns {[number, number][]} */
  function kernelWeights(mode, centre) {
    let below = Math.floor(centre + 1e-9);
    let rest = Math.max(0, centre - below);
    if (rest < 1e-9) rest = 0;
    if (mode === "bilinear") return [[below, 1 - rest], [below + 1, rest]];
    const a = -0.75;
    const cubic = (/** @type {number} */ d) =>
      d <= 1 ? (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1 : a * (d ** 3 - 5 * d ** 2 + 8 * d - 4);
    return [-1, 0, 1, 2].map((step) => [below + step, cubic(Math.abs(rest - step))]);
  }

  /** @param {[number, number][]} pairs @param {number} n @returns {[number, number][]} */
  function merged(pairs, n) {
    const found = new Map();
    for (const [at, weight] of pairs) {
      const inside = Math.min(Math.max(at, 0), n - 1);
      found.set(inside, (found.get(inside) || 0) + weight);
    }
    return [...found].filter(([, weight]) => Math.abs(weight) > 1e-12);
  }

  /** @param {number[]} shape @param {(place: number) => number} make @returns {any} */
  function tensor(shape, make) {
    let place = 0;
    const level = (/** @type {number} */ depth) => (depth === shape.length ? make(place++) :
      Array.from({ length: shape[depth] }, () => level(depth + 1)));
    return level(0);
  }

  /** @param {any} values @returns {number[]} */
  const shapeOf = (values) => (Array.isArray(values) ? [values.length, ...shapeOf(values[0])] : []);

  /** The layer with its numbers.
   * @param {any} layer @param {Image} x @param {any} [weight] as torch keeps it; 1, 2, 3, … by default; of carafe logits
   * @param {number[]|null} [bias] @param {number} [outputs] channels of the output @returns {Operation} */
  function operation(layer, x, weight = null, bias = null, outputs = 0) {
    const [channels, ...rest] = shapeOf(x);
    const size = /** @type {Pair} */ (rest);
    const [height, width] = outSize(layer, size);
    const learned = layer.kind === "conv" || layer.kind === "deconv";
    const g = layer.groups || 1;
    const asked = !learned ? channelsOut(layer, channels) :
      outputs || (weight ? (layer.kind === "conv" ? weight.length : weight[0].length * g) : g);
    const shape = weightShape(layer, channels, asked, size);
    if (shape) {
      if (!weight && layer.kind === "carafe") weight = tensor(shape, (n) => (((n * 7919) % 13) - 6) / 4);
      if (!weight) weight = tensor(shape, (n) => n + 1);
      const got = shapeOf(weight);
      if (got.join() !== shape.join())
        throw new Refusal(`weight must have the shape (${shape.join(", ")}) for '${wordsFor(layer)}' here, not (${got.join(", ")}).`);
    }
    const numbers = Math.max(channels * size[0] * size[1], asked * height * width);
    const taps = layer.kernel ? layer.kernel[0] * layer.kernel[1] : 16;
    const products = asked * height * width * taps * (learned ? channels / g : 1);
    if (numbers > 2 ** 22 || products > MOST_PRODUCTS)
      throw new Refusal(`'${wordsFor(layer)}' on ${channels} × ${size[0]} × ${size[1]} is more than the page computes.`,
        [{ say: "an input of 8×8", input: [8, 8] }]);
    const reads = /** @type {any} */ ([readsOf(layer, 0, size[0], height), readsOf(layer, 1, size[1], width)]);
    const kernels = layer.kind === "carafe" ? softmaxed(weight, layer) : weight;
    return { layer, x, weight: kernels, bias, shape: [asked, height, width], size, channels, reads, before: [] };
  }

  /** @param {Image} logits @param {any} layer @returns {Image} */
  function softmaxed(logits, layer) {
    const k2 = layer.kernel[0] ** 2;
    const made = logits.map((map) => map.map((row) => [...row]));
    for (let g = 0; g < layer.groups; g++)
      for (let r = 0; r < made[0].length; r++)
        for (let c = 0; c < made[0][0].length; c++) {
          const own = logits.slice(g * k2, (g + 1) * k2).map((map) => map[r][c]);
          const top = Math.max(...own);
          const parts = own.map((v) => Math.exp(v - top));
          const sum = parts.reduce((a, b) => a + b, 0);
          parts.forEach((part, at) => { made[g * k2 + at][r][c] = part / sum; });
        }
    return made;
  }

  /** The input channels that go into an output channel, first and last + 1. @param {Operation} op @param {number} channel */
  function inputsOf(op, channel) {
    const { layer } = op;
    if (layer.kind === "conv" || layer.kind === "deconv") {
      const inputs = op.channels / layer.groups;
      const group = Math.floor(channel / (op.shape[0] / layer.groups));
      return [group * inputs, (group + 1) * inputs];
    }
    if (layer.kind === "pixel_shuffle") {
      const square = layer.factor[0].num ** 2;
      return [channel * square, (channel + 1) * square];
    }
    if (layer.kind === "pixel_unshuffle") {
      const source = Math.floor(channel / layer.factor[0].num ** 2);
      return [source, source + 1];
    }
    return [channel, channel + 1];
  }

  /** By what a window's sum is divided. @param {Operation} op @param {number} row @param {number} column */
  function divisorAt(op, row, column) {
    const { layer } = op;
    if (layer.pool !== "avg") return 1;
    if (layer.divisor) return layer.divisor;
    return [row, column].reduce((product, out, i) => {
      const axis = axisOf(layer, /** @type {0|1} */ (i));
      const n = op.size[i];
      const start = out * axis.s - axis.before;
      const end = Math.min(start + axis.k, n + axis.after);
      return product * (layer.count_include_pad ? end - start : Math.min(end, n) - Math.max(start, 0));
    }, 1);
  }

  /** All that goes into one entry of the output. @param {Operation} op @param {number} channel @param {number} row
   * @param {number} column @returns {{terms: Term[], bias: number, value: number, rule: string, divisor: number}} */
  function entry(op, channel, row, column) {
    const { layer, x, weight } = op;
    const [first, last] = inputsOf(op, channel);
    const divisor = divisorAt(op, row, column);
    /** @type {Term[]} */
    const terms = [];
    for (let source = first; source < last; source++)
      for (const [n, above] of op.reads[0][row])
        for (const [m, beside] of op.reads[1][column]) {
          /** @type {number[]|null} */
          let tap = null;
          let share = 1;
          if (layer.kind === "conv") tap = [channel, source - first, above, beside];
          else if (layer.kind === "deconv") tap = [source, channel % (op.shape[0] / layer.groups), above, beside];
          else if (layer.kind === "resize") share = above * beside;
          else if (layer.kind === "pixel_shuffle") {
            const r = layer.factor[0].num;
            if (source !== channel * r * r + above * r + beside) continue;
          } else if (layer.kind === "pixel_unshuffle") {
            const r = layer.factor[0].num;
            if (channel % (r * r) !== above * r + beside) continue;
          } else if (layer.kind === "carafe") {
            const k = layer.kernel[0];
            const group = Math.floor(channel / (op.channels / layer.groups));
            share = weight[group * k * k + above * k + beside][row][column];
          } else share = layer.pool === "avg" ? 1 / divisor : 0;
          if (tap) share = weight[tap[0]][tap[1]][tap[2]][tap[3]];
          terms.push({ source: [source, n, m], value: x[source][n][m], tap, weight: share });
        }
    const bias = op.bias ? op.bias[channel] : 0;
    if (layer.kind === "pool" && layer.pool === "max") {
      const value = terms.reduce((top, term) => Math.max(top, term.value), -Infinity);
      const best = terms.find((term) => term.value === value);
      if (best) best.weight = 1;
      return { terms, bias, value, rule: "max", divisor };
    }
    if (layer.kind === "pool")
      return { terms, bias, value: terms.reduce((sum, t) => sum + t.value, 0) / divisor, rule: "mean", divisor };
    return { terms, bias, value: terms.reduce((sum, t) => sum + t.value * t.weight, bias), rule: "sum", divisor };
  }

  /** The output, entry by entry, from the definition. @param {Operation} op @returns {Image} */
  function output(op) {
    const [channels, height, width] = op.shape;
    return Array.from({ length: channels }, (_, c) => Array.from({ length: height }, (_, r) =>
      Array.from({ length: width }, (_, k) => entry(op, c, r, k).value)));
  }

  /** Where an input goes: output places with their weight's place. @param {Operation} op @param {number} channel
   * @param {number} row @param {number} column @returns {[number, number, number][]} */
  function goesTo(op, channel, row, column) {
    /** @type {[number, number, number][]} */
    const found = [];
    const rows = op.reads[0].flatMap((pairs, out) => (pairs.some(([n]) => n === row) ? [out] : []));
    const columns = op.reads[1].flatMap((pairs, out) => (pairs.some(([n]) => n === column) ? [out] : []));
    for (let c = 0; c < op.shape[0]; c++) {
      const [first, last] = inputsOf(op, c);
      if (channel < first || channel >= last) continue;
      for (const r of rows) for (const k of columns)
        if (!op.layer.kind.startsWith("pixel") || entry(op, c, r, k).terms.some((t) => t.source.join() === [channel, row, column].join()))
          found.push([c, r, k]);
    }
    return found;
  }

  /** Rows and columns of the input that go into no output. @param {Operation} op @returns {[number[], number[]]} */
  function unread(op) {
    return /** @type {any} */ (op.reads.map((outs, i) => {
      const read = new Set(outs.flatMap((pairs) => pairs.map(([n]) => n)));
      return [...Array(op.size[i]).keys()].filter((n) => !read.has(n));
    }));
  }

  /** How many inputs go into each output position. @param {Operation} op @returns {number[][]} */
  function overlap(op) {
    const one = op.layer.kind === "pixel_unshuffle"; // each output reads one of the cell's inputs: which, its channel says
    const [rows, columns] = op.reads.map((outs) => outs.map((pairs) => (one ? 1 : pairs.length)));
    return rows.map((r) => columns.map((c) => r * c));
  }

  // The four ways of a transposed convolution --------------------------------------------------------------------------

  /** @param {Operation} op */
  const canvasOf = (op) => [0, 1].map((i) => {
    const axis = axisOf(op.layer, /** @type {0|1} */ (i));
    return Math.max((op.size[i] - 1) * axis.s + axis.e, (axis.before || 0) + op.shape[i + 1]);
  });

  /** The pairs of input and output channels with the kernel between them. @param {Operation} op */
  function* kernels(op) {
    for (let c = 0; c < op.shape[0]; c++) {
      const [first, last] = inputsOf(op, c);
      for (let s = first; s < last; s++) yield { source: s, channel: c, kernel: op.weight[s][c % (op.shape[0] / op.layer.groups)] };
    }
  }

  /** The output of a deconv the way of one view. @param {Operation} op
   * @param {"scatter"|"zero_insertion"|"gradient"|"subpixel"} way @returns {Image} */
  function byWay(op, way) {
    const [high, wide] = [axisOf(op.layer, 0), axisOf(op.layer, 1)];
    const [channels, height, width] = op.shape;
    const y = tensor([channels, height, width], () => 0);
    const [rows, columns] = canvasOf(op);
    for (const { source, channel, kernel } of kernels(op)) {
      const x = op.x[source];
      if (way === "scatter") {
        const canvas = tensor([rows, columns], () => 0);
        x.forEach((line, n) => line.forEach((value, m) => kernel.forEach((/** @type {number[]} */ taps, /** @type {number} */ i) =>
          taps.forEach((w, j) => { canvas[n * high.s + i * high.d][m * wide.s + j * wide.d] += value * w; }))));
        for (let r = 0; r < height; r++) for (let c = 0; c < width; c++) y[channel][r][c] += canvas[r + high.before][c + wide.before];
      } else if (way === "zero_insertion") {
        const seen = paddedZeros(op, source);
        for (let r = 0; r < height; r++) for (let c = 0; c < width; c++)
          for (let i = 0; i < high.k; i++) for (let j = 0; j < wide.k; j++) {
            const row = seen[r + i * high.d];
            y[channel][r][c] += (row ? row[c + j * wide.d] || 0 : 0) * kernel[high.k - 1 - i][wide.k - 1 - j];
          }
      } else if (way === "gradient") {
        for (let n = 0; n < op.size[0]; n++) for (let m = 0; m < op.size[1]; m++)
          for (let i = 0; i < high.k; i++) for (let j = 0; j < wide.k; j++) {
            const [r, c] = [n * high.s - high.before + i * high.d, m * wide.s - wide.before + j * wide.d];
            if (r >= 0 && r < height && c >= 0 && c < width) y[channel][r][c] += x[n][m] * kernel[i][j];
          }
      } else {
        for (const above of phases(high)) for (const beside of phases(wide))
          for (let r = 0; r < height; r++) for (let c = 0; c < width; c++) {
            const [q, p] = [r + high.before, c + wide.before];
            if (q % high.s !== above.residue || p % wide.s !== beside.residue) continue;
            above.taps.forEach((i, a) => beside.taps.forEach((j, b) => {
              const line = x[above.reads[a] + Math.floor(q / high.s)];
              y[channel][r][c] += (line ? line[beside.reads[b] + Math.floor(p / wide.s)] || 0 : 0) * kernel[i][j];
            }));
          }
      }
    }
    if (op.bias) y.forEach((/** @type {number[][]} */ map, /** @type {number} */ c) => map.forEach((row) => row.forEach((_, k) => { row[k] += /** @type {number[]} */ (op.bias)[c]; })));
    return y;
  }

  /** One input channel with stride − 1 zeros between neighbours and the padding of the plain convolution around it.
   * @param {Operation} op @param {number} source @returns {number[][]} */
  function paddedZeros(op, source) {
    const [high, wide] = [axisOf(op.layer, 0), axisOf(op.layer, 1)];
    const lead = [high, wide].map((axis) => axis.e - 1 - axis.before);
    const size = [high, wide].map((axis, i) => op.shape[i + 1] + axis.e - 1);
    const seen = tensor(size, () => 0);
    op.x[source].forEach((line, n) => line.forEach((value, m) => {
      const [r, c] = [n * high.s + lead[0], m * wide.s + lead[1]];
      if (seen[r] && c >= 0 && c < size[1]) seen[r][c] = value;
    }));
    return seen;
  }

  /** The phases of one axis: outputs of one residue use the same taps. @param {any} axis
   * @returns {{residue: number, taps: number[], reads: number[]}[]} */
  function phases(axis) {
    return Array.from({ length: axis.s }, (_, residue) => {
      const taps = [...Array(axis.k).keys()].filter((j) => (axis.d * j) % axis.s === residue);
      return { residue, taps, reads: taps.map((j) => -Math.floor((axis.d * j - residue) / axis.s)) };
    });
  }

  // Chains -------------------------------------------------------------------------------------------------------------

  /** The layers of a text; the message names the layer by place. @param {string} text @returns {any[]} */
  function parse(text) {
    return layersOf(text).map((part, place) => {
      try { return checkedForChain(layerOf(part)); }
      catch (error) {
        if (!(error instanceof Refusal)) throw error;
        throw new Refusal(`layer ${place + 1}, '${part}': ${error.message}`, error.ways);
      }
    });
  }

  /** @param {any} layer */
  function checkedForChain(layer) {
    checked(layer);
    if (layer.kind === "deconv" && layer.output_padding.some((/** @type {number} */ o, /** @type {number} */ i) => o >= Math.max(layer.stride[i], layer.dilation[i])))
      checkStamps(layer, [1, 1], true);
    return layer;
  }

  const pitchOf = (/** @type {any} */ axis) => (axis.law ? axis.law.run / axis.law.rise : 1 / axis.factor.num);
  const shrinks = (/** @type {any} */ layer) => [0, 1].some((i) => pitchOf(axisOf(layer, /** @type {0|1} */ (i))) > 1);
  const enlarges = (/** @type {any} */ layer) => [0, 1].some((i) => pitchOf(axisOf(layer, /** @type {0|1} */ (i))) < 1);
  const goesUp = (/** @type {any} */ layer) => ["deconv", "pixel_shuffle", "carafe"].includes(layer.kind) ||
    (layer.kind === "resize" && !shrinks(layer));

  /** A chain's stages: the way down and the way up, which begins with the first layer that enlarges.
   * @param {any[]} layers @returns {{down: any[][], up: any[][]}} */
  function downUp(layers) {
    const turn = layers.findIndex(goesUp);
    const down = turn < 0 ? layers : layers.slice(0, turn);
    const up = turn < 0 ? [] : layers.slice(turn);
    const steps = down.filter(shrinks).length;
    const paired = steps === up.filter(enlarges).length && !up.some(shrinks);
    if (paired && steps) return { down: staged(down, shrinks), up: staged(up, enlarges) };
    if (!down.length || !up.length || (paired && down.length === up.length))
      return { down: down.map((layer) => [layer]), up: up.map((layer) => [layer]) };
    return { down: [down], up: [up] };
  }

  /** @param {any[]} layers @param {(layer: any) => boolean} begins */
  function staged(layers, begins) {
    /** @type {any[][]} */
    const found = [[]];
    let seen = false;
    for (const layer of layers) {
      if (begins(layer) && seen) found.push([]);
      seen = seen || begins(layer);
      found[found.length - 1].push(layer);
    }
    return found;
  }

  /** Every layer of a chain at a size: what it makes, what is cut or repeated to fit, how its outputs lie.
   * @param {any[]} layers @param {Pair} size @param {boolean} [matched] @returns {any[]} */
  function ladder(layers, size, matched = false) {
    const { down, up } = downUp(layers);
    /** @type {any[]} */
    const rungs = [];
    /** @type {Pair[]} */
    const tops = [];
    let at = size;
    down.forEach((stage, place) => {
      tops.push(at);
      for (const layer of stage) {
        const out = outSize(layer, at);
        rungs.push({ way: "down", stage: place + 1, layer: wordsFor(layer), size: at, out, target: out });
        at = out;
      }
    });
    up.forEach((stage, place) => {
      const target = tops.length ? tops[up.length === down.length ? up.length - 1 - place : 0] : null;
      stage.forEach((layer, step) => {
        const last = step === stage.length - 1;
        let given = layer;
        if (matched && target && layer.kind === "deconv") {
          const after = stage.slice(step + 1);
          const asked = [0, 1].map((i) => {
            const axis = axisOf({ ...layer, output_padding: [0, 0] }, /** @type {0|1} */ (i));
            for (let more = 0; more < axis.s; more++) {
              const end = after.reduce((n, next) => axisOut(axisOf(next, /** @type {0|1} */ (i)), n), axisOut(axis, at[i]) + more);
              if (end === target[i]) return more;
            }
            return layer.output_padding[i];
          });
          given = { ...layer, output_padding: asked };
        }
        const out = outSize(given, at);
        const fitted = last && target ? target : out;
        rungs.push({ way: "up", stage: up.length - place, layer: wordsFor(given), size: at, out, target: fitted });
        at = fitted;
      });
    });
    return rungs;
  }

  /** (S, U) with chain(n + S) = chain(n) + U for every n. @param {{rise: number, run: number}[]} laws @returns {Pair} */
  function periodThrough(laws) {
    let run = 1, rise = 1;
    for (const law of laws) {
      const times = law.run / gcd(rise, law.run);
      run *= times;
      rise = ((rise * times) / law.run) * law.rise;
    }
    return [run, rise];
  }

  const MOST_PERIOD = 20000;

  /** For which sizes the way up gives back what the way down was given, for all sizes at once, on one axis.
   * @param {any[][]} down stages @param {any[][]} up stages in the order of use @param {0|1} i the axis
   * @param {{matched?: boolean, endsOnly?: boolean}} [options]
   * @returns {{always: boolean, never: boolean, period: number|null, start: number, least: number, residues: number[],
   * exceptions: number[], counterexample: number|null, failure: string}} */
  function prove(down, up, i, options = {}) {
    const axes = (/** @type {any[][]} */ stages) => stages.map((stage) => stage.map((layer) => {
      const axis = axisOf(layer, i);
      if (!axis.law) throw new Refusal(`nothing can be proved about a resize by the float ${factorText(axis.factor)}.`);
      return axis;
    }));
    let [downs, ups] = [axes(down), axes(up)];
    if (options.endsOnly) [downs, ups] = [[downs.flat()], [ups.flat()]];
    if (downs.length !== ups.length)
      throw new Refusal(`down has ${downs.length} stages and up has ${ups.length}: stage by stage, each needs its way back.`);
    const through = (/** @type {any[]} */ chain, /** @type {number} */ n) => chain.reduce((size, axis) => axisOut(axis, size), n);
    const leastOf = (/** @type {any[]} */ chain, least = axisLeast) => chain.reduceRight((needed, axis) =>
      Math.max(least(axis), Math.ceil((axis.law.run * needed - axis.law.offset) / axis.law.rise)), 1);
    const slack = (/** @type {any} */ axis) => (options.matched && axis.type === "stamp" ? axis.s - 1 : 0);
    const lowest = (/** @type {any} */ axis, /** @type {number} */ n) => lawAt(axis.law, n) - (slack(axis) || options.matched ? axis.more || 0 : 0);
    /** @returns {Pair[]} the sizes that a stage's way back reaches, as ranges */
    const reach = (/** @type {any[]} */ chain, /** @type {number} */ n) => {
      /** @type {Pair[]} */
      let runs = [[n, n]];
      for (const axis of chain) {
        /** @type {Pair[]} */
        const next = [];
        for (const [low, high] of runs) {
          if (axis.law.rise <= axis.law.run * (slack(axis) + 1)) next.push([lowest(axis, low), lowest(axis, high) + slack(axis)]);
          else for (let m = low; m <= high; m++) next.push([lowest(axis, m), lowest(axis, m) + slack(axis)]);
        }
        runs = next.map(([low, high]) => /** @type {Pair} */ ([Math.max(1, low), high])).filter(([low, high]) => low <= high);
      }
      return runs;
    };
    const least = leastOf(downs.flat());
    const pairs = downs.map((chain, place) => ({ chain, back: ups[ups.length - 1 - place] }));
    const holds = (/** @type {number} */ n) => {
      let size = n;
      for (const { chain, back } of pairs) {
        const low = through(chain, size);
        if (!reach(back, low).some(([from, to]) => from <= size && size <= to)) return false;
        size = low;
      }
      return true;
    };
    // One period of all stages together, and how far a stage drifts in it.
    let laws = /** @type {any[]} */ ([]), period = 1;
    for (const { chain, back } of pairs) {
      const [run] = periodThrough([...laws, ...chain.map((a) => a.law), ...back.map((a) => a.law)]);
      period = lcm(period, run);
      laws = [...laws, ...chain.map((a) => a.law)];
    }
    if (period > MOST_PERIOD)
      throw new Refusal(`it repeats after ${period} sizes only; the page decides up to ${MOST_PERIOD}, and segup shapes the rest.`);
    let drifts = false, far = 0, grown = period;
    for (const { chain, back } of pairs) {
      const [run, rise] = periodThrough(chain.map((a) => a.law));
      const below = (grown / run) * rise;
      const [backRun, backRise] = periodThrough(back.map((a) => a.law));
      const drift = (below / backRun) * backRise - grown;
      if (drift) drifts = true;
      far = Math.max(far, Math.abs(drift));
      grown = below;
    }
    // From the start on nothing is cut off for being below 1.
    let start = least;
    let before = /** @type {any[]} */ ([]);
    for (const { chain, back } of pairs) {
      start = Math.max(start, leastOf([...before, ...chain, ...back].map((axis) => (options.matched && axis.type === "stamp" && back.includes(axis) ?
        { ...axis, law: { ...axis.law, offset: axis.law.offset - axis.more } } : axis))));
      before = [...before, ...chain];
    }
    const exceptions = [];
    for (let n = least; n < start; n++) if (holds(n)) exceptions.push(n);
    const residues = [];
    let last = start + period;
    if (drifts) {
      // What is reached and what is needed part by a step in every period; until they have passed each other is enough.
      const span = [...Array(Math.min(period, 64)).keys()].reduce((most, r) => {
        let size = start + r, worst = 0;
        for (const { chain, back } of pairs) {
          const low = through(chain, size);
          for (const [from, to] of reach(back, low)) worst = Math.max(worst, Math.abs(from - size), Math.abs(to - size));
          size = low;
        }
        return Math.max(most, worst);
      }, 0);
      last = start + period * (span + period + 2);
      if (last - start > 400000) throw new Refusal("it is decided by more sizes than the page looks at; segup shapes decides it.");
      for (let n = start; n < last; n++) if (holds(n)) exceptions.push(n);
    } else for (let n = start; n < last; n++) if (holds(n)) residues.push(n % period);
    residues.sort((a, b) => a - b);
    let counterexample = null;
    for (let n = least; n < last && counterexample === null; n++) if (!holds(n)) counterexample = n;
    const always = counterexample === null && !drifts;
    const never = !residues.length && !exceptions.length;
    let failure = "";
    if (counterexample !== null) {
      let size = counterexample;
      const path = [size];
      let missed = "";
      pairs.forEach(({ chain, back }, place) => {
        const low = through(chain, size);
        const reached = reach(back, low);
        if (!reached.some(([from, to]) => from <= size && size <= to))
          missed = `${options.endsOnly ? "up" : `up stage ${place + 1}`} ${reached.length ? `brings ${low} to ${
            reached.map(([a, b]) => (a === b ? a : `${a} … ${b}`)).join(", ")}, not to ${size}` : `refuses ${low}`}`;
        path.push(low);
        size = low;
      });
      failure = `Fails first at ${counterexample}: down ${path.join(" → ")}, and ${missed}.`;
    }
    return { always, never, period: drifts ? null : period, start, least, residues, exceptions, counterexample, failure };
  }

  /** A proof in words. @param {ReturnType<typeof prove>} proof @param {string} [subject] @returns {string} */
  function proofWords(proof, subject = "Every stage gets back its size") {
    const { period, residues, exceptions, start, least } = proof;
    const set = (/** @type {number[]} */ values) => `{${values.slice(0, 12).join(", ")}${values.length > 12 ? ", …" : ""}}`;
    const below = start <= least ? "" : exceptions.length ? `; below ${start}, for ${set(exceptions)}` : `; below ${start}, for none`;
    if (proof.always) return `${subject} for every size from ${least} on: always.`;
    if (proof.never) return `${subject} at no size: never.`;
    if (period === null || !residues.length) return `${subject} for ${set(exceptions)} alone.`;
    if (residues.length === period) return `${subject} for every size from ${start} on${below}.`;
    return `${subject} exactly for n mod ${period} in ${set(residues)}, from ${start} on${below}.`;
  }

  /** The receptive field of a chain, its total stride and the first output's centre, on one axis, borders ignored.
   * @param {any[]} layers @param {0|1} i @returns {{size: number, stride: number, centre: number}} */
  function receptive(layers, i) {
    const axes = layers.map((layer) => axisOf(layer, i));
    const [, rise] = periodThrough(axes.map((axis) => axis.law || { rise: 1, run: 1 }));
    const stride = axes.reduce((product, axis) => product * pitchOf(axis), 1);
    let size = 0, moment = 0, total = 0;
    for (let out = 0; out < Math.min(rise, 512); out++) {
      /** @type {Map<number, number>} */
      let weights = new Map([[out, 1]]);
      for (let place = layers.length - 1; place >= 0; place--) {
        const next = new Map();
        for (const [at, weight] of weights)
          for (const [tap, share] of endless(layers[place], axes[place], at)) next.set(tap, (next.get(tap) || 0) + weight * share);
        weights = next;
      }
      if (!weights.size) continue;
      const taps = [...weights.keys()];
      size = Math.max(size, Math.max(...taps) - Math.min(...taps) + 1);
      for (const [tap, weight] of weights) { moment += weight * (tap - stride * out); total += weight; }
    }
    return { size, stride, centre: total ? moment / total : 0 };
  }

  /** What an output reads where there are no borders. @param {any} layer @param {any} axis @param {number} out
   * @returns {[number, number][]} */
  function endless(layer, axis, out) {
    if (axis.type === "window")
      return [...Array(axis.k).keys()].map((tap) => [out * axis.s - axis.before + axis.d * tap, 1]);
    if (axis.type === "stamp")
      return [...Array(axis.k).keys()].map((tap) => out + axis.before - axis.d * tap).filter((at) => at % axis.s === 0)
        .map((at) => [at / axis.s, 1]);
    if (axis.type === "cells") return [...Array(axis.law.run).keys()].map((tap) => [out * axis.law.run + tap, 1]);
    const factor = valueOf(axis.factor);
    if (layer.kind === "carafe") {
      const k = layer.kernel[0];
      return [...Array(k).keys()].map((tap) => [Math.floor(out / factor) - Math.floor(k / 2) + tap, 1]);
    }
    const { num, den } = axis.factor;
    if (layer.kind === "pixel_shuffle" || layer.mode === "nearest") return [[Math.floor((out * den) / num + 1e-12), 1]];
    if (layer.mode === "nearest-exact") return [[Math.floor(((2 * out + 1) * den) / (2 * num) + 1e-12), 1]];
    if (layer.mode === "area") {
      const low = Math.floor((out * den) / num + 1e-12), high = Math.ceil(((out + 1) * den) / num - 1e-12);
      return Array.from({ length: high - low }, (_, at) => [low + at, 1 / (high - low)]);
    }
    return kernelWeights(layer.mode, ((2 * out + 1) * den) / (2 * num) - 0.5).filter(([, w]) => Math.abs(w) > 1e-12);
  }

  /** The convolution's way back. @param {any} layer @returns {any} */
  function inverse(layer) {
    return filled("deconv", { kernel: layer.kernel, stride: layer.stride, dilation: layer.dilation,
      padding: [0, 1].map((i) => { const axis = axisOf(layer, /** @type {0|1} */ (i)); return [axis.before, axis.after]; }) });
  }

  // How numbers and entries are written --------------------------------------------------------------------------------

  /** A number as it is shown: whole ones as they are, short fractions as such where asked, others with five figures.
   * @param {number} value @param {boolean} [fractions] @returns {string} */
  function written(value, fractions = false) {
    if (value === Infinity || value === -Infinity) return value < 0 ? "−∞" : "∞";
    if (Number.isInteger(value)) return Object.is(value, -0) ? "0" : `${value}`;
    if (fractions)
      for (let den = 2; den < 1000; den++) {
        const num = Math.round(value * den);
        if (Math.abs(num / den - value) < 1e-12) return `${num}/${den}`;
      }
    const text = Math.abs(value) >= 10000 ? value.toFixed(1) : `${Number(value.toPrecision(5))}`;
    return text === "-0" || text === "-0.0" ? "0" : text;
  }

  const factored = (/** @type {number} */ value, fractions = false) => {
    const text = written(value, fractions);
    return text.startsWith("-") ? `(${text})` : text;
  };

  /** The equation of an entry, in symbols and in figures. @param {Operation} op @param {number} channel
   * @param {number} row @param {number} column @param {number} [most] @returns {string} */
  function equation(op, channel, row, column, most = 40) {
    const found = entry(op, channel, row, column);
    const short = op.channels === 1 && op.shape[0] === 1;
    const place = (/** @type {number[]} */ index) => (short ? index.slice(-2) : index).join(",");
    const name = `y[${place([channel, row, column])}]`;
    const value = written(found.value);
    const shown = found.terms.slice(0, most);
    const x = (/** @type {Term} */ term) => `x[${place(term.source)}]`;
    const copied = found.rule === "sum" && found.terms.length === 1 && !found.bias && !shown[0].tap && shown[0].weight === 1;
    if (copied) return `${name} = ${x(shown[0])} = ${value}`;
    const summed = found.rule === "sum";
    const parts = shown.map((t) => (summed ? `${x(t)}·${t.tap ? `w[${place(t.tap)}]` : factored(t.weight, true)}` : x(t)));
    const figures = shown.map((t) => (summed ? `${factored(t.value)}·${factored(t.weight, !t.tap)}` : written(t.value)));
    if (shown.length < found.terms.length) { parts.push(`… (${found.terms.length} terms)`); figures.push("…"); }
    if (found.rule === "max" && !parts.length) return `${name} = ${value}: the window sees padding alone`;
    if (found.rule === "max") return `${name} = max(${parts.join(", ")}) = max(${figures.join(", ")}) = ${value}`;
    if (found.rule === "mean")
      return `${name} = (${parts.join(" + ") || 0})/${found.divisor} = (${figures.map((f) => (f.startsWith("-") ? `(${f})` : f)).join(" + ") || 0})/${found.divisor} = ${value}`;
    if (found.bias) { parts.push(short ? "bias" : `bias[${channel}]`); figures.push(factored(found.bias)); }
    if (!parts.length) return `${name} = ${value}: nothing reaches it`;
    return `${name} = ${parts.join(" + ")} = ${figures.join(" + ")} = ${value}`;
  }

  /** The size formulas of height and width with the numbers in. @param {any} layer @param {Pair} size @returns {Pair} */
  function formulas(layer, size) {
    return /** @type {any} */ ([0, 1].map((i) => {
      if (layer.to && layer.kind === "resize") return `${layer.to[i]}`;
      const axis = axisOf(layer, /** @type {0|1} */ (i));
      if (layer.to) axis.more = layer.to[i] - lawAt(axis.law, size[i]) + axis.more;
      if (layer.to) axis.law = { ...axis.law, offset: axis.e - axis.before - axis.after - axis.s + axis.more };
      return rule(axis, size[i]);
    }));
  }

  /** The tests' door: a layer on an input. @param {{layer: string, input?: any, weight?: any, bias?: number[]|null,
   * out_channels?: number}} question  input: rows and columns, channels of them, or a shape such as [3, 6, 6]
   * @returns {{layer: string, output: any, shape: number[]|null, formula: string[], rules: string[], refusal: string|null,
   * ways: Way[]}} */
  function run({ layer: text, input, weight = null, bias = null, out_channels = 0 }) {
    let layer = null;
    try {
      layer = checked(layerOf(text));
      const x = imageOf(input === undefined ? [4, 4] : input, layer);
      if (weight && shapeOf(weight).length === 2 && layer.kind !== "carafe") weight = [[weight]];
      const op = operation(layer, x, weight, bias, out_channels);
      return { layer: wordsFor(layer), output: output(op), shape: op.shape, formula: formulas(layer, op.size),
        rules: [symbols(layer, 0), symbols(layer, 1)], refusal: null, ways: [] };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { layer: layer ? wordsFor(layer) : text, output: null, shape: null, formula: [], rules: [], refusal: error.text, ways: error.ways };
    }
  }

  /** Rows and columns, channels of them, or ones of a shape. @param {any} input @param {any} layer @returns {Image} */
  function imageOf(input, layer) {
    if (Array.isArray(input) && typeof input[0] === "number") {
      const channels = input.length === 3 ? input[0] : layer.kind === "pixel_shuffle" ? layer.factor[0].num ** 2 : layer.groups || 1;
      return tensor([channels, ...input.slice(-2)], () => 1);
    }
    const shape = shapeOf(input);
    if (shape.length < 2 || shape.length > 3 || shape.includes(0)) throw new Refusal("the input is rows and columns, or channels of them.");
    return shape.length === 2 ? [input] : input;
  }

  return { Refusal, KINDS, MODES, PADDING_MODES, AXES, EXTENT, parse, layersOf, layerOf, filled, wordsFor, checked, axisOf,
    axisOut, axisLeast, symbols, rule, outSize, formulas, weightShape, channelsOut, operation, entry, equation, output,
    goesTo, unread, overlap, byWay, paddedZeros, phases, canvasOf, inputsOf, sourceAt, divisorAt, downUp, ladder, prove,
    proofWords, receptive, inverse, written, factored, tensor, shapeOf, imageOf, factorOf, factorText, valueOf, run };
})();
if (typeof module !== "undefined") module.exports = Arithmetic;
